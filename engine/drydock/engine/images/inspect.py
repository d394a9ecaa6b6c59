"""Images as the API shows them: `docker image inspect`, `docker history`, one row of `docker images`.

Source: moby v20.10 daemon/images/image_inspect.go, image_history.go, images.go; api/types.ImageInspect.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from drydock.engine.images.catalogue import Catalogue, NoSuchImage
from drydock.engine.images.config import full
from drydock.engine.images.record import Record

NEVER = "0001-01-01T00:00:00Z"


def image_json(images: Catalogue, record: Record) -> dict[str, Any]:
    """Return what `docker image inspect` shows."""
    whole = record.config
    history = whole.get("history") or [{}]
    container_config = whole.get("container_config")
    shown = {
        "Id": record.id,
        "RepoTags": images.tags(record.id),
        "RepoDigests": images.digests(record.id),
        "Parent": record.parent,
        "Comment": whole.get("comment") or history[-1].get("comment") or "",
        "Created": record.created or NEVER,
        "Container": whole.get("container") or "",
        "ContainerConfig": full(container_config or {}),
        "DockerVersion": whole.get("docker_version") or "",
        "Author": whole.get("author") or "",
        "Config": full(whole.get("config") or {}),
        "Architecture": whole.get("architecture") or "",
        "Os": whole.get("os") or "",
        "Size": record.size,
        "VirtualSize": record.size,
        "GraphDriver": {"Data": None, "Name": "drydock"},
        "RootFS": {"Type": "layers", "Layers": list(record.layers)},
        "Metadata": {"LastTagTime": _moment(record.tagged_at)},
    }
    if whole.get("variant"):
        shown["Variant"] = whole["variant"]
    return shown


def history_json(images: Catalogue, record: Record) -> list[dict[str, Any]]:
    """Return what `docker history` shows, the newest first; a step that is no image of its own is <missing>."""
    rows: list[dict[str, Any]] = []
    sizes = iter(record.sizes)
    for row in record.config.get("history") or ():
        made = {"Comment": row.get("comment", ""), "Created": seconds(row.get("created", ""))}
        made |= {"CreatedBy": row.get("created_by", ""), "Id": "<missing>"}
        made |= {"Size": 0 if row.get("empty_layer") else next(sizes, 0), "Tags": None}
        rows.insert(0, made)
    step: Record | None = record
    for made in rows:
        if step is None:
            break
        made |= {"Id": step.id, "Tags": images.tags(step.id) or None}
        step = _parent(images, step)
    return rows


def summary_json(images: Catalogue, record: Record) -> dict[str, Any]:
    """Return one row of `docker images`; a nameless image has dockerd's `<none>:<none>`."""
    tags, digests = images.tags(record.id), images.digests(record.id)
    if not tags and not digests:
        tags, digests = ["<none>:<none>"], ["<none>@<none>"]
    return {
        "Containers": -1,
        "Created": seconds(record.created),
        "Id": record.id,
        "Labels": (record.config.get("config") or {}).get("Labels"),
        "ParentId": record.parent,
        "RepoDigests": digests or None,
        "RepoTags": tags or None,
        "SharedSize": -1,
        "Size": record.size,
        "VirtualSize": record.size,
    }


def seconds(text: str) -> int:
    """Return a moment of RFC 3339 in seconds since 1970.

    >>> seconds("2026-11-24T21:02:07.156024514Z"), seconds("nonsense")
    (1795554127, -62135596800)
    """
    try:
        head, _, rest = text.partition(".")
        zone = "Z" if not rest or rest.endswith("Z") else rest.lstrip("0123456789")
        moment = datetime.fromisoformat(head + zone if rest else text)
    except ValueError:
        return -62135596800  # the zero of Go's time
    return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() // 1)


def _moment(stamp: float) -> str:
    if not stamp:
        return NEVER
    return datetime.fromtimestamp(stamp, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _parent(images: Catalogue, record: Record) -> Record | None:
    try:
        return images.get(record.parent) if record.parent else None
    except NoSuchImage:
        return None
