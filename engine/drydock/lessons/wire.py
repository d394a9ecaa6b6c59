"""HTTP by hand, to an engine or a registry: what docker, docker-py and every other client say, seen as it is."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import docker

from drydock.docker_host import address
from drydock.model.layer import shown

PATIENCE = 60  # s of silence
LARGEST = 4 << 20  # bytes of an answer
LINES = 14  # of an answer's JSON are drawn
HEADERS = ("Api-Version", "Content-Type", "Docker-Content-Digest", "Location", "Ostype", "Server")
NO_SOCKET = (
    "The engine answers at {where}, which is no plain socket (TLS, or ssh), so nothing can be typed into it by hand.\n"
    'Try: request(client, "GET /_ping")   which asks the same through docker-py\'s connection'
)


class NoSocket(RuntimeError):
    """The engine's address is none that a plain socket can be connected to."""


@dataclass(frozen=True)
class Answer:
    """One request and what came back: status line, the headers that matter here, the body."""

    asked: str
    status: int
    reason: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def json(self) -> Any:
        """Return the body as JSON; None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def picture(self) -> str:
        """Draw the conversation: `>` went there, `<` came back.

        >>> print(Answer("GET /_ping", 200, "OK", {"Server": "Docker"}, b"OK").picture())
        > GET /_ping
        < 200 OK
        < Server: Docker
        OK
        """
        lines = [f"> {self.asked}", f"< {self.status} {self.reason}"]
        lines += [f"< {name}: {self.headers[name]}" for name in HEADERS if name in self.headers]
        found = self.json
        text = self.body.decode("utf-8", "replace") if found is None else json.dumps(found, indent=2)
        lines += text.splitlines()[:LINES]
        left = len(text.splitlines()) - LINES
        lines += [f"... and {left} more lines"] if left > 0 else []
        return "\n".join(shown(line)[:160] for line in lines)

    def __repr__(self) -> str:
        return self.picture()


def dial() -> Any:
    """Return a socket that is connected to the engine, and say where: whatever is sent now, the engine reads.

    Raises: NoSocket.
    """
    where = address()
    parts = urlsplit(where)
    wire: Any
    if parts.scheme == "unix":
        wire = socket.socket(socket.AF_UNIX)
        wire.settimeout(PATIENCE)
        wire.connect("/" + where.removeprefix("unix://").lstrip("/"))
    elif parts.scheme in ("tcp", "http") and parts.port and parts.port != 2376:  # 2376 speaks TLS
        wire = socket.create_connection((parts.hostname or "localhost", parts.port), PATIENCE)
    elif parts.scheme == "npipe":
        from docker.transport import NpipeSocket  # exists on Windows only

        wire = NpipeSocket()
        wire.connect(where.removeprefix("npipe://"))
    else:
        raise NoSocket(NO_SOCKET.format(where=where))
    print(f"connected to {where}")
    return wire


def request(where: docker.DockerClient | str, line: str, body: Any = None, kind: str = "") -> Answer:
    """Send one request, such as `GET /version`, to an engine (a client) or a registry (`localhost:5055`).

    The body is sent as it is where it is bytes, else as JSON; `kind` is its Content-Type.
    An answer that says no is an answer, and no error.
    """
    method, _, path = line.partition(" ")
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    kinds = {"Content-Type": kind or ("application/octet-stream" if isinstance(body, bytes) else "application/json")}
    if isinstance(where, str):
        return _registry(where, method, path, data, kinds)
    got = where.api.request(method, where.api.base_url + path, data=data, headers=kinds, timeout=PATIENCE, stream=True)
    raw = got.raw.read(LARGEST, decode_content=True)
    return Answer(line, got.status_code, got.reason or "", _titled(got.headers), raw)


def _registry(address: str, method: str, path: str, data: bytes | None, kind: Mapping[str, str]) -> Answer:
    accept = ", ".join(f"application/vnd.{one}+json" for one in MANIFESTS)
    link = http.client.HTTPConnection(address, timeout=PATIENCE)  # no proxy stands between a machine and itself
    try:
        link.request(method, path, data, {**kind, "Accept": accept} if data is None else dict(kind))
        got = link.getresponse()
        return Answer(f"{method} {path}", got.status, got.reason, _titled(got.headers), got.read(LARGEST))
    finally:
        link.close()


MANIFESTS = (
    *("oci.image.index.v1", "oci.image.manifest.v1"),
    *("docker.distribution.manifest.list.v2", "docker.distribution.manifest.v2"),
)


def _titled(headers: Any) -> dict[str, str]:
    return {str(name).title(): str(value) for name, value in headers.items()}
