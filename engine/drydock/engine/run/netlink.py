"""Netlink: how a program asks the kernel for bridges, cables and addresses, as the command `ip` does.

Source: man 7 netlink, rtnetlink; include/uapi/linux/{rtnetlink,if_link,if_addr,veth}.h.
"""

from __future__ import annotations

import os
import socket
import struct
from types import TracebackType
from typing import Self

RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR = 16, 17, 20
REQUEST, ACK, EXCLUSIVE, CREATE = 1, 4, 0x200, 0x400
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MASTER, IFLA_LINKINFO, IFLA_NET_NS_FD = 1, 3, 10, 18, 28
INFO_KIND, INFO_DATA, VETH_PEER = 1, 2, 1
IFA_ADDRESS, IFA_LOCAL = 1, 2
UP = 1


class Netlink:
    """A connection to the kernel's network of the name space in which it was opened."""

    def __enter__(self) -> Self:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._socket.close()

    def bridge(self, name: str) -> None:
        """Make a bridge: what is plugged into it hears each other."""
        info = attribute(IFLA_LINKINFO, attribute(INFO_KIND, b"bridge"))
        self._ask(RTM_NEWLINK, _link() + _name(name) + info, CREATE | EXCLUSIVE)

    def cable(self, name: str, bridge: str, peer: str, network: int, hardware: bytes) -> None:
        """Make a cable: one end in a bridge, the other, `peer`, in the network that the open file stands for."""
        other = _link() + _name(peer) + attribute(IFLA_NET_NS_FD, struct.pack("I", network))
        other += attribute(IFLA_ADDRESS, hardware)
        data = attribute(INFO_DATA, attribute(VETH_PEER, other))
        info = attribute(IFLA_LINKINFO, attribute(INFO_KIND, b"veth") + data)
        master = attribute(IFLA_MASTER, struct.pack("I", socket.if_nametoindex(bridge)))
        self._ask(RTM_NEWLINK, _link() + _name(name) + master + info, CREATE | EXCLUSIVE)

    def up(self, name: str) -> None:
        """Switch an interface on."""
        self._ask(RTM_NEWLINK, _link(socket.if_nametoindex(name), UP, UP))

    def address(self, name: str, address: str, prefix: int) -> None:
        """Give an interface an IPv4 address; the kernel adds the route to its neighbours."""
        raw = socket.inet_aton(address)
        head = struct.pack("BBBBi", socket.AF_INET, prefix, 0, 0, socket.if_nametoindex(name))
        self._ask(RTM_NEWADDR, head + attribute(IFA_LOCAL, raw) + attribute(IFA_ADDRESS, raw), CREATE | EXCLUSIVE)

    def remove(self, name: str) -> None:
        """Remove an interface; a cable goes with both its ends."""
        self._ask(RTM_DELLINK, _link(socket.if_nametoindex(name)))

    def _ask(self, kind: int, body: bytes, flags: int = 0) -> None:
        self._socket.send(struct.pack("IHHII", 16 + len(body), kind, REQUEST | ACK | flags, 1, 0) + body)
        answer = self._socket.recv(65536)
        (error,) = struct.unpack_from("i", answer, 16)
        if error:
            raise OSError(-error, os.strerror(-error))


def attribute(kind: int, value: bytes) -> bytes:
    """Return an attribute: its length, kind and value, and zeros up to a multiple of four bytes.

    >>> attribute(3, b"lo").hex()
    '060003006c6f0000'
    """
    return struct.pack("HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def _name(name: str) -> bytes:
    return attribute(IFLA_IFNAME, name.encode() + b"\0")


def _link(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return struct.pack("BBHiII", 0, 0, 0, index, flags, change)
