"""An image as an engine sends it, and a thin archive of several: streamed, the same bytes each time."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import file_digest, sha256
from pathlib import Path
from typing import IO, Any

from docker import DockerClient
from drydock.model.layer import human
from drydock.read import BadArchive
from drydock.read.layer import is_layer, opened
from drydock.read.shelf import LARGEST_JSON
from drydock.read.tarstream import CHUNK, Content, Stream, members

from drydock_grading.artifact import LARGEST
from drydock_grading.claims import BadArtifact
from drydock_grading.reading import PART

OCI = "application/vnd.oci.image"
RESERVE = 100_000  # bytes left for the manifest, the configuration and the tar's own headers
NO_CONFIG = "The engine sent {name!r} without its configuration.\nTry: docker image inspect {name}"


@dataclass
class Saved:
    """What an engine sent of one image: JSON by digest, layers as files by diff ID."""

    texts: dict[str, bytes] = field(default_factory=dict)
    named: dict[str, str] = field(default_factory=dict)  # an archive's member -> its digest
    layers: dict[str, tuple[Path, int]] = field(default_factory=dict)  # diff ID -> the tar, and its size


def savable(name: str, about: Mapping[str, Any]) -> str:
    """Return the name to save by: the containerd store saves by name, and only an untagged image by its ID."""
    names = [str(one) for one in about.get("RepoTags") or ()]
    return name if name in names or not names else names[0]


def save(client: DockerClient, name: str, scratch: Path) -> Saved:
    pieces = client.api.get_image(name, chunk_size=CHUNK)
    saved = Saved()
    kept = 0
    for header, content in members(Stream(lambda _: next(pieces, b""), f"the image {name!r} as its engine sends it")):
        if header.kind != "file":
            continue
        first = content.read(CHUNK)
        if is_layer(first):
            diff_id, path, size = _spool(first, content, scratch)
            saved.layers[diff_id] = (path, size)
        elif header.size <= LARGEST_JSON and kept < 8 * LARGEST_JSON:
            body = first + b"".join(content.all())
            kept += len(body)
            saved.named[header.name] = _digest(body)
            saved.texts[_digest(body)] = body
    return saved


def _spool(first: bytes, content: Content, scratch: Path) -> tuple[str, Path, int]:
    """Write one layer's tar, unpacked, to a file of its own: too large for memory, and its digest is not known yet."""
    waiting = [first]
    read, _ = opened(lambda count: waiting.pop() if waiting else content.read(count), "a layer")
    running, size = sha256(), 0
    with tempfile.NamedTemporaryFile(dir=scratch, delete=False) as file:
        while piece := read(CHUNK):
            running.update(piece)
            file.write(piece)
            size += len(piece)
    return "sha256:" + running.hexdigest(), Path(file.name), size


def config_of(saved: Saved, diff_ids: list[str], name: str) -> bytes:
    """Return the configuration of the image: the one that manifest.json names, else the JSON that has its layers."""
    listed = [row for row in _list(saved.texts.get(saved.named.get("manifest.json", ""))) if isinstance(row, dict)]
    first = [saved.texts.get(saved.named.get(str(row.get("Config")), ""), b"") for row in listed]
    for body in (*first, *saved.texts.values()):
        said = _parsed(body)
        rootfs = said.get("rootfs") if isinstance(said, dict) else None
        mine = isinstance(rootfs, dict) and rootfs.get("diff_ids") == diff_ids
        if mine and all(one in saved.layers for one in diff_ids):
            return body
    raise BadArchive(NO_CONFIG.format(name=name))


def _list(body: bytes | None) -> list[Any]:
    said = _parsed(body or b"")
    return said if isinstance(said, list) else []


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


class Thin:
    """A thin OCI layout that grows image by image: what several have in common is in it once."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.room = LARGEST
        self.packed: dict[str, Path] = {}
        self.texts: dict[str, bytes] = {}
        self.index: list[dict[str, Any]] = []

    def add(self, saved: Saved, config: bytes, diff_ids: list[str], below: int, part: str = "") -> str:
        """Add an image and return its manifest's digest; layers that do not fit are left out from the base up.

        Raises: BadArtifact.
        """
        rows: list[dict[str, Any]] = []
        self.room -= RESERVE + len(config)
        for number in reversed(range(len(diff_ids))):
            path, size = saved.layers[diff_ids[number]]
            row = {"mediaType": f"{OCI}.layer.v1.tar", "digest": diff_ids[number], "size": size}
            if number >= below:
                digest, file = _gzip(path, self.scratch)
                room = self.room - (0 if digest in self.packed else file.stat().st_size + 1024)
                if room < 0 and number == len(diff_ids) - 1:
                    why = f"The image's last layer packs to more than {human(LARGEST)}: what of it is needed?"
                    raise BadArtifact(why)
                if room < 0:
                    below = number + 1
                else:
                    self.room, self.packed[digest] = room, file
                    row = {"mediaType": f"{OCI}.layer.v1.tar+gzip", "digest": digest, "size": file.stat().st_size}
            rows.insert(0, row)
        return self._manifest(config, rows, part)

    def _manifest(self, config: bytes, rows: list[dict[str, Any]], part: str) -> str:
        about = {"mediaType": f"{OCI}.config.v1+json", "digest": _digest(config), "size": len(config)}
        manifest = _json({"schemaVersion": 2, "mediaType": f"{OCI}.manifest.v1+json", "config": about, "layers": rows})
        one = {"mediaType": f"{OCI}.manifest.v1+json", "digest": _digest(manifest), "size": len(manifest)}
        self.index.append(one | ({"annotations": {PART: part}} if part else {}))
        self.texts |= {_blob(_digest(body)): body for body in (manifest, config)}
        return _digest(manifest)

    def write(self, path: Path) -> None:
        """Write the archive."""
        texts = {
            "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
            "index.json": _json({"schemaVersion": 2, "manifests": self.index}),
        }
        _write(path, texts | self.texts, {_blob(digest): file for digest, file in self.packed.items()})


def _gzip(path: Path, scratch: Path) -> tuple[str, Path]:
    """Pack a layer without name and time, so that equal layers give equal bytes."""
    packed = scratch / f"{path.name}.gz"
    with packed.open("wb") as file, gzip.GzipFile("", "wb", 6, file, mtime=0) as packer, path.open("rb") as tar:
        shutil.copyfileobj(tar, packer, CHUNK)
    with packed.open("rb") as whole:
        return "sha256:" + file_digest(whole, "sha256").hexdigest(), packed


def _write(path: Path, texts: Mapping[str, bytes], files: Mapping[str, Path]) -> None:
    """Write the tar beside its place and then put it there: a reader sees the old one or the new one, whole."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".artifact-", delete=False) as out:
        try:
            with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
                for name, body in sorted(texts.items()):
                    _member(tar, name, io.BytesIO(body), len(body))
                for name, file in sorted(files.items()):
                    with file.open("rb") as stream:
                        _member(tar, name, stream, file.stat().st_size)
            out.close()
            Path(out.name).chmod(0o644)
            Path(out.name).replace(path)
        except BaseException:
            Path(out.name).unlink(missing_ok=True)
            raise


def _member(tar: tarfile.TarFile, name: str, stream: IO[bytes], size: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o644
    tar.addfile(entry, stream)


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _digest(body: bytes) -> str:
    return "sha256:" + sha256(body).hexdigest()


def _blob(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")
