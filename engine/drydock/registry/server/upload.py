"""Blobs on their way in: a file that grows, hashed as it grows, which a cut, a kill or a new connection only pauses."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from pathlib import Path

from drydock.registry.server.refusals import Refusal
from drydock.serving.body import Body

PIECE = 1 << 20  # bytes that are hashed and written at a time
LARGEST = 50 << 30  # bytes of a blob; a layer of a lesson has some millions
MOST = 2000  # uploads that wait to be continued; a class of 50 has a few hundred at once
KEPT = 24 * 3600  # s that an upload waits
GONE = "there is no such upload: it has ended, or waited longer than a day. Begin a new one"


class Upload:
    """One blob on its way in. Two requests may hold it at once: the later one goes on, the earlier one ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._turn: object = None
        self._ended = False
        with path.open("rb") as file:  # what came before a restart is hashed again
            self._sha = hashlib.file_digest(file, "sha256")
            self.size = file.tell()

    @property
    def range(self) -> str:
        """Return which bytes are here, as the Range header says it: the last one counts, and nothing is 0-0."""
        return f"0-{max(0, self.size - 1)}"

    def append(self, body: Body, at: int | None = None) -> None:
        """Add a request's body at the end; with `at`, only where that is where this upload has come to.

        Whatever arrives before the connection is cut is kept: the next request goes on from there.
        """
        with self._lock:
            self._check()
            if at is not None and at != self.size:
                words = f"the upload has {self.size} bytes: the next piece begins there, not at {at}"
                raise Refusal("BLOB_UPLOAD_INVALID", words, status=416)
            turn = self._turn = object()
        buffer = memoryview(bytearray(PIECE))
        with self.path.open("r+b", buffering=0) as file:
            while count := body.readinto(buffer):
                with self._lock:
                    if self._turn is not turn:
                        raise Refusal("BLOB_UPLOAD_INVALID", "another request has taken this upload over")
                    file.seek(self.size)
                    _write(file, buffer[:count])
                    self._sha.update(buffer[:count])
                    self.size += count
                if self.size > LARGEST:
                    raise Refusal("SIZE_INVALID", f"a blob has at most {LARGEST >> 30} GB here", status=413)

    def close(self, digest: str) -> bool:
        """Take no more bytes; return True where those that came have the digest."""
        with self._lock:
            self._check()
            self._turn, self._ended = None, True
            return "sha256:" + self._sha.hexdigest() == digest

    def _check(self) -> None:
        if self._ended:
            raise Refusal("BLOB_UPLOAD_UNKNOWN", GONE, {"upload": self.path.name})


def _write(file: object, data: memoryview) -> None:
    while data:
        data = data[file.write(data) :]  # type: ignore[attr-defined]


class Uploads:
    """Every upload of a registry, by the folder it belongs to and its ID; those of before a restart are found again."""

    def __init__(self) -> None:
        self._open: dict[Path, Upload] = {}
        self._lock = threading.Lock()

    def begin(self, folder: Path) -> str:
        """Begin an upload and return its ID."""
        if len(self._open) >= MOST:
            raise Refusal("TOOMANYREQUESTS", f"{MOST} uploads wait to be continued: end some first, or try later")
        folder.mkdir(parents=True, exist_ok=True)
        id = secrets.token_hex(16)
        (folder / id).touch(exist_ok=False)
        self.get(folder, id)
        return id

    def get(self, folder: Path, id: str) -> Upload:
        """Return an upload that waits; refuse where there is none of this ID."""
        path = folder / id
        with self._lock:
            if path not in self._open:
                try:
                    self._open[path] = Upload(path)
                except (FileNotFoundError, NotADirectoryError):
                    raise Refusal("BLOB_UPLOAD_UNKNOWN", GONE, {"upload": id}) from None
            return self._open[path]

    def end(self, upload: Upload) -> None:
        """Forget an upload, and what came of it unless that has gone elsewhere."""
        with self._lock:
            self._open.pop(upload.path, None)
        upload.path.unlink(missing_ok=True)

    def expire(self, repositories: Path) -> None:
        """Remove the uploads that have waited for too long."""
        now = time.time()
        for path in repositories.rglob("_uploads/*"):
            try:
                if path.stat().st_mtime < now - KEPT:
                    with self._lock:
                        self._open.pop(path, None)
                    path.unlink()
            except FileNotFoundError:  # it has just ended
                continue
