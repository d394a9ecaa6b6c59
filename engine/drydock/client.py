"""A client of the engine that answers: `drydock.connect()`; and the engine's images: `drydock.image(...)`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException
from docker.utils import kwargs_from_env
from requests.exceptions import RequestException

from drydock import docker_host, read
from drydock.docker_host import address
from drydock.model.change import Writable
from drydock.model.image import Image

LAB = "org.drydock.lab"  # the label of everything that the kit creates
NO_ENGINE = (
    "No Docker engine answers at {where} ({why}).\n"
    "Docker is probably not installed, not started, or not yours to use.\n"
    "Try: {cure}"
)
NOR_OWN = "The kit's own engine does not help either."


class EngineUnavailable(RuntimeError):
    """No Docker engine answers; the message says where it was looked for and what to try."""


def connect(timeout: int = 120) -> docker.DockerClient:
    """Return a client of the Docker engine that `docker` itself would use: an ordinary docker-py client.

    DOCKER_HOST comes first, then the current Docker context, then the default socket. Where none of Docker's own
    answers, the kit's own engine does; it is started when it is needed, and DOCKER_HOST is set, so that `docker` in
    a `!` cell reaches it, too. What DOCKER_HOST names is never replaced, nor is Docker where DRYDOCK_ENGINE=docker is
    set; DRYDOCK_ENGINE=drydock takes the kit's own.

    Raises: EngineUnavailable.
    """
    where = address()
    try:
        client = _client(where, timeout)
    except (DockerException, RequestException, OSError, ValueError) as error:
        if not docker_host.replaceable(where):
            raise EngineUnavailable(_unavailable(where, error)) from None
        where = _started(error)
        client = _client(where, timeout)
    docker_host.pass_on(where)
    return client


def daemon(timeout: int = 20) -> docker.DockerClient | None:
    """Return a client of the engine that runs here already, or None: no engine is started for that."""
    try:
        return _client(address(), timeout)
    except (DockerException, RequestException, OSError, ValueError):
        return None


def _client(where: str, timeout: int) -> docker.DockerClient:
    docker_host.knock(where)
    client = docker.DockerClient(base_url=where, timeout=timeout, tls=_tls(where))
    try:
        client.ping()
    except BaseException:
        client.close()
        raise
    return client


def _started(error: Exception) -> str:
    """Start the kit's own engine, or find it running, and return its address.

    Raises: EngineUnavailable, which says why Docker does not answer, and why the kit's own engine does not either.
    """
    where = docker_host.docker()
    try:
        docker_host.knock(where)
    except OSError as refused:
        error = refused
    try:
        from drydock.engine import process
    except ImportError:  # Windows: neither Unix sockets nor file locks of this kind
        raise EngineUnavailable(_unavailable(where, error)) from None
    try:
        return process.start(process.home()).url
    except (process.NotStarted, OSError) as other:
        raise EngineUnavailable(f"{_unavailable(where, error)}\n{NOR_OWN} {other}") from None


def embedded(version: Mapping[str, Any]) -> bool:
    """Return True where what `client.version()` said comes from the kit's own engine."""
    return str((version.get("Platform") or {}).get("Name") or "").startswith("Drydock")


def called(client: docker.DockerClient) -> str:
    """Return the engine's name as records and pictures show it: `Docker 26.1.5`, `Drydock engine 0.1, rung A`."""
    said = client.version()
    return str(said["Platform"]["Name"]) if embedded(said) else f"Docker {said['Version']}"


def _tls(where: str) -> Any:
    """Return the certificates that DOCKER_HOST's variables, or the Docker context, name; False where there are none."""
    if where.startswith("unix://"):
        return False
    if os.environ.get("DOCKER_HOST"):
        return kwargs_from_env().get("tls", False)
    context = docker.ContextAPI.get_context(os.environ.get("DOCKER_CONTEXT") or None)
    return (context.TLSConfig if context else None) or False


def _unavailable(where: str, error: Exception) -> str:
    text = str(error)
    if "Permission denied" in text:
        return NO_ENGINE.format(
            where=where, why="permission denied", cure="sudo usermod -aG docker $USER   (then log in again)"
        )
    if "No such file" in text or "Connection refused" in text:
        why = "nothing listens there"
    else:
        why = text.splitlines()[0][:200] if text else type(error).__name__
    return NO_ENGINE.format(where=where, why=why, cure="start Docker Desktop, or: sudo systemctl start docker")


def image(name: str | Path, client: docker.DockerClient | None = None) -> Image:
    """Return an image with its layers and their files: the engine's by name, or a `docker save` file's or folder's.

    A `Path` is always a file or folder, a name always the engine's.
    Raises: docker.errors.ImageNotFound, read.BadArchive, EngineUnavailable.
    """
    if isinstance(name, Path):
        return read.folder(name) if name.is_dir() else read.archive(name)
    return read.image(client or connect(), name)


def writable(container: Any, client: docker.DockerClient | None = None) -> Writable:
    """Return a container's own layer, with what each change in it cost: `docker diff`, explained.

    `container` is one of docker-py's, or a name or an ID. It may run, be stopped, or never have been started.
    Raises: docker.errors.NotFound, EngineUnavailable.
    """
    client = client or getattr(container, "client", None) or connect()
    return read.writable(client, str(getattr(container, "id", container)), called(client))
