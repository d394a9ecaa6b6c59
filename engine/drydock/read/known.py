"""What a daemon's builder can reuse: images with their parents (classic), and its cache records (BuildKit)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import docker
from docker.errors import ImageNotFound

from drydock.model.cache import Made
from drydock.model.resolve import Base

# Docker 25 prints one field more of a health check (the start interval); without it both versions read alike.
HEALTH = re.compile(r"""(HEALTHCHECK &\{\[.*\] "\S+" "\S+" "\S+") "0s" ('.*'\})""")


@dataclass(frozen=True)
class Cache:
    """BuildKit's cache as the daemon lists it: record IDs, and what made each."""

    records: dict[str, str]


def bases(client: docker.DockerClient, names: Iterable[str]) -> dict[str, Base]:
    """Return what is needed to build on these images, of those that the daemon has."""
    found: dict[str, Base] = {}
    for name in names:
        if name == "scratch":
            continue
        try:
            attrs = client.api.inspect_image(name)
        except ImageNotFound:
            continue
        config = attrs.get("Config") or {}
        found[name] = Base(
            attrs["Id"],
            tuple(config.get("Env") or ()),
            config.get("WorkingDir") or "",
            config.get("User") or "",
            tuple(config.get("Shell") or ()),
            tuple(config.get("Cmd") or ()),
            tuple(config.get("OnBuild") or ()),
        )
    return found


def made(client: docker.DockerClient, roots: Iterable[str], wanted: Callable[[str], bool]) -> tuple[Made, ...]:
    """Return the images that grew, by `wanted` steps, from these images (IDs; "" is scratch)."""
    children: dict[str, list[str]] = {}
    for image in client.api.images(all=True):
        children.setdefault(image.get("ParentId") or "", []).append(image["Id"])
    found: dict[tuple[str, str], Made] = {}
    todo = list(dict.fromkeys(roots))
    while todo:
        parent = todo.pop()
        for child in children.get(parent, []):
            created, text = _told(client, child)
            if wanted(text) and (parent, child) not in found:
                found[parent, child] = Made(child, parent, created, text)
                todo.append(child)
    return tuple(found.values())


# An image's ID is a hash of these very texts, so they never change: asked for once, two requests each are saved.
_TOLD: dict[str, tuple[str, str]] = {}


def _told(client: docker.DockerClient, image: str) -> tuple[str, str]:
    """Return when an image was made (sortable), and by which step."""
    if image not in _TOLD:
        try:
            created = client.api.inspect_image(image).get("Created") or ""
            _TOLD[image] = (_sortable(created), created_by(client, image))
        except ImageNotFound:  # removed while we were reading
            return "", ""
    return _TOLD[image]


def _sortable(created: str) -> str:
    """Return a time whose text sorts as the time does: Docker leaves trailing zeros of the fraction out."""
    whole, _, fraction = created.rstrip("Z").partition(".")
    return f"{whole}.{fraction:<09}"


def created_by(client: docker.DockerClient, image: str) -> str:
    """Return the text of the step that made an image."""
    history = client.api.history(image)
    return HEALTH.sub(r"\1 \2", history[0].get("CreatedBy") or "") if history else ""


def cache(client: docker.DockerClient) -> Cache:
    """Return the records of BuildKit's cache."""
    url = f"{client.api.base_url}/v{client.api.api_version}/system/df"  # docker-py's df() measures every layer too
    rows = client.api.get(url, params={"type": "build-cache"}).json().get("BuildCache") or []
    return Cache({r["ID"]: r.get("Description") or "" for r in rows if r.get("Type", "regular") == "regular"})


def merges(client: docker.DockerClient) -> bool:
    """Return whether the daemon keeps images in containerd's store, where BuildKit can merge layers (COPY --link)."""
    status = dict(pair for pair in client.info().get("DriverStatus") or [] if len(pair) == 2)
    return "containerd" in status.get("driver-type", "")
