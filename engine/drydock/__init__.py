"""Containers, hands on: images, layers, the build cache, and the engine that makes them.

>>> import drydock
>>> sorted(drydock.__all__)
['BuildFailed', 'EngineUnavailable', 'build', 'connect', 'image', 'plan', 'writable']
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drydock.client import BuildFailed, EngineUnavailable, build, connect, image, plan, writable

__all__ = ["BuildFailed", "EngineUnavailable", "build", "connect", "image", "plan", "writable"]


def __getattr__(name: str) -> object:
    """Load the client only when it is asked for: the model alone needs no docker-py, and starts faster."""
    if name not in __all__:
        raise AttributeError(f"drydock has no {name!r}; it has {', '.join(__all__)}")
    from drydock import client

    return getattr(client, name)
