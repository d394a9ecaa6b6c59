"""The registry's HTTP: a thread for each connection, routes, JSON errors, a blob from the disk into the socket.

The standard library's server is enough, as it is for the engine. Sources: OCI distribution-spec 1.1, RFC 9112.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import json
import re
import socket
import socketserver
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote

from drydock.registry.server import blobs, lists, manifests
from drydock.registry.server.accounts import Accounts
from drydock.registry.server.answer import Part, Reply, Request
from drydock.registry.server.refusals import Refusal
from drydock.registry.server.store import Store
from drydock.serving.body import BadBody, Body, CutOff
from drydock.serving.hanging_up import linger
from drydock.serving.resident import note

Endpoint = Callable[..., Reply]

ROUTES: tuple[tuple[re.Pattern[str], Mapping[str, Endpoint]], ...] = tuple(
    (re.compile(pattern, re.ASCII), endpoints)
    for pattern, endpoints in (
        (r"/v2/?", {"GET": lists.version}),
        (r"/v2/_catalog", {"GET": lists.catalog}),
        (r"/v2/(.+)/tags/list", {"GET": lists.tags}),
        (r"/v2/(.+)/referrers/([^/]+)", {"GET": lists.referrers}),
        (r"/v2/(.+)/manifests/([^/]+)", {"GET": manifests.get, "PUT": manifests.put, "DELETE": manifests.delete}),
        (r"/v2/(.+)/blobs/uploads/?", {"POST": blobs.begin}),
        (
            r"/v2/(.+)/blobs/uploads/([0-9a-f]{32})",
            {"GET": blobs.state, "PATCH": blobs.patch, "PUT": blobs.put, "DELETE": blobs.cancel},
        ),
        (r"/v2/(.+)/blobs/([^/]+)", {"GET": blobs.get, "DELETE": blobs.delete}),
    )
)
IDLE = 120  # s that a connection may be silent, between requests or within one
MOST = 500  # connections at once; the fifty clients of a class have five each
LEFTOVER = 256 << 10  # bytes of an unread body worth reading to keep the connection; Go's figure (net/http/server.go)
REALM = 'Basic realm="Drydock registry", charset="UTF-8"'
PASSWORD = "a name and a password are needed here. Try: docker login"
BROWSER = "a registry answers container tools, not web pages"
FULL = "the disk of the registry is full"


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Listens on one address and serves one store; with accounts, to those only who know a password."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, host: str, port: int, store: Store, accounts: Accounts | None = None) -> None:
        self.store, self.accounts = store, accounts
        self._places = threading.BoundedSemaphore(MOST)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own, or close it where there are too many."""
        if not self._places.acquire(blocking=False):
            return self.shutdown_request(request)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def end(self, *signal: object) -> None:
        """Stop serving. The loop is woken by a knock: by itself it looks up only twice a second."""
        threading.Thread(target=self.shutdown).start()
        with contextlib.suppress(OSError), socket.socket(self.address_family) as knock:
            knock.connect(self.server_address[:2])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news; anything else is the registry's own fault, and goes to its log."""
        if not isinstance(sys.exc_info()[1], OSError):
            self.note(traceback.format_exc())

    def note(self, text: str) -> None:
        """Add to the log: never a header, never a query, where a password may stand."""
        note(self.store.root / "log", text)


def listen(host: str, ports: Iterable[int], store: Store, accounts: Accounts | None = None) -> Server:
    """Return a server at the first of these ports that nobody has.

    Each is bound, and not looked at before: between a look and a bind another program may come.
    Raises: OSError where none of them is to be had.
    """
    refused = OSError(errno.EADDRINUSE, "no port was named")
    for port in ports:
        try:
            return Server(host, port, store, accounts)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            refused = error
    raise refused


class Handler(BaseHTTPRequestHandler):
    """One connection: request after request until either side has enough."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE
    disable_nagle_algorithm = True
    server: Server

    def _serve(self) -> None:
        headers = {key.title(): value for key, value in self.headers.items()}
        try:
            body = Body(self.rfile, headers)  # type: ignore[arg-type]
        except BadBody as error:
            return self.send_error(400, str(error))
        self._expect(headers)
        try:
            self._send(self._reply(headers, body))
        except Refusal as error:
            self._refuse(error)
        except (CutOff, ConnectionError, TimeoutError):
            self.close_connection = True
        except Exception as error:
            self._surprise(error)
        if not self.close_connection and not body.drain(LEFTOVER):
            self.close_connection = True
            linger(self.connection)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def handle_expect_100(self) -> bool:
        """Wait with `100 Continue` until it is known who asks: a refused client need not send its body."""
        return True

    def _expect(self, headers: Mapping[str, str]) -> None:
        if headers.get("Expect", "").lower() == "100-continue" and self._known(headers):
            self.send_response_only(100)
            self.end_headers()

    def _reply(self, headers: Mapping[str, str], body: Body) -> Reply:
        if "Origin" in headers:
            raise Refusal("DENIED", BROWSER)
        if not self._known(headers):
            raise Refusal("UNAUTHORIZED", PASSWORD, headers={"Www-Authenticate": REALM})
        path, _, query = self.path.partition("?")
        path = unquote(path)
        asked = parse_qs(query, keep_blank_values=True, max_num_fields=100)
        for pattern, endpoints in ROUTES:
            if match := pattern.fullmatch(path):
                method = "GET" if self.command == "HEAD" else self.command
                if method not in endpoints:
                    allowed = {"Allow": ", ".join(sorted({*endpoints, *(["HEAD"] if "GET" in endpoints else [])}))}
                    raise Refusal("UNSUPPORTED", f"{self.command} cannot be done here", headers=allowed)
                request = Request(self.command, path, asked, headers, body, self.server.store)
                return endpoints[method](request, *match.groups())
        raise Refusal("NAME_UNKNOWN", "a registry has nothing there; everything is below /v2/")

    def _known(self, headers: Mapping[str, str]) -> bool:
        accounts = self.server.accounts
        return accounts is None or accounts.know(headers.get("Authorization", ""))

    # Answers

    def _send(self, reply: Reply) -> None:
        """Send a reply; a file goes from the disk to the socket without passing through this process."""
        content = reply.content
        length = content.length if isinstance(content, Part) else len(content)
        try:
            head = self._head(reply, length)
            bare = self.command == "HEAD"
            self.connection.sendall(head if bare or isinstance(content, Part) else head + content)
            if isinstance(content, Part) and length and not bare:
                sent = self.connection.sendfile(content.file, content.start, content.length)
                self.close_connection = self.close_connection or sent != length
        finally:
            if isinstance(content, Part):
                content.file.close()

    def _head(self, reply: Reply, length: int) -> bytes:
        """Return status line and headers: the reply's, and those that every registry sends."""
        known = {
            "Docker-Distribution-Api-Version": "registry/2.0",
            "Date": self.date_time_string(),
            "Server": "Drydock registry",
            "X-Content-Type-Options": "nosniff",
            **reply.headers,
        }
        if reply.status != 204:
            known["Content-Length"] = str(length)
        if self.close_connection:
            known["Connection"] = "close"
        words = self.responses.get(reply.status, ("",))[0]
        lines = [f"HTTP/1.1 {reply.status} {words}", *(f"{key}: {_line(text)}" for key, text in known.items()), "", ""]
        return "\r\n".join(lines).encode("latin-1", "replace")

    def _refuse(self, error: Refusal) -> None:
        headers = {"Content-Type": "application/json", **error.headers}
        with contextlib.suppress(OSError):
            self._send(Reply(error.status, headers, json.dumps(error.body()).encode()))

    def _surprise(self, error: Exception) -> None:
        """Answer what nobody foresaw: the client gets one line, the log the rest."""
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if not full:
            self.server.note(traceback.format_exc())
        words = FULL if full else "the registry failed; its log says more"
        self.close_connection = True
        self._refuse(Refusal("UNKNOWN", words, status=507 if full else 500))

    # What BaseHTTPRequestHandler says by itself

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a request that is no HTTP, or none that a registry knows: JSON, as every error here, then close."""
        self.close_connection = True
        status = 405 if code == 501 else code
        self._refuse(Refusal("UNSUPPORTED", message or "malformed HTTP request", status=status))
        linger(self.connection)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: a request may carry a password, and a log is no place for one."""


def _line(text: str) -> str:
    """Return a header's value on one line: what came from a client starts no header of its own."""
    return re.sub(r"[\r\n\0]", " ", text)


def loopback(host: str) -> bool:
    """Return True where nobody but this machine can reach an address.

    >>> loopback("127.0.0.1"), loopback("localhost"), loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
