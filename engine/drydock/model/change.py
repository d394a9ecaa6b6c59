"""What a container wrote on top of its image: `docker diff`, with what each change cost.

Sources: moby api/swagger.yaml (GET /containers/{id}/changes: Kind 0 changed, 1 added, 2 deleted); Linux kernel,
filesystems/overlayfs.rst (a file below is copied up whole before it is written; a whiteout hides it).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from drydock.model import tree
from drydock.model.image import Image
from drydock.model.layer import counted, human, shown

KINDS = {0: "changed", 1: "added", 2: "removed"}
LETTERS = {"added": "A", "changed": "C", "removed": "D"}
LONGEST = 20  # changes that a picture lists


@dataclass(frozen=True)
class Change:
    """One line of `docker diff`, with its bytes: those in the container's layer, and those of the image beneath."""

    path: str  # from the root, without a leading slash
    kind: str  # added, changed, removed
    what: str = "file"  # file, directory, symlink, ...; of what is gone, what it was
    size: int = 0  # bytes that lie in the container's own layer because of it
    below: int = 0  # bytes that the image has at that path: what was copied up, or what is hidden
    layer: int | None = None  # the image's layer that holds them

    @property
    def copied(self) -> bool:
        """Return True where a file of the image had to be taken up whole into the container's layer.

        >>> Change("opt", "changed", "directory").copied, Change("opt/big", "changed", "file", 21, 20, 1).copied
        (False, True)
        """
        return self.kind == "changed" and self.what == "file" and self.layer is not None

    def why(self) -> str:
        """Return in one sentence what was done, and what it cost.

        >>> print(Change("opt/big", "changed", "file", 20_000_001, 20_000_000, 1).why())
        The whole file was copied up from layer 1: 20MB in the container's layer, for 1 byte more.
        >>> print(Change("etc/motd", "removed", "file", 0, 30, 0).why())
        Hidden by a whiteout. Its 30B stay in layer 0 of the image: nothing got smaller.
        """
        if self.kind == "removed":
            if self.layer is None and not self.below:  # what an engine adds to every container, such as /etc/mtab
                return "Hidden by a whiteout; the image has no bytes there."
            where = "the image" if self.layer is None else f"layer {self.layer} of the image"
            return f"Hidden by a whiteout. Its {human(self.below)} stay in {where}: nothing got smaller."
        if self.kind == "added" and self.what != "file":
            return f"A new {self.what}; that costs nothing by itself."
        if self.kind == "added":
            return f"New: {human(self.size)}, in the container's layer and nowhere else."
        if not self.copied:
            return f"A {self.what} in which something changed; that costs nothing by itself."
        return (
            f"The whole file was copied up from layer {self.layer}: {human(self.size)} in the container's layer, "
            f"for {_difference(self.size - self.below)}."
        )

    def picture(self) -> str:
        """Return the change as `docker diff` writes it, with its bytes and the reason for them.

        >>> print(Change("note", "added", "file", 3).picture())
        A      3B  /note  New: 3B, in the container's layer and nowhere else.
        """
        size = human(self.size) if self.what == "file" and self.kind != "removed" else "-"
        return f"{LETTERS[self.kind]} {size:>7}  /{shown(self.path)}  {self.why()}"


@dataclass(frozen=True)
class Writable:
    """A container as files: the layers of its image, which it only reads, and one thin layer of its own on top."""

    id: str
    name: str
    image: Image
    changes: tuple[Change, ...] = ()
    state: str = "running"  # created, running, paused, exited; removed: the layer is gone
    counted: int | None = None  # what the engine itself counts (`docker ps --size`), where it was asked
    engine: str = ""  # who said all this: "Docker 20.10.24"
    did: str = ""  # what was done just before
    unmeasured: int = 0  # changed files whose size was not asked for, there being too many

    @cached_property
    def size(self) -> int:
        """Return the bytes of the container's own layer: of every file in it, whole; what is hidden counts nothing."""
        if self.unmeasured and self.counted is not None:
            return self.counted
        return sum(change.size for change in self.changes)

    @property
    def there(self) -> bool:
        """Return False once the container was removed, and its layer with it."""
        return self.state != "removed"

    def removed(self) -> Writable:
        """Return the container as it is after `docker rm`: what it had written is gone."""
        return replace(self, state="removed", did=f"docker rm {self.name}")

    def sentence(self) -> str:
        """Return in one sentence what the container has of its own, and what it shares.

        >>> from drydock.model.image import ImageConfig
        >>> image = Image("", ("shop",), "linux/amd64", ImageConfig(), (), ())
        >>> print(Writable("1", "ada", image, (Change("note", "added", "file", 3),)).sentence())
        `ada` has 3B of its own on top of 0B that it only reads: 1 added.
        """
        own, name = human(self.size), shown(self.name)
        if not self.there:
            return f"`{name}` is removed: its {own} are gone. The image's {human(self.image.size)} are untouched."
        head = f"`{name}` has {own} of its own on top of {human(self.image.size)} that it only reads"
        kinds = [(sum(c.kind == "added" and c.what != "directory" for c in self.changes), "added")]
        kinds += [(sum(c.copied for c in self.changes), "copied up whole")]
        kinds += [(sum(c.kind == "removed" for c in self.changes), "hidden")]
        told = ", ".join(f"{count} {word}" for count, word in kinds if count)
        return f"{head}{': ' + told if told else ''}."

    def picture(self) -> str:
        """Draw the container's own layer, a line for each change.

        >>> from drydock.model.image import ImageConfig
        >>> image = Image("", ("shop",), "linux/amd64", ImageConfig(), (), ())
        >>> print(Writable("1", "ada", image, (Change("note", "added", "file", 3),)).picture())
        ada  running  on shop  1 change  3B of its own
        A      3B  /note  New: 3B, in the container's layer and nowhere else.
        """
        count = counted(len(self.changes), "change")
        names = ", ".join(map(shown, self.image.names)) or self.image.id[:19]
        rows = [f"{shown(self.name)}  {shown(self.state)}  on {names}  {count}  {human(self.size)} of its own"]
        rows += [change.picture() for change in self.changes[:LONGEST]]
        left = len(self.changes) - LONGEST
        return "\n".join([*rows, f"and {left} more"] if left > 0 else rows)


def joined(image: Image, rows: Iterable[Mapping[str, Any]], found: Mapping[str, tuple[str, int]]) -> tuple[Change, ...]:
    """Return the lines of `docker diff` joined with the image's files: what each change cost, and what it rests on.

    `found` has for each path what is there now (file, directory, ...) and its bytes. Sorted by path.

    >>> from drydock.model.image import ImageConfig
    >>> from drydock.model.layer import Entry, Layer
    >>> image = Image("", (), "", ImageConfig(), (), (Layer("", "", 9, (Entry("opt/big", "file", 9),)),))
    >>> rows = [{"Path": "/opt/big", "Kind": 0}, {"Path": "/note", "Kind": 1}]
    >>> for change in joined(image, rows, {"opt/big": ("file", 10), "note": ("file", 3)}):
    ...     print(change.picture())
    A      3B  /note  New: 3B, in the container's layer and nowhere else.
    C     10B  /opt/big  The whole file was copied up from layer 0: 10B in the container's layer, for 1 byte more.
    """
    merged = tree.tree_at(image)
    return tuple(sorted((_change(merged, row, found) for row in rows), key=lambda change: change.path))


def _change(merged: tree.Tree, row: Mapping[str, Any], found: Mapping[str, tuple[str, int]]) -> Change:
    path, kind = str(row.get("Path") or "").strip("/"), KINDS.get(row.get("Kind", 0), "changed")
    node = merged.nodes.get(path)
    was = node.entry.kind if node else "directory" if path in merged else "file"
    what, size = ("file" if was == "hardlink" else was, 0) if kind == "removed" else found.get(path, (was, 0))
    below = _bytes(merged, path) if kind == "removed" or (node and what == "file") else 0
    return Change(path, kind, what, size if what == "file" else 0, below, node.layer if node else None)


def _bytes(merged: tree.Tree, path: str) -> int:
    """Return what is at a path in bytes; a hard link has none of its own in the tar, but has the file's."""
    node = merged.nodes.get(path)
    if node and node.entry.kind == "hardlink" and node.entry.link in merged.nodes:
        return merged.nodes[node.entry.link].entry.size
    return merged.size(path)


def _difference(more: int) -> str:
    if not more:
        return "not one byte more"
    return f"{counted(abs(more), 'byte')} {'more' if more > 0 else 'fewer'}"
