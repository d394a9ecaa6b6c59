"""The catalogue: which images there are, what they are called, and which was made from which.

    engine/images/HEX.json   of each image: its parent, whether it was built here, the sizes of its layers
    engine/tags.json         what they are called (names.py)
    blobs/.../HEX            its config: the hash of these bytes is the image's ID

Source: moby v20.10 daemon/images/image.go, image/store.go.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import RLock

from drydock.blobs import Blobs
from drydock.blobs.store import hex_of
from drydock.engine.errors import BadParameter, NotFound
from drydock.engine.images import removal
from drydock.engine.images.names import Names, parse, shown
from drydock.engine.images.record import Record, stored
from drydock.engine.snapshots import Layers
from drydock.engine.snapshots.disk import write_beside, writing
from drydock.model.reference import Reference

Emit = Callable[[str, str, str, Mapping[str, str]], None]
HEX = re.compile(r"(?:sha256:)?([0-9a-f]{1,64})", re.ASCII)


class NoSuchImage(NotFound):
    """No image has this name or ID."""


def nothing(kind: str, action: str, thing: str, attributes: Mapping[str, str]) -> None:
    """Tell nobody."""


class Catalogue:
    """All images of one home."""

    def __init__(self, home: Path, blobs: Blobs, layers: Layers, emit: Emit = nothing) -> None:
        self.blobs, self.layers, self.emit = blobs, layers, emit
        self.folder = home / "engine" / "images"
        with writing(home):
            self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = RLock()
        self._records: dict[str, Record] = {}
        self._names = Names(home / "engine" / "tags.json", layers.scratch)
        self._kids: dict[str, list[str]] = {}
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
            if image_id := self._names.image(reference.normal):
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
        with self.fresh():
            return [name for name in self._names.of(image_id) if "@" not in name]

    def digests(self, image_id: str) -> list[str]:
        """Return an image's names with digests, under which a registry knows it."""
        with self.fresh():
            return [name for name in self._names.of(image_id) if "@" in name]

    def intermediate(self, record: Record) -> bool:
        """Return whether it is only a step: others were made from it, and it has no name."""
        with self.fresh():
            return bool(self._kids.get(record.id)) and not self._names.of(record.id)

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
            self._names.give(full, record.id)
        self.emit("image", "tag", record.id, self.attributes(record, Reference.parse(full).familiar))

    def name(self, image_id: str, reference: Reference) -> None:
        """Give an image that was pulled its name, unheard: what is told is the pull."""
        with self._changing():
            self._names.give(reference.normal, self.get(image_id).id)

    def named(self, repository: str) -> dict[str, str]:
        """Return the names of one repository with the images they stand for, sorted."""
        with self.fresh():
            return self._names.within(repository)

    def note_digest(self, image_id: str, name: str, digest: str) -> None:
        """Remember under which digest a registry has the image."""
        full = replace(parse(name), tag="", digest=digest).normal
        with self._changing():
            self._names.give(full, self.get(image_id).id)

    def untag(self, name: str) -> str:
        """Take a name away, and return it as short as it can be."""
        reference = parse(name)
        with self._changing():
            image_id = self._names.image(reference.normal)
            if image_id is None:
                raise NoSuchImage(f"No such image: {shown(reference)}")
            self._names.take(reference.normal)
            record = self._records[image_id]
        self.emit("image", "untag", image_id, self.attributes(record, image_id))
        return shown(reference)

    def forget(self, image_id: str) -> Record:
        """Remove an image from the catalogue, and its layers where nobody else needs them; ask `removal` first."""
        with self._changing():
            record = self._records[image_id]
            self._names.keep(self._records.keys() - {image_id})
            (self.folder / f"{hex_of(image_id)}.json").unlink(missing_ok=True)
            del self._records[image_id]
            self._index()
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
            self._names.keep(self._records)
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
                self._seen = self._stamp()

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
        return self.folder.stat().st_mtime_ns, self._names.stamp()

    def _read(self) -> None:
        self._seen = self._stamp()
        names = {path.stem for path in self.folder.glob("*.json")}
        for gone in self._records.keys() - {f"sha256:{name}" for name in names}:
            del self._records[gone]
        for name in names:
            if record := self._load(name):
                self._records[record.id] = record
        self._names.read(self._records)
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

    def _index(self) -> None:
        self._kids = {}
        for record in self._records.values():
            self._kids.setdefault(record.parent, []).append(record.id)

    def _by_prefix(self, prefix: str) -> Record | None:
        found = [one for one in self._records if one.startswith(f"sha256:{prefix}")]
        return self._records[found[0]] if len(found) == 1 else None
