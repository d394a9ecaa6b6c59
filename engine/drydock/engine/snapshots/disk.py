"""The disk under the engine: files that appear whole, folders that go whole, whatever their modes.

A process may be killed at any moment: what is half made lies in `tmp`, which the next start empties.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from drydock.engine.errors import EngineError

DISK_FULL = (
    "no space left on device: the engine cannot write below {where}. The disk, or your share of it, is full. "
    "Try: drydock clean, or set DRYDOCK_HOME to a folder on another disk."
)
READ_ONLY = (
    "the engine cannot write below {where} ({why}). The folder is read-only, or belongs to someone else. "
    "Try: set DRYDOCK_HOME to a folder of your own."
)


class DiskFull(EngineError):
    """The disk takes no more."""


class ReadOnly(EngineError):
    """The engine's folder cannot be written."""


@contextmanager
def writing(where: Path) -> Iterator[None]:
    """Turn the disk's refusals into errors that say what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(DISK_FULL.format(where=where)) from error
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise ReadOnly(READ_ONLY.format(where=where, why=os.strerror(error.errno))) from error
        raise


def write_beside(path: Path, content: bytes, tmp: Path) -> None:
    """Write a file so that a reader finds the old or the new, never a part."""
    new = tmp / secrets.token_hex(8)
    with writing(path.parent):
        try:
            new.write_bytes(content)
            new.rename(path)
        finally:
            new.unlink(missing_ok=True)


@contextmanager
def scratch(tmp: Path) -> Iterator[Path]:
    """Give a private folder, gone afterwards."""
    with writing(tmp):
        folder = tmp / secrets.token_hex(8)
        folder.mkdir(mode=0o700, parents=True)
    try:
        yield folder
    finally:
        remove_tree(folder)


def remove_tree(folder: Path) -> None:
    """Remove a folder and all in it, also where a program left directories that forbid it, or a thousand deep."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except (OSError, RecursionError):
        _dig(folder)


def _dig(folder: Path) -> None:
    """Remove a tree by pulling each directory up to the top before looking into it: no path grows, no mode forbids."""
    folder.chmod(0o700)
    waiting = [os.fspath(folder)]
    while waiting:
        one = waiting.pop()
        with os.scandir(one) as found:
            entries = list(found)
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)  # noqa: PTH108 - paths as texts: there may be 100,000
                continue
            up = f"{folder}/{secrets.token_hex(8)}"
            os.chmod(entry.path, 0o700)  # noqa: PTH101 - to move a directory one must be allowed to write its ".."
            os.rename(entry.path, up)  # noqa: PTH104
            waiting.append(up)
        if one != os.fspath(folder):
            os.rmdir(one)  # noqa: PTH106
    folder.rmdir()


def discard(folder: Path, tmp: Path) -> None:
    """Make a folder vanish at once, and remove it then: a kill in between leaves it in `tmp` only."""
    gone = tmp / secrets.token_hex(8)
    try:
        folder.rename(gone)
    except FileNotFoundError:
        return
    except PermissionError:  # to move a directory one must be allowed to write in it, for its ".."
        folder.chmod(0o700)
        folder.rename(gone)
    remove_tree(gone)
