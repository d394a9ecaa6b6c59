"""What flows: progress as JSON objects, a container's output in frames, and a connection used as a terminal.

Sources: moby/pkg/streamformatter, moby/pkg/stdcopy/stdcopy.go, moby/pkg/term/proxy.go (detach keys),
moby/api/server/router/container/container_routes.go (attach).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import select
import socket
import struct
import termios
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO, Protocol

from drydock.engine.errors import BadParameter, EngineError

STDOUT, STDERR = 1, 2
# s at most. docker-py loses output that it finds together with the answer's head: with 20 ms between the two, of 200
# execs on a busy machine it lost 4
HEAD_TAKEN = 1.0


class Attachment(Protocol):
    """What a room gives for `attach` and `exec`: both ends of a program's input and output."""

    def frames(self) -> Iterator[tuple[int, bytes]]: ...
    def write(self, data: bytes) -> None: ...
    def close_stdin(self) -> None: ...
    def close(self) -> None: ...


def line(message: Mapping[str, Any]) -> bytes:
    r"""Return one progress message as the wire has it.

    >>> line({"stream": "Step 1/1"})
    b'{"stream":"Step 1/1"}\r\n'
    """
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode(errors="replace") + b"\r\n"


def progress(messages: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """Send messages one by one; what goes wrong after the first is a message too: the status code is sent by then."""
    started = False
    source = iter(messages)
    try:
        for message in source:
            yield line(message)
            started = True
    except (EngineError, ValueError, OSError) as error:
        if not started:
            raise
        yield line({"errorDetail": {"message": str(error)}, "error": str(error)})
    finally:
        if hasattr(source, "close"):
            source.close()


def frame(stream: int, data: bytes) -> bytes:
    r"""Return output with its head: which stream, and how long.

    >>> frame(STDERR, b"oh")
    b'\x02\x00\x00\x00\x00\x00\x00\x02oh'
    """
    return struct.pack(">BxxxL", stream, len(data)) + data


def frames(source: Iterable[tuple[int, bytes]], tty: bool) -> Iterator[bytes]:
    """Send output in frames, or as it is where a terminal has mixed both streams already."""
    for stream, data in source:
        yield data if tty else frame(stream, data)


# Detach keys

CONTROL = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


def detach_keys(text: str) -> bytes:
    r"""Return the bytes that a terminal sends for a key sequence.

    >>> detach_keys("ctrl-p,ctrl-q")
    b'\x10\x11'
    """
    if not text:
        return b"\x10\x11"
    found = bytearray()
    for key in text.split(","):
        if len(key) == 1:
            found += key.encode()
        elif key.startswith("ctrl-") and len(key) == 6 and ("a" <= key[5] <= "z" or key[5] in CONTROL):
            found.append(CONTROL.get(key[5], ord(key[5]) - ord("a") + 1))
        else:
            raise BadParameter(f"Invalid detach keys ({text[:80]}) provided")
    return bytes(found)


class Detacher:
    r"""Holds typed bytes back while they may become the detach keys.

    >>> watch = Detacher(b"\x10\x11")
    >>> watch.pass_on(b"ab\x10"), watch.pass_on(b"c"), watch.pass_on(b"\x10\x11x"), watch.detached
    (b'ab', b'\x10c', b'', True)
    """

    def __init__(self, keys: bytes) -> None:
        self.keys, self.held, self.detached = keys, 0, False

    def pass_on(self, data: bytes) -> bytes:
        """Return what the program may have; after the last key `detached` is True."""
        out = bytearray()
        for byte in data:
            if byte == self.keys[self.held]:
                self.held += 1
                if self.held == len(self.keys):
                    self.detached = True
                    return bytes(out)
                continue
            out += self.keys[: self.held]
            self.held = 1 if byte == self.keys[0] else 0
            if not self.held:
                out.append(byte)
        return bytes(out)


# A hijacked connection


class Wire:
    """The client's connection after the answer's head: bytes both ways, each way closed by itself."""

    def __init__(self, connection: socket.socket, reader: BinaryIO, slow: bool) -> None:
        self.connection, self.reader = connection, reader
        self.until = time.monotonic() + (HEAD_TAKEN if slow else 0)

    def send(self, data: bytes) -> None:
        """Send output; not before the client has taken the head, where it would lose it otherwise."""
        self.headed()
        self.connection.sendall(data)

    def headed(self) -> None:
        """Wait until the client has taken the answer's head out of the socket; a second at most."""
        while time.monotonic() < self.until and untaken(self.connection):
            time.sleep(0.0005)
        self.until = 0.0

    def receive(self) -> bytes:
        """Return what was typed; nothing once the client has closed its half."""
        return bytes(self.reader.read1(65536))  # type: ignore[attr-defined]

    def shut(self) -> None:
        """End the conversation: a thread in `receive` wakes up."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


def converse(wire: Wire, program: Attachment, tty: bool, stdin: bool, keys: bytes) -> None:
    """Carry bytes between a client and a program until the program ends, or the client leaves."""
    typing = threading.Thread(target=_typed, args=(wire, program, stdin, Detacher(keys) if tty else None), daemon=True)
    typing.start()
    try:
        for data in frames(program.frames(), tty):
            wire.send(data)
    except OSError:
        pass  # the client is gone; the program goes on
    finally:
        program.close()
        wire.headed()
        wire.shut()
        typing.join()


def _typed(wire: Wire, program: Attachment, stdin: bool, watch: Detacher | None) -> None:
    """Pass on what the client types. Its half closed means end of input, not goodbye: output still flows."""
    try:
        while data := wire.receive():
            if not stdin:
                continue
            data = watch.pass_on(data) if watch else data
            if data:
                program.write(data)
            if watch and watch.detached:
                program.close()
                return
        if stdin:
            program.close_stdin()
        elif hung_up(wire.connection):
            program.close()
    except OSError:
        program.close()


def untaken(connection: socket.socket) -> bool:
    """Return True while the other side of a Unix socket has not read all that was sent (SIOCOUTQ, unix(7))."""
    return any(fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)))


def hung_up(connection: socket.socket) -> bool:
    """Return True where the other side closed its connection altogether, not only its half."""
    poll = select.poll()
    poll.register(connection, select.POLLHUP)
    return any(event & select.POLLHUP for _, event in poll.poll(0))
