"""The engine as a process: where it lives, whether it runs, how it is started and stopped.

engine/lock          held for as long as the engine lives, however it ends: the kernel lets go of it
engine/engine.json   its process, socket and rung, for whoever finds the lock held
engine/log           what went wrong inside, without anything that a client sent
"""

from __future__ import annotations

import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from drydock.engine import VERSION
from drydock.serving.resident import ended, home, told
from drydock.serving.waiting import waited

__all__ = ["RUNGS", "Found", "NotStarted", "answers", "found", "home", "start", "stop"]
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


def found(home: Path) -> Found | None:
    """Return the engine that lives in a home, or None."""
    about = told(home / "engine", "engine")
    try:
        return Found(**about) if about else None
    except TypeError:  # another version's
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
    waited(lambda: (there := found(home)) is not None and answers(there.socket))
    there = found(home)
    if there is None or not answers(there.socket):
        raise NotStarted(NOT_STARTED.format(why="it does not answer"))
    return there


def stop(home: Path) -> bool:
    """Stop the engine of a home and all that runs in it; return False where there was none.

    Raises: NotStarted where it does not end.
    """
    there = found(home)
    if there is None:
        return False
    if not ended(home / "engine", there.pid):
        raise NotStarted(NOT_STOPPED.format(pid=there.pid))
    return True
