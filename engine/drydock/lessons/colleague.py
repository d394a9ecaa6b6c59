"""Maggie's machine: images that somebody else built and pushed, so that your engine has none of their bytes yet."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from drydock.lessons import pack
from drydock.lessons.own import LAB, architecture
from drydock.lessons.wire import Answer, request

LAYER = f"{pack.OCI}.layer.v1.tar+gzip"
INDEX = f"{pack.OCI}.index.v1+json"
MANIFEST = f"{pack.OCI}.manifest.v1+json"
PLATFORMS = ("amd64", "arm64", "riscv64")
PUSHED = "Maggie has pushed {name}: {what}."


def photos(path: Path) -> None:
    """Write 2 MB that cannot be compressed, as photos cannot; the same each time, so that the layer is the same."""
    path.write_bytes(random.Random(8).randbytes(2_000_000))


def gallery(address: str) -> None:
    """Push lab/gallery:1 and :2, the same pictures under two captions, and :3 with other pictures."""
    pictures = {n: random.Random(n).randbytes(1_500_000) for n in (1, 3)}  # as photos are: nothing left to compress
    for tag, picture, caption in (("1", 1, "Sunrise"), ("2", 1, "Sunrise over Boston"), ("3", 3, "Rain")):
        layers = {
            "COPY pictures /pictures": pack.layer({"pictures/1.jpg": pictures[picture]}),
            "COPY caption.txt /": pack.layer({"caption.txt": f"{caption}\n".encode()}),
        }
        _push(address, "lab/gallery", tag, _image(layers, architecture()))
    names = f"{address}/lab/gallery:1, :2 and :3"
    print(PUSHED.format(name=names, what="the same pictures twice under two captions, then other pictures"))


def hello(address: str) -> None:
    """Push lab/hello:1, one name for several platforms: an index of an image each."""
    rows = []
    for machine in dict.fromkeys((*PLATFORMS, architecture())):
        layers = {"COPY platform.txt /": pack.layer({"platform.txt": f"Built for {machine}.\n".encode()})}
        manifest = _push(address, "lab/hello", "", _image(layers, machine))
        about = {"mediaType": MANIFEST, "digest": pack.digest(manifest), "size": len(manifest)}
        rows.append({**about, "platform": {"os": "linux", "architecture": machine}})
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": rows}).encode()
    _put(address, "lab/hello", "1", index, INDEX)
    print(PUSHED.format(name=f"{address}/lab/hello:1", what=f"{len(rows)} images, one for each kind of processor"))


def upload(address: str, repository: str, content: bytes, digest: str) -> Answer:
    """Send a blob by hand: POST opens an upload, PUT sends the bytes and says which digest they have."""
    begun = request(address, f"POST /v2/{repository}/blobs/uploads/")
    place = urlsplit(begun.headers.get("Location", ""))
    query = f"{place.query}&digest={digest}".lstrip("&")
    return request(address, f"PUT {place.path}?{query}", content)


def _image(layers: Mapping[str, bytes], machine: str) -> pack.Packed:
    return pack.image("", layers, {"Labels": {LAB: "08"}}, machine, ["/none"])


def _push(address: str, repository: str, tag: str, image: pack.Packed) -> bytes:
    """Push an image as every client does: blobs first, then the manifest that names them. Return the manifest."""
    layers = [gzip.compress(one, mtime=0) for one in image.layers]
    for blob in (image.config, *layers):
        upload(address, repository, blob, pack.digest(blob))
    rows = [{"mediaType": LAYER, "digest": pack.digest(one), "size": len(one)} for one in layers]
    config = {"mediaType": f"{pack.OCI}.config.v1+json", "digest": image.id, "size": len(image.config)}
    value = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": rows}
    manifest = json.dumps(value).encode()
    _put(address, repository, tag or pack.digest(manifest), manifest, MANIFEST)
    return manifest


def _put(address: str, repository: str, reference: str, content: bytes, kind: str) -> None:
    answer = request(address, f"PUT /v2/{repository}/manifests/{reference}", content, kind)
    if answer.status != 201:
        raise RuntimeError(f"The registry at {address} did not take {repository}:\n{answer.picture()}")
