"""An artifact from the folder it was handed in with: hostile until every digest has been checked.

Nothing is unpacked to disk, nothing is followed, and every size and count has an end.
"""

from __future__ import annotations

import io
import json
import lzma
import os
import re
import stat
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from drydock.model.context import Context, ContextFile
from drydock.model.image import Image, ImageConfig, join_history
from drydock.model.layer import Layer, human
from drydock.read.layer import Limits, file_content, is_layer, opened, read_layer
from drydock.read.tarstream import BLOCK, BadArchive, Stream, clean, members

from drydock_grading.artifact import ABOUT, ARCHIVE, LARGEST, SCHEMA, About, Artifact, Pushed, Recipe

LARGEST_JSON = 4_000_000  # bytes of artifact.json, of a manifest or a configuration
MEMBERS = 600  # of the archive; an image has 127 layers at most
LAYERS = 127
FOLDERS = 1_000_000  # parts of all paths together: each becomes a folder of the tree
FILES = 5000  # of a folder with a Dockerfile
UNPACKED = 400_000_000  # bytes of all layers together
LIMITS = Limits(ratio=200, free=100_000_000, total=UNPACKED, entries=50_000)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
PACK = "Run the cell that packs your work once more, then submit again."


class BadArtifact(ValueError):
    """An artifact that cannot be graded: what is wrong, and what to do."""


FAILURES = (ValueError, OSError, EOFError, RecursionError, MemoryError, zlib.error, lzma.LZMAError)


def read(folder: str | Path) -> Artifact:
    """Return what was handed in with this folder; a part that cannot be read says why, and never raises."""
    folder = Path(folder)
    try:
        about, no_about = _about(regular(folder / ABOUT, LARGEST_JSON)), ""
    except FAILURES as error:
        about, no_about = About(), _why(error, ABOUT)
    try:
        found = image(regular(folder / ARCHIVE, LARGEST))
    except FAILURES as error:
        return Artifact(about, no_image=_why(error, ARCHIVE), no_about=no_about)
    if not no_about and (about.config, about.diff_ids) != (found.config, found.diff_ids):
        no_about = f"{ABOUT} speaks of another image than {ARCHIVE} holds. {PACK}"
        about = replace(About(), learner=about.learner, assignment=about.assignment)
    return replace(found, about=about, no_about=no_about)


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
    """Return the image of a thin OCI layout, digests checked. Raises: BadArtifact, BadArchive."""
    blobs = _blobs(archive)
    index = _object(blobs.get("index.json"), "index.json")
    rows = _list(index.get("manifests"))
    if len(rows) != 1:
        raise BadArtifact(f"{ARCHIVE} has {len(rows)} images in its index, not one. {PACK}")
    manifest_digest = _digest(rows[0])
    manifest = _object(_blob(blobs, manifest_digest), "the manifest")
    config_digest = _digest(manifest.get("config"))
    config = _object(_blob(blobs, config_digest), "the configuration")
    diff_ids = [str(one) for one in _list(_dict(config.get("rootfs")).get("diff_ids"))]
    rows = _list(manifest.get("layers"))
    if not 0 < len(diff_ids) == len(rows) <= LAYERS or not all(map(DIGEST.fullmatch, diff_ids)):
        what = f"{len(rows)} layers, its configuration {len(diff_ids)}"
        raise BadArtifact(f"{ARCHIVE} is no image: its manifest names {what}. {PACK}")
    there = [blobs.get(_name(_digest(row))) for row in rows]
    carried = next((n for n, blob in enumerate(there) if blob is not None), len(there))
    travelled = [blob for blob in there[carried:] if blob is not None]
    if len(travelled) != len(there) - carried:
        raise BadArtifact(f"{ARCHIVE} lacks a layer above one that it has: only a base may be left out. {PACK}")
    layers = (*(Layer(one, "", 0) for one in diff_ids[:carried]), *_layers(travelled, diff_ids[carried:]))
    found = Image(
        id=config_digest,
        names=(),
        platform=f"{config.get('os') or 'linux'}/{config.get('architecture') or 'unknown'}",
        config=ImageConfig.parse(_dict(config.get("config"))),
        history=join_history([_dict(row) for row in _list(config.get("history"))[:1000]], len(layers)),
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


def _layers(blobs: list[bytes], diff_ids: list[str]) -> Iterator[Layer]:
    left, entries = UNPACKED, LIMITS.entries
    for blob, diff_id in zip(blobs, diff_ids, strict=True):
        if not is_layer(blob[:BLOCK]):
            raise BadArtifact(f"{ARCHIVE}: a layer is no tar. {PACK}")
        layer = read_layer(io.BytesIO(blob).read, ARCHIVE, replace(LIMITS, total=left, entries=entries))
        if layer.diff_id != diff_id:
            raise BadArtifact(
                f"{ARCHIVE}: a layer is not the one that the configuration names ({diff_id[:19]}). {PACK}"
            )
        left, entries = left - layer.size, entries - len(layer.entries)
        parts = sum(path.count("/") + 1 for path in (*layer.by_path, *layer.whiteouts, *layer.opaque))
        if parts > FOLDERS:
            raise BadArtifact(f"{ARCHIVE} has paths that are folders in folders without end. {PACK}")
        if left <= 0 or entries <= 0:
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


def _about(raw: bytes) -> About:
    said = _object(raw, ABOUT)
    if said.get("schema") != SCHEMA:
        raise BadArtifact(f"{ABOUT} has the schema {str(said.get('schema'))[:20]!r}, not {SCHEMA}. {PACK}")
    recipes = _dict(said.get("dockerfiles"))
    if len(recipes) > 20:
        raise BadArtifact(f"{ABOUT} has {len(recipes)} Dockerfiles. {PACK}")
    text = {k: str(said.get(k) or "")[:500] for k in ("learner", "assignment", "image", "engine", "manifest", "config")}
    return About(
        **text,
        diff_ids=tuple(str(one) for one in _list(said.get("diff_ids"))[:LAYERS]),
        base=str(_dict(said.get("base")).get("name") or "")[:200],
        recipes={str(path): _recipe(_dict(recipe)) for path, recipe in recipes.items()},
        pushed=_pushed(_dict(said.get("pushed"))) if said.get("pushed") else None,
    )


def _recipe(said: Mapping[str, Any]) -> Recipe:
    rows = _list(said.get("context"))
    if len(rows) > FILES:
        raise BadArtifact(f"{ABOUT} lists more than {FILES} files beside a Dockerfile. Try: a .dockerignore, then pack")
    return Recipe(str(said.get("text") or ""), Context(tuple(_file(_dict(row)) for row in rows)))


def _file(row: Mapping[str, Any]) -> ContextFile:
    path, kind, digest = str(row.get("path") or ""), str(row.get("kind") or "file"), str(row.get("sha256") or "")
    try:
        size, mode = int(row.get("size") or 0), int(row.get("mode") or 0) & 0o7777
    except (TypeError, ValueError, OverflowError):
        raise BadArtifact(f"{ABOUT} gives {path[:80]!r} a size or a mode that is no number. {PACK}") from None
    # What the builder's cache compares is the content; the digest of it serves as well as its own hash would.
    tarsum = sha256(f"{path}\0{kind}\0{mode}\0{digest}".encode("utf-8", "surrogatepass")).hexdigest()
    return ContextFile(path, kind, size, mode, digest, str(row.get("link") or ""), tarsum, 0, bool(row.get("ignored")))


def _pushed(said: Mapping[str, Any]) -> Pushed:
    digest, text = str(said.get("digest") or ""), str(said.get("manifest") or "")
    if not DIGEST.fullmatch(digest) or digest != "sha256:" + sha256(text.encode("utf-8", "replace")).hexdigest():
        raise BadArtifact(f"{ABOUT}: the manifest that was pushed is not what its digest says. {PACK}")
    config = _dict(_object(text.encode(), "the pushed manifest").get("config")).get("digest")
    return Pushed(str(said.get("reference") or "")[:300], digest, text, str(config or ""))


def _object(raw: bytes | None, name: str) -> dict[str, Any]:
    """Return a JSON object, however it may be made to hurt: size, depth, numbers without end."""
    if raw is None:
        raise BadArtifact(f"{ARCHIVE} lacks {name}. {PACK}")
    if len(raw) > LARGEST_JSON:
        raise BadArtifact(f"{name} has {human(len(raw))} of JSON, which is no {name}. {PACK}")
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BadArtifact(f"{name} is no JSON ({type(error).__name__}). {PACK}") from None
    if not isinstance(value, dict):
        raise BadArtifact(f"{name} is no JSON object. {PACK}")
    return value


def _blob(blobs: Mapping[str, bytes], digest: str) -> bytes | None:
    return blobs.get(_name(digest))


def _name(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def _digest(row: object) -> str:
    digest = str(_dict(row).get("digest") or "")
    if not DIGEST.fullmatch(digest):
        raise BadArtifact(f"{ARCHIVE} names {digest[:80]!r}, which is no digest. {PACK}")
    return digest


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
