"""Tar, read once from front to back: headers of our own, since tarfile spends most of its time on objects we drop.

Source: POSIX.1-2017 pax, ustar; GNU tar manual (long names, base-256 numbers). Sparse files are refused: no image
builder writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

BLOCK = 512
CHUNK = 1 << 20
LONGEST = 1 << 20  # bytes of a pax header or a long name; a real one has some hundred
LONGEST_PATH = 4096  # PATH_MAX of Linux
KINDS = {
    b"0": "file",
    b"\0": "file",
    b"7": "file",  # "contiguous": an old wish to the file system
    b"1": "hardlink",
    b"2": "symlink",
    b"3": "character device",
    b"4": "block device",
    b"5": "directory",
    b"6": "fifo",
}


class BadArchive(ValueError):
    """An archive that is damaged, or made to do harm: what is wrong, what it probably means, what to try."""


def truncated(where: str) -> BadArchive:
    """Return the error for an archive that ends too early."""
    return BadArchive(f"{where} ends too early. The download or the copy was probably cut off: make it again.")


class Stream:
    """Bytes that come once, in pieces of the size that is asked for."""

    def __init__(self, read: Callable[[int], bytes], where: str = "the archive") -> None:
        self._read, self.where = read, where
        self._chunk, self._at = memoryview(b""), 0

    def _fill(self) -> bool:
        chunk = self._read(CHUNK)
        self._chunk, self._at = memoryview(chunk), 0
        return bool(chunk)

    def take(self, count: int) -> bytes:
        """Return exactly `count` bytes."""
        end = self._at + count
        if end <= len(self._chunk):
            piece, self._at = self._chunk[self._at : end], end
            return bytes(piece)
        return b"".join(self.pieces(count))

    def pieces(self, count: int) -> Iterator[memoryview]:
        """Go through the next `count` bytes without copying them."""
        while count:
            if self._at >= len(self._chunk) and not self._fill():
                raise truncated(self.where)
            piece = self._chunk[self._at : self._at + count]
            self._at += len(piece)
            count -= len(piece)
            yield piece

    def skip(self, count: int) -> None:
        """Drop the next `count` bytes."""
        end = self._at + count
        if end <= len(self._chunk):
            self._at = end
            return
        for _ in self.pieces(count):
            pass

    def read(self, count: int) -> bytes:
        """Return up to `count` bytes; none at the end."""
        if self._at >= len(self._chunk) and not self._fill():
            return b""
        piece = self._chunk[self._at : self._at + count]
        self._at += len(piece)
        return bytes(piece) if len(piece) < len(self._chunk) else bytes(piece.obj)

    def at_end(self) -> bool:
        """Return whether nothing is left."""
        return self._at >= len(self._chunk) and not self._fill()

    def drain(self) -> None:
        """Read to the end, so that a hash of the whole is whole."""
        while self._fill():
            pass


@dataclass(slots=True)
class Header:
    """One member of a tar: its name as bytes became text by surrogateescape."""

    name: str
    kind: str
    size: int
    mode: int
    uid: int
    gid: int
    mtime: float
    link: str
    xattrs: tuple[tuple[str, str], ...] = ()
    device: tuple[int, int] = (0, 0)
    raw_mode: int = 0  # as the archive has it: the classic builder's cache counts it all


@dataclass
class _Extra:
    """What a pax header or a GNU long name says about the member that follows."""

    pax: dict[str, bytes] = field(default_factory=dict)
    name: bytes | None = None
    link: bytes | None = None


def members(stream: Stream) -> Iterator[tuple[Header, Content]]:
    """Go through a tar: each header and its content, of which the caller takes as much as it likes."""
    everywhere: dict[str, bytes] = {}
    extra = _Extra(dict(everywhere))
    while True:
        if stream.at_end():  # some tools leave the two empty blocks at the end out; digests tell a cut from an end
            return
        block = stream.take(BLOCK)
        if block[0] == 0 and not block.strip(b"\0"):
            return
        check(block, stream.where)
        size, kind = number(block[124:136]), block[156:157]
        if kind in b"xgLK" and kind:
            body = _body(stream, size)
            if kind == b"g":
                everywhere |= pax_records(body, stream.where)
                extra.pax = everywhere | extra.pax
            elif kind == b"x":
                extra.pax |= pax_records(body, stream.where)
            elif kind == b"L":
                extra.name = body.rstrip(b"\0")
            else:
                extra.link = body.rstrip(b"\0")
            continue
        header = _header(block, size, kind, extra, stream.where)
        content = Content(stream, header.size)
        yield header, content
        content.finish()
        extra = _Extra(dict(everywhere))


class Content(Stream):
    """The bytes of one member; what nobody takes is skipped, with the padding to full blocks."""

    def __init__(self, outer: Stream, size: int) -> None:
        super().__init__(self._next, outer.where)
        self.outer, self.left, self.size = outer, size, size

    def _next(self, count: int) -> bytes:
        if not self.left:
            return b""
        piece = self.outer.read(min(count, self.left))
        if not piece:
            raise truncated(self.where)
        self.left -= len(piece)
        return piece

    def all(self) -> Iterator[memoryview]:
        """Go through all bytes that are left."""
        count, self.left = self.left, 0
        return self.outer.pieces(count)

    def finish(self) -> None:
        """Skip to the next header."""
        self.outer.skip(self.left)
        self.left = 0
        padding = -self.size % BLOCK
        if padding and not self.outer.at_end():  # `docker build -f` leaves the last file's padding out
            self.outer.skip(padding)


def check(block: bytes, where: str) -> None:
    """Refuse a header whose checksum is wrong: the sum of its bytes, the checksum's own place read as spaces."""
    total = sum(block) - sum(block[148:156]) + 256
    if number(block[148:156]) != total:
        raise BadArchive(f"{where} is no tar, or is damaged: the checksum of a header is wrong. Make it again.")


def number(text: bytes) -> int:
    r"""Return a number of a header: octal text, or base-256 where the first bit is set.

    >>> number(b"0000644\0"), number(b"\x80\0\0\0\0\0\0\x07"), number(b"\0" * 8)
    (420, 7, 0)
    """
    if text[0] & 0x80:
        value = int.from_bytes(text, "big") & ((1 << (8 * len(text) - 1)) - 1)
        return value if not text[0] & 0x40 else value - (1 << (8 * len(text) - 1))
    text = text.partition(b"\0")[0].strip()
    if text.strip(b"01234567"):
        raise BadArchive(f"a number in a tar header is no number: {text!r}. The archive is damaged: make it again.")
    return int(text or b"0", 8)


def pax_records(body: bytes, where: str = "the archive") -> dict[str, bytes]:
    r"""Return a pax header's `LENGTH KEY=VALUE` lines.

    >>> pax_records(b"12 path=a/b\n")
    {'path': b'a/b'}
    """
    found: dict[str, bytes] = {}
    at = 0
    while at < len(body) and body[at]:
        digits, space, _ = body[at : at + 12].partition(b" ")
        end = at + (int(digits) if space and digits.isdigit() else 0)
        key, equals, value = body[at + len(digits) + 1 : end - 1].partition(b"=")
        if not equals or end > len(body) or body[end - 1 : end] != b"\n":
            raise BadArchive(f"{where} has a pax header that makes no sense. It is damaged: make it again.")
        found[key.decode("utf-8", "surrogateescape")] = value
        at = end
    return found


def clean(name: str, where: str) -> str:
    """Return a path without `.` and doubled slashes; refuse one that leads out of the root.

    >>> clean("./usr//bin/", "a layer")
    'usr/bin'
    """
    plain = name.rstrip("/")
    if name[:1] in ("", ".", "/") or "//" in name or "/." in name:  # most names need no second look
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if name.startswith("/") or ".." in parts:
            raise BadArchive(
                f"{where} names the path {name!r}, outside its own root. "
                "No builder writes that: do not load this archive."
            )
        plain = "/".join(parts)
    if len(plain) > LONGEST_PATH or "\0" in plain:
        raise BadArchive(f"{where} has a path that no file system takes ({len(plain)} characters).")
    return plain


def _body(stream: Stream, size: int) -> bytes:
    if not 0 <= size <= LONGEST:
        raise BadArchive(f"{stream.where} has an extra header of {size} bytes. No builder writes that: it is damaged.")
    body = stream.take(size)
    stream.skip(-size % BLOCK)
    return body


def _header(block: bytes, size: int, kind: bytes, extra: _Extra, where: str) -> Header:
    pax = extra.pax
    if kind == b"S" or any(key.startswith("GNU.sparse") for key in pax):
        raise BadArchive(f"{where} holds a sparse file, which no image may. Make the archive with `docker save`.")
    if kind not in KINDS:
        raise BadArchive(f"{where} has a member of an unknown kind, {kind!r}. It is damaged: make it again.")
    name, link = _text(block[:100]), _text(block[157:257])
    if block[257:263] == b"ustar\0" and block[345]:  # GNU's own format keeps times in the prefix's place
        name = _text(block[345:500]) + "/" + name
    if extra.name is not None or "path" in pax:
        name = _text(pax.get("path", extra.name or b""))
    if extra.link is not None or "linkpath" in pax:
        link = _text(pax.get("linkpath", extra.link or b""))
    meaning = KINDS[kind]
    if meaning == "file" and name.endswith("/"):
        meaning = "directory"  # as tar wrote directories before 1988
    try:
        size = int(pax.get("size", size))
        uid, gid = (int(pax.get(key, number(block[at : at + 8]))) for key, at in (("uid", 108), ("gid", 116)))
        mtime = float(pax["mtime"]) if "mtime" in pax else number(block[136:148])
    except BadArchive:
        raise
    except ValueError:
        raise BadArchive(f"{where} has a pax number that is no number. It is damaged: make it again.") from None
    if size < 0:
        raise BadArchive(f"{where} gives {name!r} a size of {size}. It is damaged: make it again.")
    size = size if meaning == "file" else 0  # nothing else has content, whatever its header says
    raw_mode = number(block[100:108])
    mode = raw_mode & 0o7777  # 20.10 writes Go's type bits above these
    device = (number(block[329:337]), number(block[337:345])) if kind in (b"3", b"4") else (0, 0)
    xattrs = _xattrs(pax) if pax else ()
    return Header(name, meaning, size, mode, uid, gid, mtime, link, xattrs, device, raw_mode)


def _xattrs(pax: dict[str, bytes]) -> tuple[tuple[str, str], ...]:
    prefix = "SCHILY.xattr."
    found = ((k.removeprefix(prefix), v) for k, v in pax.items() if k.startswith(prefix))
    return tuple(sorted((k, v.decode("utf-8", "surrogateescape")) for k, v in found))  # a value may hold NUL bytes


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")
