"""`docker build` and `docker commit`: two ways to an image.

Source: moby/api/server/router/build/build_routes.go, moby/api/server/router/container/container_routes.go (postCommit)
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from drydock.engine.api.registries import registries
from drydock.engine.api.streams import line
from drydock.engine.api.wire import Json, Reply, Request, Stream

SILENCE = 10.0  # s between two signs of life: docker-py gives up after 60 s without a byte


class Cancel(threading.Event):
    """Set once nobody wants the build any more: the client has hung up, or sending to it failed."""

    def __init__(self, request: Request) -> None:
        super().__init__()
        self.gone = request.gone
        self.unheard = threading.Event()  # what is said reaches nobody any more

    def is_set(self) -> bool:
        return self.unheard.is_set() or self.gone()


def build(request: Request) -> Reply:
    """Answer `docker build`: the context comes as the body, the messages go as chunks."""
    from drydock.engine.build import Request as Wanted

    wanted = replace(Wanted.parse(request.query), registries=registries(request))
    cancel = Cancel(request)
    return Stream(_lively(request.daemon.builder.build(wanted, request.body, cancelled=cancel), cancel))


def _lively(messages: Iterator[dict[str, Any]], cancel: Cancel) -> Iterator[bytes]:
    """Pass messages on, with an empty one now and then while a step is silent.

    The build runs in a thread of its own: it goes on while this one sends.
    """
    waiting: queue.Queue[Any] = queue.Queue(256)
    worker = threading.Thread(target=_fill, args=(messages, waiting, cancel), daemon=True)
    worker.start()
    started = False
    try:
        while True:
            try:
                found = waiting.get(timeout=SILENCE if started else None)
            except queue.Empty:
                yield line({"stream": ""})
                continue
            if isinstance(found, BaseException):
                raise found
            if found is None:
                return
            started = True
            yield line(found)
    finally:
        cancel.unheard.set()
        worker.join()


def _fill(messages: Iterator[dict[str, Any]], waiting: queue.Queue[Any], cancel: Cancel) -> None:
    """Run the build: each message, at last its end (None) or its error, is put where `_lively` waits."""
    end: BaseException | None = None
    try:
        for message in messages:
            if not _put(message, waiting, cancel):
                break
    except Exception as error:
        end = error
    finally:
        messages.close()  # type: ignore[attr-defined]
        _put(end, waiting, cancel)


def _put(message: Any, waiting: queue.Queue[Any], cancel: Cancel) -> bool:
    """Put a message, unless nobody takes any more."""
    while not cancel.unheard.is_set():
        try:
            waiting.put(message, timeout=0.2)
            return True
        except queue.Full:
            continue
    return False


def commit(request: Request) -> Reply:
    """Answer `docker commit`."""
    from drydock.engine.build import CommitRequest
    from drydock.engine.build import commit as made

    daemon = request.daemon
    container = daemon.containers.get(request.text("container"))
    wanted = CommitRequest.parse(request.query, request.json() or None)
    id = made(daemon.images, daemon.layers, container, wanted)
    return Json({"Id": id}, 201)


ROUTES = [("POST", "/build", build), ("POST", "/commit", commit)]
