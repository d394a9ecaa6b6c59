"""An image as the catalogue has it: its configuration, whose hash is its ID, and what is noted beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from drydock.model.layer import Layer


@dataclass(frozen=True)
class Record:
    """One image."""

    id: str
    raw: bytes = field(repr=False)
    parent: str = ""
    built: bool = False  # made by this engine: only such an image is a cache hit (CVE-2024-24557)
    sizes: tuple[int, ...] = ()  # bytes of each layer
    tagged_at: float = field(default=0, compare=False)

    @cached_property
    def config(self) -> dict[str, Any]:
        """Return the whole configuration: rootfs, history, and `config`, how to run it."""
        whole: dict[str, Any] = json.loads(self.raw)
        return whole

    @property
    def layers(self) -> tuple[str, ...]:
        """Return the diff IDs, base first."""
        return tuple(self.config.get("rootfs", {}).get("diff_ids") or ())

    @property
    def chain(self) -> tuple[str, ...]:
        """Return the diff IDs, base first: what views and snapshots take."""
        return self.layers

    @property
    def size(self) -> int:
        """Return the bytes of all layers."""
        return sum(self.sizes)

    @property
    def created(self) -> str:
        """Return when it was made, as its config says it."""
        return str(self.config.get("created") or "")


def stored(layer: Layer) -> int:
    """Return a layer's bytes as dockerd counts them: a symlink counts with the length of what it says."""
    links = (entry.link for entry in layer.entries if entry.kind == "symlink")
    return layer.size + sum(len(link.encode("utf-8", "surrogateescape")) for link in links)
