"""Layers: what one step of a build wrote, and what it hid.

Source: OCI image-spec layer.md (whiteouts, opaque directories); sizes in Docker's decimal units.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property


def human(size: int) -> str:
    """Return a size as Docker writes it: powers of 1000, three digits.

    >>> [human(n) for n in (0, 999, 1500, 12_345_678, 999_999)]
    ['0B', '999B', '1.5kB', '12.3MB', '1MB']
    """
    value, units = float(size), ["B", "kB", "MB", "GB", "TB", "PB"]
    while value >= 999.5 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.3g}{units[0]}"


def counted(number: float, noun: str, plural: str = "") -> str:
    """Return a number of things in words.

    >>> counted(1, "layer"), counted(0, "layer"), counted(1.5, "point"), counted(2, "process", "processes")
    ('1 layer', '0 layers', '1.5 points', '2 processes')
    """
    figure = f"{number:,}" if isinstance(number, int) else f"{number:g}"
    return f"{figure} {noun if number == 1 else plural or f'{noun}s'}"


def shown(text: str) -> str:
    r"""Return a name or a command so that it can be printed: bytes that are no text and control characters escaped.

    >>> shown("caf\udce9/\x1b[31mred")
    'caf\\xe9/\\x1b[31mred'
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _escaped(one) for one in text)


def _escaped(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, kept by surrogateescape
        return f"\\x{code - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, directory or link as a layer's tar lists it."""

    path: str  # from the image's root, without a leading slash
    kind: str  # file, directory, symlink, hardlink, character device, block device, fifo
    size: int = 0  # bytes of content; a hard link has none of its own
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: float = 0
    link: str = ""  # where a symlink points (any text); for a hard link the path of the other name
    digest: str = ""  # sha256 of a file's content
    xattrs: tuple[tuple[str, str], ...] = ()
    device: tuple[int, int] = (0, 0)  # major and minor number of a device

    def same(self, other: Entry) -> bool:
        """Return whether a reader of the file system sees no difference (times do not count).

        >>> Entry("a", "file", mtime=1).same(Entry("a", "file", mtime=2))
        True
        """
        mine = (self.kind, self.size, self.mode, self.uid, self.gid, self.link, self.digest, self.xattrs, self.device)
        return mine == (
            *(other.kind, other.size, other.mode, other.uid, other.gid),
            *(other.link, other.digest, other.xattrs, other.device),
        )


@dataclass(frozen=True)
class Layer:
    """A set of changes to a file system: what was written, and which names below are hidden from here on."""

    diff_id: str  # sha256 of the layer's tar: the content's identity
    digest: str  # sha256 of the blob as stored or sent: the tar, or the tar compressed
    size: int  # bytes of all files
    entries: tuple[Entry, ...] = ()
    whiteouts: tuple[str, ...] = ()  # paths that no longer exist from this layer on
    opaque: tuple[str, ...] = ()  # directories whose older content no longer exists
    stored: int = 0  # bytes of the blob

    @cached_property
    def by_path(self) -> dict[str, Entry]:
        """Return the entries by path.

        >>> Layer("", "", 0, (Entry("a", "file"),)).by_path["a"].kind
        'file'
        """
        return {entry.path: entry for entry in self.entries}

    def picture(self) -> str:
        """Draw the layer: one line per path, `-` for what it hides.

        >>> print(Layer("sha256:0", "", 3, (Entry("a/b", "file", 3),), ("old",)).picture())
        sha256:0  3B
        + a/b  3B
        - old
        """
        rows = [f"{self.diff_id[:19]}  {human(self.size)}"]
        for entry in self.entries:
            arrow = f" -> {shown(entry.link)}" if entry.link else ""
            slash = "/" if entry.kind == "directory" else ""
            rows.append(f"+ {shown(entry.path)}{slash}{arrow}" + (f"  {human(entry.size)}" if entry.size else ""))
        rows += [f"- {shown(path)}" for path in self.whiteouts]
        rows += [f"- {shown(path)}/* (all older content)" for path in self.opaque]
        return "\n".join(rows)
