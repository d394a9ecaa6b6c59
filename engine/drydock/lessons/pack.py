"""An image as bytes: a layer is a tar, a configuration is JSON, and an archive is both under their digests.

Nothing here asks a machine or a daemon: the same files give the same bytes, so the same image ID, everywhere.
The archive is `docker save`'s (manifest.json) and an OCI image layout (index.json) at once, as Docker has
written it since 25: moby/docker-image-spec v1.3.1, spec.md, and OCI image-spec 1.1, image-layout.md.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Any

CREATED = "2024-01-01T00:00:00Z"  # fixed, so that the same programs always give the same image
MADE = 1704067200  # the same in seconds
EXPECTED = ("dev", "proc", "root", "sys", "tmp", "usr", "usr/bin", "var")  # the folders every Linux system has
OCI = "application/vnd.oci.image"
TAGGED = (
    "io.containerd.image.name"  # by which containerd's store finds a name; OCI's own annotation holds the tag alone
)

Content = bytes | str | None  # a file's bytes, a symbolic link's target, or a folder


@dataclass(frozen=True)
class Packed:
    """One image in bytes: its names, its configuration, and its layers from the bottom up."""

    names: tuple[str, ...]
    config: bytes
    layers: tuple[bytes, ...]

    @property
    def id(self) -> str:
        """The image ID: the digest of the configuration."""
        return digest(self.config)


def digest(content: bytes) -> str:
    """Return the name that content goes by in every registry and store.

    >>> digest(b"")
    'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
    """
    return f"sha256:{sha256(content).hexdigest()}"


def blob(digest: str) -> str:
    """Return where an OCI layout keeps what has this digest.

    >>> blob("sha256:e3b0")
    'blobs/sha256/e3b0'
    """
    return "blobs/" + digest.replace(":", "/")


def layer(files: Mapping[str, Content], below: Iterable[str] = ()) -> bytes:
    """Return a layer of these files and the folders they need, sorted, all root's and of one fixed time.

    `below` names what lower layers have: their folders are not packed again.

    >>> made = layer({"etc/motd": b"ahoy", "bin/sh": "busybox"}, ["bin/busybox"])
    >>> tarfile.open(fileobj=io.BytesIO(made)).getnames()
    ['etc', 'bin/sh', 'etc/motd']
    """
    there = folders(below)
    needed = [folder for folder in folders(files) if folder not in there]
    return tar(dict.fromkeys(needed) | {name: files[name] for name in sorted(files)})


def folders(files: Iterable[str]) -> list[str]:
    """Return every folder that lies above these files, parents first.

    >>> folders(["usr/bin/env", "etc/passwd"])
    ['etc', 'usr', 'usr/bin']
    """
    return sorted({str(p) for name in files for p in PurePosixPath(name).parents} - {"."})


def tar(files: Mapping[str, Content]) -> bytes:
    """Return a tar of the files in the order given. Programs and libraries can be executed, the rest only read."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as out:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.mtime, entry.mode = MADE, 0o755
            if content is None:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            elif isinstance(content, str):
                entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, content, 0o777
            else:
                entry.size = len(content)
                entry.mode = 0o755 if content.startswith((b"\x7fELF", b"#!")) else 0o644
            out.addfile(entry, io.BytesIO(content) if isinstance(content, bytes) else None)
    return written.getvalue()


def image(
    name: str, layers: Mapping[str, bytes], settings: Mapping[str, Any], architecture: str, command: list[str]
) -> Packed:
    """Return an image of these layers (what made each: its tar), with a last step that sets its command."""
    steps = [{"created": CREATED, "created_by": made_by} for made_by in layers]
    last = {"created": CREATED, "created_by": f"CMD {json.dumps(command)}", "empty_layer": True}
    config = {
        "architecture": architecture,
        "os": "linux",
        "created": CREATED,
        "config": {**settings, "Cmd": command},
        "rootfs": {"type": "layers", "diff_ids": [digest(content) for content in layers.values()]},
        "history": [*steps, last],
    }
    return Packed((name,), json.dumps(config, sort_keys=True).encode(), tuple(layers.values()))


def archive(images: Iterable[Packed]) -> bytes:
    """Return a tar that `docker load` of every release, podman and tools for OCI layouts read."""
    blobs: dict[str, bytes] = {}
    listed, index = [], []
    for one in images:
        for content in (one.config, *one.layers):
            blobs[blob(digest(content))] = content
        listed.append(entry(one.id, [digest(content) for content in one.layers], one.names))
        manifest = oci_manifest(one.id, len(one.config), [(digest(c), len(c)) for c in one.layers])
        blobs[blob(digest(manifest))] = manifest
        index += [descriptor(manifest, name) for name in one.names]
    return tar(dict.fromkeys(folders(blobs)) | blobs | front(listed, index))


def entry(id: str, layers: Iterable[str], names: Iterable[str], parent: str = "") -> dict[str, Any]:
    """Return an image's row in `docker save`'s manifest.json; `Parent` is moby's own field for the step before."""
    row: dict[str, Any] = {"Config": blob(id), "RepoTags": list(names) or None, "Layers": [blob(d) for d in layers]}
    return row | ({"Parent": parent} if parent else {})


def oci_manifest(id: str, size: int, layers: Iterable[tuple[str, int]]) -> bytes:
    """Return the OCI manifest of an image from the digest and size of its configuration and of its layers."""
    rows = [{"mediaType": f"{OCI}.layer.v1.tar", "digest": d, "size": s} for d, s in layers]
    config = {"mediaType": f"{OCI}.config.v1+json", "digest": id, "size": size}
    manifest = {"schemaVersion": 2, "mediaType": f"{OCI}.manifest.v1+json", "config": config, "layers": rows}
    return json.dumps(manifest).encode()


def descriptor(manifest: bytes, name: str) -> dict[str, Any]:
    """Return the row of index.json that gives a manifest a name."""
    marks = {TAGGED: f"docker.io/{name}", "org.opencontainers.image.ref.name": name.rpartition(":")[2]}
    kind = f"{OCI}.manifest.v1+json"
    return {"mediaType": kind, "digest": digest(manifest), "size": len(manifest), "annotations": marks}


def front(listed: list[dict[str, Any]], index: list[dict[str, Any]]) -> dict[str, Content]:
    """Return the files by which a reader finds its way into the blobs."""
    return {
        "manifest.json": json.dumps(listed).encode(),
        "index.json": json.dumps({"schemaVersion": 2, "manifests": index}).encode(),
        "oci-layout": json.dumps({"imageLayoutVersion": "1.0.0"}).encode(),
    }
