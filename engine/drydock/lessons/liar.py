"""A registry that lies: it passes on what an honest one has, but for one byte of every layer."""

from __future__ import annotations

import socketserver
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def serving(server: socketserver.TCPServer) -> Iterator[str]:
    """Serve from a thread of this process, and give the address, until it is enough."""
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"localhost:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()


@contextmanager
def lying(honest: str) -> Iterator[str]:
    """Pass on what a registry answers, with the last byte of every layer turned into another."""
    with Liar(("127.0.0.1", 0), type("Relay", (Relay,), {"honest": honest})) as server:
        yield from serving(server)


class Liar(ThreadingHTTPServer):
    """A thread for each engine that asks."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """An engine that hangs up, as soon as it sees through the lie, is no news for the notebook that asked."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Relay(BaseHTTPRequestHandler):
    """Asks the honest registry, and changes one byte of what is a layer (a configuration is small, and JSON)."""

    honest = ""
    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.1"  # containerd tries TLS first, and goes on in plain HTTP where HTTP answers
    timeout = 30

    def do_GET(self) -> None:
        """Answer as the honest one does, nearly."""
        link = HTTPConnection(self.honest, timeout=self.timeout)
        try:
            accept = {"Accept": ", ".join(self.headers.get_all("Accept") or ["*/*"])}
            link.request(self.command, self.path, headers=accept)
            got = link.getresponse()
            body = got.read()
        finally:
            link.close()
        if "/blobs/" in self.path and got.status == 200 and not body.startswith(b"{"):
            body = body[:-1] + bytes(255 - byte for byte in body[-1:])
        self.send_response(got.status)
        for name in ("Content-Type", "Docker-Content-Digest", "Docker-Distribution-Api-Version"):
            if got.headers[name]:
                self.send_header(name, got.headers[name])
        self.send_header("Content-Length", got.headers["Content-Length"] or "0")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
