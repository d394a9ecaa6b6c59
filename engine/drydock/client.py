"""What a notebook calls: `drydock.connect()`, `drydock.build(...)`, `drydock.plan(...)`, `drydock.image(...)`."""

from __future__ import annotations

import os
from typing import Any

import docker
from docker.errors import DockerException
from docker.utils import kwargs_from_env
from requests.exceptions import RequestException

NO_ENGINE = (
    "No Docker engine answers at {where} ({why}).\n"
    "Docker is probably not installed, not started, or not yours to use.\n"
    "Try: {cure}"
)


class EngineUnavailable(RuntimeError):
    """No Docker engine answers; the message says where it was looked for and what to try."""


def connect(timeout: int = 120) -> docker.DockerClient:
    """Return a client of the Docker engine that `docker` itself would use: an ordinary docker-py client.

    DOCKER_HOST comes first, then the current Docker context, then the default socket.

    Raises: EngineUnavailable.
    """
    where = "the default socket"
    try:
        where = address()
        client = docker.DockerClient(base_url=where, timeout=timeout, tls=_tls(where))
        client.ping()
    except (DockerException, RequestException, OSError, ValueError) as error:
        raise EngineUnavailable(_unavailable(where, error)) from None
    return client


def address() -> str:
    """Return the address of the engine that `docker` would talk to."""
    if os.environ.get("DOCKER_HOST"):
        return os.environ["DOCKER_HOST"]
    context = docker.ContextAPI.get_context(os.environ.get("DOCKER_CONTEXT") or None)
    found = context.Host if context else None
    return str(found or "unix:///var/run/docker.sock")


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
