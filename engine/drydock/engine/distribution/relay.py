"""What several threads have to say, as one stream; and an end to all of them once nobody listens."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from drydock.engine.images.progress import bar

Message = dict[str, Any]
OFTEN = 0.1  # s between two words on how far one layer is, as dockerd has it
LOOK = 0.5  # s between two looks whether anybody listens


def status(text: str, what: str = "") -> Message:
    """Return one message about a layer, or about all.

    >>> status("Pulling fs layer", "a1b2"), status("Digest: sha256:00")
    ({'status': 'Pulling fs layer', 'progressDetail': {}, 'id': 'a1b2'}, {'status': 'Digest: sha256:00'})
    """
    return {"status": text, "progressDetail": {}, "id": what} if what else {"status": text}


class Relay:
    """Takes messages from threads; gives them out in turn."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[Message | BaseException | None] = queue.Queue(1024)
        self._unheard = threading.Event()

    def say(self, message: Message) -> None:
        """Pass on a message; what nobody hears is dropped."""
        while not self._unheard.is_set():
            try:
                return self._waiting.put(message, timeout=LOOK)
            except queue.Full:
                continue

    def bar(self, text: str, what: str, total: int) -> Callable[[int], None]:
        """Return what tells how far a layer is, not too often."""
        last = [0.0]

        def tell(done: int) -> None:
            now = time.monotonic()
            if done and (now - last[0] >= OFTEN or done == total):
                last[0] = now
                self.say(bar(text, what, done, total))

        return tell

    def waits(self, what: str) -> Callable[[int], None]:
        """Return what tells that a layer is tried again."""
        return lambda seconds: self.say(status(f"Retrying in {seconds} second{'s' * (seconds != 1)}", what))

    def run(
        self, work: Callable[[], None], stop: Callable[[], None], gone: Callable[[], bool] = lambda: False
    ) -> Iterator[Message]:
        """Do the work in a thread and give out what is said meanwhile; `stop` it where nobody listens any more.

        Raises what the work raises, after all that it said.
        """
        thread = threading.Thread(target=self._work, args=[work], daemon=True)
        thread.start()
        try:
            while True:
                try:
                    found = self._waiting.get(timeout=LOOK)
                except queue.Empty:
                    if gone():
                        return
                    continue
                if isinstance(found, BaseException):
                    raise found
                if found is None:
                    return
                yield found
        finally:
            self._unheard.set()
            stop()
            thread.join()

    def _work(self, work: Callable[[], None]) -> None:
        end: BaseException | None = None
        try:
            work()
        except Exception as error:
            end = error
        while not self._unheard.is_set():
            try:
                return self._waiting.put(end, timeout=LOOK)
            except queue.Full:
                continue
