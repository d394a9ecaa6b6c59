"""What a registry answered, read with a patience that ends: so many bytes in each span of waiting, or no more.

The standard library's answer is used, on a socket of which every read is timed.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from drydock.registry.errors import Cut, RegistryError, brief

PIECE = 1 << 17  # bytes read or sent at once: at 2 kB/s a minute, so that a slow line is no stalled one
BROKEN = (http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError, socket.gaierror)


@dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds."""

    connect: float = 15
    first: float = 60  # until an answer begins
    last: float = 300  # until the answer to an upload begins: a registry may hash it all once more
    span: float = 30  # of waiting, in which an answer must bring
    least: int = 30_000  # bytes
    pauses: tuple[float, ...] = (1, 2, 4, 8)  # before each further attempt


class Paced(io.RawIOBase):
    """The bytes of a socket, given up when they come too slowly; only time spent waiting counts."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, patience: Patience) -> None:
        self._raw, self._sock, self._patience = raw, sock, patience
        self._waited, self._brought, self._begun = 0.0, 0, False

    def readable(self) -> bool:
        """Return True: it is for reading only."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read what is there, at least a byte."""
        start = time.monotonic()
        try:
            count = self._raw.readinto(buffer)
        except ConnectionError:
            return 0  # as if it ended here: what came before is not lost, and http.client sees that more is due
        self._waited += time.monotonic() - start
        self._brought += count or 0
        if not self._begun:
            self._begun, self._waited = True, 0.0
            self._sock.settimeout(self._patience.span)
        elif self._waited > self._patience.span:
            if count and self._brought < self._patience.least:
                raise TimeoutError("the registry sends too slowly")
            self._waited, self._brought = 0.0, 0
        return cast(int | None, count)

    def close(self) -> None:
        """Let go of the socket."""
        self._raw.close()
        super().close()


class Answer(http.client.HTTPResponse):
    """What a registry answered: status, headers, and a body in pieces."""

    free: Callable[[bool], None]  # gives the connection back, whole or not
    url: str

    def __init__(self, sock: Any, *args: Any, **more: Any) -> None:
        super().__init__(sock, *args, **more)
        self._sock = sock

    def pace(self, patience: Patience, wait: float) -> None:
        """Begin to watch the time."""
        self._sock.settimeout(wait)
        raw = self.fp.detach()
        self.fp = io.BufferedReader(Paced(raw, self._sock, patience), PIECE)

    def lower(self) -> dict[str, str]:
        """Return the headers by their names in lower case."""
        return {key.lower(): value for key, value in self.headers.items()}

    def pieces(self) -> Iterator[bytes]:
        """Go through the body; raise Cut where it ends before it should, or comes too slowly."""
        try:
            while piece := self.read(PIECE):
                yield piece
        except BROKEN as error:
            raise Cut(f'Get "{self.url}": the answer was cut off ({brief(str(error))})') from None
        if self.length:
            raise Cut(f'Get "{self.url}": unexpected EOF')

    def small(self, limit: int) -> bytes:
        """Return the whole body, which must not be longer than `limit`, and give the connection back."""
        found = bytearray()
        try:
            for piece in self.pieces():
                found += piece
                if len(found) > limit:
                    raise RegistryError(f"{self.url} sends more than {limit} bytes where a few are due. It is broken.")
        except RegistryError:
            self.drop()
            raise
        self.done()
        return bytes(found)

    def done(self) -> None:
        """Give the connection back if all was read, or nearly all; else end it."""
        with suppress(*BROKEN):
            if not self.length or self.length < PIECE:
                self.read(PIECE)
        whole = (self.isclosed() or self.length == 0) and not self.will_close
        self.close()
        self.free(whole)

    def drop(self) -> None:
        """End the connection: nobody wants the rest."""
        self.close()
        self.free(False)
