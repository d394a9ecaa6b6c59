"""What a container writes: kept line by line in log.json, and passed on at once to whoever is attached.

Source: moby/daemon/logger/jsonfilelog, moby/daemon/logger/copier.go, moby/pkg/broadcaster.
"""

from __future__ import annotations

import json
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

LINE = 16 << 10  # bytes; a longer line is kept in pieces, as dockerd's copier does
WAITING = 256  # pieces that an attached client may lag behind before the program waits for it
LOOK = 0.25  # s between two looks whether somebody is still there

Frame = tuple[int, bytes]


def now() -> str:
    """Return this moment as logs and inspect have it: RFC 3339 with nanoseconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")


class Listener:
    """One attached client's side of the output."""

    def __init__(self, streams: tuple[int, ...]) -> None:
        self.streams = streams
        self.waiting: queue.Queue[Frame | None] = queue.Queue(WAITING)
        self.closed = threading.Event()

    def put(self, frame: Frame | None) -> None:
        """Pass a piece on; the program waits for a slow client, not for one that has left."""
        if frame and frame[0] not in self.streams:
            return
        while not self.closed.is_set():
            try:
                return self.waiting.put(frame, timeout=LOOK)
            except queue.Full:
                continue

    def frames(self) -> Iterator[Frame]:
        """Yield output until its end, or until this side is closed."""
        while not self.closed.is_set() or not self.waiting.empty():
            try:
                found = self.waiting.get(timeout=LOOK)
            except queue.Empty:
                continue
            if found is None:
                return
            yield found

    def close(self) -> None:
        """Listen no more: `frames` ends."""
        self.closed.set()


def _pieces(line: bytes, end: bytes = b"") -> list[bytes]:
    """Return a line in the pieces that a log keeps, however it arrived; the last one is shorter than all others.

    >>> [len(piece) for piece in _pieces(bytes(2 * LINE + 5), b"!")]
    [16384, 16384, 6]
    """
    cuts = range(0, len(line) + 1, LINE)
    return [*(line[at : at + LINE] for at in cuts[:-1]), line[cuts[-1] :] + end]


class Output:
    """The output of one container, over all its runs."""

    def __init__(self, path: Path, kept: bool = True) -> None:
        self.path, self.kept = path, kept
        self.changed = threading.Condition()
        self.ended = True  # nothing runs: whoever follows has seen all
        self._listeners: list[Listener] = []
        self._parts: dict[int, bytes] = {}

    def begin(self) -> None:
        """Note that a program runs, and may write."""
        with self.changed:
            self.ended = False
            if self.kept:
                self.path.touch()  # whoever follows from now on has it open before the first line

    def write(self, stream: int, data: bytes) -> None:
        """Keep and pass on what a program wrote."""
        with self.changed:
            listeners = list(self._listeners)
            *lines, rest = (self._parts.pop(stream, b"") + data).split(b"\n")
            whole = [piece for line in lines for piece in _pieces(line, b"\n")]
            *more, rest = _pieces(rest)
            self._keep(stream, [*whole, *more])
            if rest:
                self._parts[stream] = rest
            self.changed.notify_all()
        for listener in listeners:
            listener.put((stream, data))

    def end(self) -> None:
        """Note that all output of this run is there."""
        with self.changed:
            for stream, rest in self._parts.items():
                self._keep(stream, [rest])
            self._parts = {}
            self.ended = True
            listeners, self._listeners = self._listeners, []
            self.changed.notify_all()
        for listener in listeners:
            listener.put(None)

    def listen(self, *streams: int, past: bool = False) -> Listener:
        """Return a listener that misses nothing from now on; `past` gives it what is kept first."""
        listener = Listener(streams)
        with self.changed:
            if past:
                listener.waiting = queue.Queue()
                with self._opened() as log:
                    for row in _rows(log):
                        listener.put(_frame(row))
            self._listeners.append(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        """Forget a listener."""
        listener.close()
        with self.changed:
            if listener in self._listeners:
                self._listeners.remove(listener)

    def lines(
        self, follow: bool, tail: int | None, wanted: Callable[[dict[str, Any]], bool], gone: Callable[[], bool]
    ) -> Iterator[dict[str, Any]]:
        """Yield kept lines, the last `tail` of them; with `follow` those to come, until the container's end.

        The log is opened at once: a container that is removed (`--rm`) before the first line is asked for takes the
        file's name away, not what stands in it.
        """
        return self._lines(self._opened(), follow, tail, wanted, gone)

    def _lines(
        self,
        log: BinaryIO,
        follow: bool,
        tail: int | None,
        wanted: Callable[[dict[str, Any]], bool],
        gone: Callable[[], bool],
    ) -> Iterator[dict[str, Any]]:
        with log:
            with self.changed:
                rows = [row for row in _rows(log) if wanted(row)]
            yield from rows if tail is None else deque(rows, maxlen=tail)
            while follow and not gone():
                with self.changed:
                    fresh = list(_rows(log))
                    if not fresh and self.ended:
                        return
                    if not fresh:
                        self.changed.wait(LOOK)
                yield from (row for row in fresh if wanted(row))

    def _keep(self, stream: int, lines: list[bytes]) -> None:
        if not self.kept or not lines:
            return
        time, name = now(), "stderr" if stream == 2 else "stdout"
        rows = ({"log": one.decode("utf-8", "surrogateescape"), "stream": name, "time": time} for one in lines)
        with self.path.open("a") as log:
            log.write("".join(json.dumps(row) + "\n" for row in rows))

    def _opened(self) -> BinaryIO:
        return self.path.open("rb") if self.path.exists() else BytesIO()


def _rows(log: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield what a log has from where it was read last; a line that a kill cut off is left out."""
    for line in log:
        try:
            yield json.loads(line)
        except ValueError:
            continue


def _frame(row: dict[str, Any]) -> Frame:
    """Return a kept line as it was written."""
    return 2 if row["stream"] == "stderr" else 1, row["log"].encode("utf-8", "surrogateescape")
