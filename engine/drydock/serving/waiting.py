"""Waiting for something to be so, and not for ever."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 20.0  # s for a process to start or stop on a machine that is very busy; it needs some tenths of one


def waited(done: Callable[[], bool]) -> bool:
    """Return True as soon as something is so, False where it is not in `PATIENCE` seconds."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if done():
            return True
        time.sleep(0.01)
    return False
