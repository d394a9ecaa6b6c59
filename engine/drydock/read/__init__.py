"""Images, containers and build contexts, read from where they are into the model."""

from importlib import import_module
from typing import TYPE_CHECKING

from drydock.read.archive import archive
from drydock.read.folder import folder
from drydock.read.tarstream import BadArchive

if TYPE_CHECKING:
    from drydock.read.container import writable
    from drydock.read.daemon import image

__all__ = ["BadArchive", "archive", "folder", "image", "writable"]
ROOMS = {"image": "daemon", "writable": "container"}


def __getattr__(name: str) -> object:
    """Load the readers of daemons only when asked for: the embedded engine reads tars and needs no docker-py."""
    if name not in ROOMS:
        raise AttributeError(f"drydock.read has no {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"drydock.read.{ROOMS[name]}"), name)
