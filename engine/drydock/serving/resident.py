"""A process that lives in a folder: at most one, found by whoever looks, in the background or not.

FOLDER/lock       held for as long as the process lives, however it ends: the kernel lets go of it
FOLDER/NAME.json  what the process says about itself: its number, where it answers
FOLDER/log        what went wrong inside
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from drydock.serving.waiting import waited

LOG_LIMIT = 1 << 20  # bytes; the log of a student's server is read from its end, if ever


class Taken(RuntimeError):
    """Somebody lives in this folder already."""


def home(environment: Mapping[str, str] = os.environ) -> Path:
    """Return where the kit keeps its things: $DRYDOCK_HOME, or the user's own data folder.

    >>> home({"DRYDOCK_HOME": "/srv/kit"}).as_posix()
    '/srv/kit'
    """
    if environment.get("DRYDOCK_HOME"):
        return Path(environment["DRYDOCK_HOME"]).absolute()
    from platformdirs import user_data_dir

    return Path(user_data_dir("drydock", appauthor=False))


def claim(folder: Path, name: str) -> IO[bytes]:
    """Take a folder to live in; it is given back when the file that this returns is closed.

    What a killed process said about itself is removed: its number may be somebody else's by now.
    Whoever asks `held` holds the lock too, for an instant: so a refusal is believed only when it lasts.
    Raises: Taken, OSError where the folder cannot be written.
    """
    lock = (folder / "lock").open("ab")
    for _ in range(20):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (folder / f"{name}.json").unlink(missing_ok=True)
            return lock
        except BlockingIOError:
            time.sleep(0.01)
    lock.close()
    raise Taken(f"Somebody lives in {folder} already.")


def held(folder: Path) -> bool:
    """Return True where a process lives in a folder: what holds the lock lives, whatever a file says."""
    try:
        with (folder / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    except OSError:
        return False


def tell(folder: Path, name: str, about: Mapping[str, Any]) -> None:
    """Write down where a process answers, for a second start to find."""
    beside = folder / f"{name}.new"
    beside.write_text(json.dumps(dict(about)))
    beside.replace(folder / f"{name}.json")


def told(folder: Path, name: str) -> dict[str, Any] | None:
    """Return what the process that lives in a folder says about itself, or None where there is none."""
    if not held(folder):
        return None
    with contextlib.suppress(OSError, ValueError):
        about = json.loads((folder / f"{name}.json").read_bytes())
        return about if isinstance(about, dict) else None
    return None


def detached(run: Callable[[int], int]) -> int:
    """Fork: the child runs in the background, the parent waits until it is ready or has failed.

    `run` gets a file to write to once it is ready; what it returns is the exit code.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.setsid()
        os._exit(run(writing))
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        if pipe.read():
            return 0
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def let_go(ready: int, log: Path) -> None:
    """Tell whoever started this process that it answers, and let go of their terminal."""
    sys.stdout.flush()
    os.write(ready, b"ready")
    os.close(ready)
    writing = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    for number in (1, 2):
        os.dup2(writing, number)
    os.close(writing)
    os.close(nowhere)


def note(log: Path, text: str) -> None:
    """Add a line to a log, which begins anew when it has become long."""
    if log.exists() and log.stat().st_size > LOG_LIMIT:
        log.replace(log.with_suffix(".old"))
    with log.open("a") as file:
        file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text.rstrip()}\n")


def ended(folder: Path, pid: int) -> bool:
    """Ask the process that lives in a folder to end; return True once it has, False where it does not."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    return waited(lambda: not held(folder))
