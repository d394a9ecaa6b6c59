"""Rungs B and C: what changed is what differs from the tree as it was planted."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from threading import RLock

from drydock.engine.snapshots.beneath import Beneath, attribute, parent
from drydock.engine.snapshots.change import New, parents, walked, with_parents
from drydock.engine.snapshots.describe import Found, entry, kind_of, marked
from drydock.engine.snapshots.disk import remove_tree, write_beside
from drydock.engine.snapshots.farm import PLANTED, Farm, Print, Seen, mark_folders, survey
from drydock.engine.snapshots.journal import Journal
from drydock.engine.snapshots.nursery import Nursery
from drydock.engine.snapshots.place import Place
from drydock.engine.snapshots.repair import mend
from drydock.engine.snapshots.snapshot import Snapshot, ignoring, merged, only_noted
from drydock.engine.snapshots.view import View
from drydock.model.layer import Entry, Layer
from drydock.read.tarstream import CHUNK

MANY = 3000  # changed files, from which on a new tree costs less than the old one made good
SURVEYING = RLock()  # one at a time: a repair touches files that other trees share


class TreeSnapshot(Snapshot):
    """A whole working tree, planted from the layers."""

    kind = "tree"

    @property
    def tree(self) -> Path:
        """Return the root of the tree."""
        return self.folder / "tree"

    @property
    def below(self) -> View:
        """Return the file system of the layers alone."""
        return self.layers.view(self.chain)

    def make(self) -> None:
        """Plant the tree, or take one that was laid by and bring it up to date."""
        with SURVEYING:
            old = self.nursery.take(self.chain, self.folder)
            if old is None:
                self._farm().plant()
            elif layers := [self.layers.get(diff_id) for diff_id in self.chain[len(old) :]]:
                self._catch_up(layers)
            self.note()

    def _catch_up(self, layers: Sequence[Layer]) -> None:
        """Let a tree of the lower layers become one of them all: only what these layers say is touched."""
        fresh = {path for layer in layers for path in (*layer.whiteouts, *layer.opaque)}
        if "" in fresh:
            remove_tree(self.tree)
            self._farm().plant()
            return
        paths = {path for layer in layers for path in layer.by_path} | fresh
        paths |= {up for path in paths for up in parents(path)}
        self._farm().replant(paths, fresh)

    def note(self) -> None:
        """Write down what every file looks like now: what differs later was changed."""
        prints = {seen.path: seen.print for seen in survey(self.tree)}
        write_beside(self.folder / "base.json", json.dumps(prints).encode(), self.layers.scratch)

    def prints(self) -> dict[str, Print]:
        """Return what `note` wrote down."""
        saved = json.loads((self.folder / "base.json").read_bytes())
        return {path: Print(*one) for path, one in saved.items()}

    def write(self, changes: Iterable[New], live: Path | None = None) -> None:
        """Change the tree."""
        Place(self.tree, self.own).apply(changes)
        self.save()

    def keep(self, chain: Sequence[str]) -> None:
        """Note that what was changed has become a layer: the tree now is that chain's, and the next may have it."""
        with SURVEYING:
            self.chain, self.own = tuple(chain), Journal()
            mark_folders(self.tree)
            self.note()
            self.save()

    def remove(self) -> None:
        """Mend what the tree harmed, make it what it was, and lay it by for the next."""
        with SURVEYING:
            scan = self._scanned(self.own)
            touched = {*scan.found, *(path for path in self.prints() if path not in scan.now)}
            if len(touched) > MANY:
                super().remove()
                return
            self._farm().replant(touched, {path for path, one in scan.found.items() if not one.same})
            self.own = Journal()
            self.save()
            self.nursery.lay_by(self.folder)

    def _farm(self) -> Farm:
        return Farm(self.below, [self.layers.root(one) for one in self.chain], self.tree)

    @property
    def nursery(self) -> Nursery:
        """Return where trees wait for their next use."""
        return Nursery(self.layers)

    def changes(self, journal: Journal | None = None) -> tuple[New, ...]:
        """Return what differs from the tree as planted."""
        noted = merged(self.own, journal)
        with SURVEYING:
            scan = self._scanned(noted)
        found = only_noted(scan.changes(), noted, self.below)
        return tuple(ignoring(found, self.ignore, self.below))

    def _scanned(self, journal: Journal) -> Scan:
        """Compare the tree with what it was; what was harmed in the layers is mended."""
        scan = Scan(self, journal)
        if damaged := scan.shared():
            mend(self, damaged, scan.now)
            scan = Scan(self, journal)
        return scan


class Scan:
    """One comparison of a tree with what it was."""

    def __init__(self, snapshot: TreeSnapshot, journal: Journal) -> None:
        self.tree, self.view, self.layers = snapshot.tree, snapshot.below, snapshot.layers
        self.roots = [snapshot.layers.root(diff_id) for diff_id in snapshot.chain]
        self.journal = journal
        self.marks = _planted(str(self.tree))  # whether the file system holds such marks at all
        self.before = snapshot.prints()
        # A layer's own file cannot have gone; the inode of any other may have been given to a new one.
        self.inodes = {one.inode for one in self.before.values() if one.links > 1 and not stat.S_ISDIR(one.mode)}
        self.now: dict[str, Print] = {}
        self.found: dict[str, Found] = {}
        for seen in survey(self.tree):
            self.now[seen.path] = seen.print
            if self._touched(seen):
                self.found[seen.path] = self._describe(seen)
        self._linked()

    def _touched(self, seen: Seen) -> bool:
        before = self.before.get(seen.path)
        if before is None or not before.alike(seen.print):
            return True
        if before.untouched(seen.print):
            return False
        base = self.view.lookup(seen.path, follow=False)
        if base is None or base.kind == "symlink":
            return base is None
        if marked(seen.itself) not in (None, (base.uid, base.gid)):
            return True
        return base.kind == "file" and _digest(Beneath(self.tree, seen.path)) != base.digest

    def look(self, path: str) -> Found:
        """Return what is at a path now."""
        folder, _, name = path.rpartition("/")
        with parent(self.tree, folder) as at:
            info = os.stat(name, dir_fd=at, follow_symlinks=False)
            return self._describe(Seen(path, Print.of(info), info, f"/proc/self/fd/{at}/{name}"))

    def _describe(self, seen: Seen) -> Found:
        path, now, info, itself = seen
        kind = kind_of(info)
        base = self.view.lookup(path, follow=False)
        link = os.readlink(itself) if kind == "symlink" else ""  # noqa: PTH115
        same = base is not None and base.kind == kind and self._same(path, kind, now, itself)
        owner = marked(itself) if kind in ("file", "directory") else None
        moved = base is None and kind != "directory" and now.inode in self.inodes
        return Found(path, info, kind, base, same, owner, moved, link)

    def _same(self, path: str, kind: str, now: Print, itself: str) -> bool:
        """Return whether it is still the file or directory that was planted, and not another of its name."""
        before = self.before.get(path)
        if before is None or before.inode != now.inode:
            return False
        return kind != "directory" or not self.marks or _planted(itself)

    def _linked(self) -> None:
        """Add the older names of a file that was given a new one: overlayfs copies it up, so its layer has both."""
        inodes = {one.stat.st_ino for one in self.found.values() if one.stat.st_nlink > 1 and one.kind == "file"}
        for path, now in self.now.items() if inodes else ():
            if now.inode in inodes and path not in self.found:
                self.found[path] = self.look(path)

    def shared(self) -> dict[str, Found]:
        """Return the files that were written to in place although a layer has them too."""
        hurt = {}
        for path, one in self.found.items():
            before, now = self.before.get(path), self.now[path]
            if one.kind == "file" and before and before.inode == now.inode and self._in_layer(path, now):
                content = one.base.digest if one.base else ""
                owner = (one.base.uid, one.base.gid) if one.base else None
                renamed = one.owner not in (None, owner)
                if renamed or not before.alike(now) or _digest(Beneath(self.tree, path)) != content:
                    hurt[path] = one
        return hurt

    def _in_layer(self, path: str, now: Print) -> bool:
        node = self.view.tree.nodes.get(path)
        try:
            return node is not None and (self.roots[node.layer] / path).lstat().st_ino == now.inode
        except OSError:
            return False

    def changes(self) -> list[New]:
        """Return what was found as changes, in the order of a layer."""
        made: list[New] = []
        names: dict[int, str] = {}
        for path in sorted(self.found, key=lambda path: os.fsencode(path).split(b"/")):
            one = self.found[path]
            if one.kind:
                made += self._change(one, names)
        made += [New.whiteout(path) for path in self._missing()]
        return list(with_parents(walked(made), _Now(self)))

    def _change(self, one: Found, names: dict[int, str]) -> list[New]:
        said = entry(one, self.journal)
        if one.kind == "directory":
            replaced = one.base is not None and not one.same
            mark = Entry(one.path, "opaque", mode=said.mode & 0o777, uid=said.uid, gid=said.gid)
            return [New(said), New(mark)] if replaced else [New(said)]
        if one.stat.st_nlink > 1 and one.kind == "file":
            first = names.setdefault(one.stat.st_ino, one.path)
            if first != one.path:
                return [New(Entry(one.path, "hardlink", 0, said.mode, said.uid, said.gid, said.mtime, link=first))]
        return [New(said, Beneath(self.tree, one.path) if said.kind == "file" else None)]

    def _missing(self) -> list[str]:
        """Return the topmost of the names that are no more."""
        gone = []
        for path in self.before:
            parent = path.rpartition("/")[0]
            if path in self.now or (parent and parent not in self.now):
                continue
            above = self.found.get(parent)
            if above is None or (above.kind == "directory" and above.same):
                gone.append(path)
        return gone


class _Now:
    """What the tree has at a path: for the directories that changes lie in."""

    def __init__(self, scan: Scan) -> None:
        self.scan = scan

    def lookup(self, path: str, follow: bool = True) -> Entry | None:
        """Return what stands at the path."""
        scan = self.scan
        return entry(scan.look(path), scan.journal) if path in scan.now else None


def _planted(itself: str) -> bool:
    return attribute(itself, PLANTED) is not None


def _digest(source: Beneath) -> str:
    sha = hashlib.sha256()
    with source.open() as file:
        while piece := file.read(CHUNK):
            sha.update(piece)
    return "sha256:" + sha.hexdigest()
