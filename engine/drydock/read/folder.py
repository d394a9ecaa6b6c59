"""An image from a folder: an OCI layout, or an unpacked `docker save`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from drydock.model.image import Image
from drydock.read.assemble import assemble
from drydock.read.shelf import OpenShelf, Read


def folder(path: str | os.PathLike[str], name: str = "", platform: str = "") -> Image:
    """Return the image in a folder: the one of that name, or the first; links out of the folder are not followed."""
    root = Path(path).resolve()
    if not root.is_dir():
        raise NotADirectoryError(f"{path} is no folder. For a file use read.archive.")

    @contextmanager
    def opener(name: str) -> Iterator[Read]:
        with (root / name).open("rb") as file:
            yield file.read

    return assemble(OpenShelf(str(path), set(_names(root)), opener), root.name, name, platform)


def _names(root: Path) -> Iterator[str]:
    for place, _, files in os.walk(root):
        for file in files:
            one = Path(place, file)
            if one.is_file() and one.resolve().is_relative_to(root):
                yield one.relative_to(root).as_posix()
