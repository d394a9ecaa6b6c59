"""The catalogue: which images there are, what they are called, and which was made from which.

    engine/images/HEX.json   of each image: its parent, whether it was built here, the sizes of its layers
    engine/tags.json         full name -> image ID
    blobs/.../HEX            its config: the hash of these bytes is the image's ID

Source: moby v20.10 daemon/images/image.go (names), image/store.go, reference/store.go.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from threading import RLock
from typing import Any

from drydock.blobs import Blobs
from drydock.blobs.store import hex_of
from drydock.engine.errors import BadParameter, NotFound
from drydock.engine.images import removal
from drydock.engine.snapshots import Layers
from drydock.engine.snapshots.disk import write_beside, writing
from drydock.model.layer import Layer
from drydock.model.reference import InvalidReference, Reference

Emit = Callable[[str, str, str, Mapping[str, str]], None]
HEX = re.compile(r"(?:sha256:)?([0-9a-f]{1,64})", re.ASCII)


class NoSuchImage(NotFound):
    """No image has this name or ID."""


def nothing(kind: str, action: str, thing: str, attributes: Mapping[str, str]) -> None:
    """Tell nobody."""


def parse(name: str) -> Reference:
    """Read an image name; refuse a bad one in dockerd's words, which clients look for.

    >>> parse("Alpine")
    Traceback (most recent call last):
    drydock.engine.errors.BadParameter: invalid reference format: repository name must be lowercase
    """
    try:
        return Reference.parse(name)
    except InvalidReference:
        pass
    try:
        Reference.parse(name.lower())
    except InvalidReference:
        raise BadParameter("invalid reference format") from None
    raise BadParameter("invalid reference format: repository name must be lowercase")


@dataclass(frozen=True)
class Record:
    """One image as the catalogue has it."""

    id: str
    raw: bytes = field(repr=False)
    parent: str = ""
    built: bool = False  # made by this engine: only such an image is a cache hit (CVE-2024-24557)
    sizes: tuple[int, ...] = ()  # bytes of each layer
    tagged_at: float = field(default=0, compare=False)

    @cached_property
    def config(self) -> dict[str, Any]:
        """Return the whole configuration: rootfs, history, and `config`, how to run it."""
        whole: dict[str, Any] = json.loads(self.raw)
        return whole

    @property
    def layers(self) -> tuple[str, ...]:
        """Return the diff IDs, base first."""
        return tuple(self.config.get("rootfs", {}).get("diff_ids") or ())

    @property
    def chain(self) -> tuple[str, ...]:
        """Return the diff IDs, base first: what views and snapshots take."""
        return self.layers

    @property
    def size(self) -> int:
        """Return the bytes of all layers."""
        return sum(self.sizes)

    @property
    def created(self) -> str:
        """Return when it was made, as its config says it."""
        return str(self.config.get("created") or "")


class Catalogue:
    """All images of one home."""

    def __init__(self, home: Path, blobs: Blobs, layers: Layers, emit: Emit = nothing) -> None:
        self.blobs, self.layers, self.emit = blobs, layers, emit
        self.folder, self._tags_file = home / "engine" / "images", home / "engine" / "tags.json"
        with writing(home):
            self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = RLock()
        self._records: dict[str, Record] = {}
        self._tags: dict[str, str] = {}
        self._kids: dict[str, list[str]] = {}
        self._called: dict[str, list[str]] = {}  # image ID -> its names, as short as they can be
        self._seen: tuple[int, int] = (0, 0)
        self._asking = 0  # how deep in `fresh` the thread is that has the lock
        layers.holders.append(self.held)

    # finding

    def get(self, name: str) -> Record:
        """Return the image of a name, an ID or the beginning of one; raise NoSuchImage in dockerd's words."""
        with self.fresh():
            if match := HEX.fullmatch(name) if name.startswith("sha256:") or len(name) == 64 else None:
                if record := self._by_prefix(match[1]):
                    return record
                raise NoSuchImage(f"No such image: sha256:{match[1]}")
            reference = parse(name)
            reference = replace(reference, tag="") if reference.digest else reference  # the digest says it all
            if image_id := self._tags.get(reference.normal):
                return self._records[image_id]
            match = HEX.fullmatch(name)
            if match and (record := self._by_prefix(match[1])):
                return record
            raise NoSuchImage(f"No such image: {shown(reference)}")

    def has(self, name: str) -> bool:
        """Return whether there is such an image."""
        try:
            self.get(name)
        except (NotFound, BadParameter):
            return False
        return True

    def all(self) -> list[Record]:
        """Return all images, the newest first."""
        with self.fresh():
            return sorted(self._records.values(), key=lambda record: (record.created, record.id), reverse=True)

    def children(self, image_id: str) -> list[Record]:
        """Return the images made from this one; of "" those made from none."""
        with self.fresh():
            return [self._records[kid] for kid in self._kids.get(image_id, ())]

    def tags(self, image_id: str) -> list[str]:
        """Return an image's names with tags, as short as they can be, sorted."""
        return [name for name in self._names(image_id) if "@" not in name]

    def digests(self, image_id: str) -> list[str]:
        """Return an image's names with digests, under which a registry knows it."""
        return [name for name in self._names(image_id) if "@" in name]

    def intermediate(self, record: Record) -> bool:
        """Return whether it is only a step: others were made from it, and it has no name."""
        return bool(self.children(record.id)) and not self._names(record.id)

    def held(self) -> set[str]:
        """Return the layers that images need."""
        with self.fresh():
            return {diff_id for record in self._records.values() for diff_id in record.layers}

    # changing

    def add(self, config: bytes, parent: str = "", built: bool = False, tags: Sequence[str] = ()) -> Record:
        """Take in an image whose layers are here; one that is known gains names, parent and trust."""
        image_id = "sha256:" + hashlib.sha256(config).hexdigest()
        record = Record(image_id, config, parent, built)
        with self._changing():
            known = self._records.get(image_id)
            sizes = known.sizes if known else tuple(stored(self.layers.get(one)) for one in record.layers)
            if known:
                record = replace(record, parent=parent or known.parent, built=built or known.built)
            record = replace(record, sizes=sizes, tagged_at=known.tagged_at if known else 0)
            self.blobs.put(config)
            self._write(record)
        for name in tags:
            self.tag(image_id, name)
        return self._records[image_id]

    def tag(self, image_id: str, name: str) -> None:
        """Give an image a name; the image that had it before loses it."""
        reference = parse(name)
        if reference.digest and not reference.tag:
            raise BadParameter("refusing to create a tag with a digest reference")
        full = replace(reference, digest="").normal
        with self._changing():
            record = self.get(image_id)
            self._write(replace(record, tagged_at=time.time()))
            self._write_tags(self._tags | {full: record.id})
        self.emit("image", "tag", record.id, self.attributes(record, Reference.parse(full).familiar))

    def name(self, image_id: str, reference: Reference) -> None:
        """Give an image that was pulled its name, unheard: what is told is the pull."""
        with self._changing():
            self._write_tags(self._tags | {reference.normal: self.get(image_id).id})

    def named(self, repository: str) -> dict[str, str]:
        """Return the names of one repository with the images they stand for, sorted."""
        with self.fresh():
            ends = (f"{repository}:", f"{repository}@")
            return {name: one for name, one in sorted(self._tags.items()) if name.startswith(ends)}

    def note_digest(self, image_id: str, name: str, digest: str) -> None:
        """Remember under which digest a registry has the image."""
        full = replace(parse(name), tag="", digest=digest).normal
        with self._changing():
            self._write_tags(self._tags | {full: self.get(image_id).id})

    def untag(self, name: str) -> str:
        """Take a name away, and return it as short as it can be."""
        reference = parse(name)
        with self._changing():
            image_id = self._tags.get(reference.normal)
            if image_id is None:
                raise NoSuchImage(f"No such image: {shown(reference)}")
            self._write_tags({key: value for key, value in self._tags.items() if key != reference.normal})
            record = self._records[image_id]
        self.emit("image", "untag", image_id, self.attributes(record, image_id))
        return shown(reference)

    def forget(self, image_id: str) -> Record:
        """Remove an image from the catalogue, and its layers where nobody else needs them; ask `removal` first."""
        with self._changing():
            record = self._records[image_id]
            self._write_tags({key: value for key, value in self._tags.items() if value != image_id})
            (self.folder / f"{hex_of(image_id)}.json").unlink(missing_ok=True)
            del self._records[image_id]
            self._index()
            self._seen = self._stamp()
            self.blobs.remove(image_id)
            self.layers.collect(record.layers)
        self.emit("image", "delete", image_id, self.attributes(record, image_id))
        return record

    def remove(
        self, name: str, force: bool = False, noprune: bool = False, in_use: removal.Users = removal.nobody
    ) -> removal.Rows:
        """Remove an image, or one of its names, as `docker rmi` does; raise InUse where something needs it."""
        return removal.Removal(self, in_use).run(name, force, not noprune)

    def prune(
        self,
        dangling: bool = True,
        in_use: removal.Users = removal.nobody,
        wanted: Callable[[Record], bool] = lambda record: True,
    ) -> tuple[removal.Rows, int]:
        """Remove images that nobody needs, as `docker image prune` does; return what went, and its bytes."""
        return removal.prune(self, wanted, dangling, in_use)

    def recover(self) -> None:
        """Drop what a kill left half done: images without their parts, and layers that no image has."""
        with self._changing():
            for path in self.folder.glob("*.json"):
                image_id = f"sha256:{path.stem}"
                if image_id not in self._records or not all(map(self.layers.has, self._records[image_id].layers)):
                    path.unlink()
            self._read()
            self._write_tags({name: one for name, one in self._tags.items() if one in self._records})
            self.layers.collect(list(self.layers.all()))

    def attributes(self, record: Record, name: str) -> dict[str, str]:
        """Return what an event says of an image."""
        labels = (record.config.get("config") or {}).get("Labels") or {}
        return {**labels, "name": name}

    # on disk

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the catalogue, against other threads and other processes."""
        with self._lock, (self.folder / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            with self.fresh():
                yield

    @contextmanager
    def fresh(self) -> Iterator[None]:
        """Read again what another process may have changed; what is asked while this lasts needs no look of its own."""
        with self._lock:
            if not self._asking and self._seen != self._stamp():
                self._read()
            self._asking += 1
            try:
                yield
            finally:
                self._asking -= 1

    def _stamp(self) -> tuple[int, int]:
        tags = self._tags_file.stat().st_mtime_ns if self._tags_file.exists() else 0
        return self.folder.stat().st_mtime_ns, tags

    def _read(self) -> None:
        self._seen = self._stamp()
        names = {path.stem for path in self.folder.glob("*.json")}
        for gone in self._records.keys() - {f"sha256:{name}" for name in names}:
            del self._records[gone]
        for name in names:
            if record := self._load(name):
                self._records[record.id] = record
        saved = json.loads(self._tags_file.read_bytes()) if self._tags_file.exists() else {}
        self._name({name: one for name, one in saved.items() if one in self._records})
        self._index()

    def _load(self, name: str) -> Record | None:
        image_id = f"sha256:{name}"
        known = self._records.get(image_id)
        if not known and not self.blobs.has(image_id):
            return None
        said = json.loads((self.folder / f"{name}.json").read_bytes())
        raw = known.raw if known else self.blobs.read(image_id)
        return Record(image_id, raw, said["parent"], said["built"], tuple(said["sizes"]), said["tagged_at"])

    def _write(self, record: Record) -> None:
        said = {key: getattr(record, key) for key in ("parent", "built", "sizes", "tagged_at")}
        write_beside(self.folder / f"{hex_of(record.id)}.json", json.dumps(said).encode(), self.layers.scratch)
        self._records[record.id] = record
        self._index()
        self._seen = self._stamp()

    def _write_tags(self, tags: dict[str, str]) -> None:
        if tags != self._tags or not self._tags_file.exists():
            write_beside(self._tags_file, json.dumps(tags, indent=1).encode(), self.layers.scratch)
        self._name(tags)
        self._seen = self._stamp()

    def _name(self, tags: dict[str, str]) -> None:
        self._tags, self._called = tags, {}
        for name, image_id in tags.items():
            self._called.setdefault(image_id, []).append(short_name(name))
        for names in self._called.values():
            names.sort()

    def _index(self) -> None:
        self._kids = {}
        for record in self._records.values():
            self._kids.setdefault(record.parent, []).append(record.id)

    def _by_prefix(self, prefix: str) -> Record | None:
        found = [one for one in self._records if one.startswith(f"sha256:{prefix}")]
        return self._records[found[0]] if len(found) == 1 else None

    def _names(self, image_id: str) -> list[str]:
        with self.fresh():
            return list(self._called.get(image_id, ()))


def shown(reference: Reference) -> str:
    """Return a name as dockerd's messages have it: short, but with its tag.

    >>> shown(Reference.parse("docker.io/library/alpine"))
    'alpine:latest'
    """
    return Reference.parse(reference.normal).familiar


@lru_cache(4096)
def short_name(name: str) -> str:
    """Return a full name as short as it can be."""
    return Reference.parse(name).familiar


def stored(layer: Layer) -> int:
    """Return a layer's bytes as dockerd counts them: a symlink counts with the length of what it says."""
    links = (entry.link for entry in layer.entries if entry.kind == "symlink")
    return layer.size + sum(len(link.encode("utf-8", "surrogateescape")) for link in links)
