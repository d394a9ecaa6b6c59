"""A request's body: read to its end and no further, whether its length is given or it comes in chunks.

Source: RFC 9112, sections 6 (message body) and 7.1 (chunked).
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import BinaryIO

LINE = 4096  # a chunk's size line; Go's limit too (net/http/internal/chunked.go maxLineLength)


class BadBody(ValueError):
    """What the client says about its body makes no sense."""

    status = 400


class CutOff(BadBody):
    """The body ends before its end: the client went away, or lied about the length."""


class Body(io.RawIOBase):
    """The bytes of one request's body; when it has ended, the connection stands at the next request."""

    def __init__(self, source: BinaryIO, headers: Mapping[str, str]) -> None:
        super().__init__()
        self.source = source
        self.chunked = "chunked" in headers.get("Transfer-Encoding", "").lower()
        self.left = 0 if self.chunked else _length(headers.get("Content-Length"))
        self.ended = not self.chunked and not self.left

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        """Fill the buffer with what is there; 0 at the end."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        if not self.ended and not self.left:
            self._next_chunk()
        if self.ended:
            return 0
        got = self.source.readinto1(view[: self.left])  # type: ignore[attr-defined]
        if not got:
            raise CutOff("the request's body ends too early")
        self.left -= got
        if not self.left and not self.chunked:
            self.ended = True
        elif not self.left:
            self._line()  # the empty line after a chunk
        return int(got)

    def _next_chunk(self) -> None:
        size = self._line().split(b";")[0].strip()
        try:
            self.left = int(size, 16)
        except ValueError:
            raise CutOff("malformed chunked encoding") from None
        if self.left < 0:
            raise CutOff("malformed chunked encoding")
        if self.left == 0:
            self.ended = True
            while self._line():  # trailers
                pass

    def _line(self) -> bytes:
        line = self.source.readline(LINE)
        if not line.endswith(b"\n"):
            self.ended, self.left = True, 0
            raise CutOff("malformed chunked encoding")
        return line.strip()

    def drain(self, most: int) -> bool:
        """Read what the handler left; return True where the connection can take another request."""
        try:
            while not self.ended and most > 0:
                most -= len(self.read(min(65536, most)) or b"")
        except (CutOff, OSError):
            return False
        return self.ended


def _length(text: str | None) -> int:
    """Return the length that the client promises.

    >>> _length("12"), _length(None)
    (12, 0)
    """
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise BadBody(f"bad Content-Length {text[:40]!r}")
    return int(text)
