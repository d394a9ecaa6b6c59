"""The engine answering: its socket opened, signals heeded, everything put away at the end."""

from __future__ import annotations

import errno
import signal
from pathlib import Path

from drydock.engine.api.server import Server
from drydock.engine.daemon import Daemon
from drydock.engine.process import answers
from drydock.serving.resident import let_go


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
        let_go(ready, daemon.folder / "log")
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
