"""Files below a folder in which strangers may put links: opened part by part, no link followed.

Programs in containers write these folders, perhaps at this moment. A link there may lead to the user's own files; a
mode there may forbid even the owner to read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO


@dataclass(frozen=True)
class Beneath:
    """A regular file below a folder, to be opened later."""

    root: Path
    path: str

    def open(self) -> BinaryIO:
        """Open the file for reading; a link on the way is an error, whoever put it there."""
        folder, _, name = self.path.rpartition("/")
        with parent(self.root, folder) as at:
            return os.fdopen(_readable(name, at), "rb")


@contextmanager
def parent(root: Path, folder: str) -> Iterator[int]:
    """Give a descriptor of a directory below `root`, good for opening and for making what is in it."""
    at = os.open(root, os.O_PATH | os.O_DIRECTORY)
    try:
        for name in folder.split("/") if folder else ():
            with _allowed(at, 0o100):
                below = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = below
        with _allowed(at, 0o700):
            yield at
    finally:
        os.close(at)


@contextmanager
def listable(at: int, name: str) -> Iterator[int]:
    """Give a descriptor of a directory in an open one that can be listed, also where its mode forbids it."""
    handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
    try:
        with _allowed(handle, 0o700):
            fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=handle)
            try:
                yield fd
            finally:
                os.close(fd)
    finally:
        os.close(handle)


def attribute(itself: str, name: str) -> bytes | None:
    """Return an extended attribute of a file, if it has it; to read one takes the permission to read the file."""
    try:
        return os.getxattr(itself, name, follow_symlinks=False)
    except PermissionError:
        handle = os.open(itself, os.O_PATH | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        with _allowed(handle, 0o400):
            return os.getxattr(f"/proc/self/fd/{handle}", name)
    except OSError:
        return None
    finally:
        os.close(handle)


def _readable(name: str, at: int) -> int:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        return os.open(name, flags, dir_fd=at)
    except PermissionError:
        handle = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=at)
    try:
        with _allowed(handle, 0o400):
            return os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_NONBLOCK)
    finally:
        os.close(handle)


@contextmanager
def _allowed(handle: int, needed: int) -> Iterator[None]:
    """Give ourselves a permission that a file of ours lacks, for as long as this lasts."""
    mode = os.fstat(handle).st_mode & 0o7777
    if mode & needed == needed:
        yield
        return
    itself = f"/proc/self/fd/{handle}"  # chmod cannot be told to follow no link: this is how one does it
    os.chmod(itself, mode | needed)  # noqa: PTH101
    try:
        yield
    finally:
        os.chmod(itself, mode)  # noqa: PTH101
