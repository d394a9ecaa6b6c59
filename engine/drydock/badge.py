"""Which engine a notebook talks to, in one honest line, and what happens where that engine cannot do something.

Docker and the kit's own engine answer alike. Only the badge looks at who it is: `docker info` of the kit's engine
has its rung (A to D), and whether it executes programs at all, in DriverStatus.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import docker
from docker.errors import APIError

DOCKER = "Docker {version}"
NOTHING_RUNS = "{name}: it executes nothing here, so it builds from the lessons' cache and starts no container"
NOT_STARTED = (
    "No container was started: this machine lets the engine execute nothing (rung D; `drydock doctor` says "
    "why). Images, layers and the cache work all the same, so go on reading below."
)
FROM_THE_CACHE = (
    "Nothing can be executed on this machine (rung D), so nocache=True is left out: "
    "every RUN comes from the lessons' cache. The builds to come are in it too, so steps hit where elsewhere they miss."
)


def badge(client: docker.DockerClient) -> str:
    """Return in one line which engine answers, and on which rung where it is the kit's own."""
    version, about = client.version(), _about(client)
    if "rung" not in about:
        return DOCKER.format(version=version["Version"])
    name = str(version["Platform"]["Name"])
    return name if executes(client) else NOTHING_RUNS.format(name=name)


def executes(client: docker.DockerClient) -> bool:
    """Return True where the engine can run programs: always, but for the kit's own engine on rung D."""
    return _about(client).get("executes") != "false"


def _about(client: docker.DockerClient) -> dict[str, str]:
    return dict(pair for pair in client.info().get("DriverStatus") or [] if len(pair) == 2)


@contextmanager
def attempt(client: docker.DockerClient) -> Iterator[None]:
    """Start containers in here: where the engine executes nothing, say so in a sentence, and the notebook goes on.

    On every other engine nothing is caught: a mistake shows as it always does.
    """
    before = _created(client)
    try:
        yield
    except APIError:
        if executes(client):
            raise
        for left in _created(client) - before:  # docker-py made it, and forgets it when it does not start
            client.api.remove_container(left)
        print(NOT_STARTED)


def _created(client: docker.DockerClient) -> set[str]:
    """Return the IDs of the containers that never ran."""
    return {row["Id"] for row in client.api.containers(all=True, filters={"status": "created"})}
