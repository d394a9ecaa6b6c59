"""Changes: what a step did to a file system, as its layer will say it.

Source: OCI image-spec layer.md; moby pkg/archive (changes.go, archive.go): the same entries in the same order.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from drydock.engine.errors import EngineError
from drydock.model.layer import Entry
from drydock.read.tarstream import CHUNK

WHITEOUT_MODE, OPAQUE_MODE = 0o600, 0o755  # as dockerd's overlay driver writes them


class Source(Protocol):
    """Anything that can open the content of a file."""

    def open(self) -> BinaryIO:
        """Open the content for reading."""


@dataclass(frozen=True)
class New:
    """One change: an entry and its content, or a name that is no more.

    For a whiteout `entry.path` is what was removed, for an opaque directory the directory.
    """

    entry: Entry
    source: Path | bytes | Source | None = None

    @classmethod
    def whiteout(cls, path: str, mtime: float = 0) -> New:
        """Return the change that removes a path.

        >>> New.whiteout("etc/motd").name
        'etc/.wh.motd'
        """
        return cls(Entry(path.strip("/"), "whiteout", mode=WHITEOUT_MODE, mtime=mtime))

    @classmethod
    def opaque(cls, path: str) -> New:
        """Return the change that hides all older content of a directory.

        >>> New.opaque("etc").name
        'etc/.wh..wh..opq'
        """
        return cls(Entry(path.strip("/"), "opaque", mode=OPAQUE_MODE))

    @property
    def name(self) -> str:
        """Return the name as a layer's tar has it.

        >>> New(Entry("etc", "directory")).name
        'etc/'
        """
        path, kind = self.entry.path, self.entry.kind
        if kind == "directory":
            return path + "/"
        if kind == "opaque":
            return f"{path}/.wh..wh..opq".lstrip("/")
        if kind == "whiteout":
            folder, _, name = path.rpartition("/")
            return f"{folder}/.wh.{name}".lstrip("/")
        return path


def opened(source: Path | bytes | Source | None) -> BinaryIO:
    """Open a source for reading."""
    if source is None or isinstance(source, bytes):
        return io.BytesIO(source or b"")
    return source.open("rb") if isinstance(source, Path) else source.open()


@contextmanager
def content(change: New) -> Iterator[tuple[int, Iterator[bytes]]]:
    """Give the size of a file and its content in pieces."""
    with opened(change.source) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        yield size, _exactly(file, size, change.entry.path)


def _exactly(file: BinaryIO, size: int, path: str) -> Iterator[bytes]:
    while size:
        piece = file.read(min(size, CHUNK))
        if not piece:
            raise EngineError(f"{path} became shorter while it was read: something still writes to it. Try it again.")
        size -= len(piece)
        yield piece


def walked(changes: Iterable[New]) -> list[New]:
    """Return the changes in the order of a walk: a directory first, then what is in it, name by name.

    Of two changes of one path the later counts; a whiteout stands beside a new entry of its path, and before it.

    >>> [c.name for c in walked([New(Entry(p, "file")) for p in ("a/b", "a-b", "a")])]
    ['a', 'a/b', 'a-b']
    """
    found = {(change.entry.path, _rank(change)): change for change in changes}
    return [found[key] for key in sorted(found, key=lambda key: (os.fsencode(key[0]).split(b"/"), key[1]))]


def _rank(change: New) -> int:
    return {"whiteout": 0, "opaque": 2}.get(change.entry.kind, 1)


class Looks(Protocol):
    """A file system that can be asked for a path."""

    def lookup(self, path: str, follow: bool = True) -> Entry | None:
        """Return what stands at the path."""


def with_parents(changes: Iterable[New], view: Looks) -> tuple[New, ...]:
    """Return the changes with the directories they lie in, as dockerd's layers have them even where unchanged."""
    changes = list(changes)
    have = {change.entry.path for change in changes if change.entry.kind == "directory"}
    missing = {up for change in changes for up in parents(change.entry.path)} - have
    found = (view.lookup(path, follow=False) for path in missing)
    return tuple(walked([*changes, *(New(entry) for entry in found if entry and entry.kind == "directory")]))


def parents(path: str) -> Iterator[str]:
    """Go through the directories that a path lies in, the innermost first, the root left out.

    >>> list(parents("a/b/c"))
    ['a/b', 'a']
    """
    while path := path.rpartition("/")[0]:
        yield path
