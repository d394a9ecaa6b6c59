"""From an image on an engine to the two files that are handed in: streamed, thin, and the same bytes each time."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import file_digest, sha256
from pathlib import Path
from typing import IO, Any

from docker import DockerClient
from docker.errors import ImageNotFound
from drydock.client import embedded
from drydock.model.layer import human
from drydock.read import BadArchive, context
from drydock.read.layer import is_layer, opened
from drydock.read.shelf import LARGEST_JSON
from drydock.read.tarstream import CHUNK, Content, Stream, members

from drydock_grading import bases, reading, remote
from drydock_grading.artifact import ABOUT, ARCHIVE, LARGEST, SCHEMA, Artifact

OCI = "application/vnd.oci.image"
RESERVE = 100_000  # bytes left for the manifest, the configuration and the tar's own headers
NO_IMAGE = "The engine has no image {name!r}. It was probably not built yet, or has another name.\nTry: docker images"
NO_CONFIG = "The engine sent {name!r} without its configuration.\nTry: docker image inspect {name}"


@dataclass
class Saved:
    """What an engine sent of one image: JSON by digest, layers as files by diff ID."""

    texts: dict[str, bytes] = field(default_factory=dict)
    named: dict[str, str] = field(default_factory=dict)  # an archive's member -> its digest
    layers: dict[str, tuple[Path, int]] = field(default_factory=dict)  # diff ID -> the tar, and its size


def pack(
    assignment: str,
    learner: str,
    client: DockerClient,
    name: str,
    folder: Path,
    pushed: str = "",
    dockerfiles: Iterable[str] = (),
    known: bases.Bases | None = None,
) -> Artifact:
    """Write the artifact of an image beside the notebook, and return it as a grader will read it.

    Raises: LookupError where the engine has no such image, BadArtifact, drydock.read.context.NoContext.
    """
    known = bases.load() if known is None else known
    recipes = {path: _recipe(folder, path) for path in dockerfiles}
    try:
        wanted = client.api.inspect_image(name)
    except ImageNotFound:
        raise LookupError(NO_IMAGE.format(name=name)) from None
    diff_ids = [str(one) for one in (wanted.get("RootFS") or {}).get("Layers") or ()]
    with tempfile.TemporaryDirectory(prefix="drydock-pack-") as scratch:
        saved = _save(client, _savable(name, wanted), Path(scratch))
        config = _config(saved, diff_ids, name)
        base = known.under(diff_ids)
        thin = _archive(saved, config, diff_ids, len(base.diff_ids) if base else 0, Path(scratch), folder)
    said = client.version()
    found = reading.image((folder / ARCHIVE).read_bytes())
    whole = base or (bases.made_by_kit(found.image, found.carried) if found.image else None)
    about = {
        "schema": SCHEMA,
        "learner": learner,
        "assignment": assignment,
        "image": name,
        "engine": str((said.get("Platform") or {}).get("Name")) if embedded(said) else f"Docker {said.get('Version')}",
        "manifest": thin,
        "config": found.config,
        "diff_ids": diff_ids,
        "base": {"name": whole.name, "diff_ids": list(whole.diff_ids)} if whole else None,
        "dockerfiles": recipes,
        "pushed": _pushed(pushed, found) if pushed else None,
    }
    _replace(folder / ABOUT, json.dumps(about, indent=1, sort_keys=True).encode() + b"\n")
    return reading.read(folder)


def _savable(name: str, about: Mapping[str, Any]) -> str:
    """Return the name to save by: the containerd store saves by name, and only an untagged image by its ID."""
    names = [str(one) for one in about.get("RepoTags") or ()]
    return name if name in names or not names else names[0]


def _save(client: DockerClient, name: str, scratch: Path) -> Saved:
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


def _config(saved: Saved, diff_ids: list[str], name: str) -> bytes:
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


def _archive(saved: Saved, config: bytes, diff_ids: list[str], below: int, scratch: Path, folder: Path) -> str:
    """Write the thin layout and return its manifest's digest; layers that do not fit are left out from the base up."""
    rows: list[dict[str, Any]] = []
    packed: dict[str, Path] = {}
    room = LARGEST - RESERVE - len(config)
    for number in reversed(range(len(diff_ids))):
        path, size = saved.layers[diff_ids[number]]
        row = {"mediaType": f"{OCI}.layer.v1.tar", "digest": diff_ids[number], "size": size}
        if number >= below:
            digest, file = _gzip(path, scratch)
            room -= 0 if digest in packed else file.stat().st_size + 1024
            if room < 0 and number == len(diff_ids) - 1:
                raise reading.BadArtifact(
                    f"The image's last layer packs to more than {human(LARGEST)}: what of it is needed?"
                )
            if room < 0:
                below = number + 1
            else:
                packed[digest] = file
                row = {"mediaType": f"{OCI}.layer.v1.tar+gzip", "digest": digest, "size": file.stat().st_size}
        rows.insert(0, row)
    about = {"mediaType": f"{OCI}.config.v1+json", "digest": _digest(config), "size": len(config)}
    manifest = _json({"schemaVersion": 2, "mediaType": f"{OCI}.manifest.v1+json", "config": about, "layers": rows})
    one = {"mediaType": f"{OCI}.manifest.v1+json", "digest": _digest(manifest), "size": len(manifest)}
    texts = {
        "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
        "index.json": _json({"schemaVersion": 2, "manifests": [one]}),
    }
    texts |= {_blob(_digest(body)): body for body in (manifest, config)}
    _write(folder / ARCHIVE, texts, {_blob(digest): path for digest, path in packed.items()})
    return _digest(manifest)


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


def _replace(path: Path, body: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".artifact-", delete=False) as out:
        out.write(body)
    Path(out.name).chmod(0o644)
    Path(out.name).replace(path)


def _recipe(folder: Path, path: str) -> dict[str, Any]:
    """Return a Dockerfile's text and the listing of the folder that it builds in."""
    place = (folder / path).parent
    files = context.folder(place, Path(path).name).files
    rows = [_row(f.path, f.kind, f.size, f.mode, f.sha256, f.link, f.ignored) for f in files]
    return {"text": (folder / path).read_text(encoding="utf-8", errors="replace"), "context": rows}


def _row(path: str, kind: str, size: int, mode: int, digest: str, link: str, ignored: bool) -> dict[str, Any]:
    row = {"path": path, "kind": kind, "size": size, "mode": mode, "sha256": digest, "link": link, "ignored": ignored}
    return {k: v for k, v in row.items() if v not in ("", False)}


def _pushed(reference: str, found: Artifact) -> dict[str, str] | None:
    """Return what the registry has under the reference, or None where it has nothing: the artifact goes without."""
    platform = found.image.platform if found.image else "linux/amd64"
    try:
        digest, text = remote.manifest(reference, platform)
    except remote.NotThere as error:
        print(f"The registry's word for {reference} could not be had: {error}\nPush the image, then pack once more.")
        return None
    return {"reference": reference, "digest": digest, "manifest": text}


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _digest(body: bytes) -> str:
    return "sha256:" + sha256(body).hexdigest()


def _blob(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")
