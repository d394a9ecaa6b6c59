"""Visits to a program in a container, made from inside it: by name, as its neighbours on the network would."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import docker
from docker.errors import NotFound

from drydock.badge import NOT_STARTED, executes
from drydock.lessons.containers import ASLEEP, NoContainer
from drydock.model.layer import shown

NEVER = (
    "There is no container {name} yet: nobody started one under that name.\n"
    "Try: the cell above that starts it, or `docker run -d --name {name} ...`"
)
KEPT = 60  # visits in the file
LONGEST = 2000  # characters of one answer
MARK = "--- "
# Python, not curl: it is in every image that this is for. A program that has just been started is waited for.
ASK = """
import sys, time, urllib.error, urllib.request
url, now = sys.argv[1], time.monotonic()
while True:
    try:
        said, wait = urllib.request.urlopen(url, timeout=30).read().decode(), 0
    except urllib.error.HTTPError as error:
        said, wait = error.read().decode(), float(sys.argv[2])
    except OSError as error:
        said, wait = f"Nobody answers at {url}: {error}", 5
    if time.monotonic() - now >= wait:
        break
    time.sleep(0.05)
print(said, end="")
"""


def visit(
    client: docker.DockerClient, name: str, port: int, patience: float = 0, into: str | Path = "visits.txt"
) -> str:
    """Ask the container `name` for its page at http://NAME:PORT/, print the answer, and add it to a file.

    An answer that something is amiss is asked for again for so many seconds of `patience`: what was just started may
    not listen yet. The question comes from a program in the same container, so no port of this machine is needed.
    Where the engine executes nothing, that is said. Raises: NoContainer.
    """
    if not executes(client):
        print(NOT_STARTED)
        return ""
    try:
        container: Any = client.containers.get(name)
    except NotFound:
        raise NoContainer(NEVER.format(name=name)) from None
    if container.status != "running":
        raise NoContainer(ASLEEP.format(name=name, state=container.status))
    _, said = container.exec_run(["python3", "-c", ASK, f"http://{name}:{port}/", str(patience)])
    text = "\n".join(shown(line) for line in said.decode("utf-8", "replace")[:LONGEST].splitlines())
    _keep(Path(into), f"{MARK}http://{name}:{port}/\n{text}\n")
    print(text)
    return text


def _keep(path: Path, text: str) -> None:
    """Add a visit to the file, which keeps the newest ones only."""
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    visits = [MARK + one for one in (before + text).split(MARK) if one]
    path.write_text("".join(visits[-KEPT:]), encoding="utf-8")


def leave(client: docker.DockerClient, *names: str, network: str = "") -> None:
    """Remove these containers and the network that they were on, where they are there, and say what was removed."""
    gone = []
    for name in names:
        with suppress(NotFound):
            client.containers.get(name).remove(force=True)
            gone.append(name)
    for one in client.networks.list(names=[network]) if network else ():
        if one.name == network:  # Docker lists what only begins like it, too
            one.remove()
            gone.append(f"the network {network}")
    print(f"Removed: {', '.join(gone) or 'nothing was there'}.")


def standing(client: docker.DockerClient, *names: str) -> None:
    """Print how each of these containers stands: running, exited, or not there."""
    for name in names:
        try:
            print(f"{name}: {client.containers.get(name).status}")
        except NotFound:
            print(f"{name}: not there")
