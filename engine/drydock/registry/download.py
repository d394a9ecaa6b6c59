"""A blob on its way in: kept on disk as it comes, so that a cut, a cancel or a kill costs only what had not come.

    FOLDER/HEX    the bytes so far of the blob with that digest

Nothing here is used, or even unpacked, before its digest was found right.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from drydock.registry.answer import Answer
from drydock.registry.errors import Cut, Lying, RegistryError, answered, lied
from drydock.registry.manifest import Descriptor
from drydock.registry.persist import Waits, persist, silent
from drydock.registry.place import ERROR_LIMIT
from drydock.registry.repository import Repository

CHUNK = 1 << 20
RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)", re.ASCII)
Progress = Callable[[int], None]  # is told how many bytes are here


def nothing(done: int) -> None:
    """Tell nobody."""


class Download:
    """One blob that comes."""

    def __init__(self, repository: Repository, blob: Descriptor, folder: Path) -> None:
        self.repository, self.blob = repository, blob
        self.path = folder / blob.digest.removeprefix("sha256:")
        self.done = 0
        self._sha = hashlib.sha256()

    def run(
        self, tell: Progress = nothing, waits: Waits = silent, verifying: Callable[[], None] = lambda: None
    ) -> Path:
        """Bring the whole blob and return its file, verified. What came before is not asked for again.

        Raises: Lying where the bytes are not those of the digest, NotThere, Unreachable, OSError of the disk.
        """
        with self.path.open("ab+") as file:
            self._rehash(file)
            while True:
                at, begun = self.repository.at, self.done
                try:
                    persist(
                        self.repository.http, lambda: self._more(file, tell), lambda: self.done, waits, started=True
                    )
                    verifying()
                    if "sha256:" + self._sha.hexdigest() == self.blob.digest:
                        return self.path
                    self._restart(file)
                    if begun:  # what an earlier attempt left may be to blame
                        continue
                    raise self._lie(f"filesystem layer verification failed for digest {self.blob.digest}")
                except RegistryError as error:
                    if isinstance(error, Lying):
                        self._restart(file)
                    if not self.repository.turn(at):
                        raise

    def _rehash(self, file: BinaryIO) -> None:
        """Take up what an earlier attempt left."""
        file.seek(0)
        while chunk := file.read(CHUNK):
            self._sha.update(chunk)
            self.done += len(chunk)
        if self.done > self.blob.size:
            self._restart(file)

    def _restart(self, file: BinaryIO) -> None:
        file.truncate(0)
        self._sha, self.done = hashlib.sha256(), 0

    def _more(self, file: BinaryIO, tell: Progress) -> None:
        """Ask for what is missing, and write it down as it comes."""
        tell(self.done)
        if self.done == self.blob.size:
            return
        with self.repository.blob(self.blob.digest, self.done) as answer:
            self._begin(answer, file)
            for piece in answer.pieces():
                if self.done + len(piece) > self.blob.size:
                    raise self._lie(
                        f"the blob {self.blob.digest} is longer than its manifest says, {self.blob.size} bytes"
                    )
                file.write(piece)
                self._sha.update(piece)
                self.done += len(piece)
                tell(self.done)
        file.flush()
        if self.done < self.blob.size:
            raise Cut(f"the blob {self.blob.digest} ended after {self.done} of {self.blob.size} bytes")

    def _begin(self, answer: Answer, file: BinaryIO) -> None:
        """See that the answer has the bytes that were asked for."""
        start, total = 0, answer.headers.get("Content-Length") or ""
        if answer.status == 206:
            match = RANGE.match(answer.headers.get("Content-Range") or "")
            start, total = (int(match[1]), match[2]) if match else (-1, "")
        elif answer.status != 200:
            raise answered(answer.status, answer.reason, answer.lower(), answer.small(ERROR_LIMIT), self.blob.digest)
        if start != self.done:  # ranges are not heeded, or another one came
            self._restart(file)
            if start:
                raise Cut("the registry sent another part of the blob than was asked for")
        if total.isdecimal() and int(total) != self.blob.size:
            told = f"the blob {self.blob.digest} has {total} bytes there, but {self.blob.size} in its manifest"
            raise self._lie(told)

    def _lie(self, what: str) -> Lying:
        return lied(what, self.repository.domain)


def forget(folder: Path, before: float) -> None:
    """Remove what nobody went on with since a moment (seconds since 1970)."""
    for path in folder.iterdir():
        if path.stat().st_mtime < before:
            path.unlink(missing_ok=True)
