"""The kit's own registry for tests: begun in a home of its own, asked over plain HTTP, killed without warning."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drydock.registry.server import process
from drydock.registry.server.settings import PORT

OCI = "application/vnd.oci.image"


@dataclass(frozen=True)
class Answer:
    """What the registry said; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def codes(self) -> list[str]:
        """The specification's words for what is wrong."""
        return [error["code"] for error in self.json["errors"]]


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Registry:
    """A registry process in a home, at a free port or the one that it had before."""

    def __init__(self, home: Path, *options: str) -> None:
        self.home, self.options, self.port = home, options, 0

    def start(self) -> None:
        """Begin it and wait for its first answer; raise RuntimeError where it ends first."""
        command = [sys.executable, "-m", "drydock.registry.server", "--home", str(self.home), "--port", str(self.port)]
        with (self.home / "said").open("ab") as said:
            self.process = subprocess.Popen([*command, *self.options], stdin=-3, stdout=said, stderr=said)
        while self.process.poll() is None:
            there = process.found(self.home)
            if there and there.pid == self.process.pid and process.answers(there):
                self.port = there.port
                return
            time.sleep(0.01)
        raise RuntimeError(f"the registry ended before it answered: {(self.home / 'said').read_text()[-2000:]}")

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End it as its user would."""
        self.process.terminate()
        self.process.wait(30)

    @property
    def address(self) -> str:
        return f"localhost:{self.port}"

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send one request on a connection of its own; `Content_Type` stands for Content-Type."""
        with closing(self.connect()) as connection:
            connection.request(method, path, body, {key.replace("_", "-"): text for key, text in headers.items()})
            reply = connection.getresponse()
            return Answer(reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read())

    def blob(self, name: str, data: bytes) -> str:
        """Push a blob in one request and return its digest."""
        answer = self.ask("POST", f"/v2/{name}/blobs/uploads/?digest={digest(data)}", data)
        assert answer.status == 201, answer
        return digest(data)

    def image(self, name: str, reference: str, *layers: bytes, **more: Any) -> str:
        """Push an image of these layers and return its digest; `more` are further fields of its manifest."""
        for data in (b"{}", *layers):
            self.blob(name, data)
        answer = self.manifest(name, reference, manifest(*layers, **more))
        assert answer.status == 201, answer
        return answer.headers["docker-content-digest"]

    def manifest(self, name: str, reference: str, data: bytes, kind: str = f"{OCI}.manifest.v1+json") -> Answer:
        return self.ask("PUT", f"/v2/{name}/manifests/{reference}", data, Content_Type=kind)


def manifest(*layers: bytes, **more: Any) -> bytes:
    """Return an image manifest of an empty configuration and these layers."""
    config = {"mediaType": f"{OCI}.config.v1+json", "digest": digest(b"{}"), "size": 2}
    rows = [{"mediaType": f"{OCI}.layer.v1.tar", "digest": digest(data), "size": len(data)} for data in layers]
    return json.dumps({"schemaVersion": 2, "config": config, "layers": rows, **more}).encode()


@contextmanager
def registry(*options: str) -> Iterator[Registry]:
    """Run a registry in a new home that goes with it."""
    home = Path(tempfile.mkdtemp(prefix="ddr-", dir=os.environ.get("TMPDIR")))
    one = Registry(home, *options)
    try:
        one.start()
        yield one
    finally:
        one.stop()
        shutil.rmtree(home)


@contextmanager
def usual_port_taken() -> Iterator[int]:
    """Let another program listen at the usual port, or leave it to whoever does so already, and give the port."""
    listen = f"import socket; s = socket.create_server(('127.0.0.1', {PORT})); print(flush=True); input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-c", listen], **pipes) as other:
        other.stdout.readline()
        yield PORT
        other.kill()
