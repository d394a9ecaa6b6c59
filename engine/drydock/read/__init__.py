"""Images and build contexts, read from where they are into the model."""

from drydock.read.archive import archive
from drydock.read.daemon import image
from drydock.read.folder import folder
from drydock.read.tarstream import BadArchive

__all__ = ["BadArchive", "archive", "folder", "image"]
