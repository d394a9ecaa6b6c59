"""The engine answering: its socket opened, signals heeded, everything put away at the end."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

from drydock.engine.api.server import Server
from drydock.engine.daemon import Daemon
from drydock.engine.process import answers


def serve(daemon: Daemon, ready: int | None = None) -> None:
    """Answer until SIGTERM or SIGINT; a socket that a killed engine left behind is replaced: its lock was free."""
    try:
        _replace(daemon.socket)
        server = Server(daemon.socket, daemon)
    except OSError:
        daemon.close()
        raise
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, server.end)
    daemon.announce()
    if ready is not None:
        _let_go(daemon, ready)
    try:
        server.serve_forever()
    finally:
        server.server_close()
        daemon.socket.unlink(missing_ok=True)
        daemon.close()


def _replace(path: Path) -> None:
    """Remove a dead socket; one that answers belongs to another engine, in another home."""
    if answers(str(path)):
        raise OSError(errno.EADDRINUSE, "another engine answers there")
    if path.is_socket():
        path.unlink()


def _let_go(daemon: Daemon, ready: int) -> None:
    """Tell whoever started this engine that it answers, and let go of their terminal."""
    os.write(ready, b"ready")
    os.close(ready)
    log = os.open(daemon.folder / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    for number in (1, 2):
        os.dup2(log, number)
    os.close(log)
    os.close(nowhere)
