"""Where `docker` goes: the address of the engine that answers here, and the variables that lead a shell to it.

It is Docker's own rule, with one more step: where no Docker listens, the kit's own engine stands in for it.
JupyterLab's server asks this before its first page: so a file or two are read here, and docker-py is not loaded.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import socket
from pathlib import Path

DOCKER_HOST, DOCKER_CONTEXT = "DOCKER_HOST", "DOCKER_CONTEXT"
DEFAULT = "npipe:////./pipe/docker_engine" if os.name == "nt" else "unix:///var/run/docker.sock"


def address() -> str:
    """Return the address of the engine that `connect()` would talk to, without starting one.

    DOCKER_HOST comes first, then the current Docker context, then the default socket. Where nobody listens there, and
    nobody chose it by name, it is the address of the kit's own engine, whether that runs by now or not.
    """
    if os.environ.get("DRYDOCK_ENGINE") == "drydock":
        return own() or DEFAULT
    found = docker()
    try:
        knock(found)
    except OSError:
        return (own() if replaceable(found) else None) or found
    return found


def docker() -> str:
    """Return the address that `docker` itself would use, whoever listens there."""
    return os.environ.get(DOCKER_HOST) or _context() or DEFAULT


def own() -> str | None:
    """Return the address of the kit's own engine: of the one that runs, else of the next; None where none can run."""
    try:
        from drydock.engine import process
    except ImportError:  # Windows: neither Unix sockets nor file locks of this kind
        return None
    home = process.home()
    there = process.found(home)
    return there.url if there else f"unix://{home / 'engine' / 'docker.sock'}"


def replaceable(where: str) -> bool:
    """Return True where the kit's own engine may answer instead: nobody chose another one by name."""
    chosen = os.environ.get(DOCKER_HOST) or os.environ.get("DRYDOCK_ENGINE") == "docker"
    return where == own() or (not chosen and where.startswith("unix://"))


def knock(where: str) -> None:
    """Raise OSError where nobody listens: docker-py would wrap the reason twice, and leave a socket open."""
    if where.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as knock:
            knock.connect("/" + where.removeprefix("unix://").lstrip("/"))


def variables(where: str) -> dict[str, str]:
    """Return what a shell needs so that `docker` reaches the kit's own engine, which has the classic builder only.

    >>> variables("unix:///run/kit.sock")
    {'DOCKER_HOST': 'unix:///run/kit.sock', 'DOCKER_BUILDKIT': '0'}
    """
    return {DOCKER_HOST: where, "DOCKER_BUILDKIT": "0"}


def export(settings: dict[str, str]) -> str:
    """Return variables as one line to paste into a shell.

    >>> export(variables("unix:///home/an na/kit.sock"))
    "export DOCKER_HOST='unix:///home/an na/kit.sock' DOCKER_BUILDKIT=0"
    """
    return " ".join(["export", *(f"{name}={shlex.quote(text)}" for name, text in settings.items())])


def pass_on(where: str) -> None:
    """Let what this process starts reach the same engine: `docker` in a `!` cell, in a terminal, in a kernel.

    Docker's own engine is found as it always is. A variable that is set to nothing counts as not set; `docker` 20.10
    takes it for a choice, so it goes.
    """
    for name in (DOCKER_HOST, DOCKER_CONTEXT):
        if not os.environ.get(name):
            os.environ.pop(name, None)
    if where == own():
        os.environ.update(variables(where))


def _context() -> str:
    """Return the address that the current Docker context names, as `docker` reads it; nothing for the default one."""
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    name = os.environ.get(DOCKER_CONTEXT) or _read(folder / "config.json", "currentContext") or "default"
    place = folder / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest() / "meta.json"
    return _read(place, "Endpoints", "docker", "Host")


def _read(path: Path, *keys: str) -> str:
    """Return one text of a JSON file; nothing where there is none."""
    try:
        found = json.loads(path.read_bytes())
        for key in keys:
            found = found[key]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return found if isinstance(found, str) else ""
