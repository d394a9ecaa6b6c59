"""Trees that nobody uses now, each equal to its layers: the next snapshot takes one and need not plant its own.

A step of a build leaves the tree that the next step starts from; `docker run --rm` leaves one for the next run. What a
container leaves must first be made what it was, which takes longer than all the rest of a short run: that is done
beside, while the client already has its answer. Who needs those layers next waits for it.
"""

from __future__ import annotations

import json
import secrets
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Condition, RLock, Thread
from typing import NamedTuple

from drydock.engine.snapshots.disk import discard, remove_tree

SPARE = 4  # trees kept; most of their files are links


class Spare(NamedTuple):
    """A tree that was taken: the layers that it equals, and whether its base.json is still true."""

    chain: tuple[str, ...]
    noted: bool


class Nursery:
    """The folder of spare trees, and the work that makes them."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self.folder, self.scratch = folder, scratch
        self.still = RLock()  # while it is held no tree is planted, taken or moved: a repair must find them all
        self._moved: Counter[str] = Counter()  # by layer
        self._noted: dict[str, tuple[int, ...]] = {}  # by name; what a restart forgets is surveyed anew
        self._changed = Condition()
        self._waiting: dict[int, tuple[tuple[str, ...], Callable[[], None]]] = {}
        self._number = 0

    def all(self) -> list[Path]:
        """Return the folders of all spare trees, the newest last."""
        if not self.folder.is_dir():
            return []
        return sorted(self.folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)

    def stir(self, chain: Sequence[str]) -> None:
        """Note that a whole tree of these layers came or went: their files have other change times now."""
        with self.still:
            self._moved.update(chain)

    def count(self, chain: Sequence[str]) -> tuple[int, ...]:
        """Return a value that changes with each `stir` of one of the layers."""
        with self.still:
            return tuple(self._moved[diff_id] for diff_id in chain)

    def lay_by(self, folder: Path, chain: Sequence[str], count: tuple[int, ...]) -> None:
        """Keep a snapshot's tree, which equals its chain; its base.json was made at this `count`."""
        with self.still:
            self.folder.mkdir(exist_ok=True)
            name = secrets.token_hex(8)
            folder.rename(self.folder / name)
            self._noted[name] = count
            gone = []
            for old in self.all()[:-SPARE]:
                gone.append(self.scratch / old.name)
                old.rename(gone[-1])
                self._noted.pop(old.name, None)
        for old in gone:
            remove_tree(old)
            self.stir(chain)

    def take(self, chain: Sequence[str], into: Path) -> Spare | None:
        """Give the spare tree that is nearest to this chain to a new snapshot."""
        best: tuple[tuple[str, ...], Path] | None = None
        for folder in self.all():
            have = _chain(folder)
            if have and have == tuple(chain[: len(have)]) and (best is None or len(have) >= len(best[0])):
                best = have, folder
        if best is None:
            return None
        have, folder = best
        for part in ("base.json", "tree"):
            (folder / part).rename(into / part)
        discard(folder, self.scratch)
        return Spare(have, self._noted.pop(folder.name, None) == self.count(have))

    def later(self, chain: Sequence[str], work: Callable[[], None]) -> None:
        """Do something with a tree of these layers in a thread of its own, one after the other."""
        with self._changed:
            self._number += 1
            self._waiting[self._number] = tuple(chain), work
            if len(self._waiting) == 1:
                Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        number = next(iter(self._waiting))
        while number:
            try:
                self._waiting[number][1]()
            except Exception:  # a mistake of ours; whoever waits must not wait for ever
                traceback.print_exc()
            finally:
                with self._changed:
                    del self._waiting[number]
                    self._changed.notify_all()
                    number = next(iter(self._waiting), 0)

    def settle(self, chain: Sequence[str] | None = None) -> None:
        """Wait until nothing more is to be done with trees that share a layer with this one, or with any."""

        def settled() -> bool:
            return all(chain is not None and set(chain).isdisjoint(one) for one, _ in self._waiting.values())

        with self._changed:
            self._changed.wait_for(settled)

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
