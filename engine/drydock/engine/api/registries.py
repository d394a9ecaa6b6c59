"""What the API asks of registries besides pull and push: `docker login`, `docker search`, manifests from afar.

Source: moby/api/server/router/{system,image,distribution}
"""

from __future__ import annotations

from typing import Any

from drydock.engine.api.wire import Json, Reply, Request
from drydock.registry.credentials import Credentials, decoded


def credentials(request: Request) -> Credentials:
    """Return who asks, as the request's own header says it."""
    return Credentials.header(request.headers.get("X-Registry-Auth", ""))


def registries(request: Request) -> dict[str, Any]:
    """Return who asks, registry by registry, as a build's header says it."""
    found = decoded(request.headers.get("X-Registry-Config", ""))
    return found if isinstance(found, dict) else {}


def login(request: Request) -> Reply:
    """Answer `docker login`."""
    said = request.json()
    token = request.daemon.distribution.login(str(said.get("serveraddress") or ""), Credentials.of(said))
    return Json({"IdentityToken": token, "Status": "Login Succeeded"})


def inspect(request: Request) -> Reply:
    """Answer `docker manifest inspect` and `docker buildx imagetools`: what a registry has, without fetching it."""
    return Json(request.daemon.distribution.inspect(request.names["name"], credentials(request)))


def search(request: Request) -> Reply:
    """Answer `docker search`."""
    limit = request.number("limit") or 25
    filters = request.filters("is-automated", "is-official", "stars")
    return Json(request.daemon.distribution.search(request.text("term"), limit, filters))


ROUTES = [
    ("POST", "/auth", login),
    ("GET", "/images/search", search),
    ("GET", "/distribution/{name}/json", inspect),
]
