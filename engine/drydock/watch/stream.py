"""Reading what an engine streams in a thread of its own, so that silence can be told from death, and be interrupted."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from typing import Any

import docker
from docker.errors import DockerException
from requests.exceptions import RequestException

QUIET = 15.0  # seconds without a word before the engine is asked whether it still lives
STALLED = (
    "The Docker engine stopped answering in the middle of the {work}.\n"
    "It was probably stopped or restarted, or the machine is out of memory; what it had finished is not lost.\n"
    "Try: start Docker again, then run the cell again: the {work} goes on where it was"
)


class EngineStalled(RuntimeError):
    """The engine does not answer any more; nothing that it had finished is lost."""


def events(source: Callable[[], Iterable[Any]], alive: Callable[[], bool], work: str = "build") -> Iterator[Any]:
    """Yield what `source` yields, read in a thread; ask `alive` when it is silent for long.

    Raises: EngineStalled where the engine is silent and dead; whatever `source` raises.
    """
    waiting: queue.Queue[tuple[str, Any]] = queue.Queue()

    def read() -> None:
        try:
            for event in source():
                waiting.put(("event", event))
        except Exception as error:
            waiting.put(("error", error))
        else:
            waiting.put(("end", None))

    threading.Thread(target=read, name=f"drydock-{work}", daemon=True).start()
    while True:
        try:
            kind, value = waiting.get(timeout=QUIET)
        except queue.Empty:
            if not alive():
                raise EngineStalled(STALLED.format(work=work)) from None
            continue
        if kind == "error":
            raise value
        if kind == "end":
            return
        yield value


class Call:
    """A request that the engine answers bit by bit: who hangs up cancels what it asked for.

    Hanging up also covers an answer that has not begun: it is closed as soon as it does.
    """

    def __init__(self, client: docker.DockerClient) -> None:
        self._api: Any = client.api
        self._answers: list[Any] = []
        self._over = False

    def __enter__(self) -> Call:
        self._api.hooks["response"].append(self._heard)
        return self

    def __exit__(self, *_: object) -> None:
        self._api.hooks["response"].remove(self._heard)
        self.hang_up()

    def _heard(self, response: Any, **_: object) -> None:
        self._answers.append(response)
        if self._over:
            self.hang_up()

    def hang_up(self) -> None:
        """Close what the engine still sends; shut down first, since another thread may be waiting in it."""
        self._over = True
        while self._answers:
            response = self._answers.pop()
            with suppress(OSError, ValueError, RuntimeError, AttributeError):
                response.raw.shutdown()
            response.close()


def alive(client: docker.DockerClient) -> bool:
    """Return whether the engine answers now, asked on a connection of its own."""
    try:
        with closing(docker.DockerClient(base_url=_address(client), timeout=10)) as probe:
            return bool(probe.ping())
    except (DockerException, RequestException):
        return False


def _address(client: docker.DockerClient) -> str:
    base = client.api.base_url
    adapter = client.api.adapters.get("http+docker://")
    path = getattr(adapter, "socket_path", None)
    return f"unix://{path}" if path else base


def explain(error: Exception) -> str:
    """Return an engine's error in its own words, without the request around it."""
    return str(getattr(error, "explanation", None) or error)
