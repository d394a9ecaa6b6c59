"""Published ports: `-p 8080:80` without privileges is a listener that carries bytes to the container's own address.

A container shares the machine's network, so a program in it that listens on 0.0.0.0:80 is reached at the machine's
port 80 already. Where host port and container port differ, a listener carries. Where they are equal, the program itself
takes the port: then there is nothing to listen on, only a look whether it is free.

Source: moby/libnetwork/portallocator, moby/cmd/docker-proxy (tcp_proxy_linux.go)
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from drydock.engine.errors import BadParameter, EngineError, NotPossible

DRIVER = "driver failed programming external connectivity on endpoint {name}: "
TAKEN = DRIVER + "Bind for {ip}:{port} failed: port is already allocated"
FORBIDDEN = DRIVER + "port {port} needs privileges here. Try: -p {high}:{inner}"
NO_UDP = "this engine carries TCP only: publish UDP port {port} as the same number (-p {port}:{port}/udp), or use TCP"
NO_IPV6 = "this engine publishes IPv4 addresses only; {ip} is none"


@dataclass
class Published:
    """One published port: which in the container, where on the machine, and the listener, where one carries."""

    port: str  # "80/tcp"
    ip: str
    number: int
    listener: socket.socket | None = None


@dataclass
class Ports:
    """All published ports of the containers that run."""

    by_container: dict[str, list[Published]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def publish(
        self, container: str, address: str, bindings: Mapping[str, Any], exposed: Mapping[str, Any], name: str = ""
    ) -> None:
        """Publish what a container asked for; on an error nothing stays published.

        Raises: EngineError in dockerd's words where a port is taken.
        """
        made: list[Published] = []
        try:
            for port in exposed:
                for binding in bindings.get(port) or ():
                    made.append(self._one(port, binding, address, f"{name} ({container})"))
        except BaseException:
            _close(made)
            raise
        with self.lock:
            self.by_container[container] = made

    def release(self, container: str) -> None:
        """Close what was published for a container."""
        with self.lock:
            _close(self.by_container.pop(container, []))

    def shown(self, container: str) -> dict[str, list[dict[str, str]]]:
        """Return the published ports as `docker inspect` shows them."""
        found: dict[str, list[dict[str, str]]] = {}
        with self.lock:
            for each in self.by_container.get(container, []):
                found.setdefault(each.port, []).append({"HostIp": each.ip, "HostPort": str(each.number)})
        return found

    def _one(self, port: str, binding: Mapping[str, Any], address: str, name: str) -> Published:
        inner, protocol = split(port)
        ip = str(binding.get("HostIp") or "0.0.0.0")
        outer = _number(str(binding.get("HostPort") or "0"))
        if ":" in ip:
            raise NotPossible(NO_IPV6.format(ip=ip))
        if protocol != "tcp":
            if outer not in (0, inner):
                raise NotPossible(NO_UDP.format(port=inner))
            return Published(port, ip, inner)
        listener = _listen(ip, outer, inner, name)
        number = listener.getsockname()[1]
        if number == inner:
            listener.close()  # the program in the container takes the port itself
            return Published(port, ip, number)
        threading.Thread(target=_carry, args=(listener, address or "127.0.0.1", inner), daemon=True).start()
        return Published(port, ip, number, listener)


def split(port: str) -> tuple[int, str]:
    """Return number and protocol.

    >>> split("80/tcp"), split("53/udp")
    ((80, 'tcp'), (53, 'udp'))
    """
    number, _, protocol = port.partition("/")
    return _number(number), protocol or "tcp"


def _number(text: str) -> int:
    first = text.partition("-")[0]
    if not (first.isascii() and first.isdigit() and int(first) < 65536):
        raise BadParameter(f"invalid port specification: {text[:40]!r}")
    return int(first)


def _listen(ip: str, port: int, inner: int, name: str) -> socket.socket:
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((ip, port))
        listener.listen(128)
    except PermissionError:
        listener.close()
        raise EngineError(FORBIDDEN.format(name=name, port=port, high=port + 8000, inner=inner)) from None
    except OSError:
        listener.close()
        raise EngineError(TAKEN.format(name=name, ip=ip, port=port)) from None
    return listener


def _close(published: list[Published]) -> None:
    for each in published:
        if each.listener:
            with contextlib.suppress(OSError):
                each.listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
            each.listener.close()


def _carry(listener: socket.socket, address: str, port: int) -> None:
    """Accept until the listener is closed, each connection in a thread of its own."""
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_connect, args=(client, address, port), daemon=True).start()


def _connect(client: socket.socket, address: str, port: int) -> None:
    """Carry one connection; nobody there is a connection that closes at once, as with docker-proxy."""
    with client:
        try:
            server = socket.create_connection((address, port), timeout=10)
        except OSError:
            return
        with server:
            server.settimeout(None)
            _both_ways(client, server)


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
