"""Images between registries and here: `docker pull`, `docker push`, `docker login`, `docker search`."""

from drydock.engine.distribution.distribution import Distribution

__all__ = ["Distribution"]
