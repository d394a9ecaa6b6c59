"""One repository: which blobs and manifests it has, and what its tags mean now. It holds links, no blobs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from drydock.blobs.store import hex_of
from drydock.registry.server import links, names


class Repository:
    """The links of one repository; its name was checked."""

    def __init__(self, repositories: Path, name: str) -> None:
        self.name, self.folder = name, repositories / name
        self.uploads = self.folder / "_uploads"

    @property
    def known(self) -> bool:
        """True where anything was ever pushed here; one that was emptied is still known."""
        return (self.folder / "_blobs").is_dir() or (self.folder / "_manifests").is_dir()

    # Blobs

    def stamp(self, digest: str) -> str | None:
        """Return what the blob's file looked like when it was verified, or None where this repository has it not."""
        return links.read(self._blob(digest))

    def add_blob(self, digest: str, stamp: str) -> None:
        """Write down that this repository has a blob, verified."""
        links.write(self._blob(digest), stamp)

    def touch(self, digest: str) -> None:
        """Write down that somebody has just been told of the blob: cleaning keeps what was asked for lately."""
        with contextlib.suppress(FileNotFoundError):
            os.utime(self._blob(digest))

    def remove_blob(self, digest: str) -> bool:
        """Forget a blob; return False where it was not here."""
        return _unlinked(self._blob(digest))

    def blobs(self) -> Iterator[tuple[str, float]]:
        """Go through the digests of the blobs that this repository has, with the time when each was last asked for."""
        for name in links.names(self.folder / "_blobs"):
            yield f"sha256:{name}", (self.folder / "_blobs" / name).stat().st_mtime

    def _blob(self, digest: str) -> Path:
        return self.folder / "_blobs" / hex_of(digest)

    # Manifests

    def media_type(self, digest: str) -> str | None:
        """Return the media type of a manifest, or None where this repository has it not."""
        return links.read(self._manifest(digest))

    def add_manifest(self, digest: str, media_type: str, subject: str = "") -> None:
        """Write down that this repository has a manifest, and which one it is about."""
        links.write(self._manifest(digest), media_type)
        if subject:
            links.write(self._referrers(subject) / hex_of(digest), "")

    def remove_manifest(self, digest: str, subject: str = "") -> bool:
        """Forget a manifest and all tags that mean it; return False where it was not here."""
        for tag in self.tags():
            if self.tagged(tag) == digest:
                self.remove_tag(tag)
        if subject:
            _unlinked(self._referrers(subject) / hex_of(digest))
        return _unlinked(self._manifest(digest))

    def manifests(self) -> list[str]:
        """Return the digests of the manifests, sorted."""
        return [f"sha256:{name}" for name in links.names(self.folder / "_manifests")]

    def referrers(self, subject: str) -> list[str]:
        """Return the digests of the manifests that are about this one, sorted."""
        return [f"sha256:{name}" for name in links.names(self._referrers(subject))]

    def _manifest(self, digest: str) -> Path:
        return self.folder / "_manifests" / hex_of(digest)

    def _referrers(self, subject: str) -> Path:
        return self.folder / "_referrers" / hex_of(subject)

    # Tags

    def tag(self, tag: str, digest: str) -> None:
        """Let a tag mean a manifest from now on."""
        links.write(self._tag(tag), digest)

    def tagged(self, tag: str) -> str | None:
        """Return the digest that a tag means, or None where there is no such tag."""
        return links.read(self._tag(tag))

    def remove_tag(self, tag: str) -> bool:
        """Take a tag away; the manifest stays. Return False where there was none."""
        return _unlinked(self._tag(tag))

    def tags(self) -> list[str]:
        """Return all tags, sorted."""
        return sorted(names.tag_of(name) for name in links.names(self.folder / "_tags"))

    def _tag(self, tag: str) -> Path:
        return self.folder / "_tags" / names.tag_file(tag)


def _unlinked(path: Path) -> bool:
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
