"""Images put into a registry without an engine, as a scenario's `registry`: what others have published."""

from __future__ import annotations

import gzip
import hashlib
import json
import urllib.request
from typing import Any

from suite.bases import LABEL
from suite.tars import packed

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
ACCEPT = ", ".join((DOCKER, DOCKER_INDEX, OCI, OCI_INDEX))


class Published:
    """A registry's shelf: a name is REPOSITORY:TAG there."""

    def __init__(self, address: str) -> None:
        self.address = address

    def image(self, name: str, *layers: dict[str, str], platform: str = "linux/amd64", oci: bool = False) -> str:
        """Publish an image, each layer told as its files, and return its manifest's digest."""
        repository = name.partition(":")[0]
        tars = [packed(*((path, text.encode(), {}) for path, text in files.items())) for files in layers]
        config = {
            "architecture": platform.split("/")[1],
            "config": {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"], "Labels": {LABEL: "1"}},
            "created": "2024-01-01T00:00:00Z",
            "history": [{"created": "2024-01-01T00:00:00Z", "created_by": f"files {sorted(one)}"} for one in layers],
            "os": platform.split("/")[0],
            "rootfs": {"type": "layers", "diff_ids": [digest(tar) for tar in tars]},
        }
        types = (OCI, OCI_CONFIG, OCI_LAYER) if oci else (DOCKER, DOCKER_CONFIG, DOCKER_LAYER)
        manifest = {
            "schemaVersion": 2,
            "mediaType": types[0],
            "config": self._blob(repository, json.dumps(config).encode(), types[1]),
            "layers": [self._blob(repository, gzip.compress(tar, mtime=0), types[2]) for tar in tars],
        }
        return self._manifest(name, manifest)

    def artifact(self, name: str) -> str:
        """Publish something that is no image: a text with a kind of its own."""
        repository = name.partition(":")[0]
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI,
            "config": self._blob(repository, b"{}", "application/vnd.course.notes.config.v1+json"),
            "layers": [self._blob(repository, b"no image\n", "text/plain")],
        }
        return self._manifest(name, manifest)

    def index(self, name: str, oci: bool = False, **children: str) -> str:
        """Publish an index of manifests, each told as PLATFORM=DIGEST with `_` for `/`."""
        manifests = []
        for platform, child in children.items():
            system, architecture = platform.split("_")
            raw = self.get(f"{name.partition(':')[0]}/manifests/{child}")
            about = {"os": system, "architecture": architecture}
            manifests.append({"mediaType": kind(raw), "size": len(raw), "digest": child, "platform": about})
        return self._manifest(
            name, {"schemaVersion": 2, "mediaType": OCI_INDEX if oci else DOCKER_INDEX, "manifests": manifests}
        )

    def digest(self, name: str) -> str:
        """Return the digest of the manifest that has a name."""
        repository, _, tag = name.partition(":")
        return digest(self.get(f"{repository}/manifests/{tag}"))

    def _blob(self, repository: str, body: bytes, media_type: str) -> dict[str, Any]:
        _, where = self._ask("POST", f"{repository}/blobs/uploads/")
        self._ask(
            "PUT", f"{where}{'&' if '?' in where else '?'}digest={digest(body)}", body, "application/octet-stream"
        )
        return {"mediaType": media_type, "size": len(body), "digest": digest(body)}

    def _manifest(self, name: str, manifest: dict[str, Any]) -> str:
        repository, _, tag = name.partition(":")
        raw = json.dumps(manifest).encode()
        self._ask("PUT", f"{repository}/manifests/{tag or digest(raw)}", raw, manifest["mediaType"])
        return digest(raw)

    def get(self, path: str) -> bytes:
        """Return what is at a path below /v2/."""
        return self._ask("GET", path)[0]

    def _ask(self, method: str, path: str, body: bytes | None = None, media_type: str = "") -> tuple[bytes, str]:
        """Ask the registry and return what it sends, and where it sends one on."""
        if path.startswith("/"):
            path = f"http://{self.address}{path}"
        url = path if path.startswith("http://") else f"http://{self.address}/v2/{path}"
        headers = {"Accept": ACCEPT, **({"Content-Type": media_type} if media_type else {})}
        with urllib.request.urlopen(urllib.request.Request(url, body, headers, method=method), timeout=20) as answer:
            return answer.read(), answer.headers.get("Location", "")


def digest(body: bytes) -> str:
    """Return the digest under which a registry keeps bytes."""
    return "sha256:" + hashlib.sha256(body).hexdigest()


def kind(manifest: bytes) -> str:
    """Return the media type that a manifest says it has."""
    return str(json.loads(manifest)["mediaType"])
