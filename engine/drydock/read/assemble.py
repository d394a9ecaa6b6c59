"""From an archive's JSON to the image: which manifest, which config, which layers, and whether they are those named.

Source: OCI image-layout, image-index, manifest; `manifest.json` as moby image/tarexport writes it.
"""

from __future__ import annotations

import hashlib
import json
import platform as machine
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from drydock.model.image import Image, ImageConfig, join_history
from drydock.model.layer import Layer
from drydock.model.reference import InvalidReference, Reference
from drydock.read.shelf import Shelf
from drydock.read.tarstream import BadArchive

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64", "AMD64": "amd64", "armv7l": "arm"}
BLOB = re.compile(r"(?:^blobs/sha256/|^)([0-9a-f]{64})(?:\.json)?$")
DEEPEST = 4  # an index in an index in an index


def here() -> str:
    """Return the platform of containers on this machine, as Docker writes it."""
    return "linux/" + ARCHITECTURES.get(machine.machine(), machine.machine())


def assemble(shelf: Shelf, source: str, name: str = "", platform: str = "", image_id: str = "") -> Image:
    """Return the image of that name (or the first) for the platform, its digests checked.

    Raises BadArchive where a part is missing or is not what its digest says.
    """
    config_name, blobs, names = _choose(shelf, name, platform or here())
    raw = shelf.small(config_name)
    _check(shelf, config_name, "sha256:" + hashlib.sha256(raw).hexdigest())
    config = _object(raw, config_name, shelf.where)
    diff_ids = [str(one) for one in _list(_dict(config.get("rootfs")).get("diff_ids"))]
    if len(diff_ids) != len(blobs):
        raise BadArchive(f"{shelf.where} has {len(blobs)} layers, but its config names {len(diff_ids)}. Make it again.")
    layers = tuple(_layer(shelf, blob, diff_id) for blob, diff_id in zip(blobs, diff_ids, strict=True))
    variant = f"/{config['variant']}" if config.get("variant") else ""
    return Image(
        id=image_id or "sha256:" + hashlib.sha256(raw).hexdigest(),
        names=names,
        platform=f"{config.get('os') or 'linux'}/{config.get('architecture') or 'unknown'}{variant}",
        config=ImageConfig.parse(_dict(config.get("config"))),
        history=join_history([_dict(row) for row in _list(config.get("history"))], len(layers)),
        layers=layers,
        source=source,
        content=reader(shelf, layers, blobs),
    )


def reader(shelf: Shelf, layers: tuple[Layer, ...], blobs: list[str]) -> Callable[[int, str], bytes]:
    """Return the function that gives a file's content, hard links followed within the layer."""

    def content(layer: int, path: str) -> bytes:
        path = path.strip("/")
        seen = {path}
        entry = layers[layer].by_path.get(path)
        while entry and entry.kind == "hardlink" and entry.link not in seen:
            path = entry.link
            seen.add(path)
            entry = layers[layer].by_path.get(path)
        if entry is None or entry.kind != "file":
            what = f"a {entry.kind}" if entry else "not there"
            raise FileNotFoundError(f"{path!r} is {what} in layer {layer}; `thread(image, path)` says who has it.")
        return shelf.content(blobs[layer], path)

    return content


def _choose(shelf: Shelf, name: str, platform: str) -> tuple[str, list[str], tuple[str, ...]]:
    """Return the names of config and layers, and the image's own names."""
    problem: BadArchive | None = None
    if "manifest.json" in shelf:
        try:
            return _docker(shelf, name)
        except BadArchive as error:
            problem = error
    if "index.json" in shelf:
        index = _object(shelf.small("index.json"), "index.json", shelf.where)
        return _oci(shelf, index, name, platform)
    raise problem or BadArchive(
        f"{shelf.where} is no image: it has neither manifest.json nor index.json. "
        "An archive of `docker export` has no layers; use `docker save`."
    )


def _docker(shelf: Shelf, name: str) -> tuple[str, list[str], tuple[str, ...]]:
    raw = _json(shelf.small("manifest.json"), "manifest.json", shelf.where)
    images = [_dict(one) for one in _list(raw)]
    chosen = next((one for one in images if name and _same(name, _list(one.get("RepoTags")))), None)
    if name and not chosen and len(images) > 1:
        raise _nameless(shelf, name, [str(tag) for one in images for tag in _list(one.get("RepoTags"))])
    chosen = chosen or (images[0] if images else {})
    config, blobs = str(chosen.get("Config") or ""), [str(one) for one in _list(chosen.get("Layers"))]
    for blob in (config, *blobs):
        if blob not in shelf:
            raise BadArchive(
                f"{shelf.where} lacks {blob!r}, which its manifest names. It is incomplete: make it again."
            )
    return config, blobs, tuple(str(one) for one in _list(chosen.get("RepoTags")))


def _oci(shelf: Shelf, index: Mapping[str, Any], name: str, platform: str) -> tuple[str, list[str], tuple[str, ...]]:
    found = list(_manifests(shelf, index, "", ""))
    names = {one[1] for one in found}
    named = [one for one in found if name and _same(name, [one[1]])] or found
    if name and len(names) > 1 and named is found:
        raise _nameless(shelf, name, sorted(names))
    fitting = [one for one in named if one[2] == platform] or [
        one for one in named if platform.startswith(one[2] + "/") or one[2].startswith(platform + "/")
    ]
    if not fitting and len({one[2] for one in named}) > 1:
        have = ", ".join(sorted({one[2] for one in named}))
        raise BadArchive(f"{shelf.where} has no image for {platform}, only for {have}. Ask for one: platform=...")
    if not named:
        raise BadArchive(f"{shelf.where} has an index without an image. It is incomplete: make it again.")
    manifest, image_name, _ = (fitting or named)[0]
    blobs = [_blob(_dict(one)) for one in _list(manifest.get("layers"))]
    return _blob(_dict(manifest.get("config"))), blobs, (image_name,) if image_name else ()


def _manifests(
    shelf: Shelf, index: Mapping[str, Any], name: str, platform: str, depth: int = 0
) -> Iterator[tuple[Mapping[str, Any], str, str]]:
    """Go through the images of an index: manifest, name, platform; attestations are no images."""
    if depth > DEEPEST:
        raise BadArchive(f"{shelf.where} has indexes in indexes without end. Do not load this archive.")
    for one in map(_dict, _list(index.get("manifests"))):
        notes, about = _dict(one.get("annotations")), _dict(one.get("platform"))
        where = f"{about.get('os')}/{about.get('architecture')}" if about else platform
        where += f"/{about['variant']}" if about.get("variant") else ""
        if where == "unknown/unknown" or "vnd.docker.reference.type" in notes or _blob(one) not in shelf:
            continue  # the containerd store saves an index whole, but only the blobs it has
        own = str(notes.get("io.containerd.image.name") or notes.get("org.opencontainers.image.ref.name") or name)
        raw = shelf.small(_blob(one))
        _check(shelf, _blob(one), "sha256:" + hashlib.sha256(raw).hexdigest())
        body = _object(raw, _blob(one), shelf.where)
        if "manifests" in body:
            yield from _manifests(shelf, body, own, where, depth + 1)
        elif "layers" in body:
            yield body, own, where or _platform(shelf, body)


def _platform(shelf: Shelf, manifest: Mapping[str, Any]) -> str:
    """Return the platform that the config names, where the index does not say."""
    blob = _blob(_dict(manifest.get("config")))
    config = _object(shelf.small(blob), blob, shelf.where)
    return f"{config.get('os')}/{config.get('architecture')}"


def _layer(shelf: Shelf, blob: str, diff_id: str) -> Layer:
    layer = shelf.layer(blob)
    _check(shelf, blob, layer.digest)
    if layer.diff_id != diff_id:
        raise BadArchive(
            f"{shelf.where}: the layer {blob!r} is {layer.diff_id}, but the image's config names {diff_id}. "
            "The archive was changed or damaged: make it again."
        )
    return layer


def _check(shelf: Shelf, name: str, digest: str) -> None:
    """Refuse a blob that is not what its name, a digest, says."""
    match = BLOB.search(name)
    if match and digest != "sha256:" + match[1]:
        raise BadArchive(
            f"{shelf.where}: the blob {name!r} has the digest {digest}. "
            "The archive was changed or damaged: make it again."
        )


def _blob(descriptor: Mapping[str, Any]) -> str:
    digest = str(descriptor.get("digest") or "")
    algorithm, _, value = digest.partition(":")
    if algorithm not in ("sha256", "sha512") or not re.fullmatch(r"[0-9a-f]+", value):
        raise BadArchive(f"a manifest names {digest!r}, which is no digest. The archive is damaged: make it again.")
    return f"blobs/{algorithm}/{value}"


def _nameless(shelf: Shelf, name: str, names: list[str]) -> BadArchive:
    return BadArchive(f"{shelf.where} has several images, none named {name!r}. Ask for one of {', '.join(names)}.")


def _same(name: str, tags: list[Any]) -> bool:
    try:
        wanted = Reference.parse(name).normal
        return any(tag and Reference.parse(str(tag)).normal == wanted for tag in tags)
    except InvalidReference:
        return name in tags


def _json(raw: bytes, name: str, where: str) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BadArchive(f"{where}: {name!r} is no JSON ({error}). It is damaged: make it again.") from None


def _object(raw: bytes, name: str, where: str) -> dict[str, Any]:
    value = _json(raw, name, where)
    if not isinstance(value, dict):
        raise BadArchive(f"{where}: {name!r} is no JSON object. It is damaged: make it again.")
    return value


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
