"""A folder of blobs in the OCI image layout: every tool that reads OCI can read it too.

    oci-layout  index.json  blobs/sha256/HEX  blobs/.new/...

Source: OCI image-spec image-layout.md. A blob is written under another name and renamed when it is whole: whoever looks
finds all of it or nothing, and two writers of one blob do each other no harm, since both write the same bytes.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

DIGEST = re.compile(r"sha256:([0-9a-f]{64})", re.ASCII)
FILES = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}', "index.json": b'{"schemaVersion": 2, "manifests": []}'}


class BadDigest(ValueError):
    """Bytes are not those that their digest names, or a text is no digest."""


class NoSuchBlob(LookupError):
    """There is no blob of this digest."""


def hex_of(digest: str) -> str:
    """Return the hexadecimal part of a digest: a file name without surprises.

    >>> hex_of("sha256:" + "0" * 64) == "0" * 64
    True
    """
    match = DIGEST.fullmatch(digest)
    if not match:
        raise BadDigest(f"{digest[:80]!r} is no digest: that is sha256: and 64 hexadecimal digits. Copy it again.")
    return match[1]


class Blobs:
    """Blobs by digest: what is in is whole, and is what its digest says."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._folder, self._new = root / "blobs" / "sha256", root / "blobs" / ".new"
        for folder in (self._folder, self._new):
            folder.mkdir(parents=True, exist_ok=True)
        for name, content in FILES.items():
            if not (root / name).exists():
                self._beside(root / name, content)

    def path(self, digest: str) -> Path:
        """Return where the blob of this digest is, or would be."""
        return self._folder / hex_of(digest)

    def has(self, digest: str) -> bool:
        """Return whether the blob is here."""
        return self.path(digest).is_file()

    def open(self, digest: str) -> BinaryIO:
        """Open a blob for reading; what is written to disk was verified when it came."""
        try:
            return self.path(digest).open("rb")
        except FileNotFoundError:
            raise NoSuchBlob(f"there is no blob {digest}. It was removed: load or build the image again.") from None

    def size(self, digest: str) -> int:
        """Return the bytes of a blob."""
        with self.open(digest) as file:
            return os.fstat(file.fileno()).st_size

    def read(self, digest: str) -> bytes:
        """Return a small blob, whole, and checked once more: a disk may forget."""
        with self.open(digest) as file:
            data = file.read()
        if "sha256:" + hashlib.sha256(data).hexdigest() != digest:
            raise BadDigest(f"the blob {digest} was changed on disk. Remove the image that has it, and load it again.")
        return data

    def put(self, data: bytes) -> str:
        """Keep some bytes and return their digest."""
        with self.writer() as writer:
            writer.write(data)
            return writer.commit()

    def writer(self) -> Writer:
        """Return a writer of one blob; without `commit` nothing of it stays."""
        return Writer(self._new / secrets.token_hex(8), self._folder)

    def adopt(self, file: Path, digest: str) -> None:
        """Take in a file of the same disk, whose bytes the caller found to be those of the digest."""
        file.rename(self.path(digest))

    def remove(self, digest: str) -> None:
        """Remove a blob; one that is not there is gone already."""
        self.path(digest).unlink(missing_ok=True)

    def share(self, digest: str, theirs: Path) -> bool:
        """Let another folder's file of a blob that is here be this one too, so that it lies on the disk once.

        It is hashed first. Two names of one file: either can be removed, and the other stays. Where the disk has no
        hard links, or the file is another user's, False: the copy here is as good.
        """
        new = self._new / secrets.token_hex(8)
        try:
            if theirs.samefile(self.path(digest)):
                return True
            with theirs.open("rb") as file:
                if f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}" != digest:
                    return False
            new.hardlink_to(theirs)
            new.rename(self.path(digest))
        except OSError:
            return False
        finally:
            new.unlink(missing_ok=True)
        return True

    def all(self) -> Iterator[str]:
        """Go through the digests of all blobs, sorted."""
        for path in sorted(self._folder.iterdir()):
            if DIGEST.fullmatch(f"sha256:{path.name}"):
                yield f"sha256:{path.name}"

    def recover(self) -> None:
        """Remove what writers left behind that were killed; call it only while nobody writes."""
        for path in self._new.iterdir():
            path.unlink(missing_ok=True)

    def _beside(self, path: Path, content: bytes) -> None:
        new = self._new / secrets.token_hex(8)
        new.write_bytes(content)
        new.rename(path)


class Writer:
    """One blob on its way in: written and hashed in the same pass."""

    def __init__(self, new: Path, folder: Path) -> None:
        self._new, self._folder = new, folder
        self._sha = hashlib.sha256()
        self._file = new.open("xb", buffering=1 << 18)
        self.size = 0

    def write(self, data: bytes | memoryview) -> None:
        """Add some bytes at the end."""
        self._sha.update(data)
        self._file.write(data)
        self.size += len(data)

    @property
    def digest(self) -> str:
        """Return the digest of what was written so far."""
        return "sha256:" + self._sha.hexdigest()

    def reader(self) -> BinaryIO:
        """Open what was written so far for reading."""
        self._file.flush()
        return self._new.open("rb")

    def commit(self, expected: str | None = None) -> str:
        """Keep the blob and return its digest; refuse it where another digest was expected."""
        digest = self.digest
        if expected is not None and digest != expected:
            raise BadDigest(
                f"the bytes have the digest {digest}, but {expected} was expected. "
                "The download or the archive is damaged: get it again."
            )
        self._file.close()
        self._new.rename(self._folder / hex_of(digest))
        return digest

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self._file.close()
        except OSError:  # a full disk refuses the last bytes too; the first refusal is on its way to the caller
            if error is None:
                raise
        finally:
            self._new.unlink(missing_ok=True)
