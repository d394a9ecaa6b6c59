"""What happened: every room tells, whoever listens is told, and the last 256 are remembered.

Source: moby/daemon/events/events.go, filter.go; docs: `docker events`.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any
from weakref import WeakSet

REMEMBERED = 256  # moby's eventsLimit
BEHIND = 1024  # events that a listener may lag behind; older ones are lost to it then
LOOK = 0.5  # s between two looks whether the listener is still there


@dataclass(frozen=True)
class Event:
    """One thing that happened: to what kind of object, what, to which one, and what else is known."""

    kind: str
    action: str
    id: str
    attributes: Mapping[str, str]
    nanoseconds: int

    def json(self) -> dict[str, Any]:
        """Return the event as the API sends it; `status`, `id` and `from` are for clients older than API 1.22."""
        old: dict[str, Any] = {}
        if self.kind in ("container", "image"):
            old = {"status": self.action, "id": self.id}
            if self.kind == "container" and "image" in self.attributes:
                old["from"] = self.attributes["image"]
        return {
            **old,
            "Type": self.kind,
            "Action": self.action,
            "Actor": {"ID": self.id, "Attributes": dict(self.attributes)},
            "scope": "local",
            "time": self.nanoseconds // 10**9,
            "timeNano": self.nanoseconds,
        }

    def matches(self, filters: Mapping[str, list[str]]) -> bool:
        """Return True where the event passes every filter; of several values of one filter, one is enough.

        >>> died = Event("container", "die", "c1", {"name": "web", "image": "alpine"}, 0)
        >>> died.matches({"event": ["die"], "container": ["web"]}), died.matches({"image": ["nginx"]})
        (True, False)
        """
        return all(self._passes(key, values) for key, values in filters.items() if values)

    def _passes(self, key: str, values: list[str]) -> bool:
        if key == "type":
            return self.kind in values
        if key == "event":
            return self.action in values or self.action.partition(":")[0] in values
        if key == "scope":
            return "local" in values
        if key == "label":
            return all(self._labelled(value) for value in values)
        if key == "image":
            return any(self._image(value) for value in values)
        if key in ("container", "volume", "network"):
            return any(self._named(key, value) for value in values)
        return False

    def _labelled(self, value: str) -> bool:
        name, equals, wanted = value.partition("=")
        return name in self.attributes and (not equals or self.attributes[name] == wanted)

    def _image(self, value: str) -> bool:
        names = [self.attributes.get("image", ""), self.attributes.get("name", "") if self.kind == "image" else ""]
        if self.kind == "image":
            names.append(self.id)
        return any(name and value in (name, name.partition(":")[0]) for name in names)

    def _named(self, kind: str, value: str) -> bool:
        if self.kind != kind:
            return self.attributes.get(kind, "").startswith(value)
        return self.id.startswith(value) or self.attributes.get("name") == value


class Events:
    """Told by the rooms through `emit`, heard through `listen`."""

    def __init__(self) -> None:
        self.past: deque[Event] = deque(maxlen=REMEMBERED)
        self.listeners: WeakSet[queue.Queue[Event]] = WeakSet()  # each is kept by who listens
        self.lock = threading.Lock()

    def emit(self, kind: str, action: str, id: str, attributes: Mapping[str, str] | None = None) -> None:
        """Remember what happened, and tell everybody who listens."""
        event = Event(kind, action, id, dict(attributes or {}), time.time_ns())
        with self.lock:
            self.past.append(event)
            for listener in self.listeners:
                if listener.full():
                    listener.get_nowait()
                listener.put_nowait(event)

    def listen(
        self, since: float | None, until: float | None, filters: Mapping[str, list[str]], gone: Callable[[], bool]
    ) -> Iterator[Event]:
        """Return what happened since, then what happens, until then: without an end, until the listener is gone.

        It listens from now on, not from the first event asked for: whoever is told so may act at once.
        """
        mine: queue.Queue[Event] = queue.Queue(BEHIND)
        with self.lock:
            past = [] if since is None else [e for e in self.past if e.nanoseconds >= since * 1e9]
            self.listeners.add(mine)
        known = [event for event in past if until is None or event.nanoseconds <= until * 1e9]
        return (event for event in chain(known, _coming(mine, until, gone)) if event.matches(filters))


def _coming(mine: queue.Queue[Event], until: float | None, gone: Callable[[], bool]) -> Iterator[Event]:
    """Yield events as they come until the time is over or nobody listens any more."""
    while not gone():
        left = LOOK if until is None else min(LOOK, until - time.time())
        if left <= 0:
            return
        try:
            yield mine.get(timeout=left)
        except queue.Empty:
            continue
