"""A view: the file system that a chain of layers makes, asked by path without a mount.

Links lead where they would lead a process whose root this is, never out. Source: path_resolution(7).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

from drydock.model.layer import Entry, Layer
from drydock.model.tree import Tree

LINKS = 40  # as many as Linux follows


@dataclass(frozen=True)
class Level:
    """One layer of a view, and how to open a file of it."""

    layer: Layer
    open: Callable[[str], BinaryIO]


class View:
    """A merged file system, for reading."""

    def __init__(self, levels: tuple[Level, ...], tree: Tree | None = None) -> None:
        self.levels = levels
        self.tree = Tree() if tree is None else tree
        if tree is None:
            for number, level in enumerate(levels):
                self.tree.apply(level.layer, number)

    def on_top(self, *levels: Level) -> View:
        """Return the view with more layers."""
        tree = self.tree.copy()
        for number, level in enumerate(levels, len(self.levels)):
            tree.apply(level.layer, number)
        return View((*self.levels, *levels), tree)

    def lookup(self, path: str, follow: bool = True) -> Entry | None:
        """Return what stands at a path, or None: links on the way are followed, one at the end if `follow`."""
        try:
            return self._at(self.resolve(path, follow))
        except OSError:  # links that go round in a circle lead to nothing
            return None

    def resolve(self, path: str, follow: bool = True) -> str:
        """Return the path without links; what does not exist is taken as written."""
        waiting = [part for part in reversed(path.split("/")) if part not in ("", ".")]
        done: list[str] = []
        links = 0
        while waiting:
            part = waiting.pop()
            if part == "..":
                del done[-1:]
                continue
            node = self.tree.nodes.get("/".join((*done, part)))
            if node is None or node.entry.kind != "symlink" or not (waiting or follow):
                done.append(part)
                continue
            links += 1
            if links > LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            if node.entry.link.startswith("/"):
                done.clear()
            waiting += [one for one in reversed(node.entry.link.split("/")) if one not in ("", ".")]
        return "/".join(done)

    def children(self, path: str) -> tuple[str, ...]:
        """Return the names in a directory, sorted."""
        return tuple(kid.rpartition("/")[2] for kid in self.tree.children(self.resolve(path)))

    def open(self, path: str) -> BinaryIO:
        """Open the content of a file."""
        resolved = self.resolve(path)
        entry = self._at(resolved)
        if entry is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        if entry.kind == "directory":
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if entry.kind != "file":
            raise OSError(errno.EINVAL, f"is a {entry.kind}, not a file", path)
        return self.levels[self.tree.nodes[resolved].layer].open(resolved)

    def read(self, path: str) -> bytes:
        """Return the content of a file, whole."""
        with self.open(path) as file:
            return file.read()

    def walk(self, path: str = "") -> Iterator[Entry]:
        """Go through a path and all below it, name by name; links are shown, not followed."""
        waiting = [self.resolve(path, follow=False)]
        while waiting:
            one = waiting.pop()
            entry = self._at(one)
            if entry is None:
                continue
            yield entry
            waiting += sorted(self.tree.children(one), key=os.fsencode, reverse=True)

    def _at(self, path: str) -> Entry | None:
        """Return what stands at a path without links; of a file with several names, the file."""
        node = self.tree.nodes.get(path)
        if node is None:  # a directory that layers only write into, and the root, have no entry of their own
            return Entry(path, "directory", mode=0o755) if not path or path in self.tree else None
        entry, seen = node.entry, {path}
        while entry.kind == "hardlink" and entry.link not in seen:
            seen.add(entry.link)
            first = self.levels[node.layer].layer.by_path.get(entry.link)
            if first is None:
                return None
            entry = first
        return entry if entry is node.entry else replace(entry, path=path)
