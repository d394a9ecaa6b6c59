"""All repositories of a registry and their blobs: what is served was verified, and is verified again where in doubt."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from drydock.blobs import BadDigest, Blobs, NoSuchBlob
from drydock.blobs.store import hex_of
from drydock.registry.server import links, names
from drydock.registry.server.manifest import Manifest, parse
from drydock.registry.server.refusals import Refusal
from drydock.registry.server.repository import Repository
from drydock.registry.server.upload import Upload, Uploads

NO_BLOB = "this repository has no such blob"
SWEEP = 3600  # s between two looks for uploads that nobody continues
NO_MANIFEST = "manifest unknown"  # docker-py tells by these words what is missing


class Store:
    """The registry of one home. Several processes may read it, one serves it, and cleaning waits for its turn."""

    def __init__(self, home: Path) -> None:
        self.root = home / "registry"
        self.repositories = self.root / "repositories"
        self.repositories.mkdir(parents=True, exist_ok=True)
        self.blobs = Blobs(self.root)
        self.engine = home / "blobs" / "blobs" / "sha256"  # where the engine of this home keeps its own
        self.uploads = Uploads()
        self._changing = threading.Lock()
        self._swept = time.monotonic()

    def recover(self) -> None:
        """Put right what a kill left behind; call it only while nobody serves this store."""
        self.blobs.recover()
        links.sweep(self.repositories)
        self.uploads.expire(self.repositories)

    def repository(self, name: str) -> Repository:
        """Return a repository, whether it has anything yet or not; refuse a name that is none."""
        return Repository(self.repositories, names.repository(name))

    def names(self, having: str = "_manifests") -> list[str]:
        """Return the names of the repositories that have an image, or links of another kind, sorted."""
        found = []
        for folder, below, _ in os.walk(self.repositories):
            if having in below and links.names(Path(folder) / having):
                found.append(Path(folder).relative_to(self.repositories).as_posix())
            below[:] = [name for name in below if not name.startswith("_")]
        return sorted(found)

    def picture(self) -> str:
        """Draw what this registry has: each image's name with its tags, one a line."""
        rows = [(name, ", ".join(self.repository(name).tags()) or "no tags") for name in self.names()]
        width = max((len(name) for name, _ in rows), default=0)
        return "\n".join(f"  {name:<{width}}  {tags}" for name, tags in rows) or "It has no images yet."

    @contextlib.contextmanager
    def turn(self, alone: bool = False) -> Iterator[None]:
        """Hold off cleaning, in this process or another, while links are made; `alone` holds off everybody else."""
        with (self.root / "clean.lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            yield

    # Blobs

    def open(self, repository: Repository, digest: str) -> BinaryIO:
        """Open a blob that a repository has, whole.

        Its file has the size and the time that it had when it was verified, or is verified once more: so one that was
        cut short or written over is not served. A disk that forgets a bit in silence is found by the client's check.
        """
        noted = repository.stamp(digest)
        if noted is None:
            raise Refusal("BLOB_UNKNOWN", NO_BLOB, {"digest": digest})
        try:
            file = self.blobs.open(digest)
        except NoSuchBlob:
            repository.remove_blob(digest)
            raise Refusal("BLOB_UNKNOWN", NO_BLOB, {"digest": digest}) from None
        if _stamp(file) == noted:
            repository.touch(digest)
        elif _digest(file) == digest:
            repository.add_blob(digest, _stamp(file))
        else:
            self._discard(file, digest)
            words = f"{NO_BLOB} any more: its file was damaged on disk, and is gone. Push it again"
            raise Refusal("BLOB_UNKNOWN", words, {"digest": digest})
        return file

    def has(self, repository: Repository, digest: str) -> int | None:
        """Return the size of a blob that a repository has, or None."""
        try:
            with self.open(repository, digest) as file:
                return os.fstat(file.fileno()).st_size
        except Refusal:
            return None

    def begin(self, repository: Repository) -> str:
        """Begin an upload and return its ID; those that have waited for too long make room once an hour."""
        if time.monotonic() > self._swept + SWEEP:
            self._swept = time.monotonic()
            self.uploads.expire(self.repositories)
        return self.uploads.begin(repository.uploads)

    def keep(self, repository: Repository, upload: Upload, digest: str) -> None:
        """Make a blob of an upload that has ended and has this digest."""
        with upload.path.open("rb") as file:
            os.fsync(file.fileno())
        with self.turn(), self._changing:
            upload.path.replace(self.blobs.path(digest))
            self.blobs.share(digest, self.engine / hex_of(digest))
            with self.blobs.open(digest) as file:
                repository.add_blob(digest, _stamp(file))

    def mount(self, repository: Repository, digest: str, source: str | None) -> bool:
        """Give a repository a blob of another one, without a byte being sent; return False where that has it not."""
        with self.turn():
            for name in [source] if source else self.names():
                other = self.repository(name)
                if self.has(other, digest) is not None:
                    repository.add_blob(digest, other.stamp(digest) or "")
                    return True
        return False

    def _discard(self, file: BinaryIO, digest: str) -> None:
        """Remove a damaged file, unless a whole one has taken its place meanwhile."""
        with self._changing, file, contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), self.blobs.path(digest).stat()):
                self.blobs.remove(digest)

    # Manifests

    def put(self, repository: Repository, reference: str, data: bytes, content_type: str) -> tuple[str, Manifest]:
        """Keep a manifest under a tag or its digest and return its digest; all that it names must be here."""
        manifest = parse(data, content_type)
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        if ":" in reference and names.digest(reference) != digest:
            raise Refusal("DIGEST_INVALID", f"these bytes have the digest {digest}", {"digest": reference})
        if ":" not in reference:
            names.tag_file(reference)
        with self.turn():
            self._check(repository, manifest)
            self.blobs.put(data)
            repository.add_manifest(digest, manifest.media_type, manifest.subject)
            if reference != digest:
                repository.tag(reference, digest)
        return digest, manifest

    def _check(self, repository: Repository, manifest: Manifest) -> None:
        """Refuse a manifest that names what is not here, or is here with another size."""
        missing = []
        for one in {d.digest: d for d in manifest.blobs if not d.foreign}.values():
            size = self.has(repository, one.digest)
            if size is None:
                missing.append(one.digest)
            elif size != one.size:
                words = f"the blob {one.digest} has {size} bytes, the manifest says {one.size}"
                raise Refusal("SIZE_INVALID", words, {"digest": one.digest})
        missing += [d.digest for d in manifest.children if repository.media_type(d.digest) is None]
        if missing:
            words = f"this repository lacks {len(missing)} of the blobs that the manifest names: push them first"
            raise Refusal("MANIFEST_BLOB_UNKNOWN", words, [{"digest": one} for one in missing[:100]])

    def find(self, repository: Repository, reference: str) -> str:
        """Return the digest of a manifest that a tag or a digest names; refuse where there is none."""
        if ":" in reference:
            digest: str | None = names.digest(reference)
        else:
            digest = repository.tagged(reference)
        if digest is None or repository.media_type(digest) is None:
            raise Refusal("MANIFEST_UNKNOWN", NO_MANIFEST, {"reference": reference[:150]})
        return digest

    def manifest(self, repository: Repository, digest: str) -> tuple[bytes, str]:
        """Return a manifest's bytes, hashed once more, and its media type."""
        media_type = repository.media_type(digest)
        try:
            if media_type is not None:
                return self.blobs.read(digest), media_type
        except (NoSuchBlob, BadDigest):
            repository.remove_manifest(digest)
        raise Refusal("MANIFEST_UNKNOWN", NO_MANIFEST, {"reference": digest})

    def remove(self, repository: Repository, digest: str) -> None:
        """Forget a manifest, and the tags that mean it; its blobs stay until the registry is cleaned."""
        data, media_type = self.manifest(repository, digest)
        repository.remove_manifest(digest, parse(data, media_type).subject)


def _stamp(file: BinaryIO) -> str:
    """Return what tells a file that was touched: its size in bytes and its time in nanoseconds."""
    about = os.fstat(file.fileno())
    return f"{about.st_size} {about.st_mtime_ns}"


def _digest(file: BinaryIO) -> str:
    found = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    file.seek(0)
    return found
