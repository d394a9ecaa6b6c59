"""A program's three streams while it runs: threads that carry them between the kernel and whoever is attached.

Source: moby/container/stream/{streams,attach}.go.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterator
from contextlib import suppress

from drydock.engine.run import terminal
from drydock.engine.run.output import Frame, Listener, Output
from drydock.engine.run.sandbox import Started

PIECE = 32 << 10  # bytes read at once; io.Copy's figure


class Input:
    """What is typed to a program: it may be typed before the program starts."""

    def __init__(self, once: bool) -> None:
        self.once = once  # the first client that leaves ends the program's input
        self._waiting: queue.Queue[bytes | None] = queue.Queue(64)
        self._over = threading.Event()

    def write(self, data: bytes) -> None:
        """Type something; waits while the program does not read."""
        self._put(data)

    def end(self) -> None:
        """Type the end of input."""
        self._put(None)

    def close(self) -> None:
        """The program is gone: nobody reads any more."""
        self._over.set()

    def _put(self, data: bytes | None) -> None:
        while not self._over.is_set():
            try:
                return self._waiting.put(data, timeout=0.25)
            except queue.Full:
                continue

    def carry(self, fd: int, shared: bool) -> None:
        """Write what was typed into a file, until its end; `shared`: a terminal, which others close."""
        with suppress(OSError):  # the program has closed its input, or has ended
            while not self._over.is_set():
                try:
                    data = self._waiting.get(timeout=0.25)
                except queue.Empty:
                    continue
                if data is None:
                    break
                while data:
                    data = data[os.write(fd, data) :]
        if not shared:
            os.close(fd)


class Stdio:
    """The streams of one program: pipes, or the engine's end of a terminal."""

    def __init__(self, output: Output, typed: Input | None, tty: bool) -> None:
        self.output, self.typed, self.tty = output, typed, tty
        self.terminal = -1
        self._ours: list[int] = []
        self._threads: list[threading.Thread] = []

    def files(self) -> list[int]:
        """Return the program's ends of three streams; `started` or `failed` closes them."""
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        if self.tty:
            self._theirs = [null]
            return [null, null, null]
        stdin = os.pipe2(os.O_CLOEXEC) if self.typed else (null, -1)
        out, err = os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)
        self._ours = [stdin[1], out[0], err[0]]
        self._theirs = [*dict.fromkeys([null, stdin[0], out[1], err[1]])]
        return [stdin[0], out[1], err[1]]

    def failed(self) -> None:
        """Close all: the program did not start."""
        for fd in [*self._theirs, *(one for one in self._ours if one >= 0)]:
            os.close(fd)
        self._theirs, self._ours = [], []
        self.output.end()

    def started(self, program: Started) -> None:
        """Begin to carry."""
        for fd in self._theirs:
            os.close(fd)
        self._theirs = []
        if self.tty:
            self.terminal = program.terminal
            self._run(self._read, self.terminal, 1, False)
            if self.typed:
                self._run(self.typed.carry, self.terminal, True)
            return
        if self.typed:
            self._run(self.typed.carry, self._ours[0], False)
        self._run(self._read, self._ours[1], 1, True)
        self._run(self._read, self._ours[2], 2, True)

    def resize(self, rows: int, columns: int) -> None:
        """Tell the terminal how large it is shown."""
        if self.terminal >= 0:
            with suppress(OSError):
                terminal.resize(self.terminal, rows, columns)

    def ended(self) -> None:
        """Wait for the last output, then close all: the program has ended."""
        if self.typed:
            self.typed.close()
        for thread in self._threads:
            thread.join()
        if self.terminal >= 0:
            os.close(self.terminal)
            self.terminal = -1
        self.output.end()

    def _run(self, what: object, *arguments: object) -> None:
        thread = threading.Thread(target=what, args=arguments, daemon=True)  # type: ignore[arg-type]
        thread.start()
        self._threads.append(thread)

    def _read(self, fd: int, stream: int, own: bool) -> None:
        with suppress(OSError):  # a terminal's end is EIO
            while data := os.read(fd, PIECE):
                self.output.write(stream, data)
        if own:
            os.close(fd)


class Attachment:
    """A client's connection to a program: what it writes, and what is typed to it."""

    def __init__(self, output: Output, listener: Listener, typed: Input | None, tty: bool) -> None:
        self.output, self.listener, self.typed, self.tty = output, listener, typed, tty

    def frames(self) -> Iterator[Frame]:
        """Yield output, stream by stream, until the program's end."""
        return self.listener.frames()

    def write(self, data: bytes) -> None:
        """Type something."""
        if self.typed:
            self.typed.write(data)

    def close_stdin(self) -> None:
        """The client types no more: the program is told, or, where others may type on, this client has left.

        Source: moby container/stream/attach.go: "No matter what, when stdin is closed, close stdout and stderr".
        """
        if self.typed and self.typed.once:
            self.typed.end()
        elif self.typed:
            self.listener.close()

    def close(self) -> None:
        """Leave; the program goes on."""
        self.output.leave(self.listener)
