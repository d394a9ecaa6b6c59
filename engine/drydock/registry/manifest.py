"""Manifests: what an image consists of, and indexes of them, one for each platform.

Everything here comes from outside: it is small, shallow and checked, or it is refused.
Sources: OCI image-spec manifest.md, image-index.md; docker/distribution docs/spec/manifest-v2-2.md;
containerd platforms.
"""

from __future__ import annotations

import hashlib
import json
import platform as machine
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from drydock.registry.errors import InvalidManifest, NoImage, brief, lied

LIMIT = 4 << 20  # bytes of a manifest: what every registry takes (distribution-spec)
CONFIG_LIMIT = 8 << 20  # bytes of an image's config
LAYERS = 1000  # of one image; overlay takes some hundred
DEEPEST = 2  # an index in an index
LARGEST = 1 << 40  # bytes of a layer
DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
OCI = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OLD = "application/vnd.docker.distribution.manifest.v1"
ACCEPT = ", ".join((DOCKER, DOCKER_LIST, OCI, OCI_INDEX))
CONFIGS = {DOCKER_CONFIG, OCI_CONFIG, "application/octet-stream", "application/json", "text/html", ""}  # dockerd's list
CLASSES = {"application/vnd.docker.plugin.v1+json": "plugin"}

TOO_OLD = (
    "the registry has {name} in a format of before 2017 (schema 1), which is not safe to use. "
    "Try: ask whoever keeps the image to push it again"
)
ARTIFACT = (
    'Encountered remote "{kind}"({what}) when fetching. {name} is no image: its registry keeps other things too, '
    "such as charts, signatures or models. Try: the tool that made it, such as helm or oras"
)
NO_MATCH = "no matching manifest for {platform} in the manifest list entries"


@dataclass(frozen=True)
class Descriptor:
    """What a manifest says of one blob."""

    digest: str
    size: int  # bytes
    media_type: str = ""
    platform: str = ""  # linux/arm64/v8, in an index

    @property
    def short(self) -> str:
        """Return the 12 digits that progress lines show."""
        return self.digest.removeprefix("sha256:")[:12]


@dataclass(frozen=True)
class Document:
    """A manifest or an index as it came, its digest verified."""

    digest: str
    media_type: str
    raw: bytes = field(repr=False)

    @cached_property
    def json(self) -> dict[str, Any]:
        """Return the parsed text; raise InvalidManifest where it is none."""
        try:
            found = json.loads(self.raw)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise InvalidManifest("invalid manifest: it is no JSON object")
        return found

    @property
    def size(self) -> int:
        """Return its bytes."""
        return len(self.raw)

    @property
    def is_index(self) -> bool:
        """Return whether it lists other manifests."""
        kind = str(self.json.get("mediaType") or self.media_type)
        return kind in (DOCKER_LIST, OCI_INDEX) or ("manifests" in self.json and "layers" not in self.json)


@dataclass(frozen=True)
class Manifest:
    """One image's manifest: its config and its layers, base first."""

    document: Document
    config: Descriptor
    layers: tuple[Descriptor, ...]


def document(raw: bytes, media_type: str, expected: str = "", where: str = "the registry") -> Document:
    """Return a manifest whose bytes are those of the expected digest. Raises: Lying."""
    digest = "sha256:" + hashlib.sha256(raw).hexdigest()
    if expected and digest != expected:
        raise lied(f"manifest verification failed for digest {expected}", where)
    return Document(digest, media_type.partition(";")[0].strip(), raw)


def manifest(found: Document, name: str) -> Manifest:
    """Return the image that a manifest describes. Raises: InvalidManifest, NoImage."""
    said = found.json
    if said.get("schemaVersion") == 1 or found.media_type.startswith(OLD):
        raise InvalidManifest(TOO_OLD.format(name=name))
    if said.get("schemaVersion") != 2 or not isinstance(said.get("layers"), list):
        raise InvalidManifest(f"invalid manifest: {name} has neither layers nor a list of manifests")
    config = descriptor(said.get("config"), CONFIG_LIMIT)
    kind = config.media_type
    if kind not in CONFIGS or said.get("artifactType"):
        shown = brief(str(said.get("artifactType") or kind or "nothing"))
        raise NoImage(ARTIFACT.format(kind=shown, what=CLASSES.get(kind, "unknown"), name=name))
    if len(said["layers"]) > LAYERS:
        raise InvalidManifest(f"invalid manifest: {name} has more than {LAYERS} layers")
    return Manifest(found, config, tuple(descriptor(one, LARGEST) for one in said["layers"]))


def descriptor(said: object, largest: int) -> Descriptor:
    """Return one descriptor, checked. Raises: InvalidManifest."""
    found = said if isinstance(said, dict) else {}
    digest, size = found.get("digest"), found.get("size")
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise InvalidManifest(f"invalid manifest: {brief(str(digest))!r} is no sha256 digest")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= largest:
        raise InvalidManifest(f"invalid manifest: {brief(str(size))} is no possible size of a blob")
    about = found.get("platform")
    where = "/".join(str(about[key]) for key in PARTS if about.get(key)) if isinstance(about, dict) else ""
    return Descriptor(digest, size, str(found.get("mediaType") or ""), where)


PARTS = ("os", "architecture", "variant")


def chosen(index: Document, platform: str) -> Descriptor:
    """Return the entry of an index that runs best on a platform. Raises: InvalidManifest."""
    rows = index.json.get("manifests")
    if not isinstance(rows, list):
        raise InvalidManifest("invalid manifest: an index without a list of manifests")
    found = [descriptor(one, LIMIT) for one in rows]
    for wanted in runs(platform):
        for one in found:
            if one.platform == wanted:
                return one
    raise InvalidManifest(NO_MATCH.format(platform=platform))


def runs(platform: str) -> Sequence[str]:
    """Return the platforms whose programs run on this one, the best first (containerd platforms.Only).

    >>> runs("linux/amd64"), runs("linux/arm/v6")
    (['linux/amd64', 'linux/386'], ['linux/arm/v6', 'linux/arm/v5'])
    >>> runs("linux/arm64")[:3]
    ['linux/arm64', 'linux/arm64/v8', 'linux/arm/v8']
    """
    system, _, rest = platform.partition("/")
    architecture, _, variant = rest.partition("/")
    if architecture == "amd64":
        return [platform, f"{system}/386"] if not variant else [platform, f"{system}/amd64", f"{system}/386"]
    if architecture == "arm64":
        return [f"{system}/arm64", f"{system}/arm64/v8", *(f"{system}/arm/v{n}" for n in (8, 7, 6, 5))]
    if architecture == "arm":
        newest = int(variant[1:]) if re.fullmatch(r"v[5-8]", variant) else 7
        return [*(f"{system}/arm/v{n}" for n in range(newest, 4, -1)), *([f"{system}/arm"] if not variant else [])]
    return [platform]


ARCHITECTURES = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
ALIASES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm", "i386": "386"}


def normal(platform: str) -> str:
    """Return a platform as indexes write it; of a mere architecture or system, the rest is this machine's.

    >>> normal("linux/x86_64"), normal("arm64"), normal("Linux/ARM/v7")
    ('linux/amd64', 'linux/arm64', 'linux/arm/v7')
    """
    ours = ARCHITECTURES.get(machine.machine(), machine.machine())
    parts = platform.lower().split("/") if platform else ["linux", ours]
    if len(parts) == 1:
        parts = [parts[0], ours] if parts[0] in ("linux", "windows", "darwin", "freebsd") else ["linux", parts[0]]
    parts[1] = ALIASES.get(parts[1], parts[1])
    return "/".join(parts)


def written(config: Descriptor, layers: Sequence[Descriptor]) -> Document:
    """Return the manifest of an image, byte for byte as dockerd writes it; an OCI one where a layer is not gzip.

    >>> one = written(Descriptor("sha256:c", 7), [Descriptor("sha256:l", 9, DOCKER_LAYER)])
    >>> one.media_type == DOCKER, one.raw.count(b"\\n   ")
    (True, 14)
    """
    docker = all(one.media_type == DOCKER_LAYER for one in layers)
    kinds = {} if docker else {DOCKER_LAYER: OCI_LAYER + "+gzip"}
    rows = [row(kinds.get(one.media_type, one.media_type), one) for one in layers]
    whole = {
        "schemaVersion": 2,
        "mediaType": DOCKER if docker else OCI,
        "config": row(DOCKER_CONFIG if docker else OCI_CONFIG, config),
        "layers": rows,
    }
    raw = json.dumps(whole, indent=3).encode()
    return Document("sha256:" + hashlib.sha256(raw).hexdigest(), str(whole["mediaType"]), raw)


def row(kind: str, one: Descriptor) -> dict[str, Any]:
    """Return a descriptor in the order of dockerd's keys."""
    return {"mediaType": kind, "size": one.size, "digest": one.digest}
