"""Hijacked connections, builds that go silent, events: what flows, against programs of the test's own."""

import queue
import select
import socket
import threading
import time

import pytest
from drydock.engine.api import build
from drydock.engine.api.streams import Wire, converse, detach_keys, hung_up, progress
from drydock.engine.errors import BadParameter, Conflict
from drydock.engine.events import Events

KEYS = b"\x10\x11"


class Program:
    """Stands for a container's input and output: the test says what it writes, and reads what it was told."""

    def __init__(self, *said):
        self.output = queue.Queue()
        for each in said:
            self.output.put(each)
        self.heard, self.ended = b"", threading.Event()
        self.told = queue.Queue()

    def frames(self):
        while (found := self.output.get()) is not None:
            yield found

    def write(self, data):
        self.heard += data
        self.told.put(data)

    def close_stdin(self):
        self.ended.set()
        self.told.put(None)

    def close(self):
        self.output.put(None)


@pytest.fixture
def talk():
    """Start a conversation with a program; return the client's end of the connection."""
    running = []

    def start(program, tty=False, stdin=True, slow=False, head=b""):
        client, server = socket.socketpair()
        client.settimeout(20)
        server.sendall(head)
        wire = Wire(server, server.makefile("rb"), slow)
        thread = threading.Thread(target=converse, args=(wire, program, tty, stdin, KEYS))
        thread.start()
        running.append((client, server, wire, thread, program))
        return client

    yield start
    for client, server, wire, thread, program in running:
        client.close()
        program.close()
        thread.join(20)
        assert not thread.is_alive()
        wire.reader.close()
        server.close()


def all_of(client):
    found = b""
    while data := client.recv(65536):
        found += data
    return found


def test_both_streams_come_in_frames(talk):
    client = talk(Program((1, b"out"), (2, b"err"), None), stdin=False)
    assert all_of(client) == b"\x01\0\0\0\0\0\0\x03out\x02\0\0\0\0\0\0\x03err"


def test_output_does_not_come_together_with_the_head_that_is_not_taken_yet(talk):
    client = talk(Program((1, b"out"), None), slow=True, head=b"HTTP/1.1 101 UPGRADED")
    assert select.select([client], [], [], 20)[0]
    time.sleep(0.1)  # a client that is slow to read
    assert client.recv(100) == b"HTTP/1.1 101 UPGRADED"
    assert all_of(client).endswith(b"out")


def test_a_terminal_has_no_frames(talk):
    assert all_of(talk(Program((1, b"$ "), None), tty=True)) == b"$ "


def test_output_goes_on_after_the_client_has_closed_its_half(talk):
    program = Program()
    client = talk(program)
    client.sendall(b"abc")
    client.shutdown(socket.SHUT_WR)
    assert program.ended.wait(20) and program.heard == b"abc"
    program.output.put((1, b"later"))
    program.output.put(None)
    assert all_of(client).endswith(b"later")


def test_a_client_that_only_listens_does_not_end_the_programs_input(talk):
    program = Program()
    client = talk(program, stdin=False)
    client.shutdown(socket.SHUT_WR)
    program.output.put((1, b"x"))
    assert client.recv(100).endswith(b"x") and not program.ended.is_set()


def test_the_detach_keys_end_the_conversation_and_not_the_program(talk):
    program = Program()
    client = talk(program, tty=True)
    client.sendall(b"ls\x10")
    client.sendall(b"\x11more")
    assert all_of(client) == b""
    assert program.heard == b"ls" and not program.ended.is_set()


def test_half_of_the_detach_keys_is_passed_on(talk):
    program = Program()
    client = talk(program, tty=True)
    client.sendall(b"\x10x")
    assert program.told.get(timeout=20) == b"\x10x"


def test_without_a_terminal_every_byte_is_the_programs(talk):
    program = Program()
    client = talk(program)
    client.sendall(KEYS)
    assert program.told.get(timeout=20) == KEYS


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-1", "ab", "a,,b", "ctrl-pp"])
def test_detach_keys_that_are_none_are_refused(text):
    with pytest.raises(BadParameter):
        detach_keys(text)


def test_a_half_closed_connection_is_not_hung_up():
    one, other = socket.socketpair()
    with other:
        one.shutdown(socket.SHUT_WR)
        assert not hung_up(other)
        one.close()
        assert hung_up(other)


# Progress


def test_what_goes_wrong_before_the_first_message_is_an_error():
    def messages():
        raise Conflict("no")
        yield {}

    with pytest.raises(Conflict):
        list(progress(messages()))


def test_what_goes_wrong_later_is_the_last_message():
    def messages():
        yield {"status": "a"}
        raise Conflict("no")

    assert list(progress(messages()))[-1] == b'{"errorDetail":{"message":"no"},"error":"no"}\r\n'


class Asked:
    """A request whose client may hang up."""

    def __init__(self):
        self.left = threading.Event()
        self.gone = self.left.is_set


def test_a_silent_build_shows_signs_of_life(monkeypatch):
    monkeypatch.setattr(build, "SILENCE", 0.01)
    go = threading.Event()

    def messages():
        yield {"stream": "Step 1"}
        go.wait(20)
        yield {"stream": "done"}

    lines = build._lively(messages(), build.Cancel(Asked()))
    assert next(lines) == b'{"stream":"Step 1"}\r\n'
    assert next(lines) == b'{"stream":""}\r\n'
    go.set()
    assert list(lines)[-1] == b'{"stream":"done"}\r\n'


def test_a_build_whose_client_leaves_is_cancelled_and_closed():
    asked, closed = Asked(), threading.Event()
    cancel = build.Cancel(asked)

    def messages():
        try:
            yield {"stream": "Step 1"}
            while not cancel.is_set():
                threading.Event().wait(0.01)
        finally:
            closed.set()

    lines = build._lively(messages(), cancel)
    next(lines)
    lines.close()
    assert closed.is_set()


def test_a_build_that_is_refused_raises_before_anything_is_said():
    def messages():
        raise BadParameter("no Dockerfile")
        yield {}

    with pytest.raises(BadParameter):
        next(build._lively(messages(), build.Cancel(Asked())))


# Events


def test_a_listener_hears_what_was_and_what_comes():
    events, asked = Events(), Asked()
    events.emit("image", "tag", "i1", {"name": "a"})
    heard = events.listen(0, None, {"event": ["tag"]}, asked.gone)
    assert next(heard).id == "i1"
    events.emit("image", "untag", "i2")
    events.emit("image", "tag", "i3")
    assert next(heard).id == "i3"
    asked.left.set()
    assert list(heard) == [] and not events.listeners


def test_who_listens_hears_what_happens_before_it_looks():
    events = Events()
    heard = events.listen(None, time.time() + 20, {}, lambda: False)
    events.emit("image", "tag", "i1")
    assert next(heard).id == "i1"
    del heard
    assert not events.listeners


def test_until_in_the_past_ends_at_once_with_what_was():
    events = Events()
    events.emit("volume", "create", "v")
    assert [e.id for e in events.listen(0, 4_000_000_000, {}, lambda: True)] == ["v"]
    assert list(events.listen(0, 1, {}, lambda: False)) == []
