"""The registry as a process: whether it runs, how it is started and stopped. It lives in $DRYDOCK_HOME/registry."""

from __future__ import annotations

import http.client
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from drydock.registry.server.settings import HOST, PORTS
from drydock.serving import resident
from drydock.serving.waiting import waited

NAME = "registry"
LAST = "port"  # a file with the port that it had last
NOT_STARTED = "The registry did not start: {why}"
SILENT = "it does not answer.\nTry: drydock registry run   (it says more)"
NOT_STOPPED = "The registry, process {pid}, does not stop.\nTry: kill -9 {pid}   (nothing that was pushed is lost)"
OTHER = (
    "A registry of this home runs already at {address}, process {pid}{locked}, not as you ask.\n"
    "Try: drydock registry stop   and start it again"
)


class NotStarted(RuntimeError):
    """The registry could not be started; the message says why, and what to try."""


@dataclass(frozen=True)
class Found:
    """A registry that runs: its process, the address it listens on, the file of passwords, where it has one."""

    pid: int
    host: str
    port: int
    auth: str = ""

    @property
    def address(self) -> str:
        """Return what an image's name begins with: `localhost:5055`; docker trusts localhost without encryption."""
        host = "localhost" if self.host in ("127.0.0.1", "0.0.0.0", "::", "::1") else self.host
        return f"{f'[{host}]' if ':' in host else host}:{self.port}"


def found(home: Path) -> Found | None:
    """Return the registry that lives in a home, or None."""
    about = resident.told(home / NAME, NAME)
    try:
        return Found(**about) if about else None
    except TypeError:  # another version's
        return None


def tell(home: Path, registry: Found) -> None:
    """Write down where a registry answers, for a second start to find."""
    (home / NAME / LAST).write_text(str(registry.port))
    resident.tell(home / NAME, NAME, asdict(registry))


def ports(home: Path) -> Iterator[int]:
    """Go through the ports to try where nobody asks for one: first the last one, after which images here are named."""
    with suppress(OSError, ValueError):
        last = int((home / NAME / LAST).read_text())
        if 0 < last < 1 << 16:
            yield last
    yield from PORTS


def answers(registry: Found) -> bool:
    """Return True where a registry answers; asking for a password is an answer."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(registry.host, registry.host)
    connection = http.client.HTTPConnection(host, registry.port, timeout=2)
    try:
        connection.request("GET", "/v2/")
        reply = connection.getresponse()
        return reply.status in (200, 401) and reply.getheader("Server", "").startswith("Drydock")
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def start(home: Path, host: str | None = None, port: int | None = None, auth: Path | None = None) -> Found:
    """Start the registry of a home, or find it running; it outlives this process.

    What is not said is as it is where one runs, else loopback, without a password, and the port that it had last; else
    5055, or the next one that is free.
    Raises: NotStarted.
    """
    there = found(home)
    if there and answers(there):
        return _same(there, host, port, auth)
    words = [sys.executable, "-m", "drydock.registry.server", "--detach", "--home", str(home)]
    words += ["--host", host or HOST]
    words += ["--port", str(port)] if port is not None else []
    words += ["--auth", str(auth)] if auth else []
    done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise NotStarted(NOT_STARTED.format(why=(done.stderr or done.stdout).strip() or "it gave no reason"))
    if not waited(lambda: (one := found(home)) is not None and answers(one)):
        raise NotStarted(NOT_STARTED.format(why=SILENT))
    there = found(home)
    if there is None:
        raise NotStarted(NOT_STARTED.format(why=SILENT))
    return _same(there, host, port, auth)


def _same(there: Found, host: str | None, port: int | None, auth: Path | None) -> Found:
    """Return the registry that runs, where it is as it is asked for."""
    other = (host not in (None, there.host), port not in (None, 0, there.port), auth and str(auth) != there.auth)
    if any(other):
        locked = ", with passwords" if there.auth else ""
        raise NotStarted(OTHER.format(address=f"{there.host}:{there.port}", pid=there.pid, locked=locked))
    return there


def stop(home: Path) -> bool:
    """Stop the registry of a home; return False where there was none.

    Raises: NotStarted where it does not end.
    """
    there = found(home)
    if there is None:
        return False
    if not resident.ended(home / NAME, there.pid):
        raise NotStarted(NOT_STOPPED.format(pid=there.pid))
    return True
