"""The process beside each container: it starts the programs in it, answers for the kernel, and tells how they ended.

One per container, single-threaded, forked from the launcher. It belongs to the engine: when the engine's end of the
channel closes, for whatever reason, it kills what it started and ends.

Source: containerd runtime/v2/README.md (what a shim is for); man 2 prctl (PR_SET_CHILD_SUBREAPER).
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from drydock.engine.run import enter, frames, linux, processes, proot
from drydock.engine.run.enter import Child
from drydock.engine.run.listener import Listener, Notes
from drydock.engine.run.spec import CannotStart, Process, Spec
from drydock.engine.run.tracee import Tracee

MAIN = 0  # the number of the container's own process; those of `docker exec` count from 1


class Shim:
    """One container: its programs by number, and what the kernel tells of them by open file."""

    def __init__(self, channel: socket.socket, spec: Spec, stage: str) -> None:
        self.channel, self.spec, self.stage = channel, spec, stage
        self.running: dict[int, int] = {}  # number -> process ID
        self.tracees: dict[int, Tracee] = {}  # number -> the program behind PRoot
        self.notes = Notes()
        self.ended = False  # the main program has
        self.paused: list[int] = []
        self.poll = select.poll()
        self.ready: dict[int, Callable[[], bool]] = {}  # file -> what to do; False: with this file no more
        self.wakeup, told = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(told, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)

    def run(self, stdio: Sequence[int]) -> None:
        """Start the main program and serve until it has ended."""
        made: list[str] = []
        if self.spec.rung == "C":
            proot.prepare(self.spec)
            made = proot.mount_points(self.spec)
        if not self.start(MAIN, enter.first(self.spec, self.stage), stdio, self.spec.process.groups, made):
            return
        self.watch(self.wakeup, self.collect)
        self.poll.register(self.channel, select.POLLIN)
        while not self.ended:
            for fd, _ in self.poll.poll():
                if fd == self.channel.fileno():
                    if not self.obey():
                        return
                elif fd in self.ready and not self.ready[fd]():
                    self.poll.unregister(fd)
                    del self.ready[fd]
                    os.close(fd)

    def watch(self, fd: int, then: Callable[[], bool]) -> None:
        """Call `then` whenever there is something to read."""
        self.ready[fd] = then
        self.poll.register(fd, select.POLLIN)

    def start(
        self,
        number: int,
        what: Callable[[Child], NoReturn],
        stdio: Sequence[int],
        groups: Sequence[int],
        made: Sequence[str] = (),
    ) -> bool:
        """Start a program and tell the engine of it: its process ID, or why there is none."""
        pid, told, files, listener = self._follow(number, what, stdio)
        if "error" in told:
            os.waitpid(pid, 0)
            frames.send(self.channel, {"failed": number, "message": told["error"], "code": told["code"]})
        else:
            self.running[number] = pid
            self._listen(number, listener, groups)
            frames.send(
                self.channel,
                {"started": number, "pid": self.running[number], "made": [*made, *told.get("made", [])]},
                files,
            )
        for fd in files:
            os.close(fd)
        return "error" not in told

    def _follow(
        self, number: int, what: Callable[[Child], NoReturn], stdio: Sequence[int]
    ) -> tuple[int, dict[str, Any], list[int], int]:
        """Take a new process's reports until it has become its program."""
        first, report = enter.fork(what, stdio)
        for fd in stdio:
            os.close(fd)
        told: dict[str, Any] = {"pid": first}
        files: list[int] = []
        listener = -1
        with report:
            while got := frames.receive(report):
                told |= got[0]
                if "pid" in got[0]:
                    if told["pid"] != first:  # who reported was the process between, and has ended
                        os.waitpid(first, 0)
                    if number == MAIN and self.spec.rung != "C":
                        self._join(self.spec.shares or told["pid"])
                    frames.send(report, {"go": True})
                elif "listener" in got[0]:
                    listener = got[1][0]
                else:
                    files += got[1]
        return told["pid"], told, files, listener

    def _listen(self, number: int, fd: int, groups: Sequence[int]) -> None:
        """Serve the filter of a new program; on rung C, watch the program behind PRoot as well."""
        tree = self.spec.root.tree if self.spec.rung == "C" else ""
        listener = Listener(fd, self.notes, tree, groups, (self.spec.hostname, self.spec.domainname))
        listener.root_is_swapped = self.spec.rung == "C" and not proot.is_new(self.spec)
        if fd >= 0:
            with suppress(OSError):  # it has ended already
                listener.know_root(self.running[MAIN])
            self.watch(fd, listener.serve)
        if self.spec.rung == "C" and (tracee := Tracee.of(self.running[number], listener.serve_pending)):
            self.running[number] = tracee.pid
            self.tracees[number] = tracee
            listener.tracees.append(tracee)
            self.watch(tracee.watch, lambda: self._tracee_ended(number, listener))

    def _join(self, pid: int) -> None:
        """Enter the container's user name space, and no other: there one may write files that the mode forbids to."""
        space = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY)
        linux.setns(space, linux.CLONE_NEWUSER)
        os.close(space)
        linux.prctl(linux.PR_SET_DUMPABLE, 1)  # the kernel took both away with the change of name space
        linux.die_with_parent(signal.SIGTERM)

    def obey(self) -> bool:
        """Do what the engine asks; False when the engine is gone."""
        got = frames.receive(self.channel)
        if got is None:
            return False
        message, fds = got
        match message:
            case {"exec": process, "number": int(number)}:
                wanted = Process.of(process)
                self.start(number, enter.another(self.spec, wanted, self.running[MAIN]), fds, wanted.groups)
            case {"kill": int(what), "number": int(number)}:
                self.kill(number, what)
            case {"pause": bool(pause)}:
                self.pause() if pause else self.resume()
                frames.send(self.channel, {"paused": pause})
            case {"journal": True}:
                frames.send(self.channel, {"journal": self.notes.wire()})
        return True

    def kill(self, number: int, what: int) -> None:
        """Send a signal to a program, if it still runs."""
        if number in self.running:
            if number in self.tracees:
                if number == MAIN and not self.spec.init and not self.tracees[number].hears(what):
                    return
                self.tracees[number].signal = what
            with suppress(ProcessLookupError):
                os.kill(self.running[number], what)

    def pause(self) -> None:
        """Stop every process of the container, again until no new one appears."""
        while new := [pid for pid in processes.below(os.getpid()) if pid not in self.paused]:
            for pid in new:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
            self.paused += new
            self._until_still(new)

    @staticmethod
    def _until_still(pids: Sequence[int]) -> None:
        """Wait until the signal has arrived: a process that runs on another processor goes on for a moment."""
        deadline = time.monotonic() + 1.0  # one that waits for a disk stops later, and does nothing until then
        while any((processes.stat(pid) or "Z")[0] not in "TtZX" for pid in pids) and time.monotonic() < deadline:
            time.sleep(0.0005)

    def resume(self) -> None:
        """Let all go on, children first: a parent that looks finds them running."""
        for pid in reversed(self.paused):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self.paused = []

    def collect(self) -> bool:
        """Take note of every process that has ended."""
        with suppress(BlockingIOError):
            os.read(self.wakeup, 4096)
        with suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                self._collected(*found)
        return True

    def _collected(self, pid: int, status: int) -> None:
        for number in [one for one, running in self.running.items() if running == pid]:
            code = os.waitstatus_to_exitcode(status)
            self._tell_end(number, code if code >= 0 else 128 - code)

    def _tracee_ended(self, number: int, listener: Listener) -> bool:
        listener.serve_pending()
        if number in self.running:
            self._tell_end(number, self.tracees[number].ended())
        return False

    def _tell_end(self, number: int, code: int) -> None:
        del self.running[number]
        if number != MAIN:
            frames.send(self.channel, {"ended": number, "code": code})
            return
        self.ended = True
        self.finish()
        frames.send(self.channel, {"ended": MAIN, "code": code, "journal": self.notes.wire()})

    def finish(self) -> None:
        """Kill and collect all that is left, so that no process outlives its container."""
        if self.spec.isolated and MAIN in self.running:
            with suppress(ProcessLookupError):
                os.kill(self.running[MAIN], signal.SIGKILL)  # the kernel kills the rest with it
        with suppress(ChildProcessError):
            while True:
                found = os.waitpid(-1, 0 if self.spec.isolated else os.WNOHANG)
                with suppress(OSError):
                    self._collected(*found)
                if found[0] == 0:
                    self._kill_all()
        for number in list(self.running):  # on rung C: a program whose tracer was killed with it
            with suppress(OSError):
                self._tell_end(number, 128 + signal.SIGKILL)

    def _kill_all(self) -> None:
        for pid in processes.below(os.getpid()):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.001)  # whoever was started meanwhile is found the next time round


def serve(channel: socket.socket, stage: str) -> None:
    """Be the shim of the container whose spec comes first on the channel.

    When the launcher is killed the shim is told so, not killed with it: it has to end its programs first, since a PRoot
    before 5.2 that is killed lets the program that it traces go.
    """
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit())
    linux.die_with_parent(signal.SIGTERM)
    got = frames.receive(channel)
    if got is None:
        return
    spec = Spec.of(got[0]["spec"])
    shim = Shim(channel, spec, stage)
    try:
        shim.run(got[1])
    except (CannotStart, OSError) as error:
        with suppress(OSError):
            frames.send(channel, {"failed": MAIN, "message": str(error), "code": 128})
    finally:
        lost = not shim.ended
        shim.finish()
        if spec.private and lost:
            _save(Path(spec.private), shim.notes)


def _save(folder: Path, notes: Notes) -> None:
    """Keep the notes where the next start of the engine finds them, should it be gone by now."""
    with suppress(OSError):
        beside = folder / "journal.json.new"
        beside.write_text(json.dumps(notes.wire()))
        beside.replace(folder / "journal.json")
