"""The engine's side of a running container: start it, ask things of it, learn how it ended.

Source: the frames that shim.py sends and obeys.
"""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from drydock.engine.errors import Conflict
from drydock.engine.run import frames, processes, rungs
from drydock.engine.run.launcher import Launcher
from drydock.engine.run.rungs import Proof, Rung
from drydock.engine.run.shim import MAIN
from drydock.engine.run.spec import CannotStart, NoSandbox, Process, Spec
from drydock.engine.run.switch import Switch
from drydock.engine.snapshots.journal import Journal

LOST = 137  # the exit code of a container whose shim is gone: killed, as far as anyone can tell


@dataclass
class Started:
    """One program in a container: its process ID, and its terminal if it has one."""

    number: int
    pid: int
    terminal: int = -1  # an open file that its taker closes
    made: tuple[str, ...] = ()
    exit: Future[int] = field(default_factory=Future)

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code once it has ended."""
        return self.exit.result(timeout)


class Running:
    """A container that runs."""

    def __init__(self, channel: socket.socket, spec: Spec) -> None:
        self.spec = spec
        self.main: Started | None = None
        self._channel = channel
        self._sending = threading.Lock()
        self._changing = threading.Lock()
        self._next = MAIN
        self._starting: dict[int, Future[Started]] = {}
        self._programs: dict[int, Started] = {}
        self._answers: dict[str, Future[Any]] = {}
        self._asking = threading.Lock()
        self._last_journal: dict[str, Any] = {}
        self._gone = False
        self._reader = threading.Thread(target=self._read, name=f"shim-{spec.id[:12]}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process ID of the main program, as the host counts."""
        return self.main.pid if self.main else 0

    @property
    def ended(self) -> bool:
        """Whether the main program has ended."""
        return self.main is not None and self.main.exit.done()

    def wait(self, timeout: float | None = None) -> int:
        """Return the main program's exit code once the container has ended, all of it."""
        assert self.main
        return self.main.wait(timeout)

    def start(self, message: Mapping[str, Any], stdio: Sequence[int]) -> Started:
        """Have the shim start a program; raise CannotStart where it could not."""
        with self._changing:
            number, future = self._next, Future[Started]()
            if self._gone:
                raise CannotStart("the container has ended")
            self._next += 1
            self._starting[number] = future
        self._send({**message, "number": number}, stdio)
        return future.result()

    def exec(self, process: Process, stdio: Sequence[int]) -> Started:
        """Start one more program in the container, as `docker exec` does."""
        fields = {name: getattr(process, name) for name in process.__dataclass_fields__}
        return self.start({"exec": fields}, stdio)

    def kill(self, number: int = signal.SIGKILL, program: Started | None = None) -> None:
        """Send a signal to the main program, or to one of `exec`."""
        self._send({"kill": int(number), "number": program.number if program else MAIN})

    def pause(self) -> None:
        """Stop every process of the container."""
        self._ask({"pause": True}, "paused")

    def unpause(self) -> None:
        """Let them go on."""
        self._ask({"pause": False}, "paused")

    def journal(self) -> Journal:
        """Return what was noted so far of owners, devices and capabilities."""
        notes = self._last_journal or self._ask({"journal": True}, "journal") or self._last_journal
        return journal_of(notes, (self.spec.process.uid, self.spec.process.gid))

    def everyone(self) -> list[int]:
        """Return the process IDs of all that runs in the container, the main program first."""
        started = [program.pid for program in list(self._programs.values())]
        return list(dict.fromkeys(pid for one in started for pid in (one, *processes.below(one))))

    def hang_up(self) -> None:
        """Close the engine's end: the shim kills all it started, and ends."""
        with suppress(OSError):
            self._channel.shutdown(socket.SHUT_WR)

    def join(self) -> None:
        """Wait until the shim is gone."""
        self._reader.join()

    def _ask(self, message: Mapping[str, Any], key: str) -> Any:
        with self._asking:
            with self._changing:
                if self._gone:
                    return None
                future = self._answers[key] = Future()
            try:
                self._send(message)
                return future.result()
            except Conflict:
                return None

    def _send(self, message: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
        with self._sending, suppress(OSError):  # the reader notices that the shim is gone
            frames.send(self._channel, message, fds)

    def _read(self) -> None:
        with self._channel:
            while True:
                try:
                    got = frames.receive(self._channel)
                except OSError:
                    got = None
                if got is None:
                    break
                self._handle(*got)
        self._lost()

    def _handle(self, message: dict[str, Any], fds: list[int]) -> None:
        match message:
            case {"started": int(number), "pid": int(pid), "made": made}:
                program = Started(number, pid, fds[0] if fds else -1, tuple(made))
                self._programs[number] = program
                self.main = self.main or program
                self._starting.pop(number).set_result(program)
            case {"failed": int(number), "message": str(text), "code": int(code)}:
                with self._changing:
                    waiting = self._starting.pop(number, None)
                if waiting:
                    waiting.set_exception(CannotStart(text, code))
            case {"ended": int(number), "code": int(code)}:
                self._last_journal = message.get("journal", self._last_journal)
                self._programs.pop(number).exit.set_result(code)
            case {"journal": notes}:
                self._answers["journal"].set_result(notes)
            case {"paused": bool(now)}:
                self._answers["paused"].set_result(now)

    def _lost(self) -> None:
        with self._changing:
            starting, self._starting = self._starting, {}
            self._gone = True
        for future in starting.values():
            future.set_exception(CannotStart("the container has ended", 128))
        for program in list(self._programs.values()):
            program.exit.set_result(LOST)
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(Conflict("the container has ended"))


def journal_of(notes: Mapping[str, Any] | None, user: tuple[int, int]) -> Journal:
    """Return the notes of a listener as the snapshots' journal."""
    empty: dict[str, Any] = {"owners": {}, "devices": {}, "xattrs": {}}
    return Journal.from_json({**empty, **(notes or {}), "user": user})


class Sandbox:
    """The place where containers run: the rung of this machine, a launcher and, beside each container, a shim."""

    def __init__(self, folder: Path, force: str | None = None) -> None:
        self.folder = folder
        self.launcher = Launcher(folder)
        self.switch = Switch(self.launcher)
        self._force = force
        self._running: set[Running] = set()
        self._lock = threading.Lock()
        self._proving = threading.Lock()
        self.proofs: dict[str, Proof] = {}  # by letter, of the rungs tried so far

    @cached_property
    def rung(self) -> Rung:
        """The first rung that works here, or the one that was asked for."""
        with self._proving:
            for rung in rungs.wanted(self._force):
                if rung.letter not in self.proofs:
                    self.proofs[rung.letter] = rung.probe(self.folder, self._begin)
                if self.proofs[rung.letter].works or self._force:
                    return rung
        return rungs.REFUSING

    def no_network_apart(self) -> str:
        """Return why containers here cannot have a network apart from the machine's; nothing where they can."""
        if self.rung.letter not in "AB":
            return f"rung {self.rung.letter} has no name spaces"
        return self.switch.why_not()

    def prove(self) -> dict[str, Proof]:
        """Try every rung, for `drydock doctor`."""
        with self._proving:
            for rung in rungs.LADDER:
                if rung.letter not in self.proofs:
                    self.proofs[rung.letter] = rung.probe(self.folder, self._begin)
        return self.proofs

    def start(self, spec: Spec, stdin: int, stdout: int, stderr: int) -> Running:
        """Start a container on this machine's rung; the three files are copied, and stay the caller's to close."""
        rung = self.rung
        if rung.letter == "D" or not self.proofs[rung.letter].works:
            raise NoSandbox(rungs.refusal(rung, self.proofs))
        return self._begin(rung.fit(spec), stdin, stdout, stderr)

    def _begin(self, spec: Spec, stdin: int, stdout: int, stderr: int) -> Running:
        running = Running(self.launcher.shim(), spec)
        with self._lock:
            self._running.add(running)
        try:
            running.start({"spec": spec.wire()}, [stdin, stdout, stderr])
        except CannotStart:
            self._forget(running)
            running.hang_up()
            running.join()  # what the shim had begun in its private folder is over
            raise
        assert running.main
        running.main.exit.add_done_callback(lambda ended: self._forget(running))
        return running

    def _forget(self, running: Running) -> None:
        with self._lock:
            self._running.discard(running)

    def close(self) -> None:
        """Kill every container and end the launcher."""
        with self._lock:
            running = list(self._running)
        for one in running:
            one.hang_up()
        for one in running:
            one.join()
        self.switch.close()
        self.launcher.close()
