"""An image from a file: `docker save`, old and OCI style, or a tar of an OCI layout, packed or not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from drydock.model.image import Image
from drydock.read.assemble import assemble
from drydock.read.layer import MAGIC, opened
from drydock.read.shelf import OpenShelf, PassingShelf, Read, Shelf, follow, linked
from drydock.read.tarstream import Stream, clean, members, truncated


def archive(path: str | os.PathLike[str], name: str = "", platform: str = "") -> Image:
    """Return the image in an archive: the one of that name, or the first.

    Raises BadArchive where the archive is damaged or made to do harm.
    """
    path = Path(path)
    with path.open("rb") as file:
        first = file.read(4)
    packed = first[:2] == b"\x1f\x8b" or first == MAGIC
    shelf: Shelf = PassingShelf(str(path), lambda: _unpacked(path)) if packed else _shelf(path)
    return assemble(shelf, path.name, name, platform)


@contextmanager
def _unpacked(path: Path) -> Iterator[Read]:
    with path.open("rb") as file:
        yield opened(file.read, str(path))[0]


class _FileStream(Stream):
    """A file that skips by seeking: the layers' bytes are passed over while the members are listed."""

    def __init__(self, file: BinaryIO, where: str) -> None:
        super().__init__(file.read, where)
        self.file = file
        self.size = file.seek(0, os.SEEK_END)
        file.seek(0)

    @property
    def place(self) -> int:
        """Return how far the reader is."""
        return self.file.tell() - len(self._chunk) + self._at

    def skip(self, count: int) -> None:
        """Drop the next `count` bytes."""
        target = self.place + count
        if target > self.size:
            raise truncated(self.where)
        if self._at + count <= len(self._chunk):
            self._at += count
            return
        self.file.seek(target)
        self._chunk, self._at = memoryview(b""), 0


def _shelf(path: Path) -> OpenShelf:
    places: dict[str, tuple[int, int]] = {}
    links: dict[str, str] = {}
    where = str(path)
    with path.open("rb") as file:
        stream = _FileStream(file, where)
        for header, _ in members(stream):
            name = clean(header.name, where)
            if header.kind == "file":
                places[name] = (stream.place, header.size)
            elif target := linked(name, header.kind, header.link):
                links[name] = target

    @contextmanager
    def opener(name: str) -> Iterator[Read]:
        offset, size = places[follow(name, links, where)]
        with path.open("rb") as file:
            file.seek(offset)
            left = [size]

            def read(count: int) -> bytes:
                piece = file.read(min(count, left[0]))
                left[0] -= len(piece)
                return piece

            yield read

    names = set(places) | {name for name in links if follow(name, links, where) in places}
    return OpenShelf(where, names, opener)
