"""Debian's docker-registry, one of one's own for a test or a script, and images small enough to send there."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import random
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ACCOUNT = ("student", "two-in-the-morning")
HTPASSWD = "student:$2y$05$C8nJh/V89f8niEGC6kq0yeVlSSjNAzmkzyUAYKUUSs14Pa29xuhO2\n"  # htpasswd -Bn
CONFIG = """version: 0.1
log: {{level: warn}}
storage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: true}}}}
http: {{addr: "{address}"}}
"""
AUTH = "auth: {{htpasswd: {{realm: class, path: {folder}/htpasswd}}}}\n"


def program() -> str | None:
    """Return the path of docker-registry, or None where it is not installed."""
    return shutil.which("docker-registry")


@contextlib.contextmanager
def registry(password: bool = False, kind: str = "debian") -> Iterator[str]:
    """Run a registry on a free port of loopback, empty, with ACCOUNT or open to all, and yield its address.

    `kind` is "debian" for docker-registry, "kit" for the kit's own.
    """
    with tempfile.TemporaryDirectory(prefix="registry-") as name:
        folder = Path(name)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        (folder / "htpasswd").write_text(HTPASSWD)
        command = _kit(folder, address, password) if kind == "kit" else _debian(folder, address, password)
        with (folder / "said").open("wb") as said:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        try:
            _until_it_answers(address, process, folder / "said")
            yield address
        finally:
            process.kill()
            process.wait()


def _debian(folder: Path, address: str, password: bool) -> list[str]:
    config = folder / "config.yml"
    config.write_text((CONFIG + (AUTH if password else "")).format(folder=folder, address=address))
    return [program() or "docker-registry", "serve", str(config)]


def _kit(folder: Path, address: str, password: bool) -> list[str]:
    host, _, port = address.partition(":")
    command = [sys.executable, "-m", "drydock.registry.server", "--home", str(folder), "--host", host, "--port", port]
    return [*command, *(["--auth", str(folder / "htpasswd")] if password else [])]


def _until_it_answers(address: str, process: subprocess.Popen[bytes], said: Path) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://{address}/v2/", timeout=5):
                return
        except urllib.error.HTTPError:
            return  # it wants a password: it answers
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"docker-registry does not answer: {said.read_text()[-1000:]}")


def layer(name: str, seed: str, size: int) -> bytes:
    """Return a layer with one file, half of which no compression makes smaller."""
    body = random.Random(seed).randbytes(size // 2)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.size = size
        tar.addfile(info, io.BytesIO(body + bytes(size - len(body))))
    return packed.getvalue()


def image(name: str, *layers: bytes) -> bytes:
    """Return an image of these layers as `docker save` would write it."""
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["/none"]},
        "created": "2024-01-01T00:00:00Z",
        "history": [{"created_by": f"layer {number}"} for number in range(len(layers))],
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(one).hexdigest() for one in layers]},
    }
    raw = json.dumps(config).encode()
    paths = [f"{number}/layer.tar" for number in range(len(layers))]
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": paths}]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        members = {
            "config.json": raw,
            **dict(zip(paths, layers, strict=True)),
            "manifest.json": json.dumps(manifest).encode(),
        }
        for path, body in members.items():
            info = tarfile.TarInfo(path)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    return packed.getvalue()
