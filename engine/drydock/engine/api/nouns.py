"""All routes of the API, noun by noun."""

from __future__ import annotations

from drydock.engine.api import attach, build, containers, copy, images, networks, registries, system, volumes
from drydock.engine.api.router import Router

NOUNS = (system, registries, images, build, containers, attach, copy, volumes, networks)
ROUTER = Router(route for noun in NOUNS for route in noun.ROUTES)
