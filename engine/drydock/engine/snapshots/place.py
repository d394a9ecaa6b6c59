"""Changes that the engine itself makes in a writable folder: the upper directory of an overlay, or a tree.

What was there is never written to, but replaced: a file of a tree may be shared with a layer (see `farm`).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from drydock.engine.snapshots.beneath import parent
from drydock.engine.snapshots.change import New, content, parents, walked
from drydock.engine.snapshots.describe import FLOORS, is_whiteout
from drydock.engine.snapshots.disk import remove_tree
from drydock.engine.snapshots.journal import OWNER, Journal
from drydock.engine.snapshots.unpack import OPAQUE
from drydock.engine.snapshots.view import View
from drydock.model.layer import Entry

ORIGIN = "user.overlay.origin"  # what the kernel puts on a file that it copied up


class Place:
    """A writable folder; with `below` it is an overlay's upper directory over that view."""

    def __init__(self, folder: Path, own: Journal, below: View | None = None) -> None:
        self.folder, self.own, self.below = folder, own, below

    def apply(self, changes: Iterable[New]) -> None:
        """Make the changes, and note the owners that an ordinary user cannot give."""
        directories = []
        for change in walked(changes):
            entry = change.entry
            for folder in reversed(list(parents(entry.path))):
                self._parent(folder)
            if entry.kind == "whiteout":
                self._hide(entry.path)
            elif entry.kind == "opaque":
                self._cover(entry.path)
            else:
                self._put(change)
            directories += [entry] if entry.kind == "directory" else []
        for entry in reversed(directories):
            with parent(self.folder, entry.path.rpartition("/")[0]) as at:
                _dress(f"/proc/self/fd/{at}/{entry.path.rpartition('/')[2]}", entry)

    def _parent(self, path: str) -> None:
        """Make a directory that a change lies in; over a lower one it is that one, copied up."""
        with parent(self.folder, path.rpartition("/")[0]) as at:
            name = path.rpartition("/")[2]
            info = lstat(name, at)
            if info and stat.S_ISDIR(info.st_mode):
                return
            lower = self.below.lookup(path, follow=False) if self.below and info is None else None
            self._directory(name, at, info)
            if lower and lower.kind == "directory":
                itself = f"/proc/self/fd/{at}/{name}"
                with suppress(OSError):
                    os.setxattr(itself, ORIGIN, b"")
                _dress(itself, lower)

    def _directory(self, name: str, at: int, info: os.stat_result | None) -> None:
        """Make a directory where there is none; one that takes a hidden one's place hides its content."""
        if info:
            clear(name, at, info)
        os.mkdir(name, 0o755, dir_fd=at)
        if info and is_whiteout(info):
            os.setxattr(f"/proc/self/fd/{at}/{name}", OPAQUE, b"y")

    def _put(self, change: New) -> None:
        entry = change.entry
        folder, _, name = entry.path.rpartition("/")
        self._parent(entry.path) if entry.kind == "directory" else None
        with parent(self.folder, folder) as at:
            info = lstat(name, at)
            if info and entry.kind != "directory":
                clear(name, at, info)
            self._make(change, name, at)
            self._own(entry, f"/proc/self/fd/{at}/{name}")

    def _make(self, change: New, name: str, at: int) -> None:
        entry = change.entry
        if entry.kind == "file":
            fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=at)
            with os.fdopen(fd, "wb") as file, content(change) as (_, pieces):
                for piece in pieces:
                    file.write(piece)
            _dress(f"/proc/self/fd/{at}/{name}", entry)
        elif entry.kind == "symlink":
            os.symlink(entry.link, name, dir_fd=at)
            os.utime(name, (entry.mtime, entry.mtime), dir_fd=at, follow_symlinks=False)
        elif entry.kind == "fifo":
            os.mkfifo(name, entry.mode | 0o400, dir_fd=at)
        elif entry.kind == "hardlink":
            target, _, first = entry.link.rpartition("/")
            with parent(self.folder, target) as there:
                os.link(first, name, src_dir_fd=there, dst_dir_fd=at, follow_symlinks=False)
        elif "device" in entry.kind:  # an empty file stands for it
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, entry.mode | 0o400, dir_fd=at))
            self.own.mknod(entry.path, entry.kind, entry.mode, *entry.device)

    def _own(self, entry: Entry, itself: str) -> None:
        for name, value in entry.xattrs:
            self.own.setxattr(entry.path, name, os.fsencode(value))
        if entry.kind in ("file", "directory"):
            with suppress(OSError):
                os.setxattr(itself, OWNER, b"%d:%d" % (entry.uid, entry.gid))
                self.own.owners.pop(entry.path, None)
                return
        if entry.kind != "hardlink":
            self.own.chown(entry.path, entry.uid, entry.gid)

    def _hide(self, path: str) -> None:
        folder, _, name = path.rpartition("/")
        with parent(self.folder, folder) as at:
            if info := lstat(name, at):
                clear(name, at, info)
            if self.below and self.below.lookup(path, follow=False):
                os.mknod(name, stat.S_IFCHR | 0o600, os.makedev(0, 0), dir_fd=at)

    def _cover(self, path: str) -> None:
        with parent(self.folder, path) as at:
            if self.below:
                os.setxattr(f"/proc/self/fd/{at}", OPAQUE, b"y")
                return
            for name in os.listdir(f"/proc/self/fd/{at}"):  # noqa: PTH208
                if info := lstat(name, at):
                    clear(name, at, info)


def lstat(name: str, at: int) -> os.stat_result | None:
    """Return what a name in an open directory is, if anything."""
    try:
        return os.stat(name, dir_fd=at, follow_symlinks=False)
    except FileNotFoundError:
        return None


def clear(name: str, at: int, info: os.stat_result) -> None:
    """Remove a name from an open directory, with all that is in it."""
    if stat.S_ISDIR(info.st_mode):
        remove_tree(Path(f"/proc/self/fd/{at}/{name}"))
    else:
        os.unlink(name, dir_fd=at)


def _dress(itself: str, entry: Entry) -> None:
    """Give a file or directory its mode and time."""
    fd = os.open(itself, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fchmod(fd, entry.mode | FLOORS.get(entry.kind, 0))
        os.utime(fd, (entry.mtime, entry.mtime))
    finally:
        os.close(fd)
