"""Trees that nobody uses now, each equal to its layers: the next snapshot takes one and need not plant its own.

A step of a build leaves the tree that the next step starts from; `docker run --rm` leaves one for the next run.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from pathlib import Path

from drydock.engine.snapshots.disk import discard
from drydock.engine.snapshots.layers import Layers

SPARE = 4  # trees kept; most of their files are links


class Nursery:
    """The folder of spare trees; whoever calls holds the lock on trees."""

    def __init__(self, layers: Layers) -> None:
        self.folder, self.scratch = layers.folder.parent / "trees", layers.scratch

    def all(self) -> list[Path]:
        """Return the folders of all spare trees, the newest last."""
        if not self.folder.is_dir():
            return []
        return sorted(self.folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)

    def lay_by(self, folder: Path) -> None:
        """Keep a snapshot's tree, which equals its chain."""
        self.folder.mkdir(exist_ok=True)
        folder.rename(self.folder / secrets.token_hex(8))
        for old in self.all()[:-SPARE]:
            discard(old, self.scratch)

    def take(self, chain: Sequence[str], into: Path) -> tuple[str, ...] | None:
        """Give the spare tree that is nearest to this chain to a new snapshot; return the chain that it equals."""
        best: tuple[tuple[str, ...], Path] | None = None
        for folder in self.all():
            have = _chain(folder)
            if have and have == tuple(chain[: len(have)]) and (best is None or len(have) >= len(best[0])):
                best = have, folder
        if best is None:
            return None
        (best[1] / "tree").rename(into / "tree")
        discard(best[1], self.scratch)
        return best[0]

    def recover(self) -> None:
        """Drop what a kill left half done."""
        for folder in self.all():
            if _chain(folder) is None:
                discard(folder, self.scratch)


def _chain(folder: Path) -> tuple[str, ...] | None:
    try:
        state = json.loads((folder / "snapshot.json").read_bytes())
    except OSError:
        return None
    return tuple(state["chain"]) if (folder / "tree").is_dir() and (folder / "base.json").is_file() else None
