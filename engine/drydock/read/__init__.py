"""Images and build contexts, read from where they are into the model."""

from typing import TYPE_CHECKING

from drydock.read.archive import archive
from drydock.read.folder import folder
from drydock.read.tarstream import BadArchive

if TYPE_CHECKING:
    from drydock.read.daemon import image

__all__ = ["BadArchive", "archive", "folder", "image"]


def __getattr__(name: str) -> object:
    """Load the reader of daemons only when it is asked for: the embedded engine reads tars and needs no docker-py."""
    if name != "image":
        raise AttributeError(f"drydock.read has no {name!r}; it has {', '.join(__all__)}")
    from drydock.read.daemon import image

    return image
