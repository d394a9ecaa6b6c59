"""The making of a bundle: what an engine built of the lessons is saved into one folder, each step with its parent."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

import docker

from drydock.lessons import pack
from drydock.lessons.bundle import CACHE, CHUNK, LIST, SCHEMA, Bundle, opened

OTHER_IDS = (
    "These lesson images cannot be taken from {engine}: it names images by their manifests, "
    "not by their configurations.\n"
    "That is containerd's image store; the classic builder's cache, which the folder is for, is not in it.\n"
    "Try: drydock images make FOLDER   (without --host: it uses the kit's own engine)"
)


class OtherIdentity(RuntimeError):
    """An engine whose image IDs are not digests of configurations."""


def harvest(client: docker.DockerClient, roots: Iterable[str], into: Path, made_on: str) -> Bundle:
    """Write the images of these names, and all that was built on them, from an engine into a folder.

    The folder is replaced as a whole when the new one is complete. Raises: OtherIdentity.
    """
    family = _family(client, roots)
    new = into.with_name(f"{into.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    (new / "blobs" / "sha256").mkdir(parents=True)
    saved = {row["id"]: row for row in _saved(client, list(family), new)}
    if not set(family) <= set(saved):
        raise OtherIdentity(OTHER_IDS.format(engine=made_on))
    parents = set(family.values())
    rows, index = [], []
    for id, parent in family.items():
        names = [n for n in client.api.inspect_image(id)["RepoTags"] or () if n.partition(":")[0] in roots]
        if not names and id not in parents:
            names = [f"{CACHE}{id[7:19]}"]
        rows.append(pack.entry(id, saved[id]["layers"], names, parent))
        if names:
            index += _indexed(new, id, saved[id]["layers"], names)
    built = [id for id, parent in family.items() if parent]
    told = {"schema": SCHEMA, "made_on": made_on, "built": built}
    for name, content in (pack.front(rows, index) | {LIST: json.dumps(told, indent=1).encode()}).items():
        assert isinstance(content, bytes)
        (new / name).write_bytes(content)
    put_in_place(new, into)
    return opened(into)


def _family(client: docker.DockerClient, roots: Iterable[str]) -> dict[str, str]:
    """Return the ID of each image that grew from these, parents first, with its parent's ID ("" for the roots)."""
    children: dict[str, list[str]] = {}
    for image in client.api.images(all=True):
        children.setdefault(image.get("ParentId") or "", []).append(image["Id"])
    found = {client.api.inspect_image(root)["Id"]: "" for root in roots}
    todo = list(found)
    while todo:
        parent = todo.pop(0)
        for child in sorted(children.get(parent, [])):
            found[child] = parent
            todo.append(child)
    return found


def _saved(client: docker.DockerClient, ids: list[str], into: Path) -> Iterator[dict[str, Any]]:
    """Have the engine save images by their IDs; put what comes under its digest, and yield (id, layers) of each."""
    url = f"{client.api.base_url}/v{client.api.api_version}/images/get"
    stored: dict[str, str] = {}
    with closing(client.api.get(url, params={"names": ids}, stream=True)) as answer:
        answer.raise_for_status()
        with tarfile.open(fileobj=answer.raw, mode="r|") as tar:
            for entry in tar:
                if entry.issym():  # docker 20.10 saves a layer once, and links to it
                    stored[entry.name] = os.path.normpath(Path(entry.name).parent / entry.linkname)
                content = tar.extractfile(entry) if entry.isfile() else None
                if content is not None:
                    stored[entry.name] = _put(content, into)
    rows = json.loads((into / pack.blob(stored["manifest.json"])).read_bytes())
    for row in rows:
        layers = [_followed(stored, name) for name in row["Layers"]]
        yield {"id": _followed(stored, row["Config"]), "layers": layers}
    wanted = {digest for row in rows for n in (row["Config"], *row["Layers"]) if (digest := _followed(stored, n))}
    for path in (into / "blobs" / "sha256").iterdir():
        if f"sha256:{path.name}" not in wanted:
            path.unlink()


def _followed(stored: Mapping[str, str], name: str) -> str:
    """Return the digest of what the archive has under a name, its links followed."""
    return stored[name] if stored[name].startswith("sha256:") else _followed(stored, stored[name])


def _put(content: IO[bytes], into: Path) -> str:
    """Store a stream under its digest, and return that."""
    running = sha256()
    beside = into / "incoming"
    with beside.open("wb") as out:
        while chunk := content.read(CHUNK):
            running.update(chunk)
            out.write(chunk)
    beside.replace(into / "blobs" / "sha256" / running.hexdigest())
    return f"sha256:{running.hexdigest()}"


def _indexed(folder: Path, id: str, layers: list[str], names: list[str]) -> list[dict[str, Any]]:
    """Store an image's OCI manifest, and return the rows that name it in index.json."""
    sizes = {d: (folder / pack.blob(d)).stat().st_size for d in (id, *layers)}
    manifest = pack.oci_manifest(id, sizes[id], [(d, sizes[d]) for d in layers])
    (folder / pack.blob(pack.digest(manifest))).write_bytes(manifest)
    return [pack.descriptor(manifest, name) for name in names]


def put_in_place(new: Path, old: Path) -> None:
    """Put a finished folder in the place of an old one."""
    aside = old.with_name(f"{old.name}.old")
    shutil.rmtree(aside, ignore_errors=True)
    if old.exists():
        old.rename(aside)
    new.rename(old)
    shutil.rmtree(aside, ignore_errors=True)
