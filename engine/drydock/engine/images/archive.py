"""Images in and out as files: `docker save`, `docker load`, `docker import`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from drydock.engine.images.catalogue import Catalogue
from drydock.engine.images.config import full, made
from drydock.engine.images.load import load
from drydock.engine.images.save import save
from drydock.engine.snapshots.layers import Readable

__all__ = ["import_", "load", "save"]


def import_(
    images: Catalogue,
    stream: Readable,
    *,
    tag: str = "",
    message: str = "",
    config: Mapping[str, Any] | None = None,
) -> Iterator[dict[str, Any]]:
    """Make an image of one layer from the tar of a file system; return the message with its ID."""
    with images.layers.pinned():
        layer = images.layers.add(stream, "the archive")
        comment = message or "Imported from -"
        top = {"comment": comment}
        raw = made(None, layer, config=config or {}, container_config=full({}), comment=comment, top=top)
        record = images.add(raw, tags=[tag] if tag else [])
    yield {"status": record.id}
