"""Trying again: a cut connection or a busy registry is no failure yet, and what came before is not lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from drydock.registry.errors import Busy, Cut, RegistryError, TooManyRequests, Unreachable
from drydock.registry.http import Http

T = TypeVar("T")
LONGEST = 20  # s that a registry may ask to wait before its 429 counts as a no
ENOUGH = 1 << 16  # bytes: an attempt that brought so many was worth it, and the pauses begin anew
Waits = Callable[[int], None]  # is told how many seconds the next attempt is away


def silent(seconds: int) -> None:
    """Tell nobody."""


def persist(
    http: Http,
    attempt: Callable[[], T],
    far: Callable[[], int] = lambda: 0,
    waits: Waits = silent,
    started: bool = False,
) -> T:
    """Return what an attempt returns, after as many as there are pauses; more where each gets on (`far`, bytes).

    A registry that cannot be reached at all is tried again only once something has `started`.
    """
    pauses, reached = iter(http.patience.pauses), far()
    while True:
        try:
            return attempt()
        except (Cut, Busy, TooManyRequests, Unreachable) as error:
            if http.closed or not worth(error, started or far() > 0):
                raise
            if far() >= reached + ENOUGH:
                pauses, reached = iter(http.patience.pauses), far()
            pause = next(pauses, None)
            if pause is None:
                raise
            wait(http, max(pause, getattr(error, "delay", 0)), waits)


def worth(error: RegistryError, started: bool) -> bool:
    """Return whether the same again may work."""
    if isinstance(error, TooManyRequests):
        return 0 < error.delay <= LONGEST
    return started or not isinstance(error, Unreachable)


def wait(http: Http, seconds: float, waits: Waits) -> None:
    """Wait, and tell the seconds that are left."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if left >= 0.5:
            waits(round(left))
        http.pause(min(left, 1.0))
