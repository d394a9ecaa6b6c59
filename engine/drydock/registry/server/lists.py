"""The end points that list: the registry itself, its repositories, the tags of one, what refers to an image."""

from __future__ import annotations

from typing import Any

from drydock.registry.server.answer import Reply, Request, as_json, page
from drydock.registry.server.manifest import OCI, parse
from drydock.registry.server.names import digest
from drydock.registry.server.refusals import Refusal


def version(request: Request) -> Reply:
    """Say that this is a registry: clients ask here first, and whether a password is needed."""
    return as_json({})


def catalog(request: Request) -> Reply:
    """List the repositories that have an image."""
    shown, link = page(request, request.store.names())
    return as_json({"repositories": shown}, link)


def tags(request: Request, name: str) -> Reply:
    """List the tags of a repository."""
    repository = request.store.repository(name)
    found = repository.tags()
    if not found and not repository.known:
        raise Refusal("NAME_UNKNOWN", "this registry has no such repository", {"name": name})
    shown, link = page(request, found)
    return as_json({"name": name, "tags": shown}, link)


def referrers(request: Request, name: str, subject: str) -> Reply:
    """List, as an image index, what was pushed about an image: signatures, lists of its parts."""
    repository = request.store.repository(name)
    wanted = request.asked("artifactType")
    shown, headers = page(request, repository.referrers(digest(subject)))
    rows = []
    for one in shown:
        try:
            data, kind = request.store.manifest(repository, one)
        except Refusal:  # removed meanwhile
            continue
        manifest = parse(data, kind)
        row: dict[str, Any] = {"mediaType": kind, "digest": one, "size": len(data)}
        row |= {"artifactType": manifest.artifact_type} if manifest.artifact_type else {}
        row |= {"annotations": dict(manifest.annotations)} if manifest.annotations else {}
        if wanted is None or manifest.artifact_type == wanted:
            rows.append(row)
    kind = f"{OCI}.index.v1+json"
    headers |= {"OCI-Filters-Applied": "artifactType"} if wanted is not None else {}
    return as_json({"schemaVersion": 2, "mediaType": kind, "manifests": rows}, headers, kind)
