"""Knocking at a port: does anybody answer there? And where a container's neighbours find it."""

from __future__ import annotations

import socket
import time
from typing import Any

from docker.errors import NotFound

from drydock.badge import executes
from drydock.lessons.containers import GONE, NoContainer
from drydock.model.layer import shown

ANSWERS = "{host}:{port} answers: {said}"
NOBODY = "{host}:{port}: nobody answers ({why})"
SILENT = (
    "Nobody can be reached in container {name} (it is {state}). It last said: {said}\n"
    "Try: run the cell again that starts it. If its port is taken, another container has it; see docker ps"
)
LONGEST = 200  # bytes that are read of an answer
PAUSE = 0.1  # s between two tries


def knock(port: int, host: str = "127.0.0.1", patience: float = 2.0) -> str:
    """Connect to a port, and return in one line what the program behind it says, or that nobody answers there.

    A program that has only just been started may not listen yet, so it is tried again for `patience` seconds.

    >>> with socket.create_server(("127.0.0.1", 0)) as taken:
    ...     free = taken.getsockname()[1]
    >>> knock(free, patience=0).replace(str(free), "PORT")
    '127.0.0.1:PORT: nobody answers (Connection refused)'
    """
    end = time.monotonic() + patience
    while True:
        try:
            said = _heard(host, port, max(0.5, end - time.monotonic()))
            if said:
                return ANSWERS.format(host=host, port=port, said=shown(said))
            why = "the line is closed at once"  # as Docker's own proxy does, while the program does not listen yet
        except OSError as error:
            why = error.strerror or str(error)
        if time.monotonic() >= end:
            return NOBODY.format(host=host, port=port, why=why)
        time.sleep(PAUSE)


def _heard(host: str, port: int, wait: float) -> str:
    """Return the first line that a program says to whoever connects, within `wait` seconds."""
    with socket.create_connection((host, port), timeout=wait) as line:
        line.settimeout(wait)
        return line.recv(LONGEST).decode("utf-8", "replace").strip()


def address(container: Any, says: str = "", patience: float = 60.0) -> str:
    """Return the address at which a container's neighbours on its network reach it; "" where nothing is executed.

    With `says`, wait first until its program has printed that: it may not listen yet.
    Raises: NoContainer, for one that has ended: an address is had only while a container runs.
    """
    end = time.monotonic() + patience
    try:
        while True:
            said = container.logs().decode("utf-8", "replace")
            container.reload()
            if not executes(container.client):
                return ""
            if container.status != "running" or time.monotonic() > end:
                last = shown((said.strip().splitlines() or ["nothing"])[-1][:LONGEST])
                raise NoContainer(SILENT.format(name=container.name, state=container.status, said=last))
            if says in said:
                networks = container.attrs["NetworkSettings"]["Networks"].values()
                return next((str(one["IPAddress"]) for one in networks if one["IPAddress"]), "")
            time.sleep(PAUSE)
    except NotFound:
        raise NoContainer(GONE.format(name=container.name)) from None
