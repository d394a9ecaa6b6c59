"""Reading what a builder prints in a thread of its own, so that silence can be told from death, and be interrupted."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

QUIET = 15.0  # seconds without a word before the engine is asked whether it still lives
STALLED = (
    "The Docker engine stopped answering in the middle of the build.\n"
    "It was probably stopped or restarted, or the machine is out of memory; finished steps are in its cache.\n"
    "Try: start Docker again, then run the cell again: the build goes on where it was"
)


class EngineStalled(RuntimeError):
    """The engine does not answer any more; nothing that it had finished is lost."""


def events(source: Callable[[], Iterable[Any]], alive: Callable[[], bool]) -> Iterator[Any]:
    """Yield what `source` yields, read in a thread; ask `alive` when it is silent for long.

    Raises: EngineStalled where the engine is silent and dead; whatever `source` raises.
    """
    waiting: queue.Queue[tuple[str, Any]] = queue.Queue()

    def work() -> None:
        try:
            for event in source():
                waiting.put(("event", event))
        except Exception as error:
            waiting.put(("error", error))
        else:
            waiting.put(("end", None))

    threading.Thread(target=work, name="drydock-build", daemon=True).start()
    while True:
        try:
            kind, value = waiting.get(timeout=QUIET)
        except queue.Empty:
            if not alive():
                raise EngineStalled(STALLED) from None
            continue
        if kind == "error":
            raise value
        if kind == "end":
            return
        yield value
