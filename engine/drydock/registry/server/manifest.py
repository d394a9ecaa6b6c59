"""Manifests as a registry sees them: what they name, not what an engine makes of it.

Sources: OCI image-spec 1.1, manifest.md, image-index.md; distribution's manifest-v2-2.md (Docker's schema 2).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from drydock.registry.server import names
from drydock.registry.server.refusals import Refusal

OCI, DOCKER = "application/vnd.oci.image", "application/vnd.docker.distribution"
IMAGES = (f"{OCI}.manifest.v1+json", f"{DOCKER}.manifest.v2+json")
INDEXES = (f"{OCI}.index.v1+json", f"{DOCKER}.manifest.list.v2+json")
LARGEST = 4 << 20  # bytes; "Registries SHOULD limit a manifest to 4 megabytes", spec.md
KINDS = "This registry keeps OCI image manifests and indexes, and Docker's manifests (v2, schema 2) and lists."


@dataclass(frozen=True)
class Descriptor:
    """What a manifest says about another blob: its digest and its size in bytes; `foreign` ones lie elsewhere."""

    digest: str
    size: int
    foreign: bool = False


@dataclass(frozen=True)
class Manifest:
    """A manifest, read: its media type, the blobs and the manifests that it needs, and what it is about."""

    media_type: str
    blobs: tuple[Descriptor, ...] = ()
    children: tuple[Descriptor, ...] = ()
    subject: str = ""
    artifact_type: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)


def parse(data: bytes, content_type: str = "") -> Manifest:
    """Read a manifest; refuse what is none, or is of another kind than the client says.

    >>> parse(b'{"schemaVersion": 2, "manifests": []}', "application/vnd.oci.image.index.v1+json").children
    ()
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise _invalid("it is no JSON") from None
    if not isinstance(value, dict) or value.get("schemaVersion") != 2:
        raise _invalid("its schemaVersion is not 2")
    kind = _kind(value, content_type.partition(";")[0].strip())
    children = tuple(_descriptor(row) for row in _list(value, "manifests")) if kind in INDEXES else ()
    rows = [value.get("config"), *_list(value, "layers")] if kind in IMAGES else []
    subject = _descriptor(value["subject"]).digest if value.get("subject") is not None else ""
    return Manifest(
        kind, tuple(map(_descriptor, rows)), children, subject, _artifact_type(value), _texts(value.get("annotations"))
    )


def _kind(value: Mapping[str, Any], content_type: str) -> str:
    said = value.get("mediaType") or content_type
    if content_type and said != content_type:
        raise _invalid(f"it calls itself {str(said)[:100]!r}, but was sent as {content_type[:100]!r}")
    if not said:
        said = INDEXES[0] if "manifests" in value else IMAGES[0]
    if said not in (*IMAGES, *INDEXES):
        raise _invalid(f"{str(said)[:100]!r} is of another kind. {KINDS}")
    return str(said)


def _list(value: Mapping[str, Any], name: str) -> list[Any]:
    rows = value.get(name)
    if not isinstance(rows, list):
        raise _invalid(f"its {name!r} is no list")
    return rows


def _descriptor(row: Any) -> Descriptor:
    if not isinstance(row, dict) or not isinstance(row.get("digest"), str) or type(row.get("size")) is not int:
        raise _invalid("a descriptor in it has no digest or no size")
    foreign = bool(row.get("urls")) and any(
        word in str(row.get("mediaType")) for word in ("foreign", "nondistributable")
    )
    return Descriptor(names.digest(row["digest"]), row["size"], foreign)


def _artifact_type(value: Mapping[str, Any]) -> str:
    """Return what kind of thing a manifest holds: where it does not say, its configuration's media type does."""
    config = value.get("config")
    return str(value.get("artifactType") or (config.get("mediaType") if isinstance(config, dict) else "") or "")


def _texts(value: Any) -> dict[str, str]:
    return {str(key): str(text) for key, text in value.items()} if isinstance(value, dict) else {}


def _invalid(why: str) -> Refusal:
    return Refusal("MANIFEST_INVALID", f"the manifest is not accepted: {why}")
