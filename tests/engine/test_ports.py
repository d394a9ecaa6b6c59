"""Published ports: relays for TCP and UDP, and what is said where a port cannot be had; no container, real sockets."""

import os
import socket
import threading
from contextlib import contextmanager, suppress

import pytest
from drydock.engine import listening, relays
from drydock.engine.errors import BadParameter, EngineError
from drydock.engine.ports import Ports

ADDRESS = "127.99.0.9"  # a container's own


@contextmanager
def service(kind=socket.SOCK_STREAM, address=ADDRESS, port=0):
    """Something that answers what it is sent in capitals; a listener of this process, as of a container's."""
    with socket.socket(socket.AF_INET, kind) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((address, port))
        server.settimeout(20)
        server.listen() if kind == socket.SOCK_STREAM else None
        answer = _connections if kind == socket.SOCK_STREAM else _datagrams
        thread = threading.Thread(target=answer, args=(server,), daemon=True)
        thread.start()
        yield server.getsockname()[1]
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        if kind == socket.SOCK_DGRAM:
            with socket.socket(socket.AF_INET, kind) as last:
                last.sendto(b"", server.getsockname())
        thread.join()


def _connections(server):
    with suppress(OSError):
        while True:
            connection, _ = server.accept()
            with connection:
                while data := connection.recv(4096):
                    connection.sendall(data.upper())


def _datagrams(server):
    while got := server.recvfrom(65535):
        if not got[0]:
            return
        server.sendto(got[0].upper(), got[1])


def here(protocol, port):
    """Return where this process listens, as it is asked of a container; its relays, here in one process, are none."""
    return ADDRESS if listening.at([os.getpid()], protocol, port) else None


@pytest.fixture
def ports():
    made = Ports()
    yield made
    for container in list(made.by_container):
        made.release(container)


def publish(ports, port, binding, container="c1"):
    """Publish one port and return its places."""
    ports.publish(container, here, {port: [binding]}, {port: None}, container)
    return [(place["HostIp"], int(place["HostPort"])) for place in ports.shown(container)[port]]


def answer(ip, port, word=b"hello"):
    """Return what comes back for a word that is sent and ended."""
    with socket.create_connection((ip, port), timeout=20) as client:
        client.sendall(word)
        client.shutdown(socket.SHUT_WR)
        return client.makefile("rb").read()


def soon(ask, wanted):
    """Ask until the answer is the wanted one; the last answer is returned after some time in any case."""
    for _ in range(400):
        with suppress(OSError):
            if (got := ask()) == wanted:
                return got
        threading.Event().wait(0.025)
    return ask()


@pytest.mark.parametrize("address", [ADDRESS, "0.0.0.0"])
def test_a_relay_carries_both_ways_and_ends_with_its_container(ports, address):
    with service(address=address) as inner:
        ((ip, number),) = publish(ports, f"{inner}/tcp", {"HostIp": "127.0.0.1", "HostPort": ""})
        assert answer(ip, number) == b"HELLO"
        ports.release("c1")
        assert ports.shown("c1") == {}
        with pytest.raises(OSError):
            socket.create_connection((ip, number), timeout=20).close()


def test_a_relay_reaches_no_other_program_that_has_the_same_port(ports):
    """The machine's own server on that port is not the container's."""
    with service() as inner:
        ports.publish("c1", lambda *asked: None, {f"{inner}/tcp": [{"HostIp": "127.0.0.1"}]}, {f"{inner}/tcp": None})
        ((_, number),) = [(p["HostIp"], int(p["HostPort"])) for p in ports.shown("c1")[f"{inner}/tcp"]]
        with suppress(OSError):  # closed before the word was through
            assert answer("127.0.0.1", number) == b""


def test_who_listens_is_found_by_its_open_sockets_and_nobody_elses():
    with service() as port:
        assert listening.at([os.getpid()], "tcp", port) == ADDRESS
        assert listening.at([os.getppid()], "tcp", port) is None
        assert listening.at([os.getpid()], "tcp", 9) is None


@pytest.mark.parametrize("kind", ["tcp", "udp"])
@pytest.mark.parametrize("ip", ["127.0.0.1", "0.0.0.0"])
def test_a_port_of_the_same_number_is_carried_from_where_the_program_does_not_listen(ports, kind, ip):
    with socket.socket() as free:
        free.bind((ADDRESS, 0))
        port = free.getsockname()[1]
    assert publish(ports, f"{port}/{kind}", {"HostIp": ip, "HostPort": str(port)}) == [(ip, port)]
    ask = answer if kind == "tcp" else ask_datagram
    with service(socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM, port=port):
        assert soon(lambda: ask("127.0.0.1", port), b"HELLO") == b"HELLO"


def test_a_program_that_listens_everywhere_takes_a_port_of_the_same_number_itself(ports):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    publish(ports, f"{port}/tcp", {"HostIp": "127.0.0.1", "HostPort": str(port)})
    with service(address="0.0.0.0", port=port):
        assert answer("127.0.0.1", port) == b"HELLO"


def ask_datagram(ip, port, word=b"hello"):
    """Return the answer to one datagram."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(1)
        client.connect((ip, port))
        client.send(word)
        return client.recv(65535)


def test_datagrams_find_their_way_back_to_each_client(ports):
    with service(socket.SOCK_DGRAM) as inner:
        ((ip, number),) = publish(ports, f"{inner}/udp", {"HostIp": "127.0.0.1", "HostPort": ""})
        assert number != inner
        clients = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(5)]
        for n, client in enumerate(clients):
            client.settimeout(20)
            client.sendto(b"from %d" % n, (ip, number))
        assert [client.recv(100) for client in clients] == [b"FROM %d" % n for n in range(5)]
        for client in clients:
            client.close()


def test_of_a_range_the_first_free_port_is_taken(ports):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        first = taken.getsockname()[1]
        ((_, number),) = publish(ports, "80/tcp", {"HostIp": "127.0.0.1", "HostPort": f"{first}-{first + 50}"})
        assert first < number <= first + 50


def test_without_an_address_a_port_is_published_for_both_kinds_of_addresses(ports):
    with service() as inner:
        places = publish(ports, f"{inner}/tcp", {"HostPort": ""})
        assert [ip for ip, _ in places] in (["0.0.0.0", "::"], ["0.0.0.0"])
        assert len({number for _, number in places}) == 1
        assert {answer("::1" if ip == "::" else "127.0.0.1", number) for ip, number in places} == {b"HELLO"}


def test_of_two_ports_one_taken_none_stays_published(ports):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        bindings = {
            "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}],
            "81/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(number)}],
        }
        with pytest.raises(EngineError, match=f"listen tcp4 127.0.0.1:{number}: bind: address already in use"):
            ports.publish("c1", here, bindings, bindings)
    assert ports.shown("c1") == {}


@pytest.mark.parametrize(("one", "other"), [("127.0.0.1", "127.0.0.1"), ("", "127.0.0.1"), ("127.0.0.1", "")])
def test_a_port_that_another_container_published_is_taken_before_its_program_listens(ports, one, other):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    publish(ports, f"{port}/tcp", {"HostIp": one, "HostPort": port})
    with pytest.raises(EngineError, match=r"endpoint c2 \(c2\): Bind for .* failed: port is already allocated"):
        publish(ports, "80/tcp", {"HostIp": other, "HostPort": port}, "c2")
    publish(ports, "80/udp", {"HostIp": other, "HostPort": port}, "c3")


@pytest.mark.parametrize(
    ("port", "binding", "error", "words"),
    [
        ("80/tcp", {"HostPort": "x"}, BadParameter, "invalid port"),
        ("80/tcp", {"HostPort": "70000"}, BadParameter, "invalid port"),
        ("80/tcp", {"HostPort": "90-80"}, BadParameter, "invalid port"),
        ("80/sctp", {"HostPort": "9"}, EngineError, "protocol not supported"),
        ("80/tcp", {"HostIp": "203.0.113.9", "HostPort": "18999"}, EngineError, "cannot assign requested address"),
    ],
)
def test_a_port_that_cannot_be_published_says_why(ports, port, binding, error, words):
    with pytest.raises(error, match=words):
        publish(ports, port, binding)


def test_a_relay_looks_again_once_nobody_answers_where_the_program_was(monkeypatch):
    monkeypatch.setattr(relays, "FRESH", 600.0)
    looked, places = [], ["127.99.0.9", "127.99.0.10"]

    def where():
        looked.append(places[0])
        return places[0]

    with socket.create_server(("127.0.0.1", 0)) as listener:
        with service(address=places[0]) as port:
            relay = relays.Stream(listener, where, port)
            assert [capitals(listener) for _ in range(3)] == [b"HELLO"] * 3
            assert looked == ["127.99.0.9"]
        del places[0]
        with service(address=places[0], port=port):
            assert capitals(listener) == b"HELLO"
        relay.close()
    assert looked == ["127.99.0.9", "127.99.0.10"]


def capitals(listener):
    with socket.create_connection(listener.getsockname(), timeout=20) as client:
        client.sendall(b"hello")
        return client.recv(100)
