"""Rung A: what changed is what lies in the upper directory of an overlay mount; nothing is compared.

Source: kernel Documentation/filesystems/overlayfs.rst; fs/overlayfs/copy_up.c: a file copied up from a lower layer has
the attribute `origin` (empty inside a user namespace), a new one has not; where the lower file has several names, none
has it. moby daemon/graphdriver/overlay2 and pkg/archive/archive_linux.go turn the same directory into the same layer.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from drydock.engine.snapshots.beneath import Beneath, attribute, listable, parent
from drydock.engine.snapshots.change import New, walked
from drydock.engine.snapshots.describe import Found, entry, is_whiteout, kind_of, marked
from drydock.engine.snapshots.journal import Journal
from drydock.engine.snapshots.place import ORIGIN, Place
from drydock.engine.snapshots.snapshot import Snapshot, ignoring, merged, only_noted
from drydock.engine.snapshots.unpack import OPAQUE
from drydock.engine.snapshots.view import View
from drydock.model.layer import Entry


class OverlaySnapshot(Snapshot):
    """A writable upper directory over the layers' folders, as `mount -t overlay -o userxattr` takes them."""

    kind = "overlay"

    @property
    def upper(self) -> Path:
        """Return the directory that holds what is written."""
        return self.folder / "upper"

    @property
    def work(self) -> Path:
        """Return the directory that overlayfs works in."""
        return self.folder / "work"

    @property
    def lower(self) -> tuple[Path, ...]:
        """Return the layers' folders, the top one first."""
        return tuple(self.layers.root(diff_id) for diff_id in reversed(self.chain))

    def make(self) -> None:
        """Make the two directories."""
        self.upper.mkdir(mode=0o755)
        self.work.mkdir(mode=0o700)

    def write(self, changes: Iterable[New], live: Path | None = None) -> None:
        """Change the upper directory, or what is mounted of it: the kernel keeps no eye on an upper in use."""
        Place(live or self.upper, self.own, None if live else self.below).apply(changes)
        self.save()

    def changes(self, journal: Journal | None = None, last: bool = False) -> tuple[New, ...]:
        """Return what lies in the upper directory as changes, but for the mount points that the sandbox made."""
        noted = merged(self.own, journal)
        roots = [self.layers.root(diff_id) for diff_id in self.chain]
        found = Walk(self.upper, self.below, roots).changes(noted)
        return tuple(ignoring(only_noted(found, noted, self.below), self.ignore, self.below))


class Walk:
    """One walk through an upper directory."""

    def __init__(self, upper: Path, below: View, roots: Sequence[Path]) -> None:
        self.upper, self.view, self.roots = upper, below, roots

    def changes(self, journal: Journal) -> list[New]:
        """Return what is there as changes, in the order of a layer."""
        names: dict[int, str] = {}  # inode -> the first name of a file that has several
        found: list[New] = []
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            for one in self._inside(folder):
                if is_whiteout(one.stat):
                    if one.base:
                        found.append(New.whiteout(one.path, one.stat.st_mtime_ns // 10**9))
                elif one.kind == "directory":
                    found += self._directory(one, journal)
                    waiting.append(one.path)
                elif one.kind:
                    found.append(self._file(one, journal, names))
        return walked(found)

    def _inside(self, folder: str) -> Iterator[Found]:
        """Go through the names in one directory."""
        with parent(self.upper, folder) as to, listable(to, ".") as at:
            with os.scandir(at) as entries:
                listed = sorted(entries, key=lambda item: os.fsencode(item.name))
            for item in listed:
                path = f"{folder}/{item.name}".lstrip("/")
                yield self._found(path, item.name, at, item.stat(follow_symlinks=False))

    def _found(self, path: str, name: str, at: int, info: os.stat_result) -> Found:
        base = self.view.lookup(path, follow=False)
        kind = kind_of(info)
        if is_whiteout(info):
            return Found(path, info, kind, base)
        if kind == "symlink":
            link = os.readlink(name, dir_fd=at)
            return Found(path, info, kind, base, base is not None and base.link == link, link=link)
        itself = f"/proc/self/fd/{at}/{name}"
        owner = marked(itself) if kind in ("file", "directory") else None
        moved = base is None and attribute(itself, ORIGIN) is not None
        return Found(path, info, kind, base, self._same(path, kind, base, itself), owner, moved)

    def _same(self, path: str, kind: str, base: Entry | None, itself: str) -> bool:
        """Return whether a file is the lower layer's, copied up, and not a new one of its name."""
        if base is None or base.kind != kind:
            return False
        if attribute(itself, ORIGIN) is not None:
            return True
        return kind == "file" and self._several_names(path)  # the kernel leaves no mark then

    def _several_names(self, path: str) -> bool:
        below = self.roots[self.view.tree.nodes[path].layer] / path
        try:
            return below.lstat().st_nlink > 1
        except OSError:
            return False

    def _directory(self, one: Found, journal: Journal) -> list[New]:
        made = entry(one, journal)
        hides = one.base is not None and self._opaque(one.path)
        if not hides:
            return [New(made)]
        mark = Entry(one.path, "opaque", mode=made.mode & 0o777, uid=made.uid, gid=made.gid)
        return [New(made), New(mark)]

    def _opaque(self, path: str) -> bool:
        folder, _, name = path.rpartition("/")
        with parent(self.upper, folder) as at:
            return attribute(f"/proc/self/fd/{at}/{name}", OPAQUE) == b"y"

    def _file(self, one: Found, journal: Journal, names: dict[int, str]) -> New:
        made = entry(one, journal)
        if one.stat.st_nlink > 1:
            first = names.setdefault(one.stat.st_ino, one.path)
            if first != one.path:
                same = (made.mode, made.uid, made.gid, made.mtime)
                return New(Entry(one.path, "hardlink", 0, *same, link=first))
        return New(made, Beneath(self.upper, one.path) if made.kind == "file" else None)
