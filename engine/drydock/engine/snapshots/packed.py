"""A layer as registries have it: compressed, under a digest of its own, and known in some repositories.

A digest is noted here only for bytes that were seen to unpack to the layer. A manifest's mere claim is not enough: who
pushed the layer by a digest that a registry made up would push something else than was built.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from drydock.engine.snapshots.disk import write_beside

REMEMBERED = 16  # repositories; a push tries the newest few of its registry


@dataclass(frozen=True)
class Packed:
    """One compressed form of a layer."""

    digest: str
    size: int  # bytes
    media_type: str
    seen: tuple[str, ...] = ()  # repositories that have it, the newest last: localhost:5055/team/app

    def at(self, repository: str) -> Packed:
        """Return the same, seen in one more repository.

        >>> Packed("sha256:1", 1, "", ("a", "b")).at("a").seen
        ('b', 'a')
        """
        others = [one for one in self.seen if one != repository]
        return replace(self, seen=(*others, repository)[-REMEMBERED:])


def read(folder: Path) -> Packed | None:
    """Return what is noted in a layer's folder."""
    try:
        said = json.loads((folder / "packed.json").read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Packed(**said | {"seen": tuple(said["seen"])})


def write(folder: Path, packed: Packed, scratch: Path) -> None:
    """Note it in a layer's folder."""
    write_beside(folder / "packed.json", json.dumps(asdict(packed)).encode(), scratch)
