"""Closing a connection so that the other side still reads the answer."""

from __future__ import annotations

import contextlib
import socket

PATIENCE = 0.5  # s of silence after which nobody is waited for


def linger(connection: socket.socket) -> None:
    """Say that no more comes, and read what still arrives: unread input would turn the close into a reset."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(PATIENCE)
        for _ in range(64):
            if not connection.recv(65536):
                break
