"""Reading ahead: the next pieces are unpacked in a thread of their own while the last ones are used.

zlib lets other threads run while it works, so that a layer's files are written on one core and unpacked on another.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from types import TracebackType

from drydock.read.tarstream import CHUNK

PIECES = 4  # that wait at most, each of CHUNK bytes


class Ahead:
    """A reader in front of another, a few pieces ahead of whoever reads.

    >>> import io
    >>> with Ahead(io.BytesIO(b"layer").read) as ahead:
    ...     ahead.read(9), ahead.read(9)
    (b'layer', b'')
    """

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._source = read
        self._waiting: queue.Queue[bytes | BaseException] = queue.Queue(PIECES)
        self._over = threading.Event()
        self._end: bytes | BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def read(self, count: int) -> bytes:
        """Return the next piece, none at the end; raise what the reader behind raised."""
        found = self._waiting.get() if self._end is None else self._end
        if not found or isinstance(found, BaseException):
            self._end = found
        if isinstance(found, BaseException):
            raise found
        return found

    def __enter__(self) -> Ahead:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        while self._thread.is_alive():  # one who waits for room finds it, and then that all is over
            try:
                self._waiting.get(timeout=0.01)
            except queue.Empty:
                continue
        self._thread.join()

    def _run(self) -> None:
        piece: bytes | BaseException = b"-"
        while piece and not self._over.is_set() and not isinstance(piece, BaseException):
            try:
                piece = self._source(CHUNK)
            except BaseException as error:
                piece = error
            self._waiting.put(piece)
