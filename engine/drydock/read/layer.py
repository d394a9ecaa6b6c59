"""A layer's blob (tar, plain or compressed) -> `model.layer.Layer`, in one pass and little memory."""

from __future__ import annotations

import bz2
import hashlib
import lzma
import zlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import zstandard

from drydock.model.layer import Entry, Layer
from drydock.read.tarstream import CHUNK, BadArchive, Content, Header, Stream, clean, members, truncated

CAP = 1 << 20  # bytes of one file's content shown to a reader
LZMA_MEMORY = 1 << 28  # of the xz decompressor; `xz -9` needs 65 MiB
WINDOW = 1 << 27  # the largest zstd window accepted: memory of the decompressor


@dataclass(frozen=True)
class Limits:
    """Where an archive counts as a bomb: few bytes that become very many."""

    ratio: int = 400  # unpacked by packed bytes; text packs 10 to 20 times
    free: int = 2 * 10**9  # below this the ratio does not count: a file of zeros is no attack
    total: int = 100 * 10**9  # unpacked bytes of one layer
    entries: int = 3_000_000


LIMITS = Limits()


class Hash:
    """sha256 of what passes by, computed beside the reader: hashlib lets other threads run."""

    def __init__(self) -> None:
        self._sha = hashlib.sha256()
        self._pool = ThreadPoolExecutor(1)
        self._last: Future[None] | None = None
        self.count = 0

    def add(self, chunk: bytes) -> bytes:
        """Count one more piece, after waiting for the one before: at most one piece is in flight."""
        if self._last:
            self._last.result()
        self._last = self._pool.submit(self._sha.update, chunk)
        self.count += len(chunk)
        return chunk

    def __enter__(self) -> Hash:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def digest(self) -> str:
        """Return the digest of all pieces so far."""
        if self._last:
            self._last.result()
        return "sha256:" + self._sha.hexdigest()


def is_layer(first: bytes) -> bool:
    """Return whether a blob begins like a layer: tar (also an empty one), gzip or zstd.

    >>> is_layer(bytes(1024)), is_layer(b"\\x1f\\x8b\\x08"), is_layer(b'{"layers": []}')
    (True, True, False)
    """
    return first[257:262] == b"ustar" or first[:2] == b"\x1f\x8b" or first[:4] == MAGIC or not first.strip(b"\0")


MAGIC = b"\x28\xb5\x2f\xfd"


def read_layer(read: Callable[[int], bytes], where: str, limits: Limits = LIMITS) -> Layer:
    """Return the layer of a blob, all of it read: entries, what it hides, both digests."""
    with Hash() as blob, Hash() as tar:
        plain, packed = opened(lambda count: blob.add(read(count)), where)

        def unpacked(count: int) -> bytes:
            chunk = tar.add(plain(count))
            if tar.count > min(limits.total, max(limits.free, limits.ratio * blob.count)):
                raise BadArchive(
                    f"{where} grows from {blob.count} to more than {tar.count} bytes: a compression bomb. "
                    "Do not load this archive."
                )
            return chunk

        stream = Stream(unpacked if packed else plain, where)
        entries, whiteouts, opaque = _entries(stream, where, limits)
        stream.drain()
        while packed and blob.add(read(CHUNK)):
            pass
        digest = blob.digest()
        diff_id = tar.digest() if packed else digest
        size = sum(entry.size for entry in entries)
        return Layer(diff_id, digest, size, entries, whiteouts, opaque, blob.count)


def opened(read: Callable[[int], bytes], where: str) -> tuple[Callable[[int], bytes], bool]:
    """Return a reader of the unpacked bytes, and whether they were packed."""
    first = read(CHUNK)
    while first and len(first) < 4 and (more := read(CHUNK)):
        first += more
    waiting = [first]

    def again(count: int) -> bytes:
        return waiting.pop() if waiting else read(count)

    if first[:2] == b"\x1f\x8b":
        return _gunzip(again, where), True
    if first[:4] == MAGIC:
        return _unzstd(again, where), True
    if first[:3] == b"BZh":
        return _unpack(again, where, bz2.BZ2Decompressor), True
    if first[:6] == b"\xfd7zXZ\0":
        return _unpack(again, where, lambda: lzma.LZMADecompressor(memlimit=LZMA_MEMORY)), True
    return again, False


def file_content(read: Callable[[int], bytes], path: str, where: str, cap: int = CAP) -> bytes:
    """Return the first bytes of one file of a layer's blob: of the last member of that name."""
    wanted, found = {path}, None
    plain, _ = opened(read, where)
    for header, content in members(Stream(plain, where)):
        if clean(header.name, where) not in wanted:
            continue
        if header.kind == "file":
            found = content.take(min(cap, header.size))
    if found is None:
        raise FileNotFoundError(f"{path!r} is no file of this layer; `thread` says which layers have it.")
    return found


def _entries(stream: Stream, where: str, limits: Limits) -> tuple[tuple[Entry, ...], tuple[str, ...], tuple[str, ...]]:
    entries: dict[str, Entry] = {}
    whiteouts: dict[str, None] = {}
    opaque: dict[str, None] = {}
    for header, content in members(stream):
        path = clean(header.name, where)
        folder, _, name = path.rpartition("/")
        if name == ".wh..wh..opq":
            opaque[folder] = None
        elif name.startswith(".wh..wh."):
            continue  # bookkeeping of aufs, which no file system shows
        elif name.startswith(".wh."):
            hidden = clean(f"{folder}/{name[4:]}".lstrip("/"), where)
            if hidden == folder:
                raise BadArchive(f"{where} has a whiteout of nothing, {path!r}. It is damaged: make it again.")
            whiteouts[hidden] = None
        elif path:
            entries[path] = _entry(path, header, content, where)
        if len(entries) + len(whiteouts) > limits.entries:
            raise BadArchive(f"{where} has more than {limits.entries} files. Do not load this archive.")
    return tuple(entries.values()), tuple(whiteouts), tuple(opaque)


def _entry(path: str, header: Header, content: Content, where: str) -> Entry:
    digest, size, link = "", 0, header.link
    if header.kind == "file":
        digest, size = _sha256(content), header.size
    elif header.kind == "hardlink":
        link = clean(link, where)
    return Entry(
        *(path, header.kind, size, header.mode, header.uid, header.gid, header.mtime),
        *(link, digest, header.xattrs, header.device),
    )


def _sha256(content: Content) -> str:
    sha = hashlib.sha256()
    for piece in content.all():
        sha.update(piece)
    return "sha256:" + sha.hexdigest()


def _gunzip(read: Callable[[int], bytes], where: str) -> Callable[[int], bytes]:
    state = [zlib.decompressobj(31)]
    rest = [b""]

    def more(count: int) -> bytes:
        try:
            while True:
                if state[0].eof:  # a second member may follow: pigz and stargz write several
                    rest[0] = state[0].unused_data or rest[0] or read(CHUNK)
                    if not rest[0].lstrip(b"\0"):
                        return b""
                    state[0] = zlib.decompressobj(31)
                packed = rest[0] or read(CHUNK)
                plain = state[0].decompress(packed, count)
                rest[0] = state[0].unconsumed_tail
                if plain:
                    return plain
                if not packed:
                    raise truncated(where)
        except zlib.error as error:
            raise BadArchive(f"{where} cannot be unpacked ({error}). It is damaged: make it again.") from None

    return more


def _unpack(
    read: Callable[[int], bytes], where: str, fresh: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor]
) -> Callable[[int], bytes]:
    """Return a reader of bzip2 or xz, of which several streams may follow each other."""
    state = [fresh()]
    packed = [b""]

    def more(count: int) -> bytes:
        try:
            while True:
                if state[0].eof:
                    packed[0] = state[0].unused_data or read(CHUNK)
                    if not packed[0].lstrip(b"\0"):
                        return b""
                    state[0] = fresh()
                elif state[0].needs_input:
                    packed[0] = packed[0] or read(CHUNK)
                    if not packed[0]:
                        raise truncated(where)
                plain = state[0].decompress(packed[0], count)
                packed[0] = b""
                if plain:
                    return plain
        except (OSError, EOFError, lzma.LZMAError) as error:
            raise BadArchive(f"{where} cannot be unpacked ({error}). It is damaged: make it again.") from None

    return more


def _unzstd(read: Callable[[int], bytes], where: str) -> Callable[[int], bytes]:
    class Source:
        def read(self, count: int = -1) -> bytes:
            return read(CHUNK)

    unpacker = zstandard.ZstdDecompressor(max_window_size=WINDOW)
    source: Any = Source()  # the stubs want a whole file; read() is all that is used
    reader = unpacker.stream_reader(source, read_across_frames=True)

    def more(count: int) -> bytes:
        try:
            return bytes(reader.read(count))
        except zstandard.ZstdError as error:
            raise BadArchive(f"{where} cannot be unpacked ({error}). It is damaged: make it again.") from None

    return more
