"""`docker save`: images as one tar that is at once Docker's archive and an OCI image layout.

Docker 20.10 and podman read manifest.json, newer ones index.json; both name the same blobs. Source: moby v25
image/tarexport/save.go; OCI image-layout.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

from drydock.engine.errors import BadParameter
from drydock.engine.images.catalogue import Catalogue, NoSuchImage
from drydock.engine.images.names import parse, shown
from drydock.engine.images.record import Record
from drydock.engine.snapshots import tarwriter
from drydock.model.layer import Entry
from drydock.model.reference import Reference
from drydock.read.tarstream import CHUNK

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
INDEX = "application/vnd.oci.image.index.v1+json"


def save(images: Catalogue, names: Sequence[str]) -> Iterator[bytes]:
    """Return the archive of these images, piece by piece; raise NoSuchImage before the first piece."""
    return Departure(images, chosen(images, names)).pieces()


def chosen(images: Catalogue, names: Sequence[str]) -> dict[str, tuple[Record, list[str]]]:
    """Return the images of these names, each with its tags here: a name without a tag means all its tags."""
    found: dict[str, tuple[Record, list[str]]] = {}
    for name in names:
        for record, tag in _repository(images, name) or [_one(images, name)]:
            tags = found.setdefault(record.id, (record, []))[1]
            tags += [tag] if tag and tag not in tags else []
    return found


def _repository(images: Catalogue, name: str) -> list[tuple[Record, str]]:
    """Return all images of a repository with their tags, where the name is that of one."""
    try:
        reference = parse(name)
    except BadParameter:
        return []  # an ID is no name
    if reference.tag or reference.digest:
        return []
    every = ((record, tag) for record in images.all() for tag in images.tags(record.id))
    return [(record, tag) for record, tag in every if Reference.parse(tag).name == reference.name]


def _one(images: Catalogue, name: str) -> tuple[Record, str]:
    """Return one image, and the tag it was asked for by, if any."""
    try:
        record = images.get(name)
    except NoSuchImage:
        raise NoSuchImage(f"No such image: {name}") from None  # dockerd adds no tag here
    if record.id.removeprefix("sha256:").startswith(name.removeprefix("sha256:")) or "@" in name:
        return record, ""
    return record, shown(parse(name))


class Departure:
    """One archive on its way out."""

    def __init__(self, images: Catalogue, found: dict[str, tuple[Record, list[str]]]) -> None:
        self.images, self.found = images, found
        self.sent: set[str] = set()

    def pieces(self) -> Iterator[bytes]:
        """Return the whole tar: blobs, then the files that say what they are."""
        index: list[dict[str, Any]] = []
        rows: list[dict[str, Any]] = []
        for record, tags in self.found.values():
            for diff_id in record.layers:
                yield from self._blob(diff_id)
            yield from self._small(path(record.id), record.raw)
            manifest = self._manifest(record)
            digest = "sha256:" + hashlib.sha256(manifest).hexdigest()
            yield from self._small(path(digest), manifest)
            index += described(digest, len(manifest), tags)
            rows.append(self._row(record, tags))
        texts = {
            "index.json": {"schemaVersion": 2, "mediaType": INDEX, "manifests": index},
            "manifest.json": rows,
            "oci-layout": {"imageLayoutVersion": "1.0.0"},
            "repositories": repositories(rows),
        }
        for name, content in texts.items():
            yield from self._small(name, json.dumps(content, separators=(",", ":")).encode())
        yield tarwriter.END

    def _row(self, record: Record, tags: list[str]) -> dict[str, Any]:
        row: dict[str, Any] = {"Config": path(record.id), "RepoTags": tags or None}
        row["Layers"] = [path(diff_id) for diff_id in record.layers]
        if record.parent in self.found:
            row["Parent"] = record.parent
        return row

    def _manifest(self, record: Record) -> bytes:
        blobs = self.images.blobs
        layers = [{"mediaType": LAYER, "digest": one, "size": blobs.size(one)} for one in record.layers]
        config = {"mediaType": CONFIG, "digest": record.id, "size": len(record.raw)}
        whole = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
        return json.dumps(whole, separators=(",", ":")).encode()

    def _blob(self, digest: str) -> Iterator[bytes]:
        if digest in self.sent:
            return
        self.sent.add(digest)
        with self.images.blobs.open(digest) as file:
            size = self.images.blobs.size(digest)
            yield head(path(digest), size)
            while piece := file.read(CHUNK):
                yield piece
            yield tarwriter.padding(size)

    def _small(self, name: str, content: bytes) -> Iterator[bytes]:
        if name not in self.sent:
            self.sent.add(name)
            yield head(name, len(content)) + content + tarwriter.padding(len(content))


def head(name: str, size: int) -> bytes:
    """Return the header of one member; all have the same time, so that the same images give the same archive."""
    return tarwriter.header(tarwriter.Member(name, Entry(name, "file", mode=0o644), size))


def path(digest: str) -> str:
    """Return where a blob lies in the archive.

    >>> path("sha256:abc")
    'blobs/sha256/abc'
    """
    return "blobs/" + digest.replace(":", "/")


def described(digest: str, size: int, tags: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rows of index.json for one image: one for each name."""
    row = {"mediaType": MANIFEST, "digest": digest, "size": size}
    names = (Reference.parse(tag) for tag in tags)
    notes = [{"io.containerd.image.name": one.normal, "org.opencontainers.image.ref.name": one.tag} for one in names]
    return [row | {"annotations": note} for note in notes] or [row]


def repositories(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """Return the oldest of the three tables of contents: repository -> tag -> an ID."""
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        for tag in row["RepoTags"] or ():
            name, _, label = tag.rpartition(":")
            found.setdefault(name, {})[label] = row["Config"].rpartition("/")[2]
    return found
