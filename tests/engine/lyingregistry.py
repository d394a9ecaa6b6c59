"""A small real registry for tests, honest until it is told to lie.

`registry.lie("GET", "/blobs/", how)` lets `how(call)` answer the next such request in its place; `times` for more.
Everything that was asked is in `registry.calls`.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import secrets
import socket
import socketserver
import tarfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
ME = "Basic bWU6c2VjcmV0"  # me:secret
How = Callable[["Call"], None]
Pack = Callable[[bytes], bytes]


def digest(raw: bytes) -> str:
    """Return the digest of some bytes."""
    return "sha256:" + hashlib.sha256(raw).hexdigest()


def layer(files: Mapping[str, bytes]) -> bytes:
    """Return a layer's tar."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, body in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    return out.getvalue()


@dataclass
class Lie:
    """How to answer some requests."""

    method: str
    part: str
    how: How
    times: int


@dataclass
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    sent: int = 0  # bytes of its body


class Call(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def handle(self) -> None:
        """Answer until either side ends the connection."""
        with suppress(ConnectionError):
            super().handle()

    def _any(self) -> None:
        registry = self.server.registry
        self.asked = Asked(self.command, self.path, {key.lower(): value for key, value in self.headers.items()})
        registry.calls.append(self.asked)
        with registry.lock:
            lie = next((one for one in registry.lies if self._meets(one)), None)
            if lie:
                lie.times -= 1
        if lie:
            lie.how(self)
        else:
            self.honest()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_CONNECT = _any

    def _meets(self, lie: Lie) -> bool:
        return lie.times > 0 and lie.method == self.command and lie.part in self.path

    def body(self, most: int | None = None) -> bytes:
        """Read the request's body, or its beginning."""
        length = int(self.headers.get("Content-Length") or 0)
        found = self.rfile.read(length if most is None else min(most, length))
        self.asked.sent = len(found)
        return found

    def say(self, status: int, raw: bytes = b"", **headers: str) -> None:
        """Answer in one piece."""
        self.send_response(status)
        headers.setdefault("Content_Length", str(len(raw)))
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(raw)

    def refuse(self, status: int, code: str, message: str = "no", **headers: str) -> None:
        """Answer with an error as the specification words it."""
        self.say(status, json.dumps({"errors": [{"code": code, "message": message}]}).encode(), **headers)

    def cut(self) -> None:
        """End the connection without a word."""
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def honest(self) -> None:
        """Answer as a registry should."""
        registry, url = self.server.registry, urlsplit(self.path)
        if registry.login and self.headers.get("Authorization") not in registry.login:
            self.body()
            return self.refuse(401, "UNAUTHORIZED", "authentication required", WWW_Authenticate=registry.challenge)
        match = re.fullmatch(r"/v2/(?:(.+)/(manifests|blobs/uploads|blobs|tags)/([^/]*))?", url.path)
        if not match:
            return self.refuse(404, "NOT_FOUND")
        path, kind, name = match.groups()
        if kind is None:
            return self.say(200, b"{}")
        if kind == "tags":
            return self.say(200, json.dumps({"name": path, "tags": registry.tags(path)}).encode())
        if kind == "manifests":
            return self._manifest(path, name)
        if kind == "blobs":
            return self._blob(path, name)
        return self._upload(path, name, {key: one[0] for key, one in parse_qs(url.query).items()})

    def _manifest(self, path: str, name: str) -> None:
        manifests = self.server.registry.manifests
        if self.command == "PUT":
            raw = self.body()
            for key in (name, digest(raw)):
                manifests[path, key] = (self.headers["Content-Type"], raw)
            return self.say(201, Docker_Content_Digest=digest(raw))
        if (path, name) not in manifests:
            return self.refuse(404, "MANIFEST_UNKNOWN", "manifest unknown")
        kind, raw = manifests[path, name]
        self.say(200, raw, Content_Type=kind, Docker_Content_Digest=digest(raw))

    def _blob(self, path: str, name: str) -> None:
        registry = self.server.registry
        if name not in registry.blobs or (path, name) not in registry.has:
            return self.refuse(404, "BLOB_UNKNOWN")
        raw = registry.blobs[name]
        start = int((re.findall(r"bytes=(\d+)-", self.headers.get("Range") or "") or ["0"])[0])
        if start:
            return self.say(206, raw[start:], Content_Range=f"bytes {start}-{len(raw) - 1}/{len(raw)}")
        self.say(200, raw)

    def _upload(self, path: str, name: str, query: Mapping[str, str]) -> None:
        registry = self.server.registry
        if self.command == "POST":
            if (query.get("from"), query.get("mount")) in registry.has:
                registry.has.add((path, query["mount"]))
                return self.say(201, Location=f"/v2/{path}/blobs/{query['mount']}")
            name = secrets.token_hex(8)
            registry.uploads[name] = b""
            return self.say(202, Location=f"/v2/{path}/blobs/uploads/{name}")
        if name not in registry.uploads:
            return self.refuse(404, "BLOB_UPLOAD_UNKNOWN")
        if self.command in ("PATCH", "PUT"):
            registry.uploads[name] += self.body()
        raw = registry.uploads[name]
        if self.command != "PUT":
            status = 204 if self.command == "GET" else 202
            return self.say(status, Location=self.path.partition("?")[0], Range=f"0-{max(len(raw) - 1, 0)}")
        if digest(raw) != query["digest"]:
            return self.refuse(400, "DIGEST_INVALID")
        del registry.uploads[name]
        registry.keep(path, raw)
        self.say(201, Docker_Content_Digest=digest(raw))


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """A thread for each connection."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64
    registry: LyingRegistry

    def handle_error(self, *_: Any) -> None:
        """A client that hangs up is no news."""


@dataclass
class LyingRegistry:
    """One registry on a port of its own; `with LyingRegistry() as registry:`."""

    login: tuple[str, ...] = ()  # the Authorization headers that it takes; none: everybody may
    challenge: str = 'Basic realm="test"'
    blobs: dict[str, bytes] = field(default_factory=dict)
    has: set[tuple[str, str]] = field(default_factory=set)  # (repository, digest)
    manifests: dict[tuple[str, str], tuple[str, bytes]] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)
    calls: list[Asked] = field(default_factory=list)
    lies: list[Lie] = field(default_factory=list)
    lock: Any = field(default_factory=threading.Lock)

    def __enter__(self) -> LyingRegistry:
        self._server = Server(("127.0.0.1", 0), Call)
        self._server.registry = self
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def lie(self, method: str, part: str, how: How, times: int = 1) -> None:
        """Let `how` answer the next requests whose path has `part` in it."""
        self.lies.append(Lie(method, part, how, times))

    def keep(self, path: str, raw: bytes) -> str:
        """Have a blob in a repository."""
        self.blobs[digest(raw)] = raw
        self.has.add((path, digest(raw)))
        return digest(raw)

    def tags(self, path: str) -> list[str]:
        """Return the tags of a repository."""
        return sorted(name for where, name in self.manifests if where == path and ":" not in name)

    def document(self, path: str, tag: str, raw: bytes, kind: str = DOCKER) -> str:
        """Have a manifest under a tag and its digest."""
        for name in (tag, digest(raw)):
            self.manifests[path, name] = (kind, raw)
        return digest(raw)

    def image(
        self, path: str, tag: str, *layers: bytes, pack: Callable[[bytes], bytes] = gzip.compress, **more: Any
    ) -> str:
        """Have an image of these layers (tars); return its ID."""
        diff_ids = [digest(one) for one in layers]
        config: dict[str, Any] = {"os": "linux", "architecture": "amd64", "config": {"Cmd": ["sh"]}}
        config |= {"rootfs": {"type": "layers", "diff_ids": diff_ids}, **more}
        image_id = self.keep(path, json.dumps(config).encode())
        packed = [pack(one) for one in layers]
        rows = [{"mediaType": LAYER, "size": len(one), "digest": self.keep(path, one)} for one in packed]
        about = {"mediaType": CONFIG, "size": len(self.blobs[image_id]), "digest": image_id}
        whole = {"schemaVersion": 2, "mediaType": DOCKER, "config": about, "layers": rows}
        self.document(path, tag, json.dumps(whole).encode())
        return image_id

    def asked(self, method: str, part: str) -> list[Asked]:
        """Return the requests whose path has `part` in it."""
        return [one for one in self.calls if one.method == method and part in one.path]


# Lies


def cut_after(count: int) -> How:
    """Send so many bytes of what is true, then end."""

    def how(call: Call) -> None:
        raw = call.server.registry.blobs[call.path.rpartition("/")[2]]
        start = int((re.findall(r"bytes=(\d+)-", call.headers.get("Range") or "") or ["0"])[0])
        call.send_response(206 if start else 200)
        if start:
            call.send_header("Content-Range", f"bytes {start}-{len(raw) - 1}/{len(raw)}")
        call.send_header("Content-Length", str(len(raw) - start))
        call.end_headers()
        call.wfile.write(raw[start : start + count])
        call.cut()

    return how


def hear(count: int) -> How:
    """Take so many bytes of an upload, keep them, then end."""

    def how(call: Call) -> None:
        name = urlsplit(call.path).path.rpartition("/")[2]
        call.server.registry.uploads[name] += call.body(count)
        call.cut()

    return how


def status(code: int, **headers: str) -> How:
    """Answer with an error."""
    return lambda call: call.refuse(code, "TOOMANYREQUESTS" if code == 429 else "UNAVAILABLE", **headers)


def to(url: str) -> How:
    """Send whoever asks somewhere else."""
    return lambda call: call.say(307, Location=url)


def endless(call: Call) -> None:
    """Send without end."""
    call.send_response(200)
    call.send_header("Transfer-Encoding", "chunked")
    call.end_headers()
    with suppress(OSError):
        while True:
            call.wfile.write(b"10000\r\n" + bytes(65536) + b"\r\n")


def drip(stop: threading.Event, wait: float = 0.02) -> How:
    """Send a byte now and then."""

    def how(call: Call) -> None:
        call.send_response(200)
        call.send_header("Content-Length", "1000000")
        call.end_headers()
        with suppress(OSError):
            while not stop.wait(wait):
                call.wfile.write(b"x")

    return how
