"""What a registry has, looked at from afar: `docker search`, `docker manifest inspect` through the engine.

Source: moby v20.10 api/server/router/distribution, registry/session.go (SearchRepositories),
daemon/images/image_search.go.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from drydock.engine.errors import BadParameter, EngineError
from drydock.model.reference import Reference
from drydock.registry.errors import RegistryError
from drydock.registry.http import Http
from drydock.registry.manifest import Document, manifest
from drydock.registry.mirrors import Settings
from drydock.registry.repository import Repository

INDEX = "https://index.docker.io"  # whose search is the only one that Docker's clients know
LIMIT = 4 << 20  # bytes of an answer
MOST = 100
NO_SEARCH = (
    "Unexpected status code {status}. {host} cannot be searched: only Docker Hub and a few others can. "
    "Try: curl {root}/v2/_catalog"
)


def described(repository: Repository, reference: Reference) -> dict[str, Any]:
    """Return the descriptor of what a name stands for, and the platforms that it has."""
    document = repository.manifest(reference.digest or reference.tag or "latest")
    kind = str(document.json.get("mediaType") or document.media_type)
    about = {"mediaType": kind, "digest": document.digest, "size": document.size}
    return {"Descriptor": about, "Platforms": platforms(repository, document)}


def platforms(repository: Repository, document: Document) -> list[dict[str, Any]]:
    """Return the platforms of an index, or of the one image."""
    if document.is_index:
        rows = document.json.get("manifests")
        found = [row.get("platform") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
        return [one for one in found if isinstance(one, dict)]
    config = json.loads(repository.read(manifest(document, repository.path).config.digest))
    return [{key: config[key] for key in ("architecture", "os", "variant") if config.get(key)}]


def found(term: str, limit: int, filters: Mapping[str, list[str]], settings: Settings) -> list[dict[str, Any]]:
    """Return the images that an index knows under a word; `HOST/word` asks another index than Docker Hub's."""
    if not 0 < limit <= MOST:
        raise BadParameter(f"limit {limit} is outside the range of [1, {MOST}]")
    host, slash, word = term.partition("/")
    elsewhere = bool(slash) and (any(sign in host for sign in ".:") or host == "localhost")
    root, insecure = INDEX, False
    if elsewhere:
        endpoint = settings.endpoints(host, push=True)[0]
        root, insecure, term = endpoint.roots[0], endpoint.insecure, word
    http = Http()
    try:
        answer = http.send("GET", f"{root}/v1/search?{urlencode({'q': term, 'n': limit})}", insecure=insecure)
        status, raw = answer.status, answer.small(LIMIT)
    finally:
        http.close()
    if status != 200:
        raise EngineError(NO_SEARCH.format(status=status, host=host if elsewhere else "Docker Hub", root=root))
    try:
        rows = json.loads(raw)["results"]
        return [row for row in rows if kept(row, filters)]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise RegistryError(f"{root} sent a list of images that is none") from None


def kept(row: Mapping[str, Any], filters: Mapping[str, list[str]]) -> bool:
    """Return whether a row passes the filters of `docker search`.

    >>> kept({"star_count": 5, "is_official": True}, {"stars": ["3"], "is-official": ["true"]})
    True
    """
    for key in ("is-official", "is-automated"):
        wanted = filters.get(key, [])
        if any(one.lower() not in ("true", "false", "1", "0") for one in wanted):
            raise BadParameter(f"Invalid filter '{key}={wanted[0][:40]}'")
        if any((one.lower() in ("true", "1")) != bool(row.get(key.replace("-", "_"))) for one in wanted):
            return False
    stars = filters.get("stars", [])
    if any(not one.isdecimal() for one in stars):
        raise BadParameter(f"Invalid filter 'stars={stars[0][:40]}'")
    return all(int(row.get("star_count") or 0) >= int(one) for one in stars)
