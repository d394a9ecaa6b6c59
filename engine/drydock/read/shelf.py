"""Where an archive's blobs stand: opened when asked for (file, folder), or all read as they pass (stream)."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from drydock.model.layer import Layer
from drydock.read.layer import file_content, is_layer, read_layer
from drydock.read.tarstream import CHUNK, BadArchive, Stream, clean, members

Read = Callable[[int], bytes]
LARGEST_JSON = 8 << 20  # a manifest or a config; the largest seen in the wild has some 100 kB
ALL_JSON = 64 << 20


class Shelf(Protocol):
    """A place that gives an archive's members by name."""

    where: str

    def __contains__(self, name: str) -> bool: ...

    def small(self, name: str) -> bytes:
        """Return a small member, whole: JSON."""

    def layer(self, name: str) -> Layer:
        """Return a member as the layer it is."""

    def content(self, name: str, path: str) -> bytes:
        """Return the first bytes of a file in a layer."""


def missing(where: str, name: str) -> BadArchive:
    """Return the error for a member that is named but not there."""
    return BadArchive(f"{where} lacks {name!r}, which it names itself. It is incomplete: make it again.")


class OpenShelf:
    """Members that can be opened at any time."""

    def __init__(self, where: str, names: set[str], opener: Callable[[str], AbstractContextManager[Read]]) -> None:
        self.where, self.names, self.opener = where, names, opener

    def __contains__(self, name: str) -> bool:
        return name in self.names

    @contextmanager
    def _open(self, name: str) -> Iterator[Read]:
        if name not in self.names:
            raise missing(self.where, name)
        with self.opener(name) as read:
            yield read

    def small(self, name: str) -> bytes:
        """Return a small member, whole."""
        with self._open(name) as read:
            body = b""
            while len(body) <= LARGEST_JSON and (piece := read(CHUNK)):
                body += piece
        if len(body) > LARGEST_JSON:
            raise BadArchive(f"{self.where}: {name!r} should be a small file of JSON, but is not. Make it again.")
        return body

    def layer(self, name: str) -> Layer:
        """Return a member as the layer it is."""
        with self._open(name) as read:
            return read_layer(read, self.where)

    def content(self, name: str, path: str) -> bytes:
        """Return the first bytes of a file in a layer."""
        with self._open(name) as read:
            return file_content(read, path, self.where)


class PassingShelf:
    """Members of a tar that comes once: layers are read as they pass, JSON is kept, content is asked for again."""

    def __init__(self, where: str, opener: Callable[[], AbstractContextManager[Read]]) -> None:
        self.where, self.opener = where, opener
        self.texts: dict[str, bytes] = {}
        self.layers: dict[str, Layer | BadArchive] = {}
        self.links: dict[str, str] = {}
        with opener() as read:
            self._read(Stream(read, where))

    def _read(self, stream: Stream) -> None:
        kept = 0
        for header, content in members(stream):
            name = clean(header.name, self.where)
            if target := linked(name, header.kind, header.link):
                self.links[name] = target
            if header.kind != "file":
                continue
            first = content.read(CHUNK)
            if is_layer(first):
                self.layers[name] = self._layer(first, content)
            elif header.size <= LARGEST_JSON and kept < ALL_JSON:
                self.texts[name] = first + b"".join(content.all())
                kept += header.size

    def _layer(self, first: bytes, content: Stream) -> Layer | BadArchive:
        waiting = [first]
        try:
            return read_layer(lambda count: waiting.pop() if waiting else content.read(count), self.where)
        except BadArchive as error:
            return error  # it matters only if the image has this layer

    def _name(self, name: str) -> str:
        return follow(name, self.links, self.where)

    def __contains__(self, name: str) -> bool:
        name = self._name(name)
        return name in self.texts or name in self.layers

    def small(self, name: str) -> bytes:
        """Return a small member, whole."""
        name = self._name(name)
        if name not in self.texts:
            raise missing(self.where, name)
        return self.texts[name]

    def layer(self, name: str) -> Layer:
        """Return a member as the layer it is."""
        layer = self.layers.get(self._name(name))
        if layer is None:
            raise missing(self.where, name)
        if isinstance(layer, BadArchive):
            raise layer
        return layer

    def content(self, name: str, path: str) -> bytes:
        """Return the first bytes of a file in a layer, by asking for the whole stream once more."""
        name = self._name(name)
        with self.opener() as read:
            for header, content in members(Stream(read, self.where)):
                if header.kind == "file" and clean(header.name, self.where) == name:
                    return file_content(content.read, path, self.where)
        raise missing(self.where, name)


def linked(name: str, kind: str, link: str) -> str:
    """Return the member a link leads to: Docker 20.10 saves a layer it saved before as a symlink.

    >>> linked("b/layer.tar", "symlink", "../a/layer.tar")
    'a/layer.tar'
    """
    if kind == "symlink":
        return posixpath.normpath(posixpath.join(posixpath.dirname(name), link))
    return posixpath.normpath(link) if kind == "hardlink" else ""


def follow(name: str, links: dict[str, str], where: str) -> str:
    """Return where links lead in the end; refuse links that go round in a circle."""
    seen = {name}
    while name in links:
        name = links[name]
        if name in seen:
            raise BadArchive(f"{where} has links that go round in a circle at {name!r}. It is damaged: make it again.")
        seen.add(name)
    return name
