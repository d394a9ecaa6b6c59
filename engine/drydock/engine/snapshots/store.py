"""All snapshots of one home.

engine/snapshots/KEY/{snapshot.json, upper/, work/}            overlay
engine/snapshots/KEY/{snapshot.json, tree/, base.json}         tree
engine/snapshots/.NAME/                                        a tree that was left, to be made what it was
engine/trees/NAME/{snapshot.json, tree/, base.json}            a tree that equals its layers, for the next to take
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Lock

from drydock.engine.errors import BadParameter, Conflict, EngineError, NotFound
from drydock.engine.snapshots.disk import discard, remove_tree, writing
from drydock.engine.snapshots.journal import Journal
from drydock.engine.snapshots.layers import Layers
from drydock.engine.snapshots.overlay import OverlaySnapshot
from drydock.engine.snapshots.snapshot import Snapshot
from drydock.engine.snapshots.tree import TreeSnapshot

KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", re.ASCII)
KINDS: dict[str, type[Snapshot]] = {"overlay": OverlaySnapshot, "tree": TreeSnapshot}


class Snapshots:
    """Makes, finds and forgets snapshots."""

    def __init__(self, home: Path, layers: Layers) -> None:
        self.layers, self.folder = layers, home / "engine" / "snapshots"
        with writing(home):
            self.folder.mkdir(parents=True, exist_ok=True)
        self._open: dict[str, Snapshot] = {}
        self._lock = Lock()
        layers.holders.append(self.held)

    def create(self, key: str, chain: Sequence[str], kind: str) -> Snapshot:
        """Make a writable file system on top of the layers, base first."""
        if not KEY.fullmatch(key) or kind not in KINDS:
            raise BadParameter(f"no snapshot can be named {key!r} or be of the kind {kind!r}")
        if self.has(key):
            raise Conflict(f"there is a snapshot {key} already")
        self.settle(chain)
        with writing(self.folder), self.layers.nursery.still:
            made = self.layers.scratch / secrets.token_hex(8)
            made.mkdir(mode=0o700)
            try:
                snapshot = KINDS[kind](made, chain, self.layers)
                snapshot.make()
                snapshot.save()
                with self._lock:
                    self._open.pop(key, None)  # one of the same name that was removed
                    made.rename(self.folder / key)
            except BaseException:
                remove_tree(made)
                raise
        return self.get(key)

    def get(self, key: str) -> Snapshot:
        """Return a snapshot; it is the same object for all who ask."""
        with self._lock:
            if key not in self._open:
                self._open[key] = self._load(self.folder / key)
            snapshot = self._open[key]
        if not snapshot.folder.is_dir():
            self._open.pop(key, None)
            raise NotFound(f"there is no snapshot {key}")
        return snapshot

    def leave(self, key: str) -> None:
        """Remove a snapshot; what takes long is done afterwards, and `settle` waits for it. Raises NotFound."""
        snapshot = self.get(key)
        if not isinstance(snapshot, TreeSnapshot):
            snapshot.remove()
            return
        left = self.folder / f".{secrets.token_hex(8)}"
        with self.layers.nursery.still, self._lock:
            self._open.pop(key, None)
            snapshot.folder.rename(left)
        self.layers.nursery.later(snapshot.chain, partial(self._clean, left))

    def _clean(self, left: Path) -> None:
        with suppress(EngineError, OSError):  # a full disk, perhaps: it lies there for the next start
            self._load(left).remove()

    def settle(self, chain: Sequence[str] | None = None) -> None:
        """Wait until what was left by snapshots that share a layer with this chain, or by all, is in order again."""
        self.layers.nursery.settle(chain)

    def has(self, key: str) -> bool:
        """Return whether there is a snapshot of this key."""
        return KEY.fullmatch(key) is not None and (self.folder / key / "snapshot.json").is_file()

    def all(self) -> Iterator[str]:
        """Go through the keys of all snapshots."""
        yield from sorted(path.name for path in self.folder.iterdir() if KEY.fullmatch(path.name))

    def held(self) -> set[str]:
        """Return the layers that snapshots stand on."""
        self.settle()  # to mend a layer takes the layer
        found: set[str] = set()
        for key in self.all():
            try:
                found.update(self.get(key).chain)
            except NotFound:
                continue  # it was removed meanwhile
        return found

    def recover(self, alive: Collection[str]) -> None:
        """Remove the snapshots of all other keys: steps and containers that a killed engine left.

        What their programs did to files of the layers is mended first.
        """
        self.layers.nursery.recover()
        for path in list(self.folder.iterdir()):
            if path.name not in alive or not (path / "snapshot.json").is_file():
                with suppress(EngineError, OSError, ValueError, KeyError):
                    self._load(path).remove()
                discard(path, self.layers.scratch)

    def _load(self, folder: Path) -> Snapshot:
        try:
            state = json.loads((folder / "snapshot.json").read_bytes())
        except FileNotFoundError:
            raise NotFound(f"there is no snapshot {folder.name}") from None
        snapshot = KINDS[state["kind"]](folder, state["chain"], self.layers)
        snapshot.ignore, snapshot.own = set(state["ignore"]), Journal.from_json(state["own"])
        return snapshot
