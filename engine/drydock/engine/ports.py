"""Published ports: `-p 8080:80` without privileges is a listener that carries bytes to the container's program.

A container shares the machine's network, so a program in it that listens on 0.0.0.0:80 is reached at the machine's
port 80 already. Where host port and container port differ, a relay carries. Where they are equal, the program itself
may take the port: so nothing listens until it is seen where the program listens, and then only on what it left free.

Source: moby/libnetwork/portallocator, portmapper, moby/cmd/docker-proxy
"""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from drydock.engine import listening
from drydock.engine.errors import BadParameter, EngineError
from drydock.engine.relays import Datagrams, Stream, bound, family

DRIVER = "driver failed programming external connectivity on endpoint {name}: "
TAKEN = "Bind for {ip}:{port} failed: port is already allocated"
IN_USE = "Error starting userland proxy: listen {kind} {ip}:{port}: bind: {why}"
FORBIDDEN = "port {port} needs privileges here. Try: -p {high}:{inner}"
KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
SOONEST, LATEST = 0.02, 0.5  # s between two looks whether the program listens by now

Where = Callable[[str, int], str | None]  # protocol and port of the container: the address of who listens there


@dataclass
class Published:
    """One published port: which in the container, where on the machine, and the relays, where some carry."""

    port: str  # "80/tcp"
    ip: str
    number: int
    relays: list[Stream | Datagrams] = field(default_factory=list)
    closed: threading.Event = field(default_factory=threading.Event)

    def close(self) -> None:
        """Give the port back."""
        self.closed.set()
        for relay in self.relays:
            relay.close()

    def clashes(self, protocol: str, ip: str, number: int) -> bool:
        """Return whether another container wants the same port of the same address."""
        every = "::" if ":" in ip else "0.0.0.0"
        same = (":" in self.ip) == (":" in ip) and (self.ip == ip or every in (self.ip, ip))
        return self.number == number and same and split(self.port)[1] == protocol


@dataclass
class Ports:
    """All published ports of the containers that run."""

    by_container: dict[str, list[Published]] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def publish(
        self, container: str, where: Where, bindings: Mapping[str, Any], exposed: Mapping[str, Any], name: str = ""
    ) -> None:
        """Publish what a container asked for; on an error nothing stays published.

        Raises: EngineError in dockerd's words where a port is taken.
        """
        with self.lock:
            made = self.by_container.setdefault(container, [])
            try:
                for port in exposed:
                    for binding in bindings.get(port) or ():
                        made += self._bound(port, binding, where)
            except EngineError as error:
                self.release(container)
                raise type(error)(DRIVER.format(name=f"{name} ({container})") + str(error)) from None
            except BaseException:
                self.release(container)
                raise

    def release(self, container: str) -> None:
        """Close what was published for a container."""
        with self.lock:
            for each in self.by_container.pop(container, []):
                each.close()

    def shown(self, container: str) -> dict[str, list[dict[str, str]]]:
        """Return the published ports as `docker inspect` shows them."""
        found: dict[str, list[dict[str, str]]] = {}
        with self.lock:
            for each in self.by_container.get(container, []):
                found.setdefault(each.port, []).append({"HostIp": each.ip, "HostPort": str(each.number)})
        return found

    def _bound(self, port: str, binding: Mapping[str, Any], where: Where) -> list[Published]:
        """Publish one port; without an address, on all of IPv4 and, where there is one, of IPv6."""
        if split(port)[1] not in KINDS:
            raise EngineError("Error starting userland proxy: protocol not supported")
        ip = str(binding.get("HostIp") or "")
        wanted = numbers(str(binding.get("HostPort") or "0"))
        places = [ip] if ip else ["0.0.0.0", "::"] if _has_ipv6() else ["0.0.0.0"]
        for last, number in ((number == wanted[-1], number) for number in wanted):
            made: list[Published] = []
            try:
                for place in places:
                    made.append(self._one(port, place, made[0].number if made else number, where))
                return made
            except EngineError:
                for each in made:
                    each.close()
                if last:
                    raise
        raise AssertionError("a range has a last number")

    def _one(self, port: str, ip: str, number: int, where: Where) -> Published:
        inner, protocol = split(port)
        if number and any(o.clashes(protocol, ip, number) for all in self.by_container.values() for o in all):
            raise EngineError(TAKEN.format(ip=ip, port=number))
        listener = _listen(ip, number, inner, protocol)
        found = Published(port, ip, listener.getsockname()[1])
        there = partial(where, protocol, inner)
        if found.number != inner:
            found.relays.append(_relay(listener, there, inner))
        else:
            listener.close()  # the program in the container takes the port itself, or some of it
            threading.Thread(target=_when_it_listens, args=(found, there), daemon=True).start()
        return found


def _when_it_listens(published: Published, where: Callable[[], str | None]) -> None:
    """Wait until the program listens on a port of the same number; then carry from where it does not."""
    pause = SOONEST
    inner, protocol = split(published.port)
    while (address := where()) is None:
        if published.closed.wait(pause):
            return
        pause = min(pause * 1.5, LATEST)
    for ip in _left_free(published.ip, address):
        with suppress(OSError):  # somebody else has it there: then it is not the container's
            relay = _relay(bound(ip, inner, KINDS[protocol]), where, inner)
            published.relays.append(relay)
    if published.closed.is_set():
        published.close()


def _left_free(ip: str, taken: str) -> Iterator[str]:
    """Return the addresses out of a published one that a program leaves free which listens on another."""
    if taken in (ip, "::") or (taken == "0.0.0.0" and family(ip) == socket.AF_INET):
        return
    if ip != "0.0.0.0":
        yield ip
        return
    yield from (each for each in listening.machines() if each != taken)


def _relay(listener: socket.socket, where: Callable[[], str | None], port: int) -> Stream | Datagrams:
    return (Stream if listener.type == socket.SOCK_STREAM else Datagrams)(listener, where, port)


def split(port: str) -> tuple[int, str]:
    """Return number and protocol.

    >>> split("80/tcp"), split("53/udp")
    ((80, 'tcp'), (53, 'udp'))
    """
    number, _, protocol = port.partition("/")
    return numbers(number)[0], protocol or "tcp"


def numbers(text: str) -> range:
    """Return the ports of a range.

    >>> list(numbers("8000-8002")), list(numbers("80"))
    ([8000, 8001, 8002], [80])
    """
    first, _, last = text.partition("-")
    for word in (first, last or first):
        if not (word.isascii() and word.isdigit() and len(word) < 6 and int(word) < 65536):
            raise BadParameter(f"invalid port specification: {text[:40]!r}")
    found = range(int(first), int(last or first) + 1)
    if not found:
        raise BadParameter(f"invalid port specification: {text[:40]!r}")
    return found


def _has_ipv6() -> bool:
    with suppress(OSError):
        return bool(Path("/proc/net/if_inet6").read_text())
    return False


def _listen(ip: str, port: int, inner: int, protocol: str) -> socket.socket:
    try:
        return bound(ip, port, KINDS[protocol])
    except PermissionError:
        raise EngineError(FORBIDDEN.format(port=port, high=port + 8000, inner=inner)) from None
    except OSError as error:
        kind, shown = f"{protocol}{'6' if ':' in ip else '4'}", f"[{ip}]" if ":" in ip else ip
        why = os.strerror(error.errno or errno.EINVAL).lower()
        raise EngineError(IN_USE.format(kind=kind, ip=shown, port=port, why=why)) from None
