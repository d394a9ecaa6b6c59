"""The class registry: the kit's own server; or, where Docker lives in a machine of its own, a container in that.

Docker Desktop's daemon runs in a virtual machine, whose `localhost` is not this computer's: a server here would be out
of its reach. A container that publishes a port can be reached from both.
"""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException, NotFound
from requests.exceptions import RequestException

from drydock.client import LAB, connect, daemon
from drydock.registry.server.settings import PORTS
from drydock.serving.waiting import waited

IMAGE = "registry:2"
NAME = "drydock-registry"
DESKTOP = "Docker Desktop"
INSIDE = 5000  # the port on which the registry answers inside its container
NO_IMAGE = (
    "The class registry runs as a container with Docker Desktop, and its image {image} cannot be had: {why}.\n"
    "Try: docker pull {image}   while there is a network, or docker load -i FILE with one from a classmate"
)
NOT_RUN = "The class registry's container does not start: {why}\nTry: docker logs {name}   then docker rm -f {name}"
TAKEN = "port {port} is probably taken by another program"
IN_USE = ("already allocated", "in use", "not available")  # what Docker and Docker Desktop say of a port
OTHER = (
    "The class registry runs already at localhost:{port}, as the container {name}.\n"
    "Try: docker rm -f {name}   (what was pushed stays in the volume {name}), and start it again"
)


class RegistryUnavailable(RuntimeError):
    """There is no class registry, and none could be started; the message says why, and what to try."""


def start_registry(port: int | None = None) -> str:
    """Start the class registry, or find it, and return what the names of its images begin with: `localhost:5055`.

    Where that port is another program's and no `port` is asked for, it is the next free one.

    Raises: RegistryUnavailable.
    """
    try:
        from drydock.registry.server import process
        from drydock.serving import resident
    except ImportError:  # Windows: no file locks of this kind; Docker Desktop's container does as well
        return in_container(connect(), port)
    home = resident.home()
    there = process.found(home)
    if there is None:
        with desktop() as client:
            if client is not None:
                return in_container(client, port)
    try:
        return process.start(home, port=port).address
    except (process.NotStarted, OSError) as error:
        raise RegistryUnavailable(str(error)) from None


@contextmanager
def desktop() -> Iterator[docker.DockerClient | None]:
    """Give a client of the Docker Desktop that answers here, or None."""
    client = daemon()
    if client is None:
        yield None
        return
    with closing(client):
        try:
            found = client.info().get("OperatingSystem") == DESKTOP
        except (DockerException, RequestException):
            found = False
        yield client if found else None


def in_container(client: docker.DockerClient, port: int | None = None, auth: Path | None = None) -> str:
    """Start the registry as a container, or find it, and return its address.

    Raises: RegistryUnavailable.
    """
    try:
        there = container(client)
        if there is None:
            there = _run(client, PORTS if port is None else [port], auth)
        elif there.status != "running":
            there.start()
        there.reload()
        answered = int(there.ports[f"{INSIDE}/tcp"][0]["HostPort"])
    except (DockerException, RequestException, LookupError, TypeError) as error:
        raise RegistryUnavailable(NOT_RUN.format(why=_why(error, port or PORTS[-1]), name=NAME)) from None
    if port not in (None, answered):
        raise RegistryUnavailable(OTHER.format(port=answered, name=NAME))
    if not waited(lambda: answers(answered)):
        raise RegistryUnavailable(NOT_RUN.format(why="it does not answer.", name=NAME))
    return f"localhost:{answered}"


def container(client: docker.DockerClient) -> Any:
    """Return the class registry's container, or None; one of that name that the kit did not make is not it."""
    try:
        found = client.containers.get(NAME)
    except NotFound:
        return None
    return found if found.labels.get(LAB) else None


def _run(client: docker.DockerClient, ports: Sequence[int], auth: Path | None) -> Any:
    client.volumes.create(NAME, labels={LAB: "registry"})
    settings = {"REGISTRY_STORAGE_DELETE_ENABLED": "true"}
    binds = [f"{NAME}:/var/lib/registry"]
    if auth is not None:
        binds.append(f"{auth.absolute()}:/auth/htpasswd:ro")
        settings |= {"REGISTRY_AUTH": "htpasswd", "REGISTRY_AUTH_HTPASSWD_REALM": "Drydock registry"}
        settings |= {"REGISTRY_AUTH_HTPASSWD_PATH": "/auth/htpasswd"}
    always = {"Name": "unless-stopped"}
    return started(client, ports, NAME, "registry", environment=settings, restart_policy=always, volumes=binds)


def started(client: docker.DockerClient, ports: Sequence[int], name: str, lesson: str, **more: Any) -> Any:
    """Start a container of a registry at the first of these ports that nobody has, and return it.

    `lesson` marks it as the kit's own; `more` goes to docker-py's `containers.create`.
    Raises: RegistryUnavailable where its image cannot be had, docker's own errors.
    """
    if not client.images.list(IMAGE):
        try:
            client.images.pull(IMAGE)
        except (DockerException, RequestException) as error:
            raise RegistryUnavailable(NO_IMAGE.format(image=IMAGE, why=str(error).splitlines()[0][:200])) from None
    for port in ports:
        published = {f"{INSIDE}/tcp": ("127.0.0.1", port)}
        made = client.containers.create(IMAGE, name=name, labels={LAB: lesson}, ports=published, **more)
        try:
            made.start()
            return made
        except DockerException as error:
            made.remove(force=True, v=True)  # else the next start would find a container that never ran
            if not _in_use(error) or port == ports[-1]:
                raise
    raise ValueError("no port was named")


def _in_use(error: Exception) -> bool:
    return any(words in str(error) for words in IN_USE)


def _why(error: Exception, port: int) -> str:
    text = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
    return TAKEN.format(port=port) if _in_use(error) else text


def answers(port: int) -> bool:
    """Return True where a registry answers at a port of this computer; asking for a password is an answer."""
    with closing(http.client.HTTPConnection("localhost", port, timeout=5)) as connection:
        try:
            connection.request("GET", "/v2/")
            return connection.getresponse().status in (200, 401)
        except (OSError, http.client.HTTPException):
            return False
