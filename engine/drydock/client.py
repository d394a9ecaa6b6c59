"""Which engine answers: `drydock.connect()`, as `docker` itself chooses it; and its images: `drydock.image(...)`."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException
from docker.utils import kwargs_from_env
from requests.exceptions import RequestException

from drydock import read
from drydock.model.change import Writable
from drydock.model.image import Image

LAB = "org.drydock.lab"  # the label of everything that the kit creates
NO_ENGINE = (
    "No Docker engine answers at {where} ({why}).\n"
    "Docker is probably not installed, not started, or not yours to use.\n"
    "Try: {cure}"
)


class EngineUnavailable(RuntimeError):
    """No Docker engine answers; the message says where it was looked for and what to try."""


def connect(timeout: int = 120) -> docker.DockerClient:
    """Return a client of the Docker engine that `docker` itself would use: an ordinary docker-py client.

    DOCKER_HOST comes first, then the current Docker context, then the default socket. Where none of Docker's own
    answers, the kit's own engine does; it is started when it is needed. What DOCKER_HOST names is never replaced,
    nor is Docker where DRYDOCK_ENGINE=docker is set; DRYDOCK_ENGINE=drydock takes the kit's own.

    Raises: EngineUnavailable.
    """
    where = "the default socket"
    try:
        where = address()
        return _client(where, timeout)
    except (DockerException, RequestException, OSError, ValueError) as error:
        if not _replaceable(where):
            raise EngineUnavailable(_unavailable(where, error)) from None
        return _client(_own(_unavailable(where, error)), timeout)


def daemon(timeout: int = 20) -> docker.DockerClient | None:
    """Return a client of the engine that runs here already, or None: no engine is started for that."""
    if os.environ.get("DRYDOCK_ENGINE") == "drydock":
        return None
    try:
        return _client(address(), timeout)
    except (DockerException, RequestException, OSError, ValueError):
        return None


def _client(where: str, timeout: int) -> docker.DockerClient:
    _knock(where)
    client = docker.DockerClient(base_url=where, timeout=timeout, tls=_tls(where))
    try:
        client.ping()
    except BaseException:
        client.close()
        raise
    return client


def _replaceable(where: str) -> bool:
    """Return True where the kit's own engine may answer instead: nobody chose another one by name."""
    chosen = os.environ.get("DOCKER_HOST") or os.environ.get("DRYDOCK_ENGINE") == "docker"
    return not chosen and (where.startswith("unix://") or where == "the default socket")


def _own(why: str) -> str:
    """Start the kit's own engine, or find it running, and return its address.

    Raises: EngineUnavailable with both reasons.
    """
    try:
        from drydock.engine import process
    except ImportError:  # Windows: neither Unix sockets nor file locks of this kind
        raise EngineUnavailable(why) from None
    try:
        return process.start(process.home()).url
    except (process.NotStarted, OSError) as error:
        raise EngineUnavailable(f"{why}\nThe kit's own engine does not help either. {error}") from None


def _knock(where: str) -> None:
    """Raise OSError where nobody listens: docker-py would wrap the reason twice, and leave a socket open."""
    if where.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as knock:
            knock.connect("/" + where.removeprefix("unix://").lstrip("/"))


def address() -> str:
    """Return the address of the engine that `connect()` would talk to, without starting one."""
    if os.environ.get("DRYDOCK_ENGINE") == "drydock":
        return _running() or _own("DRYDOCK_ENGINE=drydock asks for the kit's own engine.")
    if os.environ.get("DOCKER_HOST"):
        return os.environ["DOCKER_HOST"]
    context = docker.ContextAPI.get_context(os.environ.get("DOCKER_CONTEXT") or None)
    found = str((context.Host if context else None) or "unix:///var/run/docker.sock")
    try:
        _knock(found)
    except OSError:
        return (_running() if _replaceable(found) else None) or found
    return found


def _running() -> str | None:
    """Return the address of the kit's own engine where it runs."""
    try:
        from drydock.engine import process
    except ImportError:
        return None
    there = process.found(process.home())
    return there.url if there else None


def embedded(version: Mapping[str, Any]) -> bool:
    """Return True where what `client.version()` said comes from the kit's own engine."""
    return str((version.get("Platform") or {}).get("Name") or "").startswith("Drydock")


def called(client: docker.DockerClient) -> str:
    """Return the engine's name as records and pictures show it: `Docker 26.1.5`, `Drydock engine 0.1, rung A`."""
    said = client.version()
    return str(said["Platform"]["Name"]) if embedded(said) else f"Docker {said['Version']}"


def _tls(where: str) -> Any:
    """Return the certificates that DOCKER_HOST's variables, or the Docker context, name; False where there are none."""
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
