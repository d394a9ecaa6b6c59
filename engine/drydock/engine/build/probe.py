"""The cache: was this very step made before, from this very image?

Sources: moby builder/dockerfile/imageprobe.go, image/cache (cache.go, compare.go); from v25 on only images that were
built here count (CVE-2024-24557: an image that somebody sends must not pose as the result of a step).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol

from drydock.engine.build.config import Config, comparable, whole
from drydock.engine.images import Catalogue, NoSuchImage, Record


class Probe(Protocol):
    """Something that knows the results of steps."""

    def reset(self) -> None:
        """Begin a new stage."""

    def find(self, parent: Record | None, config: Config) -> Record | None:
        """Return the image that this step once made from `parent`, or None."""


class NoCache:
    """`--no-cache`: nothing is ever found."""

    def reset(self) -> None:
        """Begin a new stage."""

    def find(self, parent: Record | None, config: Config) -> Record | None:
        """Return None."""
        return None


class Local:
    """The images that builds on this engine have left, found from parent to child."""

    def __init__(self, images: Catalogue) -> None:
        self.images = images
        self.busted = False

    def reset(self) -> None:
        """Begin a new stage."""
        self.busted = False

    def find(self, parent: Record | None, config: Config) -> Record | None:
        """Return the step's result; after the first miss of a stage nothing is looked up."""
        if self.busted:
            return None
        found = self.look(parent, config)
        self.busted = found is None
        return found

    def look(self, parent: Record | None, config: Config) -> Record | None:
        """Return the newest child of `parent` whose container was configured like this."""
        wanted = comparable(config)
        matches = [
            child
            for child in self.images.children(parent.id if parent else "")
            if child.built and comparable(child.config.get("container_config")) == wanted
        ]
        return max(matches, key=lambda record: created(record.created), default=None)


class From(Local):
    """`--cache-from`: the images named there, by their history; other results count only where these contain them."""

    def __init__(self, images: Catalogue, names: Sequence[str], version: str) -> None:
        super().__init__(images)
        self.names, self.version = names, version
        self.sources: list[Record] = []

    def reset(self) -> None:
        """Begin a new stage: all named images are candidates again."""
        super().reset()
        self.sources = []
        for name in self.names:
            try:
                self.sources.append(self.images.get(name))
            except NoSuchImage:
                continue  # as dockerd: a name that is not here is no candidate

    def look(self, parent: Record | None, config: Config) -> Record | None:
        """Return a local result in the chain of a named image, else rebuild one from such an image's history."""
        local = super().look(parent, config)
        if local and any(self._contains(source, local.id) for source in self.sources):
            return local
        depth = len(_history(parent))
        for target in self.sources:
            rows = _history(target)
            if not _begins_with(target, parent) or rows[depth].get("created_by") != " ".join(config["Cmd"]):
                continue
            if len(rows) - 1 == depth:
                return self.images.add(target.raw, parent=parent.id if parent else "", built=target.built)
            self.sources = [target]  # as dockerd: no jumping between candidates
            raw = self._restored(parent, target, config, depth)
            return self.images.add(raw, parent=parent.id if parent else "", built=False)
        return None

    def _contains(self, source: Record, wanted: str) -> bool:
        while source.parent:
            if source.parent == wanted:
                return True
            try:
                source = self.images.get(source.parent)
            except NoSuchImage:
                return False
        return False

    def _restored(self, parent: Record | None, target: Record, config: Config, depth: int) -> bytes:
        """Return the configuration of an image that stood in the middle of the target's chain."""
        rows = _history(target)[: depth + 1]
        layers = sum(not row.get("empty_layer") for row in rows)
        made: dict[str, Any] = {
            "architecture": target.config.get("architecture", ""),
            "config": whole(config),
            "container_config": whole(None),
            "created": rows[-1].get("created", ""),
            "docker_version": self.version,
            "history": rows,
            "os": target.config.get("os", "linux"),
            "rootfs": {"type": "layers", "diff_ids": list(target.layers[:layers])},
        }
        if target.config.get("author"):
            made["author"] = target.config["author"]
        return json.dumps(dict(sorted(made.items())), separators=(",", ":"), ensure_ascii=False).encode()


def _history(record: Record | None) -> list[dict[str, Any]]:
    return list(record.config.get("history") or ()) if record else []


def _begins_with(target: Record, parent: Record | None) -> bool:
    """Return whether the target's history and layers go on where the parent's end."""
    rows, below = _history(target), _history(parent)
    if not rows or (parent and len(below) >= len(rows)):
        return False
    layers = parent.layers if parent else ()
    return rows[: len(below)] == below and tuple(target.layers[: len(layers)]) == tuple(layers)


def created(text: str) -> tuple[str, str]:
    """Return a time in a form that sorts as the time does: Go leaves trailing zeros of the fraction out.

    >>> created("2026-01-01T00:00:00.5Z") > created("2026-01-01T00:00:00.49Z")
    True
    """
    whole_seconds, _, fraction = text.rstrip("Z").partition(".")
    return whole_seconds, fraction
