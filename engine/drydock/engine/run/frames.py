"""How the engine and its sandbox processes talk: JSON objects with a length in front, and open files beside them."""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any

MOST_FDS = 16
LONGEST = 16 << 20  # a command line and its environment are at most 2 MiB (MAX_ARG_STRLEN, _STK_LIM)


def send(channel: socket.socket, message: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
    """Send one message; the receiver gets copies of the open files `fds`.

    >>> left, right = socket.socketpair()
    >>> with left, right:
    ...     send(left, {"kill": 15})
    ...     receive(right)
    ({'kill': 15}, [])
    """
    body = json.dumps(message, ensure_ascii=True).encode()
    head = struct.pack(">I", len(body))
    if fds:
        socket.send_fds(channel, [head], list(fds))  # the files travel with the first bytes
    else:
        channel.sendall(head)
    channel.sendall(body)


def receive(channel: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Wait for the next message and its files; None when the other side is gone."""
    fds: list[int] = []
    head = _exactly(channel, 4, fds)
    body = _exactly(channel, struct.unpack(">I", head)[0], fds) if len(head) == 4 else b""
    if not body:
        for fd in fds:
            os.close(fd)
        return None
    return json.loads(body), fds


def _exactly(channel: socket.socket, length: int, fds: list[int]) -> bytes:
    if length > LONGEST:
        return b""
    parts: list[bytes] = []
    while length:
        try:
            # Python sets close-on-exec on what it receives (MSG_CMSG_CLOEXEC).
            part, more, _, _ = socket.recv_fds(channel, min(length, 1 << 16), MOST_FDS)
        except ConnectionResetError:
            part, more = b"", []
        fds += more
        if not part:
            return b""
        parts.append(part)
        length -= len(part)
    return b"".join(parts)
