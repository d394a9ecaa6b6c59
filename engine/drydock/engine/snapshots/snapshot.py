"""A snapshot: a writable file system on top of layers, for one container or one step of a build."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from drydock.engine.snapshots.change import New, opened, parents, with_parents
from drydock.engine.snapshots.copying import CopyIn
from drydock.engine.snapshots.disk import discard, write_beside, writing
from drydock.engine.snapshots.journal import Journal
from drydock.engine.snapshots.layers import Layers, Readable
from drydock.engine.snapshots.shown import rows
from drydock.engine.snapshots.view import Level, View
from drydock.model.layer import Entry, Layer


class Snapshot(ABC):
    """What all kinds have in common; `ignore` holds the mount points that the sandbox made, no part of any layer."""

    kind = ""

    def __init__(self, folder: Path, chain: Sequence[str], layers: Layers) -> None:
        self.key, self.folder = folder.name, folder
        self.chain, self.layers = tuple(chain), layers
        self.ignore: set[str] = set()
        self.own = Journal()  # owners of what the engine itself wrote here

    @abstractmethod
    def make(self) -> None:
        """Make what the snapshot needs on disk."""

    @abstractmethod
    def changes(self, journal: Journal | None = None, last: bool = False) -> tuple[New, ...]:
        """Return what was changed since the snapshot was made, as its layer will say it.

        The `last` time, nothing is written any more before `keep` or `remove`.
        """

    @abstractmethod
    def write(self, changes: Iterable[New], live: Path | None = None) -> None:
        """Change the snapshot as the engine itself wants it; `live` is its root as running processes have it."""

    def put(
        self,
        path: str,
        stream: Readable,
        *,
        owner: tuple[int, int] | None = None,
        no_overwrite_dir_non_dir: bool = False,
        journal: Journal | None = None,
        live: Path | None = None,
    ) -> None:
        """Unpack a tar into a directory, as `docker cp` does.

        Raises NotFound, BadParameter, BadArchive.
        """
        with self.layers.tmp() as folder, writing(self.folder):
            arrival = CopyIn(self.view(journal), path, folder, no_overwrite_dir_non_dir)
            self.write(arrival.changes(stream, owner), live)

    def keep(self, chain: Sequence[str]) -> None:  # noqa: B027 - only trees have something to gain
        """Note that what the last `changes` were has become a layer: the snapshot equals this chain, and goes next."""

    @property
    def below(self) -> View:
        """Return the file system of the layers alone."""
        return self.layers.view(self.chain)

    def view(self, journal: Journal | None = None) -> View:
        """Return the file system as it is now, the writable part included."""
        changes = self.changes(journal)
        return self.below.on_top(level(changes)) if changes else self.below

    def diff(self, journal: Journal | None = None) -> list[dict[str, object]]:
        """Return what `docker diff` shows: 0 changed, 1 added, 2 removed."""
        return rows(self.changes(journal), self.below)

    def size(self) -> int:
        """Return the bytes of what was written."""
        return sum(change.entry.size for change in self.changes())

    def remove(self) -> None:
        """Remove the snapshot and all in it."""
        discard(self.folder, self.layers.scratch)

    def save(self) -> None:
        """Write down what must outlive the engine."""
        state = {"kind": self.kind, "chain": self.chain, "ignore": sorted(self.ignore), "own": self.own.to_json()}
        write_beside(self.folder / "snapshot.json", json.dumps(state).encode(), self.layers.scratch)


def merged(own: Journal, journal: Journal | None) -> Journal:
    """Return one journal of two: what the engine wrote itself, then what a program did."""
    if journal is None:
        return own
    owners, xattrs = own.owners | journal.owners, own.xattrs | journal.xattrs
    return Journal(journal.user, owners, own.devices | journal.devices, xattrs)


def level(changes: Sequence[New]) -> Level:
    """Return changes as the top level of a view."""
    entries = tuple(one.entry for one in changes if one.entry.kind not in ("whiteout", "opaque"))
    gone = tuple(one.entry.path for one in changes if one.entry.kind == "whiteout")
    covered = tuple(one.entry.path for one in changes if one.entry.kind == "opaque")
    sources = {one.entry.path: one.source for one in changes}

    links = {entry.path: entry.link for entry in entries if entry.kind == "hardlink"}

    def open_file(path: str) -> BinaryIO:
        return opened(sources[links.get(path, path)])

    return Level(Layer("", "", 0, entries, gone, covered), open_file)


@dataclass(frozen=True)
class FromBelow:
    """The content of a file as the layers below have it."""

    view: View
    path: str

    def open(self) -> BinaryIO:
        """Open the file for reading."""
        return self.view.open(self.path)


def only_noted(changes: Sequence[New], journal: Journal, below: View) -> tuple[New, ...]:
    """Return the changes with those that only the journal knows: a new owner of a file that nobody wrote."""
    have = {change.entry.path: change for change in changes}
    more: list[New] = []
    for path in journal.owners.keys() | journal.xattrs.keys():
        base = below.lookup(path, follow=False) if path not in have and not _gone(path, have) else None
        if base:
            more.append(_as_noted(base, journal, below))
    return with_parents([*changes, *more], below) if more else tuple(changes)


def _gone(path: str, have: Mapping[str, New]) -> bool:
    """Return whether a directory above the path was removed, replaced or covered."""
    return any(up in have and have[up].entry.kind != "directory" for up in parents(path))


def _as_noted(base: Entry, journal: Journal, below: View) -> New:
    uid, gid = journal.owners.get(base.path, (-1, -1))
    xattrs = base.xattrs
    if noted := journal.xattrs.get(base.path):
        xattrs = tuple(sorted((name, os.fsdecode(value)) for name, value in noted.items()))
    entry = replace(base, uid=uid if uid >= 0 else base.uid, gid=gid if gid >= 0 else base.gid, xattrs=xattrs)
    return New(entry, FromBelow(below, base.path) if base.kind == "file" else None)


def ignoring(changes: Sequence[New], ignore: set[str], view: View) -> list[New]:
    """Leave out the mount points, and directories that are here only since a mount point was made in them."""
    left: list[New] = []
    needed: set[str] = set()
    touched: set[str] = set()
    for change in reversed(changes):
        path, kind = change.entry.path, change.entry.kind
        parent = path.rpartition("/")[0]
        mere = kind == "directory" and path not in needed
        if (path in ignore and (mere or kind != "directory")) or (mere and path in touched and _as_below(change, view)):
            touched.add(parent)
            continue
        needed.add(parent)
        left.append(change)
    return left[::-1]


def _as_below(change: New, view: View) -> bool:
    """Return whether a directory is as the layers below have it; its time does not count."""
    base = view.lookup(change.entry.path, follow=False)
    return base is not None and base.same(change.entry)
