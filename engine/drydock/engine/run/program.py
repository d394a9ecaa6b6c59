"""A container's program while it runs: what it can be told, and who waits for its end.

Source: moby v20.10 daemon/{stop,kill,pause,wait}.go.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from drydock.engine.errors import Conflict, EngineError, NotModified
from drydock.engine.run import settled
from drydock.engine.run.sandbox import Running
from drydock.engine.run.state import State

if TYPE_CHECKING:
    from drydock.engine.run.containers import Containers

NOT_RUNNING = "Container {id} is not running"


class Waiter:
    """Waits for a container's end, from the moment it was made."""

    def __init__(self, container: Program, condition: str) -> None:
        self.container, self.condition, self.ends = container, condition, container.ends

    def result(self, timeout: float) -> int | None:
        """Return the exit code, or None where the time is over first."""
        c = self.container
        with c.changed:
            c.changed.wait_for(self._met, timeout)
            return c.now.ExitCode if self._met() else None

    def _met(self) -> bool:
        c = self.container
        if self.condition == "removed":
            return c.removed
        if self.condition == "next-exit":
            return c.ends > self.ends or c.removed
        return not c.now.Running or c.removed


class Program:
    """What a container's program is told while it runs; how it starts and ends, and whose it is, subclasses know."""

    house: Containers
    id: str
    name: str
    image_name: str
    config: dict[str, Any]
    now: State
    stopped_by_hand: bool
    removed: bool  # gone, and everybody was told

    def __init__(self) -> None:
        self.lock = threading.RLock()  # one change of state at a time
        self.changed = threading.Condition()
        self.ends = 0
        self.running_now: Running | None = None

    @property
    def running(self) -> bool:
        """True from start to end, paused or not."""
        return self.now.Running

    @property
    def paused(self) -> bool:
        """True while all its processes are stopped."""
        return self.now.Paused

    @property
    def tty(self) -> bool:
        """True where its program has a terminal."""
        return bool(self.config.get("Tty"))

    def save(self) -> None:
        """Write down what must outlive the engine."""
        raise NotImplementedError

    def tell(self, action: str, **attributes: str) -> None:
        """Tell what happened."""
        labels = self.config.get("Labels") or {}
        known = {**labels, "image": self.image_name, "name": self.name, **attributes}
        self.house.emit("container", action, self.id, known)

    def process_tree(self) -> Running:
        """Return what runs.

        Raises: Conflict where nothing does.
        """
        running = self.running_now
        if not self.running or running is None:
            raise Conflict(NOT_RUNNING.format(id=self.id))
        return running

    def waiter(self, condition: str = "not-running") -> Waiter:
        """Return what waits for its end from now on."""
        return Waiter(self, condition)

    # Signals

    def stop(self, timeout: int | None = None) -> None:
        """Ask it to end; after `timeout` seconds kill it."""
        if not self.running:
            raise NotModified("")
        self._stop(timeout)
        self.tell("stop")

    def _stop(self, timeout: int | None) -> None:
        self.stopped_by_hand = True
        if self.now.Restarting:
            with self.changed:
                self.now.exited(self.now.ExitCode)
                self.changed.notify_all()
            return self.save()
        if self.paused:
            self.unpause()
        number = settled.number(self.config.get("StopSignal") or "TERM")
        seconds = timeout if timeout is not None else self.config.get("StopTimeout") or 10
        self._signal(number)
        waiting = Waiter(self, "not-running")
        if waiting.result(seconds if seconds >= 0 else 10**6) is None:
            self._signal(9)
            waiting.result(60)

    def kill(self, signal: str | int = "KILL") -> None:
        """Send it a signal; after SIGKILL, return once it has ended."""
        number = settled.number(signal)
        if not self.running:
            raise Conflict(f"Cannot kill container: {self.name}: {NOT_RUNNING.format(id=self.id)}")
        if number == settled.number(self.config.get("StopSignal") or "TERM") or number == 9:
            self.stopped_by_hand = True
        if number == 9 and self.paused:
            self.unpause()
        waiting = Waiter(self, "not-running")
        self._signal(number)
        if number == 9:
            waiting.result(60)

    def _signal(self, number: int) -> None:
        running = self.running_now
        if running:
            running.kill(number)
            self.tell("kill", signal=str(number))

    def pause(self) -> None:
        """Stop all its processes where they are."""
        with self.lock:
            running = self.process_tree()
            if self.paused:
                raise Conflict(f"Container {self.id} is already paused")
            running.pause()
            self.now.Paused, self.now.Status = True, "paused"
            self.save()
        self.tell("pause")

    def unpause(self) -> None:
        """Let them go on."""
        with self.lock:
            if not self.paused or not self.running_now:
                raise Conflict(f"Container {self.id} is not paused")
            self.running_now.unpause()
            self.now.Paused, self.now.Status = False, "running"
            self.save()
        self.tell("unpause")

    def end_with_engine(self, seconds: int) -> None:
        """Stop it because the engine stops: for its restart policy nobody stopped it."""
        before = self.stopped_by_hand
        with suppress(EngineError):
            self._stop(seconds)
        self.stopped_by_hand = before
        self.save()

    def end_now(self) -> None:
        """Kill it, for good."""
        self.stopped_by_hand = True
        if self.now.Restarting:
            return
        if self.paused:
            self.unpause()
        waiting = Waiter(self, "not-running")
        self._signal(9)
        waiting.result(60)
