"""The build context as it arrives: a tar, packed or not, kept in one file on disk and as a value in memory.

Sources: moby builder/remotecontext (archive.go, detect.go), pkg/archive (DecompressStream), pkg/tarsum.
"""

from __future__ import annotations

import bz2
import errno
import io
import lzma
import os
import posixpath
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from drydock.engine.errors import BadParameter, EngineError
from drydock.engine.snapshots import Level, View
from drydock.model.context import Context, ContextFile, start_tarsum
from drydock.model.ignore import Ignore
from drydock.model.layer import Entry, Layer
from drydock.read.layer import opened
from drydock.read.tarstream import BadArchive, Content, Header, Stream, clean, members

MOST = 1_000_000  # entries of one context
WHERE = "the build context"
Read = Callable[[int], bytes]


@dataclass(frozen=True)
class Slice:
    """The content of one file: a piece of the file into which the whole context was written."""

    path: Path
    at: int
    size: int

    def open(self) -> BinaryIO:
        """Open the content for reading."""
        return io.BufferedReader(_Piece(self.path, self.at, self.size))


class _Piece(io.RawIOBase):
    def __init__(self, path: Path, start: int, size: int) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._start, self._size, self._at = start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # the stubs name a private protocol
        piece = os.pread(self._fd, max(0, min(len(buffer), self._size - self._at)), self._start + self._at)
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def close(self) -> None:
        if not self.closed:
            os.close(self._fd)
        super().close()


@dataclass
class Unpacked:
    """What a tar holds: entries in its order, the last of each name; contents in one file; the cache's sums."""

    entries: dict[str, Entry] = field(default_factory=dict)
    slices: dict[str, Slice] = field(default_factory=dict)
    sums: dict[str, str] = field(default_factory=dict)

    def context(self) -> Context:
        """Return the value that the model's cache rule works on."""
        return Context(tuple(self._file(path, entry) for path, entry in self.entries.items()))

    def _file(self, path: str, entry: Entry) -> ContextFile:
        kind = "file" if entry.kind == "hardlink" else entry.kind
        return ContextFile(path, kind, entry.size, entry.mode, "", entry.link, self.sums[path], int(entry.mtime))

    def remove(self, path: str) -> None:
        """Take a path and all below it out."""
        for one in [one for one in self.entries if one == path or one.startswith(path + "/")]:
            del self.entries[one]

    def view(self) -> View:
        """Return the files as a file system, links followed inside it and never out."""
        layer = Layer("", "", 0, tuple(self.entries.values()))
        return View((Level(layer, self.open),))

    def open(self, path: str) -> BinaryIO:
        """Open the content of a file."""
        seen = {path}
        while path in self.entries and self.entries[path].kind == "hardlink" and self.entries[path].link not in seen:
            path = self.entries[path].link
            seen.add(path)
        if path not in self.slices:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return self.slices[path].open()


def unpack(read: Read, spool: Path, where: str = WHERE, sums: bool = True) -> Unpacked:
    """Read a tar (plain, gzip, bzip2, xz, zstd) to its end; contents go into the file `spool`.

    Raises: BadArchive for what is damaged or leads out of the context.
    """
    found = Unpacked()
    stream = Stream(unpacked(read, where), where)
    with spool.open("wb") as out:
        for header, content in members(stream):
            path = clean(header.name.lstrip("/"), where)
            if path:
                found.entries.pop(path, None)  # the place in the order is the last one's, as on disk
                _one(found, path, header, content, out, spool, sums)
            if len(found.entries) > MOST:
                raise BadArchive(f"{where} has more than {MOST} files. Leave files out with .dockerignore.")
    stream.drain()
    return found


def _one(found: Unpacked, path: str, header: Header, content: Content, out: BinaryIO, spool: Path, sums: bool) -> None:
    link = clean(header.link.lstrip("/"), WHERE) if header.kind == "hardlink" else header.link
    owner = (header.uid, header.gid)
    running = start_tarsum(
        *(header.name.rstrip("/"), header.kind, header.size, header.raw_mode, header.link, owner), xattrs=header.xattrs
    )
    if header.kind == "file":
        found.slices[path] = Slice(spool, out.tell(), header.size)
        for piece in content.all():
            out.write(piece)
            if sums:
                running.update(bytes(piece))
    found.entries[path] = Entry(
        *(path, header.kind, header.size, header.mode, *owner, header.mtime, link),
        xattrs=header.xattrs,
        device=header.device,
    )
    found.sums[path] = running.hexdigest()
    for folder in _above(path):
        if folder in found.entries:
            break
        # A folder that the tar does not list is known to the cache by its name alone (archive.go: Hash).
        found.entries[folder] = Entry(folder, "directory", mode=0o755, mtime=time.time())
        found.sums[folder] = folder


def _above(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


def unpacked(read: Read, where: str) -> Read:
    """Return a reader of the plain tar."""
    first = b""
    while len(first) < 6 and (more := read(1 << 16)):
        first += more
    waiting = [first]

    def again(count: int) -> bytes:
        return waiting.pop() if waiting else read(count)

    if first[:3] == b"BZh":
        return _pythons(again, bz2.BZ2Decompressor, where)
    if first[:6] == b"\xfd7zXZ\0":
        return _pythons(again, lambda: lzma.LZMADecompressor(memlimit=1 << 28), where)
    return opened(again, where)[0]


def _pythons(read: Read, new: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor], where: str) -> Read:
    """Read through one of Python's decompressors; several packed streams may follow each other."""
    state = [new()]
    rest = [b""]

    def more(count: int) -> bytes:
        try:
            while True:
                if state[0].eof:
                    rest[0] = state[0].unused_data or rest[0] or read(1 << 16)
                    if not rest[0].strip(b"\0"):
                        return b""
                    state[0] = new()
                packed = b""
                if state[0].needs_input:
                    packed = rest[0] or read(1 << 16)
                    rest[0] = b""
                    if not packed:
                        raise BadArchive(f"{where} ends too early. Send it again, whole.")
                if plain := state[0].decompress(packed, count):
                    return plain
        except (OSError, lzma.LZMAError, EOFError) as error:
            raise BadArchive(f"{where} cannot be unpacked ({error}). It is damaged: make it again.") from None

    return more


@dataclass
class Sent:
    """A build's input: the Dockerfile's text, and the files that COPY can reach."""

    dockerfile: bytes
    files: Unpacked

    def __post_init__(self) -> None:
        self.context = self.files.context()
        self._view: View | None = None

    @property
    def view(self) -> View:
        """The files as a file system: made when the first COPY really copies."""
        if self._view is None:
            self._view = self.files.view()
        return self._view


def receive(read: Read, name: str, spool: Path) -> Sent:
    """Take a context in, find the Dockerfile in it, and take out what `.dockerignore` says is no part of it.

    Raises: EngineError with dockerd's words, BadArchive.
    """
    files = unpack(read, spool)
    view = files.view()
    asked, name = name, posixpath.normpath(name).lstrip("/")
    if name.split("/")[0] == "..":
        raise EngineError(f"forbidden path outside the build context: {asked} ()")
    found = view.lookup(name)
    if found is None and name == "Dockerfile" and view.lookup("dockerfile") is not None:
        name, found = "dockerfile", view.lookup("dockerfile")
    if found is None:
        raise EngineError(f"Cannot locate specified Dockerfile: {asked}")
    if found.kind != "file":
        raise EngineError(f"read {name}: is a {found.kind}, and a Dockerfile must be a file")
    text = view.read(name)
    if not text:
        raise BadParameter(f"the Dockerfile ({name}) cannot be empty")
    _hide(files, view, name)
    return Sent(text, files)


def _hide(files: Unpacked, view: View, dockerfile: str) -> None:
    """Remove Dockerfile and `.dockerignore` where the latter names them: they came for the builder only."""
    if view.lookup(".dockerignore") is None:
        return
    ignore = Ignore.parse(view.read(".dockerignore").decode("utf-8", "surrogateescape"))
    for name in (".dockerignore", dockerfile):
        if ignore.excludes(name):
            files.remove(name)
