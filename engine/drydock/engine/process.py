"""The engine as a process: where it lives, whether it runs, how it is started and stopped.

engine/lock          held for as long as the engine lives, however it ends: the kernel lets go of it
engine/engine.json   its process, socket and rung, for whoever finds the lock held
engine/log           what went wrong inside, without anything that a client sent
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from drydock.engine import VERSION

PATIENCE = 20.0  # s for an engine to start or stop on a machine that is very busy; it needs some tenths of one
RUNGS = ("A", "B", "C", "D")
NOT_STARTED = "The engine did not start: {why}\nTry: drydock engine run   (it says more), or another folder: --home"
NOT_STOPPED = (
    "The engine, process {pid}, does not stop.\nTry: kill -9 {pid}   (what it was doing is undone at the next start)"
)


class NotStarted(RuntimeError):
    """The engine could not be started; the message says why, and what to try."""


@dataclass(frozen=True)
class Found:
    """An engine that runs: its process, its socket, the rung that it was told to take."""

    pid: int
    socket: str
    rung: str = ""
    version: str = VERSION

    @property
    def url(self) -> str:
        """Return its address as DOCKER_HOST wants it."""
        return f"unix://{self.socket}"


def home(environment: Mapping[str, str] = os.environ) -> Path:
    """Return where the kit keeps its things: $DRYDOCK_HOME, or the user's own data folder.

    >>> home({"DRYDOCK_HOME": "/srv/kit"}).as_posix()
    '/srv/kit'
    """
    if environment.get("DRYDOCK_HOME"):
        return Path(environment["DRYDOCK_HOME"]).absolute()
    from platformdirs import user_data_dir

    return Path(user_data_dir("drydock", appauthor=False))


def found(home: Path) -> Found | None:
    """Return the engine that lives in a home, or None: what holds the lock lives, whatever the file says."""
    try:
        with (home / "engine" / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        pass
    except OSError:
        return None
    with contextlib.suppress(OSError, ValueError, TypeError):
        return Found(**json.loads((home / "engine" / "engine.json").read_bytes()))
    return None


def answers(path: str) -> bool:
    """Return True where an engine answers a ping at a socket."""
    with socket.socket(socket.AF_UNIX) as knock:
        knock.settimeout(5)
        try:
            knock.connect(path)
            knock.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return knock.recv(64).startswith(b"HTTP/1.1 200")
        except OSError:
            return False


def start(home: Path, where: Path | None = None, rung: str | None = None) -> Found:
    """Start the engine of a home, or find it running; it outlives this process.

    Raises: NotStarted.
    """
    there = found(home)
    if there and answers(there.socket):
        return there
    words = [sys.executable, "-m", "drydock.engine", "--detach", "--home", str(home)]
    words += ["--socket", str(where)] if where else []
    words += ["--rung", rung] if rung else []
    done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        why = (done.stderr or done.stdout).strip().splitlines() or ["it gave no reason"]
        raise NotStarted(NOT_STARTED.format(why=why[-1]))
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        there = found(home)
        if there and answers(there.socket):
            return there
        time.sleep(0.01)
    raise NotStarted(NOT_STARTED.format(why="it does not answer"))


def stop(home: Path) -> bool:
    """Stop the engine of a home and all that runs in it; return False where there was none.

    Raises: NotStarted where it does not end.
    """
    there = found(home)
    if there is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(there.pid, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found(home) is None:
            return True
        time.sleep(0.02)
    raise NotStarted(NOT_STOPPED.format(pid=there.pid))
