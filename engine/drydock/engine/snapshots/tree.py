"""Rungs B and C: what changed is what differs from the tree as it was planted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import RLock

from drydock.engine.snapshots.beneath import parent
from drydock.engine.snapshots.change import New, parents
from drydock.engine.snapshots.disk import remove_tree, write_beside
from drydock.engine.snapshots.farm import Farm, Print, mark, survey
from drydock.engine.snapshots.journal import Journal
from drydock.engine.snapshots.nursery import Nursery
from drydock.engine.snapshots.place import Place, lstat
from drydock.engine.snapshots.repair import mend
from drydock.engine.snapshots.scan import Scan
from drydock.engine.snapshots.snapshot import Snapshot, ignoring, merged, only_noted
from drydock.model.layer import Layer

MANY = 3000  # changed files, from which on a new tree costs less than the old one made good
SURVEYING = RLock()  # one at a time: a repair touches files that other trees share


class TreeSnapshot(Snapshot):
    """A whole working tree, planted from the layers.

    To look at each of its files takes most of the time that a container costs, so it is done once for each program
    that ran: `base.json` says what every file looked like before, and is kept true while nothing runs.
    """

    kind = "tree"
    _last: Scan | None = None  # of the last `changes`
    _true: tuple[int, ...] | None = None  # the nursery's count when base.json was made; None where something ran since

    @property
    def tree(self) -> Path:
        """Return the root of the tree."""
        return self.folder / "tree"

    @property
    def nursery(self) -> Nursery:
        """Return where trees wait for their next use."""
        return self.layers.nursery

    def make(self) -> None:
        """Plant the tree, or take one that was laid by and bring it up to date."""
        old = self.nursery.take(self.chain, self.folder)
        if old is None:
            self._farm().plant()
            self.nursery.stir(self.chain)
        elif layers := [self.layers.get(diff_id) for diff_id in self.chain[len(old.chain) :]]:
            self._catch_up(layers)
        elif old.noted:
            return
        self.note()

    def _catch_up(self, layers: Sequence[Layer]) -> None:
        """Let a tree of the lower layers become one of them all: only what these layers say is touched."""
        fresh = {path for layer in layers for path in (*layer.whiteouts, *layer.opaque)}
        if "" in fresh:
            remove_tree(self.tree)
            self._farm().plant()
            self.nursery.stir(self.chain)
            return
        paths = {path for layer in layers for path in layer.by_path} | fresh
        paths |= {up for path in paths for up in parents(path)}
        self._farm().replant(paths, fresh)

    def note(self) -> None:
        """Write down what every file looks like now: what differs later was changed."""
        self._write({seen.path: Print.of(seen.stat) for seen in survey(self.tree)})

    def _write(self, prints: Mapping[str, Print]) -> None:
        write_beside(self.folder / "base.json", json.dumps(prints).encode(), self.layers.scratch)

    def prints(self) -> dict[str, Print]:
        """Return what `note` wrote down."""
        saved = json.loads((self.folder / "base.json").read_bytes())
        return {path: Print(*one) for path, one in saved.items()}

    def write(self, changes: Iterable[New], live: Path | None = None) -> None:
        """Change the tree."""
        self._last = self._true = None
        Place(self.tree, self.own).apply(changes)
        self.save()

    def keep(self, chain: Sequence[str]) -> None:
        """Note that what `changes` found has become a layer: the tree now is that chain's, and the next may have it."""
        with SURVEYING:
            count = self.nursery.count(chain)
            scan = self._last or self._scanned(self.own)
            self.chain, self.own = tuple(chain), Journal()
            mark(self.tree, [path for path, one in scan.found.items() if one.kind == "directory"])
            self.save()  # first: after a kill in between the changes are still found, and made what the new chain has
            self._write({**scan.now, **self._prints_of(scan.found)})
            self._last, self._true = None, count

    def remove(self) -> None:
        """Mend what the tree harmed, make it what it was, and lay it by for the next."""
        with SURVEYING:
            count = self.nursery.count(self.chain) if self._true is None else self._true
            if self._true is not None or self._restored():
                self.nursery.lay_by(self.folder, self.chain, count)
            else:
                super().remove()
                self.nursery.stir(self.chain)

    def _restored(self) -> bool:
        """Make the tree, and base.json, what they were; return False where that costs more than a new tree."""
        scan = self._scanned(self.own)
        touched = scan.touched
        if len(touched) > MANY:
            return False
        farm = self._farm()
        farm.replant(touched, {path for path, one in scan.found.items() if not one.same})
        if farm.cleared.isdisjoint(scan.before):
            untouched = {path: now for path, now in scan.now.items() if path not in touched}
            self._write(untouched | self._prints_of(touched | farm.made))
        else:
            self.note()  # with a folder went who knows what
        self.own = Journal()
        self.save()
        return True

    def _prints_of(self, paths: Iterable[str]) -> dict[str, Print]:
        """Return what some files look like now; those that are no more are left out."""
        found = {}
        for path in paths:
            folder, _, name = path.rpartition("/")
            with suppress(FileNotFoundError, NotADirectoryError), parent(self.tree, folder) as at:
                if name and (info := lstat(name, at)):
                    found[path] = Print.of(info)
        return found

    def _farm(self) -> Farm:
        return Farm(self.below, self._roots(), self.tree)

    def _roots(self) -> list[Path]:
        return [self.layers.root(diff_id) for diff_id in self.chain]

    def changes(self, journal: Journal | None = None, last: bool = False) -> tuple[New, ...]:
        """Return what differs from the tree as planted."""
        noted = merged(self.own, journal)
        with SURVEYING:
            scan = self._scanned(noted)
            self._last = scan if last else None
        found = only_noted(scan.changes(), noted, self.below)
        return tuple(ignoring(found, self.ignore, self.below))

    def _scanned(self, journal: Journal) -> Scan:
        """Compare the tree with what it was; what was harmed in the layers is mended."""
        scan = Scan(self.tree, self.prints(), self.below, self._roots(), journal)
        if damaged := scan.shared():
            mend(self, damaged, scan.now)
            scan = Scan(self.tree, self.prints(), self.below, self._roots(), journal)
        return scan
