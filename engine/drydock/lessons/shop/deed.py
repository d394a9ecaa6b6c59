"""Deeds that go on while customers come: each in a thread, at its moment, once or again and again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from docker.errors import APIError
from requests.exceptions import RequestException


class Deed(threading.Thread):
    """One deed in a thread, at its moment; what it raised is raised by `told`."""

    def __init__(self, deed: Callable[[], None], at: float = 0.0, over: threading.Event | None = None) -> None:
        super().__init__(daemon=True)
        self.deed, self.at, self.over = deed, at, over or threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        if self.at and self.over.wait(max(0.0, self.at - time.perf_counter())):
            return
        try:
            self.deed()
        except BaseException as error:
            self.error = error

    def end(self) -> None:
        """Wait until the deed is done."""
        if self.ident is not None:
            self.join()

    def told(self) -> None:
        """Raise what the deed raised."""
        if self.error is not None:
            raise self.error


class Repeated(Deed):
    """The same deed again and again, until it is ended."""

    def __init__(self, deed: Callable[[], None], every: float) -> None:
        super().__init__(deed)
        self.every = every

    def run(self) -> None:
        while not self.over.wait(self.every):
            with suppress(APIError, RequestException):  # a container that is being replaced: the next look sees more
                self.deed()

    def end(self) -> None:
        """Have no more of it."""
        self.over.set()
        super().end()
