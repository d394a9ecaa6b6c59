"""A container's own layer, from a running engine: what `docker diff` lists, and how big each of these files is now.

Sizes come from `HEAD /containers/{id}/archive`, which says what is at a path and sends none of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from docker.utils import decode_json_header

from drydock.model.change import Writable, joined
from drydock.model.image import Image
from drydock.read.daemon import image as read_image

if TYPE_CHECKING:
    from docker import DockerClient

ASKED = 500  # files whose size is asked for, one request each; of the others the engine's own sum is taken
KEPT = 4  # images: each container of the same image would otherwise read all its layers again
DIRECTORY, SYMLINK = 1 << 31, 1 << 27  # bits of Go's os.FileMode
STAT = "X-Docker-Container-Path-Stat"
CHANGED_NOT_GONE = (0, 1)  # Kind of docker diff: changed, added

_images: dict[str, Image] = {}  # by ID, which is a digest: what is behind it never changes


def writable(client: DockerClient, container: str, engine: str = "") -> Writable:
    """Return a container's own layer, by the container's name or ID.

    Raises docker.errors.NotFound where there is no such container, read.BadArchive where its image makes no sense.
    """
    about = client.api.inspect_container(container)
    identity = str(about["Id"])
    image = _image(client, str(about["Image"]))
    rows = client.api.diff(identity) or []
    alive = [str(row["Path"]) for row in rows if row.get("Kind") in CHANGED_NOT_GONE]
    found = _found(client, identity, alive[:ASKED])
    return Writable(
        identity,
        str(about.get("Name") or "").lstrip("/"),
        image,
        joined(image, rows, found),
        str((about.get("State") or {}).get("Status") or ""),
        _counted(client, identity) if len(alive) > ASKED else None,
        engine,
        unmeasured=max(0, len(alive) - ASKED),
    )


def _image(client: DockerClient, identity: str) -> Image:
    if identity not in _images:
        # without `content`, which would keep the client alive as long as the image is remembered
        _images[identity] = replace(read_image(client, identity), content=None)
        while len(_images) > KEPT:
            del _images[next(iter(_images))]
    names = client.api.inspect_image(identity).get("RepoTags") or ()
    return replace(_images[identity], names=tuple(map(str, names)))


def _counted(client: DockerClient, identity: str) -> int | None:
    rows = client.api.containers(all=True, size=True, filters={"id": identity})
    return int(rows[0].get("SizeRw") or 0) if rows else None


def _found(client: DockerClient, identity: str, paths: Iterable[str]) -> dict[str, tuple[str, int]]:
    """Return for each path what is there and its bytes; what has gone since it was listed is left out."""
    url = f"{client.api.base_url}/v{client.api.api_version}/containers/{identity}/archive"
    found = {}
    for path in paths:
        answer = client.api.head(url, params={"path": path}, timeout=client.api.timeout)
        if answer.status_code == 200 and STAT in answer.headers:
            found[path.strip("/")] = _kind(decode_json_header(answer.headers[STAT]))
    return found


def _kind(told: dict[str, Any]) -> tuple[str, int]:
    mode = int(told.get("mode") or 0)
    kind = "directory" if mode & DIRECTORY else "symlink" if mode & SYMLINK else "file"
    return kind, int(told.get("size") or 0)
