"""An artifact from the folder it was handed in with: hostile until every digest has been checked.

Nothing is unpacked to disk, nothing is followed, and every size and count has an end.
"""

from __future__ import annotations

import io
import lzma
import os
import stat
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from drydock.model.image import Image, ImageConfig, join_history
from drydock.model.layer import Layer, human
from drydock.read.layer import Limits, file_content, is_layer, opened, read_layer
from drydock.read.tarstream import BLOCK, BadArchive, Stream, clean, members

from drydock_grading.artifact import ABOUT, ARCHIVE, LARGEST, About, Artifact
from drydock_grading.claims import DIGEST, LARGEST_JSON, LAYERS, PACK, BadArtifact, a_dict, a_list, about, an_object

MEMBERS = 600  # of the archive; an image has 127 layers at most
FOLDERS = 1_000_000  # parts of all paths together: each becomes a folder of the tree
UNPACKED = 400_000_000  # bytes of all layers together
PART = "org.drydock.part"  # index.json's annotation on an image that is one part of the work: db, v1
PARTS = 4
NOT_BUILT = "The image had not been built when the work was packed. Build it, then pack once more."
LIMITS = Limits(ratio=200, free=100_000_000, total=UNPACKED, entries=50_000)
FAILURES = (ValueError, OSError, EOFError, RecursionError, MemoryError, zlib.error, lzma.LZMAError)


def read(folder: str | Path) -> Artifact:
    """Return what was handed in with this folder; a part that cannot be read says why, and never raises."""
    folder = Path(folder)
    try:
        said, no_about = about(regular(folder / ABOUT, LARGEST_JSON)), ""
    except FAILURES as error:
        said, no_about = About(), _why(error, ABOUT)
    try:
        found = image(regular(folder / ARCHIVE, LARGEST))
    except FAILURES as error:
        return Artifact(said, no_image=_why(error, ARCHIVE), no_about=no_about)
    if not no_about and (said.config, said.diff_ids) != (found.config, found.diff_ids):
        no_about = f"{ABOUT} speaks of another image than {ARCHIVE} holds. {PACK}"
        said = About(learner=said.learner, assignment=said.assignment)
    return replace(found, about=said, no_about=no_about)


def _why(error: Exception, name: str) -> str:
    known = isinstance(error, BadArtifact | BadArchive)
    return str(error) if known else f"{name} cannot be read ({type(error).__name__}). {PACK}"


def regular(path: Path, most: int) -> bytes:
    """Return a file that is a file: no link is followed, no pipe is waited for, and its size has an end."""
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        raise BadArtifact(f"There is no {path.name} beside the notebook. {PACK}") from None
    except OSError:
        raise BadArtifact(f"{path.name} is no file of its own but a link, or cannot be opened. {PACK}") from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise BadArtifact(f"{path.name} is no file but a folder, a pipe or a device. {PACK}")
    with os.fdopen(fd, "rb") as file:
        body = file.read(most + 1)
    if len(body) > most:
        raise BadArtifact(f"{path.name} is larger than {human(most)}. Make the image smaller: what of it is needed?")
    return body


def image(archive: bytes) -> Artifact:
    """Return the image of a thin OCI layout, digests checked, with those beside it that have the name of a part.

    Raises: BadArtifact, BadArchive.
    """
    blobs = _blobs(archive)
    room = Room()
    found = {
        part: _one(blobs, digest, room) for part, digest in _parts(an_object(blobs.get("index.json"), "index.json"))
    }
    main = found.pop("", Artifact(no_image=NOT_BUILT))
    return replace(main, others=found)


def _parts(index: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the parts of the work with their manifests' digests; the image itself has no name."""
    rows = a_list(index.get("manifests"))
    names = [str(a_dict(a_dict(row).get("annotations")).get(PART) or "") for row in rows]
    if not 0 < len(rows) == len(set(names)) <= PARTS:
        raise BadArtifact(f"{ARCHIVE} has {len(rows)} images in its index, not one. {PACK}")
    return [(name[:40], _digest(row)) for name, row in zip(names, rows, strict=True)]


def _one(blobs: Mapping[str, bytes], manifest_digest: str, room: Room) -> Artifact:
    manifest = an_object(_blob(blobs, manifest_digest), "the manifest")
    config_digest = _digest(manifest.get("config"))
    config = an_object(_blob(blobs, config_digest), "the configuration")
    diff_ids = [str(one) for one in a_list(a_dict(config.get("rootfs")).get("diff_ids"))]
    rows = a_list(manifest.get("layers"))
    if not 0 < len(diff_ids) == len(rows) <= LAYERS or not all(map(DIGEST.fullmatch, diff_ids)):
        what = f"{len(rows)} layers, its configuration {len(diff_ids)}"
        raise BadArtifact(f"{ARCHIVE} is no image: its manifest names {what}. {PACK}")
    there = [blobs.get(_name(_digest(row))) for row in rows]
    carried = next((n for n, blob in enumerate(there) if blob is not None), len(there))
    travelled = [blob for blob in there[carried:] if blob is not None]
    if len(travelled) != len(there) - carried:
        raise BadArtifact(f"{ARCHIVE} lacks a layer above one that it has: only a base may be left out. {PACK}")
    above = _layers(travelled, diff_ids[carried:], room)
    layers = (*(Layer(one, "", 0) for one in diff_ids[:carried]), *above)
    found = Image(
        id=config_digest,
        names=(),
        platform=f"{config.get('os') or 'linux'}/{config.get('architecture') or 'unknown'}",
        config=ImageConfig.parse(a_dict(config.get("config"))),
        history=join_history([a_dict(row) for row in a_list(config.get("history"))[:1000]], len(layers)),
        layers=layers,
        source=ARCHIVE,
        content=_Files(layers, carried, travelled).one,
    )
    return Artifact(
        image=found, carried=carried, config=config_digest, manifest=manifest_digest, raw=config, no_image="",
        contents=_Files(layers, carried, travelled).all,
    )  # fmt: skip


def _blobs(archive: bytes) -> dict[str, bytes]:
    """Return the archive's members by name, each blob what its name says."""
    found: dict[str, bytes] = {}
    if archive and not is_layer(archive[:BLOCK]):
        raise BadArtifact(f"{ARCHIVE} is no tar archive: it was probably renamed, or made by something else. {PACK}")
    for count, (header, content) in enumerate(members(Stream(io.BytesIO(archive).read, ARCHIVE)), 1):
        name = clean(header.name, ARCHIVE)
        if count > MEMBERS:
            raise BadArtifact(f"{ARCHIVE} has more than {MEMBERS} members, which no image has. {PACK}")
        if header.kind not in ("file", "directory"):
            raise BadArtifact(f"{ARCHIVE} holds a {header.kind}, {name[:80]!r}: an image layout has none. {PACK}")
        if header.kind == "directory":
            continue
        body = b"".join(content.all())
        folder, _, digest = name.rpartition("/")
        if folder == "blobs/sha256" and sha256(body).hexdigest() != digest:
            raise BadArtifact(f"{ARCHIVE}: the blob {digest[:12]} is not what its digest says. {PACK}")
        found[name] = body
    if "index.json" not in found:
        raise BadArtifact(f"{ARCHIVE} is no image: it has no index.json. {PACK}")
    return found


@dataclass
class Room:
    """What may still be unpacked of one archive, all its images together."""

    left: int = UNPACKED
    entries: int = LIMITS.entries


def _layers(blobs: list[bytes], diff_ids: list[str], room: Room) -> Iterator[Layer]:
    for blob, diff_id in zip(blobs, diff_ids, strict=True):
        if not is_layer(blob[:BLOCK]):
            raise BadArtifact(f"{ARCHIVE}: a layer is no tar. {PACK}")
        layer = read_layer(io.BytesIO(blob).read, ARCHIVE, replace(LIMITS, total=room.left, entries=room.entries))
        if layer.diff_id != diff_id:
            raise BadArtifact(
                f"{ARCHIVE}: a layer is not the one that the configuration names ({diff_id[:19]}). {PACK}"
            )
        room.left, room.entries = room.left - layer.size, room.entries - len(layer.entries)
        parts = sum(path.count("/") + 1 for path in (*layer.by_path, *layer.whiteouts, *layer.opaque))
        if parts > FOLDERS:
            raise BadArtifact(f"{ARCHIVE} has paths that are folders in folders without end. {PACK}")
        if room.left <= 0 or room.entries <= 0:
            raise BadArtifact(f"{ARCHIVE} unpacks to more than {human(UNPACKED)}. Make the image smaller.")
        yield layer


@dataclass(frozen=True)
class _Files:
    """The files of the layers that travelled."""

    layers: tuple[Layer, ...]
    carried: int
    blobs: list[bytes]

    def one(self, layer: int, path: str) -> bytes:
        """Return the first bytes of one file, hard links followed within the layer. Raises: FileNotFoundError."""
        entry = self.layers[layer].by_path.get(path)
        for _ in range(8):
            if entry is None or entry.kind != "hardlink":
                break
            path = entry.link
            entry = self.layers[layer].by_path.get(path)
        if layer < self.carried or entry is None or entry.kind != "file":
            raise FileNotFoundError(f"{path!r} is no file of layer {layer}.")
        return file_content(io.BytesIO(self.blobs[layer - self.carried]).read, path, ARCHIVE)

    def all(self, layer: int) -> Iterator[tuple[str, bytes]]:
        """Go through the files of a layer, hidden ones too: path and its first MiB."""
        if layer < self.carried:
            return
        plain, _ = opened(io.BytesIO(self.blobs[layer - self.carried]).read, ARCHIVE)
        for header, content in members(Stream(plain, ARCHIVE)):
            if header.kind == "file":
                yield clean(header.name, ARCHIVE), content.take(min(1 << 20, header.size))


def _blob(blobs: Mapping[str, bytes], digest: str) -> bytes | None:
    return blobs.get(_name(digest))


def _name(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def _digest(row: object) -> str:
    digest = str(a_dict(row).get("digest") or "")
    if not DIGEST.fullmatch(digest):
        raise BadArtifact(f"{ARCHIVE} names {digest[:80]!r}, which is no digest. {PACK}")
    return digest
