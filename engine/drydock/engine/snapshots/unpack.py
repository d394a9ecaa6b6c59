"""A layer unpacked: from the members of a tar to a folder that overlayfs can take as it is.

Owners, devices and true modes cannot be set by an ordinary user: they stay in the entries, and the files on disk are
such that we can read them. Nothing is ever written through a link: each directory that a path goes through was made
here, in a folder that nobody else knows yet. Source: moby pkg/archive (diff.go), kernel overlayfs.rst (whiteouts).
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from drydock.engine.snapshots.journal import OWNER
from drydock.model.layer import Entry
from drydock.read.layer import LIMITS, Limits
from drydock.read.tarstream import BadArchive, Stream, clean, members

OPAQUE = "user.overlay.opaque"  # what `mount -t overlay -o userxattr` reads
RESERVED = ("user.overlay.", "user.drydock.")  # the file system's own and ours: never from an archive, never into one
UNTAKEN = (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.ELOOP, errno.ENOTDIR, errno.EMLINK)


class Root:
    """The folder of one layer while it is made."""

    def __init__(self, folder: Path, where: str = "the layer") -> None:
        folder.mkdir(mode=0o755)
        self.where = where
        self.fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        self.entries: dict[str, Entry] = {}
        self.whiteouts: dict[str, None] = {}
        self.opaque: dict[str, None] = {}
        self.ready = True  # overlayfs can take the folder: all whiteouts could be made
        self._made: dict[str, str] = {"": "directory"}  # what is on disk, path by path
        self._kids: dict[str, set[str]] = {"": set()}
        self._links: dict[str, list[str]] = {}  # the other names of a file

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self.fd)

    def put(self, entry: Entry, content: Iterable[bytes | memoryview] = ()) -> Entry:
        """Write one entry, and return it with its content's size and digest; it takes the place of an older one."""
        try:
            return self._put(entry, content)
        except OSError as error:
            if error.errno not in UNTAKEN:
                raise
            why = os.strerror(error.errno)
            raise BadArchive(
                f"{self.where} has a path that no file system takes ({why}): {entry.path[:80]!r}"
            ) from None

    def _put(self, entry: Entry, content: Iterable[bytes | memoryview]) -> Entry:
        path, kind = entry.path, entry.kind
        self._room(path)
        if path in self._made and not kind == self._made[path] == "directory":
            self._clear(path)
        if kind == "file":
            entry = self._file(entry, content)
        elif kind == "directory":
            if path not in self._made:
                os.mkdir(path, 0o700, dir_fd=self.fd)
                self._kids.setdefault(path, set())
        elif kind == "hardlink":
            self._hardlink(entry)
        elif kind == "symlink":
            os.symlink(entry.link, path, dir_fd=self.fd)
            _times(path, entry.mtime, self.fd)
        elif kind == "fifo":
            os.mkfifo(path, entry.mode | 0o400, dir_fd=self.fd)
            _times(path, entry.mtime, self.fd)
        if kind not in ("character device", "block device"):  # those stay in the entries: mknod is for root
            self._note(path, kind)
        self.entries[path] = entry
        return entry

    def hide(self, path: str) -> None:
        """Note a name of the layers below that is no more."""
        self.whiteouts[path] = None

    def cover(self, path: str) -> None:
        """Note a directory whose older content is no more."""
        self.opaque[path] = None

    def finish(self) -> None:
        """Make the whiteouts, and give directories their modes and times, now that nothing more is put into them."""
        for path in self.whiteouts:
            self._whiteout(path)
        for path in self.opaque:
            if path and self._made.get(path) != "directory" and path not in self.entries:
                self._room(path + "/.")
            if self._made.get(path) == "directory":
                self._mark(path)
        for path in reversed(self._made):
            entry = self.entries.get(path)
            if entry and entry.kind == "directory":
                self._directory(entry)

    def _note(self, path: str, kind: str) -> None:
        self._made[path] = kind
        self._kids[path.rpartition("/")[0]].add(path)

    def _room(self, path: str) -> None:
        """Make the directories that a path lies in; what else has one of their names goes."""
        missing: list[str] = []
        folder = path.rpartition("/")[0]
        while self._made.get(folder) != "directory":
            missing.append(folder)
            folder = folder.rpartition("/")[0]
        for one in reversed(missing):
            if one in self._made:
                self._clear(one)
            self.entries.pop(one, None)
            os.mkdir(one, 0o755, dir_fd=self.fd)
            self._kids.setdefault(one, set())
            self._note(one, "directory")

    def _clear(self, path: str) -> None:
        """Remove what an earlier entry of the same archive put here, with all in it."""
        self._kids[path.rpartition("/")[0]].discard(path)
        found = [path]
        for one in found:  # it grows while we go: every directory before what is in it
            found += self._kids.pop(one, ())
        for one in reversed(found):
            if self._made.pop(one) == "directory":
                os.rmdir(one, dir_fd=self.fd)
            else:
                os.unlink(one, dir_fd=self.fd)
            self._forget(one)

    def _forget(self, path: str) -> None:
        """Drop an entry; a file that has other names lives on under those."""
        gone = self.entries.pop(path, None)
        names = [name for name in self._links.pop(path, ()) if name in self.entries]
        if gone and names:
            self.entries[names[0]] = replace(gone, path=names[0])
            self._links[names[0]] = names[1:]
            for name in names[1:]:
                self.entries[name] = replace(self.entries[name], link=names[0])

    def _file(self, entry: Entry, content: Iterable[bytes | memoryview]) -> Entry:
        sha = hashlib.sha256()
        size = 0
        fd = os.open(entry.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=self.fd)
        try:
            for piece in content:
                sha.update(piece)
                size += len(piece)
                while piece:
                    piece = piece[os.write(fd, piece) :]
            _extend(fd, entry)
            os.fchmod(fd, entry.mode | 0o400)
            _times(fd, entry.mtime)
        finally:
            os.close(fd)
        return replace(entry, size=size, digest="sha256:" + sha.hexdigest())

    def _hardlink(self, entry: Entry) -> None:
        target = entry.link
        if self._made.get(target) in (None, "directory"):
            raise BadArchive(
                f"{self.where} has a hard link {entry.path!r} to {target!r}, which it does not have as a file. "
                "It is incomplete: make it again."
            )
        os.link(target, entry.path, src_dir_fd=self.fd, dst_dir_fd=self.fd, follow_symlinks=False)
        first = self.entries.get(target)
        while first and first.kind == "hardlink":
            first = self.entries.get(first.link)
        self._links.setdefault(first.path if first else target, []).append(entry.path)

    def _whiteout(self, path: str) -> None:
        """Hide a name as overlayfs wants it: a character device 0:0, or an opaque mark where a directory took over."""
        kind = self._made.get(path)
        if kind == "directory":
            self._mark(path)
        if kind is not None or path in self.entries or self._blocked(path):
            return
        try:
            self._room(path)
            os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(0, 0), dir_fd=self.fd)  # allowed for all since Linux 5.8
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            self.ready = False
            return
        self._note(path, "whiteout")

    def _blocked(self, path: str) -> bool:
        """Return whether something other than a directory stands above the path: then there is nothing to hide."""
        while path := path.rpartition("/")[0]:
            if path in self._made:
                return self._made[path] != "directory"
        return False

    def _mark(self, path: str) -> None:
        try:
            os.setxattr(f"/proc/self/fd/{self.fd}/{path}", OPAQUE, b"y")
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            self.ready = False

    def _directory(self, entry: Entry) -> None:
        fd = os.open(entry.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=self.fd)
        try:
            _extend(fd, entry)
            os.fchmod(fd, entry.mode | 0o700)
            _times(fd, entry.mtime)
        finally:
            os.close(fd)


def _extend(fd: int, entry: Entry) -> None:
    """Set the extended attributes that an ordinary user may set; all of them are in the entry."""
    mark_owner(fd, entry)
    for name, value in entry.xattrs:
        if name.startswith("user.") and not name.startswith(RESERVED):
            try:
                os.setxattr(fd, name, os.fsencode(value))
            except OSError:
                continue  # a file system without them; no image needs them to be read here


def mark_owner(fd: int, entry: Entry) -> None:
    """Mark the owner on the file, if it is not root: the mark stays on it when a program renames it."""
    if (entry.uid, entry.gid) != (0, 0):
        with suppress(OSError):
            os.setxattr(fd, OWNER, b"%d:%d" % (entry.uid, entry.gid))


def _times(what: int | str, mtime: float, at: int | None = None) -> None:
    moment = int(mtime * 10**9) if isinstance(mtime, float) else mtime * 10**9
    moment = min(max(moment, -(2**62)), 2**62)
    if isinstance(what, int):
        os.utime(what, ns=(moment, moment))
    else:
        os.utime(what, ns=(moment, moment), dir_fd=at, follow_symlinks=False)


def fill(root: Root, stream: Stream, limits: Limits = LIMITS) -> None:
    """Unpack all members of a tar."""
    where = root.where
    for count, (header, content) in enumerate(members(stream), 1):
        if count > limits.entries:
            raise BadArchive(f"{where} has more than {limits.entries} files. Do not load this archive.")
        path = clean(header.name, where)
        folder, _, name = path.rpartition("/")
        if name.startswith(".wh."):
            _mark_hidden(root, path, folder, name)
        elif path:
            link = clean(header.link, where) if header.kind == "hardlink" else header.link
            entry = Entry(
                *(path, header.kind, 0, header.mode, header.uid, header.gid, header.mtime),
                *(link, "", header.xattrs, header.device),
            )
            root.put(entry, content.all() if header.kind == "file" else ())


def _mark_hidden(root: Root, path: str, folder: str, name: str) -> None:
    if name == ".wh..wh..opq":
        root.cover(folder)
    elif not name.startswith(".wh..wh."):  # else: bookkeeping of aufs, which no file system shows
        hidden = clean(f"{folder}/{name[4:]}".lstrip("/"), root.where)
        if hidden == folder:
            raise BadArchive(f"{root.where} has a whiteout of nothing, {path!r}. It is damaged: make it again.")
        root.hide(hidden)
