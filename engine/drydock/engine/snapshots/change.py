"""Changes: what a step did to a file system, as its layer will say it.

Source: OCI image-spec layer.md; moby pkg/archive (changes.go, archive.go): the same entries in the same order.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from drydock.model.layer import Entry

WHITEOUT_MODE, OPAQUE_MODE = 0o600, 0o755  # as dockerd's overlay driver writes them


class Source(Protocol):
    """Anything that can open the content of a file."""

    def open(self) -> BinaryIO:
        """Open the content for reading."""


@dataclass(frozen=True)
class Beneath:
    """A file below a folder in which strangers may have put links: opened without following any."""

    root: Path
    path: str

    def open(self) -> BinaryIO:
        """Open the file; a link on the way is an error, whoever put it there."""
        return os.fdopen(open_beneath(self.root, self.path), "rb")


def open_beneath(root: Path, path: str) -> int:
    """Return a descriptor of a regular file below `root`, no link followed."""
    *folders, name = path.split("/")
    at = os.open(root, os.O_PATH | os.O_DIRECTORY)
    try:
        for folder in folders:
            below = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = below
        return _readable(name, at)
    finally:
        os.close(at)


def _readable(name: str, at: int) -> int:
    """Open a file of ours, also one whose mode forbids even us to read it (a program may `chmod 000`)."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        return os.open(name, flags, dir_fd=at)
    except PermissionError:
        handle = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=at)
        try:
            mode = os.fstat(handle).st_mode
            itself = f"/proc/self/fd/{handle}"  # chmod has no "follow no link": this is how one does it
            os.chmod(itself, (mode & 0o7777) | 0o400)  # noqa: PTH101
            try:
                return os.open(itself, os.O_RDONLY | os.O_NONBLOCK)
            finally:
                os.chmod(itself, mode & 0o7777)  # noqa: PTH101
        finally:
            os.close(handle)


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
