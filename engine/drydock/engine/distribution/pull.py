"""`docker pull`: an image from a registry, layer by layer, in dockerd's words.

Nothing has a name before every byte of it was found to be what its digest says; what came before a cut is kept.
Source: moby v20.10 distribution/pull_v2.go, distribution/xfer/download.go.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

from drydock.engine.distribution.relay import Relay, status
from drydock.engine.errors import EngineError
from drydock.engine.images import Catalogue
from drydock.engine.snapshots import Packed
from drydock.model.reference import Reference
from drydock.registry.download import Download
from drydock.registry.errors import Cut
from drydock.registry.http import CANCELLED
from drydock.registry.manifest import DIGEST, DOCKER_LAYER, OCI_LAYER, Descriptor, Manifest, normal, runs
from drydock.registry.repository import Repository

AT_ONCE = 3  # downloads, as dockerd has it
MISMATCH = (
    "layers from manifest don't match image configuration. The image was damaged before it came to the registry. "
    "Try: build and push it again, or pull another tag"
)
BAD_ROOTFS = "invalid rootfs in image configuration"
BAD_SYSTEM = "image operating system {system!r} cannot be used on this platform"


class Pull:
    """One image that comes; `locks` let two pulls of one layer fetch it once."""

    def __init__(
        self, images: Catalogue, folder: Path, repository: Repository, relay: Relay, locks: dict[str, Lock]
    ) -> None:
        self.images, self.folder, self.repository, self.relay, self.locks = images, folder, repository, relay, locks

    def run(self, reference: Reference, platform: str = "") -> bool:
        """Pull one tag or digest; return whether that changed what the name stands for."""
        tag = reference.digest or reference.tag
        name = f"{self.repository.domain}/{self.repository.path}"
        known = self._known(reference, platform)
        if known:
            document_digest, image_id = known
            self._begin(reference)
        else:
            document = self.repository.manifest(tag)
            manifest = self.repository.resolved(document, platform, tag)
            self._begin(reference)
            image_id = self._fetch(manifest)
            document_digest = document.digest
        self.relay.say(status(f"Digest: {document_digest}"))
        before = self._has(reference)
        self.images.note_digest(image_id, name, document_digest)
        if not reference.digest:
            self.images.name(image_id, reference)
        return before != image_id

    def _begin(self, reference: Reference) -> None:
        told = f"{reference.name}@{reference.digest}" if reference.digest else reference.tag
        self.relay.say({"status": f"Pulling from {self.repository.path}", "id": told})

    def _known(self, reference: Reference, platform: str) -> tuple[str, str] | None:
        """Return digest and image where the registry's tag still means what was pulled before: no manifest is fetched.

        Asking by HEAD does not count at Docker Hub, whose anonymous users may fetch a hundred manifests in six hours.
        """
        digest = reference.digest or self.repository.digest(reference.tag)
        found = self._has(replace(reference, tag="", digest=digest)) if digest else ""
        if not found or platform:
            return None
        config = self.images.get(found).config
        here = f"{config.get('os')}/{config.get('architecture')}"
        return (digest, found) if normal(here) in [normal(one) for one in runs(normal(""))] else None

    def _has(self, reference: Reference) -> str:
        return self.images.named(reference.name).get(reference.normal, "")

    def _fetch(self, manifest: Manifest) -> str:
        """Bring config and layers, and return the image's ID."""
        image_id = manifest.config.digest
        if self.images.has(image_id):
            return image_id
        raw = self.repository.read(image_id)
        diff_ids = checked(raw, len(manifest.layers))
        added: list[str] = []
        try:
            with self.images.layers.pinned():
                self._layers(manifest.layers, diff_ids, added)
                self.images.add(raw)
        except BaseException:
            self.images.layers.collect(added)  # what came stays in `folder`: a repeat unpacks it again
            raise
        return image_id

    def _layers(self, blobs: tuple[Descriptor, ...], diff_ids: list[str], added: list[str]) -> None:
        """Download several layers at once, unpack them one after the other, base first."""
        layers = self.images.layers
        wanted: dict[str, tuple[Descriptor, str]] = {}
        for blob, diff_id in zip(blobs, diff_ids, strict=True):
            if layers.has(diff_id):
                self.relay.say(status("Already exists", blob.short))
            elif blob.digest not in wanted:
                wanted[blob.digest] = blob, diff_id
                self.relay.say(status("Pulling fs layer", blob.short))
        with self._pool() as pool:
            coming = [(pool.submit(self._download, *one), *one) for one in wanted.values()]
            for _, blob, _ in coming[AT_ONCE:]:
                self.relay.say(status("Waiting", blob.short))
            for future, blob, diff_id in coming:
                self._unpack(future, blob, diff_id, added)
        for blob, diff_id in wanted.values():
            self._keep(blob, diff_id)

    @contextmanager
    def _pool(self) -> Iterator[ThreadPoolExecutor]:
        """Give threads that end early where one of them fails."""
        pool = ThreadPoolExecutor(AT_ONCE)
        try:
            yield pool
        except BaseException:
            self.repository.close()
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def _download(self, blob: Descriptor, diff_id: str) -> None:
        say, short = self.relay.say, blob.short
        with self._alone(blob.digest):
            if not self.images.layers.has(diff_id):
                Download(self.repository, blob, self.folder).run(
                    self.relay.bar("Downloading", short, blob.size),
                    self.relay.waits(short),
                    lambda: say(status("Verifying Checksum", short)),
                )
        say(status("Download complete", short))

    @contextmanager
    def _alone(self, digest: str) -> Iterator[None]:
        """Be the only pull that fetches a blob."""
        lock = self.locks.setdefault(digest, Lock())
        while not lock.acquire(timeout=0.2):
            if self.repository.http.closed:
                raise Cut(CANCELLED)
        try:
            yield
        finally:
            lock.release()

    def _unpack(self, future: Future[None], blob: Descriptor, diff_id: str, added: list[str]) -> None:
        future.result()
        layers = self.images.layers
        if not layers.has(diff_id):
            with self._opened(blob.digest) as file:
                reader = Reader(file, self.relay.bar("Extracting", blob.short, blob.size), self.repository)
                found = layers.add(reader, f"the layer {blob.short}", on_disk=True).diff_id
            added.append(found)
            if found != diff_id:
                raise EngineError(MISMATCH)
        self.relay.say(status("Pull complete", blob.short))

    def _opened(self, digest: str) -> BinaryIO:
        try:
            return (self.folder / digest.removeprefix("sha256:")).open("rb")
        except FileNotFoundError:  # another pull of the same layer was faster
            return self.images.blobs.open(digest)

    def _keep(self, blob: Descriptor, diff_id: str) -> None:
        """Keep the layer's blob as it came, to be pushed as the very same."""
        name = f"{self.repository.domain}/{self.repository.path}"
        path = self.folder / blob.digest.removeprefix("sha256:")
        with self._alone(blob.digest):
            if path.exists() and (kind := kind_of(path)):
                self.images.layers.note_packed(diff_id, Packed(blob.digest, blob.size, kind).at(name))
                self.images.blobs.adopt(path, blob.digest)
            path.unlink(missing_ok=True)


class Reader:
    """A verified blob, read with an eye on how far it is and on whether anybody wants it still."""

    def __init__(self, file: BinaryIO, tell: Callable[[int], None], repository: Repository) -> None:
        self.file, self.tell, self.repository, self.done = file, tell, repository, 0

    def read(self, count: int) -> bytes:
        """Return the next bytes. Raises: Cut where the pull was cancelled."""
        if self.repository.http.closed:
            raise Cut(CANCELLED)
        piece = self.file.read(count)
        self.done += len(piece)
        if piece:
            self.tell(self.done)
        return piece


def checked(raw: bytes, layers: int) -> list[str]:
    """Return the diff IDs of a config. Raises: EngineError where it cannot be that of an image with these layers."""
    try:
        config: Any = json.loads(raw)
    except (ValueError, RecursionError):
        config = None
    rootfs = config.get("rootfs") if isinstance(config, dict) else None
    diff_ids = rootfs.get("diff_ids") or [] if isinstance(rootfs, dict) else None
    if not isinstance(diff_ids, list) or not all(DIGEST.fullmatch(str(one)) for one in diff_ids):
        raise EngineError(BAD_ROOTFS)
    if (config.get("os") or "linux") != "linux":
        raise EngineError(BAD_SYSTEM.format(system=str(config["os"])[:40]))
    if len(diff_ids) != layers:
        raise EngineError(MISMATCH)
    return diff_ids


def kind_of(path: Path) -> str:
    """Return the media type of a layer by its first bytes, "" where no registry's clients all take it."""
    with path.open("rb") as file:
        first = file.read(4)
    if first[:2] == b"\x1f\x8b":
        return DOCKER_LAYER
    if first[:3] in (b"BZh", b"\xfd7z"):
        return ""
    return f"{OCI_LAYER}+zstd" if first == b"\x28\xb5\x2f\xfd" else OCI_LAYER
