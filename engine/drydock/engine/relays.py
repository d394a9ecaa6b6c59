"""Relays: a listener on the machine that carries bytes, or datagrams, to a program in a container.

Source: moby v20.10 cmd/docker-proxy (tcp_proxy_linux.go, udp_proxy.go).
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

Where = Callable[[], str | None]  # the address at which the program listens now; None: nowhere
IDLE = 90.0  # s after which a client of a datagram relay is forgotten, as in docker-proxy
FRESH = 1.0  # s for which a place holds where a program listened: to look took 14 ms, to carry a request takes 1
MOST = 1024  # clients of one datagram relay; beyond that the one that was silent longest is forgotten
LARGEST = 65535  # bytes of a datagram


def family(ip: str) -> socket.AddressFamily:
    """Return which kind of address it is."""
    return socket.AF_INET6 if ":" in ip else socket.AF_INET


def bound(ip: str, port: int, kind: socket.SocketKind) -> socket.socket:
    """Return a socket that has a port of the machine; raise OSError where it cannot be had."""
    made = socket.socket(family(ip), kind)
    try:
        if kind == socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family(ip) == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((ip, port))
        if kind == socket.SOCK_STREAM:
            made.listen(128)
    except BaseException:
        made.close()
        raise
    return made


class Stream:
    """Carries TCP connections, each in a thread of its own."""

    def __init__(self, listener: socket.socket, where: Where, port: int) -> None:
        self.listener, self.where, self.port = listener, where, port
        self.found: tuple[str | None, float] = (None, 0.0)  # where it listened, and when that was seen
        threading.Thread(target=self._accept, name=f"port {port}", daemon=True).start()

    def close(self) -> None:
        """Take no more connections; those that are there end with their programs."""
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self.listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        """Carry one connection; nobody there is a connection that closes at once, as with docker-proxy."""
        with client:
            server = self._server()
            if server is not None:
                with server:
                    server.settimeout(None)
                    _both_ways(client, server)

    def _server(self) -> socket.socket | None:
        """Return a connection to the program where it listened a moment ago, else where it does now."""
        address, seen = self.found
        if address is not None and time.monotonic() - seen < FRESH:
            with contextlib.suppress(OSError):  # it is gone from there: look again
                return socket.create_connection((address, self.port), timeout=10)
        self.found = address, _ = self.where(), time.monotonic()
        if address is None:
            return None
        try:
            return socket.create_connection((address, self.port), timeout=10)
        except OSError:
            return None


def _both_ways(one: socket.socket, other: socket.socket) -> None:
    """Copy bytes both ways; an end of input on one side is passed on, the other way goes on."""
    with selectors.DefaultSelector() as waiting:
        waiting.register(one, selectors.EVENT_READ, other)
        waiting.register(other, selectors.EVENT_READ, one)
        while waiting.get_map():
            for key, _ in waiting.select():
                source, target = key.fileobj, key.data
                assert isinstance(source, socket.socket)
                try:
                    data = source.recv(65536)
                    if data:
                        target.sendall(data)
                        continue
                    target.shutdown(socket.SHUT_WR)
                except OSError:
                    return
                waiting.unregister(source)


class Datagrams:
    """Carries UDP: each client has a socket of its own towards the program, so that answers find their way back."""

    def __init__(self, listener: socket.socket, where: Where, port: int) -> None:
        self.listener, self.where, self.port = listener, where, port
        self.clients: dict[Any, tuple[socket.socket, float]] = {}  # the one that was silent longest comes first
        self.wake, self.woken = socket.socketpair()
        self.thread = threading.Thread(target=self._carry, name=f"port {port}/udp", daemon=True)
        self.thread.start()

    def close(self) -> None:
        """Carry nothing any more."""
        self.wake.close()
        self.thread.join()

    def _carry(self) -> None:
        with self.listener, self.woken, selectors.DefaultSelector() as waiting:
            waiting.register(self.listener, selectors.EVENT_READ)
            waiting.register(self.woken, selectors.EVENT_READ)
            while True:
                for key, _ in waiting.select(IDLE):
                    if key.fileobj is self.woken:
                        return self._forget(waiting, everybody=True)
                    with contextlib.suppress(OSError):  # nobody listens there, or no longer
                        self._outward(waiting) if key.fileobj is self.listener else self._back(key)
                self._forget(waiting)

    def _outward(self, waiting: selectors.BaseSelector) -> None:
        data, client = self.listener.recvfrom(LARGEST)
        known = self.clients.pop(client, None)
        if known is None:
            address = self.where()
            if address is None:
                return
            server = socket.socket(family(address), socket.SOCK_DGRAM)
            server.connect((address, self.port))
            waiting.register(server, selectors.EVENT_READ, client)
        else:
            server = known[0]
        self.clients[client] = server, time.monotonic()
        server.send(data)

    def _back(self, key: selectors.SelectorKey) -> None:
        assert isinstance(key.fileobj, socket.socket)
        self.listener.sendto(key.fileobj.recv(LARGEST), key.data)

    def _forget(self, waiting: selectors.BaseSelector, everybody: bool = False) -> None:
        for client, (server, heard) in list(self.clients.items()):
            if not everybody and len(self.clients) <= MOST and time.monotonic() - heard < IDLE:
                return
            waiting.unregister(server)
            server.close()
            del self.clients[client]
