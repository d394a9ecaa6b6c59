"""Customers: a bounded load of a fixed number of requests a second, the same ones in the same order for each design.

And the control: visits to a part that nobody touches, so that a busy machine is told apart from a store in trouble.
"""

from __future__ import annotations

import http.client
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing

from drydock.lessons.shop.process import Process
from drydock.model.shop import Plan, Request
from drydock.model.shop_rule import Order, orders

THREADS = 18  # at 30 requests a second each has 0.6 s for one: longer than any customer waits, so none is late


class Control:
    """Visits to one process that nobody touches; `visits` grows while it is visited."""

    def __init__(self, plan: Plan, process: Process, began: float) -> None:
        self.plan, self.process, self.began = plan, process, began
        self.visits: list[Request] = []

    def visit(self) -> None:
        """Ask the process once, straight, and keep how long that took."""
        sent, good = time.perf_counter(), True
        try:
            self.process.say("GET", f"/{self.process.part}", timeout=self.plan.patience)
        except (OSError, http.client.HTTPException):
            good = False
        took = time.perf_counter() - sent
        self.visits.append(Request(sent - self.began, self.process.part, good, 1000 * took))


class Load:
    """The customers of one design, from a few threads; `answered` grows while they come.

    `doors` says on which ports the design answers just now: with several, customers take turns.
    """

    def __init__(self, plan: Plan, doors: Callable[[], Sequence[int]]) -> None:
        self.plan, self.doors = plan, doors
        self.answered: list[Request] = []
        self.began = 0.0
        self._turn = itertools.count()
        self._over = threading.Event()
        mine, count = orders(plan), max(THREADS, int(plan.rate * plan.patience * 1.2) + 1)
        self._threads = [
            threading.Thread(target=self._customers, args=[mine[number::count]], daemon=True) for number in range(count)
        ]

    def start(self, began: float) -> None:
        """Let the customers come, the first at `began` (of time.perf_counter)."""
        self.began = began
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Send nobody any more, and wait for those who are there."""
        self._over.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    @property
    def done(self) -> bool:
        """Return True once every customer has an answer, or left."""
        return not any(thread.is_alive() for thread in self._threads)

    def _customers(self, mine: Sequence[Order]) -> None:
        for order in mine:
            wait = self.began + order.at - time.perf_counter()
            if self._over.wait(max(0.0, wait)):
                return
            self.answered.append(self._ask(order))

    def _ask(self, order: Order) -> Request:
        doors, sent, good, left = self.doors(), time.perf_counter(), False, False
        try:
            if not doors:
                raise ConnectionRefusedError("nobody is there")
            good = _get(doors[next(self._turn) % len(doors)], order.path, sent + self.plan.patience)
        except TimeoutError:
            left = True
        except (OSError, http.client.HTTPException):
            pass
        return Request(order.at, order.kind, good, (time.perf_counter() - sent) * 1000, left)


def _get(door: int, path: str, until: float) -> bool:
    """Return whether the answer to a request was a good one.  Raises: TimeoutError, OSError, HTTPException."""
    connection = http.client.HTTPConnection("127.0.0.1", door, timeout=max(0.001, until - time.perf_counter()))
    with closing(connection):
        connection.connect()
        assert connection.sock is not None
        connection.sock.settimeout(max(0.001, until - time.perf_counter()))
        connection.request("GET", path)
        reply = connection.getresponse()
        reply.read()
        return reply.status == 200
