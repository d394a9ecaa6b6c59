"""`docker load`: images from an archive that comes once, whatever tool made it.

Layers are taken in as they pass, since the manifest that says what they are may come last. Nothing has a name before
every part of every image was found to be what its digest says. Source: moby v20.10 image/tarexport/load.go; OCI
image-layout.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from drydock.engine.images.catalogue import Catalogue
from drydock.engine.images.progress import bar
from drydock.engine.images.record import Record
from drydock.engine.snapshots.layers import Readable
from drydock.model.reference import InvalidReference, Reference
from drydock.read.assemble import BLOB, here
from drydock.read.layer import is_layer, opened
from drydock.read.shelf import ALL_JSON, LARGEST_JSON, follow, linked
from drydock.read.tarstream import CHUNK, BadArchive, Content, Stream, clean, members

WHERE = "the archive"
BUNDLE = "drydock-bundle.json"


def load(images: Catalogue, stream: Readable, trusted: bool = False) -> Iterator[dict[str, Any]]:
    """Take in all images of an archive; return the messages that a client shows meanwhile.

    `trusted` is for a bundle that the user vouches for: its images then count as built here.
    """
    with images.layers.pinned():
        arrival = Arrival(images)
        yield from arrival.read(stream)
        yield from arrival.name(trusted)


class Arrival:
    """One archive on its way in."""

    def __init__(self, images: Catalogue) -> None:
        self.images = images
        self.texts: dict[str, bytes] = {}
        self.layers: dict[str, str] = {}  # member -> diff ID
        self.links: dict[str, str] = {}

    def read(self, stream: Readable) -> Iterator[dict[str, Any]]:
        """Read to the end: layers into the store, JSON into memory."""
        plain, _ = opened(stream.read, WHERE)
        kept = 0
        for header, content in members(Stream(plain, WHERE)):
            name = clean(header.name, WHERE)
            if target := linked(name, header.kind, header.link):
                self.links[name] = target
            if header.kind != "file":
                continue
            first = content.read(CHUNK)
            if is_layer(first) or name.endswith("/layer.tar"):
                yield from self._layer(name, first, content, header.size)
            elif header.size <= LARGEST_JSON and kept < ALL_JSON:
                self.texts[name] = first + b"".join(content.all())
                kept += header.size

    def _layer(self, name: str, first: bytes, content: Content, size: int) -> Iterator[dict[str, Any]]:
        layers = self.images.layers
        known = BLOB.search(name)
        if known and layers.has(f"sha256:{known[1]}"):
            self.layers[name] = f"sha256:{known[1]}"
            return
        passing = Passing(first, content)
        before = set(layers.all())
        layer = layers.add(passing, WHERE, seldom_new=True)
        passing.drain()
        if known and passing.digest() != f"sha256:{known[1]}":
            raise damaged(name)
        self.layers[name] = layer.diff_id
        if layer.diff_id not in before:
            yield bar("Loading layer", layer.diff_id.removeprefix("sha256:")[:12], size, size)

    def name(self, trusted: bool) -> Iterator[dict[str, Any]]:
        """Give the images their names, now that all parts are here."""
        found = [self._image(one) for one in self._manifests()]
        bundle = keyed(self._json(BUNDLE)) if trusted and BUNDLE in self.texts else {}
        built = {str(one) for one in listed(bundle.get("built"))}
        added: dict[str, Record] = {}
        for raw, tags, parent in found:
            image_id = "sha256:" + hashlib.sha256(raw).hexdigest()
            known = added.get(parent) or (self.images.get(parent) if parent and self.images.has(parent) else None)
            parent = parent if known and follows(known.config, json.loads(raw)) else ""
            for tag in tags:
                yield from self._moved(tag, image_id)
            added[image_id] = self.images.add(raw, parent, image_id in built, tags)
            for tag in tags:
                yield {"stream": f"Loaded image: {tag}\n"}
            if not tags:
                yield {"stream": f"Loaded image ID: {image_id}\n"}

    def _moved(self, tag: str, image_id: str) -> Iterator[dict[str, Any]]:
        """Say it when a name leaves another image."""
        if self.images.has(tag) and (old := self.images.get(tag)).id != image_id:
            words = f"The image {tag} already exists, renaming the old one with ID {old.id} to empty string\n"
            yield {"stream": words}

    def _manifests(self) -> list[dict[str, Any]]:
        """Return what the archive says of its images, whichever way it says it: config, layers, names, parent."""
        if "manifest.json" in self.texts:
            return [keyed(row) for row in listed(self._json("manifest.json"))]
        if "index.json" in self.texts:
            return list(self._oci(keyed(self._json("index.json")), ""))
        raise BadArchive(
            f"{WHERE} is no image: it has neither manifest.json nor index.json. An archive of `docker export` has no "
            "layers: take it in with `docker import`."
        )

    def _oci(self, index: dict[str, Any], name: str, depth: int = 0) -> Iterator[dict[str, Any]]:
        for one in map(keyed, listed(index.get("manifests"))):
            notes, about = keyed(one.get("annotations")), keyed(one.get("platform"))
            where = f"{about.get('os')}/{about.get('architecture')}" if about else here()
            blob = blob_name(one)
            if where != here() or "vnd.docker.reference.type" in notes or blob not in self.texts or depth > 4:
                continue
            self._check(blob, self.texts[blob])
            own = str(notes.get("io.containerd.image.name") or name)
            body = keyed(self._json(blob))
            if "manifests" in body:
                yield from self._oci(body, own, depth + 1)
            else:
                layers = [blob_name(layer) for layer in listed(body.get("layers"))]
                yield {
                    "Config": blob_name(body.get("config")),
                    "Layers": layers,
                    "RepoTags": [own] if own else [],
                }

    def _image(self, row: dict[str, Any]) -> tuple[bytes, list[str], str]:
        """Return one image's config, names and parent, all its parts checked."""
        config = self._follow(str(row.get("Config") or ""))
        if config not in self.texts:
            raise BadArchive(f"{WHERE} lacks {config!r}, which its manifest names. It is incomplete: make it again.")
        raw = self.texts[config]
        self._check(config, raw)
        diff_ids = listed(keyed(keyed(self._json(config)).get("rootfs")).get("diff_ids"))
        have = [self.layers.get(self._follow(str(name)), "") for name in listed(row.get("Layers"))]
        if have != diff_ids:
            wrong = next((n for n, pair in enumerate(zip(have, diff_ids, strict=False)) if pair[0] != pair[1]), 0)
            raise BadArchive(
                f"{WHERE}: layer {wrong} of {config[:20]!r} is missing, or is not what the image's config names. "
                "The archive was changed or is incomplete: make it again."
            )
        return raw, [familiar(str(tag)) for tag in listed(row.get("RepoTags"))], str(row.get("Parent") or "")

    def _follow(self, name: str) -> str:
        return follow(clean(name, WHERE), self.links, WHERE)

    def _check(self, name: str, raw: bytes) -> None:
        known = BLOB.search(name)
        if known and hashlib.sha256(raw).hexdigest() != known[1]:
            raise damaged(name)

    def _json(self, name: str) -> object:
        try:
            value: object = json.loads(self.texts[name])
        except (ValueError, RecursionError):
            raise BadArchive(f"{WHERE}: {name!r} is no JSON. It is damaged: make it again.") from None
        return value


class Passing:
    """A member's bytes, hashed while they pass."""

    def __init__(self, first: bytes, content: Content) -> None:
        self._first, self._content, self._sha = first, content, hashlib.sha256()

    def read(self, count: int) -> bytes:
        """Return the next bytes."""
        piece, self._first = self._first or self._content.read(count), b""
        self._sha.update(piece)
        return piece

    def drain(self) -> None:
        """Read what an unpacker left: a hash is of the whole."""
        while self.read(CHUNK):
            pass

    def digest(self) -> str:
        """Return the digest of what passed."""
        return "sha256:" + self._sha.hexdigest()


def blob_name(descriptor: object) -> str:
    """Return the member that holds what a descriptor describes.

    >>> blob_name({"digest": "sha256:ab"})
    'blobs/sha256/ab'
    """
    return "blobs/" + str(keyed(descriptor).get("digest") or "").replace(":", "/", 1)


def keyed(value: object) -> dict[str, Any]:
    """Return a JSON object; anything else counts as an empty one."""
    return value if isinstance(value, dict) else {}


def listed(value: object) -> list[Any]:
    """Return a JSON list; anything else counts as an empty one."""
    return value if isinstance(value, list) else []


def damaged(name: str) -> BadArchive:
    """Return the error for a member that is not what its name says."""
    return BadArchive(
        f"{WHERE}: the blob {name!r} is not what its name, a digest, says. It was damaged: make it again."
    )


def familiar(tag: str) -> str:
    """Return a name as short as it can be; refuse one that is none."""
    try:
        return Reference.parse(Reference.parse(tag).normal).familiar
    except InvalidReference as error:
        raise BadArchive(f"{WHERE} gives an image a bad name: {error}") from None


def follows(parent: dict[str, Any], child: dict[str, Any]) -> bool:
    """Return whether an image may come from another: one more line of history, the same before.

    >>> follows({"history": [{"created_by": "a"}]}, {"history": [{"created_by": "a"}, {"created_by": "b"}]})
    True
    """
    old, new = parent.get("history") or [], child.get("history") or []
    return (not old and not new) or (len(new) == len(old) + 1 and new[: len(old)] == old)
