"""`docker push`: an image to a registry; only what the registry lacks is sent, and the manifest goes last.

Source: moby v20.10 distribution/push.go, distribution/push_v2.go.
"""

from __future__ import annotations

import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from drydock.engine.distribution.relay import Relay, status
from drydock.engine.errors import EngineError
from drydock.engine.images import Catalogue, Record
from drydock.engine.snapshots import Packed
from drydock.model.reference import Reference
from drydock.read.tarstream import CHUNK
from drydock.registry.errors import Cut, RegistryError
from drydock.registry.http import CANCELLED
from drydock.registry.manifest import DOCKER_LAYER, Descriptor, written
from drydock.registry.repository import Repository
from drydock.registry.upload import Upload

AT_ONCE = 5  # uploads, as dockerd has it
MOUNTS = 4  # repositories that are tried before a layer is sent
LEVEL = 1  # of gzip: level 6 takes three times as long for a seventh less bytes


class Push:
    """Images of one repository that go."""

    def __init__(self, images: Catalogue, repository: Repository, relay: Relay) -> None:
        self.images, self.layers, self.repository, self.relay = images, images.layers, repository, relay
        self.name = f"{repository.domain}/{repository.path}"

    def run(self, reference: Reference) -> None:
        """Push a tag, or all tags of a repository where the name has none."""
        self.relay.say(status(f"The push refers to repository [{self.name}]"))
        named = self.images.named(self.name)
        familiar = Reference(reference.domain, reference.path).familiar
        if not named:
            raise EngineError(f"An image does not exist locally with the tag: {familiar}")
        if reference.digest:
            raise EngineError("cannot push a digest reference")
        tags = [Reference.parse(one) for one in named if "@" not in one]
        if reference.tag:
            tags = [one for one in tags if one.tag == reference.tag]
            if not tags:
                raise EngineError(f"tag does not exist: {reference.familiar}")
        if not tags:
            raise EngineError(f"no tags to push for {familiar}")
        for one in tags:
            self._tag(one, self.images.get(one.normal))

    def _tag(self, reference: Reference, record: Record) -> None:
        """Push one image, the top layer first."""
        for diff_id in reversed(record.layers):
            self.relay.say(status("Preparing", short(diff_id)))
        with self.layers.pinned():
            sent = self._layers(list(dict.fromkeys(reversed(record.layers))))
        config = Descriptor(record.id, len(record.raw))
        if self.repository.size_of(record.id) is None:
            Upload(self.repository, config, partial(self.images.blobs.open, record.id)).run()
        document = written(config, [sent[one] for one in record.layers])
        self.repository.put(reference.tag, document)
        self.relay.say(status(f"{reference.tag}: digest: {document.digest} size: {document.size}"))
        self.images.note_digest(record.id, self.name, document.digest)
        self.relay.say(
            {"progressDetail": {}, "aux": {"Tag": reference.tag, "Digest": document.digest, "Size": document.size}}
        )

    def _layers(self, diff_ids: list[str]) -> dict[str, Descriptor]:
        """Bring the layers to the registry, several at once; return what the manifest says of each."""
        pool = ThreadPoolExecutor(AT_ONCE)
        try:
            going = {diff_id: pool.submit(self._layer, diff_id) for diff_id in diff_ids}
            for diff_id in diff_ids[AT_ONCE:]:
                self.relay.say(status("Waiting", short(diff_id)))
            return {diff_id: future.result() for diff_id, future in going.items()}
        except BaseException:
            self.repository.close()
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def _layer(self, diff_id: str) -> Descriptor:
        """Bring one layer to the registry, by the cheapest way: it is there, it is elsewhere in it, it is sent."""
        known = self.layers.packed(diff_id)
        location = ""
        if known:
            if self._there(known.digest):
                return self._done(diff_id, known, "Layer already exists")
            source, location = self._mounted(known)
            if source:
                return self._done(diff_id, known, f"Mounted from {source}")
        if known is None or not self.images.blobs.has(known.digest):
            known = self._pack(diff_id)
            if self._there(known.digest):
                return self._done(diff_id, known, "Layer already exists")
        blob = Descriptor(known.digest, known.size, known.media_type)
        tell, waits = self.relay.bar("Pushing", short(diff_id), known.size), self.relay.waits(short(diff_id))
        Upload(self.repository, blob, partial(self.images.blobs.open, known.digest)).run(tell, waits, location)
        return self._done(diff_id, known, "Pushed")

    def _there(self, digest: str) -> bool:
        return self.repository.size_of(digest) is not None

    def _done(self, diff_id: str, packed: Packed, what: str) -> Descriptor:
        if self.name not in packed.seen[-1:]:
            self.layers.note_packed(diff_id, packed.at(self.name))
        self.relay.say(status(what, short(diff_id)))
        return Descriptor(packed.digest, packed.size, packed.media_type)

    def _mounted(self, packed: Packed) -> tuple[str, str]:
        """Ask the registry to take the layer from another of its repositories; return which one it was.

        Where none was, the second value is where an upload goes on that the registry has begun instead.
        """
        begin, location = f"{self.repository.domain}/", ""
        others = [one.removeprefix(begin) for one in packed.seen if one.startswith(begin) and one != self.name]
        for path in others[: -MOUNTS - 1 : -1]:
            try:
                location = self.repository.begin(packed.digest, path)
            except Cut:
                raise
            except RegistryError:
                continue  # not ours to read, or gone: it is sent then
            if not location:
                return path, ""
        return "", location

    def _pack(self, diff_id: str) -> Packed:
        """Compress a layer, once and for all: the same layer always gives the same blob."""
        size = self.images.blobs.size(diff_id)
        tell = self.relay.bar("Preparing", short(diff_id), size)
        with self.images.blobs.open(diff_id) as tar, self.images.blobs.writer() as out:
            done, gzip = 0, zlib.compressobj(LEVEL, zlib.DEFLATED, 31)
            while chunk := tar.read(CHUNK):
                if self.repository.http.closed:
                    raise Cut(CANCELLED)
                out.write(gzip.compress(chunk))
                done += len(chunk)
                tell(done)
            out.write(gzip.flush())
            packed = Packed(out.digest, out.size, DOCKER_LAYER)
            self.layers.note_packed(diff_id, packed)
            out.commit()
        return packed


def short(diff_id: str) -> str:
    """Return the 12 digits that progress lines show."""
    return diff_id.removeprefix("sha256:")[:12]
