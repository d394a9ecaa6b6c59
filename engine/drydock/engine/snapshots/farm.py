"""Rungs B and C: a whole tree for each snapshot, most of its files hard links to the layers' own.

A link costs a name, not a copy. But whoever writes into a linked file in place writes into the layer. Programs that
install software write beside and rename; where others write, below COPIED, every file is a copy. What still happens is
seen by `survey`: size, mode and both times of every inode are compared, the change time too, which no program can set.
Then the file is given a copy of its own, and the layer gets its content back from its tar.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from drydock.engine.snapshots.beneath import listable, parent
from drydock.engine.snapshots.describe import FLOORS
from drydock.engine.snapshots.journal import OWNER
from drydock.engine.snapshots.place import clear, lstat
from drydock.engine.snapshots.view import View
from drydock.model.layer import Entry

COPIED = ("etc", "var", "root", "home", "tmp", "run", "srv")  # where programs write into files instead of renaming


PLANTED = "user.drydock.planted"  # on each directory: one made anew may get the inode number of the one it replaces


class Print(NamedTuple):
    """What tells a file from one that was touched: no two states of a file have the same."""

    inode: int
    mtime: int  # nanoseconds
    ctime: int
    size: int
    mode: int
    links: int

    @classmethod
    def of(cls, info: os.stat_result) -> Print:
        """Return the print of a file."""
        return cls(info.st_ino, info.st_mtime_ns, info.st_ctime_ns, info.st_size, info.st_mode, info.st_nlink)

    def untouched(self, now: Print) -> bool:
        """Return whether nobody can have written to it; another name made or removed changes only the change time."""
        return self[:5] == now[:5]

    def alike(self, now: Print) -> bool:
        """Return whether only the change time differs: a look at the content must tell."""
        return (self.inode, self.mtime, self.size, self.mode) == (now.inode, now.mtime, now.size, now.mode)


class Farm:
    """Plants a merged tree from the layers' folders."""

    def __init__(self, view: View, roots: Sequence[Path], tree: Path) -> None:
        self.view, self.roots, self.tree = view, roots, tree
        self._copies: dict[tuple[int, str], str] = {}  # (layer, first name) -> where its copy is
        self._folders: dict[str, None] = {}
        self.made: set[str] = set()  # all that it made or gave its mode and times
        self.cleared: set[str] = set()  # directories that it removed

    def plant(self) -> None:
        """Make the whole tree."""
        self.tree.mkdir(mode=0o755)
        self._fill("")
        self._finish()

    def replant(self, paths: Iterable[str], fresh: Container[str] = ()) -> None:
        """Make each of these paths what the view has there; of the `fresh` directories nothing old may stay."""
        anew: list[str] = []
        for path in sorted(paths):
            if any(path.startswith(f"{folder}/") for folder in anew):
                continue
            folder, _, name = path.rpartition("/")
            try:
                with parent(self.tree, folder) as at:
                    if self._again(path, name, at, path in fresh):
                        anew.append(path)
            except (FileNotFoundError, NotADirectoryError):
                continue  # what it lay in is gone, and all in it
        self._finish()

    def _again(self, path: str, name: str, at: int, fresh: bool) -> bool:
        """Make one path anew; return whether it was a directory, now filled."""
        node, info = self.view.tree.nodes.get(path), lstat(name, at)
        wanted = path in self.view.tree
        folder = wanted and (node is None or node.entry.kind == "directory")
        self._folders[path.rpartition("/")[0]] = None
        if folder and not fresh and info and stat.S_ISDIR(info.st_mode):
            self._folders[path] = None
            return False
        if info:
            clear(name, at, info)
            self.cleared |= {path} if stat.S_ISDIR(info.st_mode) else set()
        if wanted and self.one(path):
            self._fill(path)
        return folder

    def _fill(self, top: str) -> None:
        waiting = [top]
        while waiting:
            folder = waiting.pop()
            self._folders[folder] = None
            waiting += [path for path in self.view.tree.children(folder) if self.one(path)]

    def _finish(self) -> None:
        """Give directories their modes and times, now that nothing more is put into them."""
        for path in sorted(self._folders, reverse=True):
            entry = self.view.lookup(path, follow=False)
            if entry and entry.kind == "directory":
                self._dress(entry)
        self.made |= self._folders.keys()

    def one(self, path: str) -> bool:
        """Make one path; return whether it is a directory, to be filled."""
        node = self.view.tree.nodes.get(path)
        target = f"{self.tree}/{path}"
        self.made.add(path)
        if node is None or node.entry.kind == "directory":
            os.mkdir(target, 0o700)  # noqa: PTH102 - paths as texts: thousands of them
            return True
        if "device" in node.entry.kind:
            return False  # an ordinary user has none; the entries know it
        source = f"{self.roots[node.layer]}/{path}"
        if node.entry.kind in ("file", "hardlink") and path.partition("/")[0] in COPIED:
            self._copy(path, source, target)
        else:
            os.link(source, target, follow_symlinks=False)
        return False

    def _copy(self, path: str, source: str, target: str) -> None:
        node = self.view.tree.nodes[path]
        first = (node.layer, node.entry.link or path)
        if first in self._copies:
            os.link(self._copies[first], target, follow_symlinks=False)
            return
        shutil.copyfile(source, target, follow_symlinks=False)
        shutil.copystat(source, target, follow_symlinks=False)
        self._copies[first] = target

    def _dress(self, entry: Entry) -> None:
        target = f"{self.tree}/{entry.path}"
        os.chmod(target, entry.mode | FLOORS["directory"])  # noqa: PTH101 - paths as texts
        with suppress(OSError):
            os.setxattr(target, PLANTED, b"")
        with suppress(OSError):
            os.removexattr(target, OWNER)
        os.utime(target, (entry.mtime, entry.mtime))


def mark(tree: Path, folders: Iterable[str]) -> None:
    """Mark directories as planted: they are what they should be."""
    for folder in folders:
        with suppress(OSError), parent(tree, folder) as at:
            os.setxattr(f"/proc/self/fd/{at}", PLANTED, b"")


class Seen(NamedTuple):
    """One name in a tree."""

    path: str
    stat: os.stat_result
    at: int  # the directory it is in, open until the next is asked for

    @property
    def itself(self) -> str:
        """Return a path to it that nobody can lead elsewhere."""
        return f"/proc/self/fd/{self.at}/{self.path.rpartition('/')[2]}"


def survey(tree: Path) -> Iterator[Seen]:
    """Go through a tree: every path with what it is; directories before what is in them."""
    waiting = [("", ["."])]  # a directory, and those in it: the way to it is gone once for all of them
    while waiting:
        above, names = waiting.pop()
        with parent(tree, above) as to:
            for name in names:
                folder = above if name == "." else f"{above}/{name}".lstrip("/")
                with listable(to, name) as at, os.scandir(at) as found:
                    inside = []
                    for item in found:
                        info = item.stat(follow_symlinks=False)
                        yield Seen(f"{folder}/{item.name}" if folder else item.name, info, at)
                        if stat.S_ISDIR(info.st_mode):
                            inside.append(item.name)
                if inside:
                    waiting.append((folder, inside))
