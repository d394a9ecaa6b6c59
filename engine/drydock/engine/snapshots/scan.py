"""What a tree is now beside what it was when it was planted: rungs B and C find a program's changes so."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from drydock.engine.snapshots.beneath import Beneath, attribute, parent
from drydock.engine.snapshots.change import New, walked, with_parents
from drydock.engine.snapshots.describe import Found, entry, kind_of, marked
from drydock.engine.snapshots.farm import PLANTED, Print, Seen, survey
from drydock.engine.snapshots.journal import Journal
from drydock.engine.snapshots.view import View
from drydock.model.layer import Entry
from drydock.read.tarstream import CHUNK


class Scan:
    """One comparison of a tree with what it was: `before`, by path, as the view's layers in `roots` made it."""

    def __init__(
        self, tree: Path, before: Mapping[str, Print], view: View, roots: Sequence[Path], journal: Journal
    ) -> None:
        self.tree, self.before, self.view, self.roots, self.journal = tree, before, view, roots, journal
        self.marks = _planted(str(tree))  # whether the file system holds such marks at all
        # A layer's own file cannot have gone; the inode of any other may have been given to a new one.
        self.inodes = {one.inode for one in self.before.values() if one.links > 1 and not stat.S_ISDIR(one.mode)}
        self.now: dict[str, Print] = {}
        self.found: dict[str, Found] = {}
        for seen in survey(self.tree):
            now = self.now[seen.path] = Print.of(seen.stat)
            if self._touched(seen, now):
                self.found[seen.path] = self._describe(seen, now)
        self._linked()

    def _touched(self, seen: Seen, now: Print) -> bool:
        before = self.before.get(seen.path)
        if before == now:
            return False
        if before is None or not before.alike(now):
            return True
        if before.untouched(now):
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
            return self._describe(Seen(path, info, at), Print.of(info))

    def _describe(self, seen: Seen, now: Print) -> Found:
        path, info, itself = seen.path, seen.stat, seen.itself
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

    @property
    def touched(self) -> set[str]:
        """Return the paths that are not what they were, those that are no more among them."""
        return {*self.found, *(path for path in self.before if path not in self.now)}

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
