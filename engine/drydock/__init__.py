"""Containers, hands on: images, layers, the build cache, registries, and the engine that makes them.

>>> import drydock
>>> sorted(drydock.__all__)
['BuildFailed', 'EngineUnavailable', 'RegistryUnavailable', 'TransferFailed', 'build', 'connect', 'image', 'plan',
'pull', 'push', 'start_registry', 'writable']
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drydock.builds import BuildFailed, build, plan
    from drydock.classroom import RegistryUnavailable, start_registry
    from drydock.client import EngineUnavailable, connect, image, writable
    from drydock.transfers import TransferFailed, pull, push

__all__ = [
    "BuildFailed",
    "EngineUnavailable",
    "RegistryUnavailable",
    "TransferFailed",
    "build",
    "connect",
    "image",
    "plan",
    "pull",
    "push",
    "start_registry",
    "writable",
]
ROOMS = {"BuildFailed": "builds", "build": "builds", "plan": "builds"}
ROOMS |= {"TransferFailed": "transfers", "pull": "transfers", "push": "transfers"}
ROOMS |= {"RegistryUnavailable": "classroom", "start_registry": "classroom"}


def __getattr__(name: str) -> object:
    """Load the client only when it is asked for: the model alone needs no docker-py, and starts faster."""
    if name not in __all__:
        raise AttributeError(f"drydock has no {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"drydock.{ROOMS.get(name, 'client')}"), name)
