"""A blob on its way out: sent in one piece, and after a cut from where the registry says it is.

Source: OCI distribution-spec, "Pushing blobs": POST then PUT; GET of an upload tells how far it is, PATCH goes on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import BinaryIO
from urllib.parse import urlencode

from drydock.registry.answer import PIECE, Answer
from drydock.registry.download import Progress, nothing
from drydock.registry.errors import NotThere, RegistryError
from drydock.registry.manifest import Descriptor
from drydock.registry.persist import Waits, persist, silent
from drydock.registry.repository import Repository

RANGE = re.compile(r"(?:bytes=)?0-(\d+)", re.ASCII)


class Upload:
    """One blob that goes."""

    def __init__(self, repository: Repository, blob: Descriptor, opened: Callable[[], BinaryIO]) -> None:
        self.repository, self.blob, self.opened = repository, blob, opened
        self.location = ""
        self.sent = 0  # bytes, as far as we know
        self._resume = False

    def run(self, tell: Progress = nothing, waits: Waits = silent, location: str = "") -> None:
        """Send the blob; `location` is an upload begun already, such as a mount that the registry turned down.

        Raises: Unauthorized, Unreachable and other RegistryErrors.
        """
        self.location = location or self.repository.begin()
        persist(self.repository.http, lambda: self._try(tell), lambda: self.sent, waits, started=True)

    def _try(self, tell: Progress) -> None:
        start = self._reached() if self._resume else 0
        self._resume = True
        self.sent = start
        if start == 0:
            self._send("PUT", self._final(), 0, tell).done()
            return
        if start < self.blob.size:
            answer = self._send("PATCH", self.location, start, tell)
            answer.done()
            self.location = self.repository.location(answer)
        try:
            self.repository.ask("PUT", self._final()).done()
        except RegistryError as error:
            if error.code != "DIGEST_INVALID":
                raise
            self.location = self.repository.begin()  # what the registry had kept was not what we had sent
            self._send("PUT", self._final(), 0, tell).done()

    def _reached(self) -> int:
        """Ask how many bytes the registry has; begin anew where it has forgotten the upload."""
        try:
            answer = self.repository.ask("GET", self.location)
        except NotThere:
            self.location = self.repository.begin()
            return 0
        answer.done()
        self.location = self.repository.location(answer)
        match = RANGE.fullmatch(answer.headers.get("Range") or "")
        if match is None or int(match[1]) == 0:  # "0-0" is how some say nothing, others one byte
            self.location = self.repository.begin()
            return 0
        return min(int(match[1]) + 1, self.blob.size)

    def _final(self) -> str:
        """Return the address that ends the upload."""
        return self.location + ("&" if "?" in self.location else "?") + urlencode({"digest": self.blob.digest})

    def _send(self, method: str, url: str, start: int, tell: Progress) -> Answer:
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(self.blob.size - start)}
        if start:
            headers["Content-Range"] = f"{start}-{self.blob.size - 1}"
        return self.repository.ask(method, url, headers, lambda: self._pieces(start, tell))

    def _pieces(self, start: int, tell: Progress) -> Iterator[bytes]:
        """Go through the blob's bytes, from one on."""
        with self.opened() as file:
            file.seek(start)
            self.sent = start
            while piece := file.read(PIECE):
                yield piece
                self.sent += len(piece)
                tell(self.sent)
