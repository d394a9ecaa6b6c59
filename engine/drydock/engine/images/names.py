"""What images are called: full names, each with the image it stands for, in one file.

    engine/tags.json         full name -> image ID

Source: moby v20.10 reference/store.go, daemon/images/image.go.
"""

from __future__ import annotations

import json
from collections.abc import Container
from functools import lru_cache
from pathlib import Path

from drydock.engine.errors import BadParameter
from drydock.engine.snapshots.disk import write_beside
from drydock.model.reference import InvalidReference, Reference


class Names:
    """All names of one home's images; who reads or changes them holds the catalogue."""

    def __init__(self, path: Path, scratch: Path) -> None:
        self._path, self._scratch = path, scratch
        self._images: dict[str, str] = {}
        self._called: dict[str, list[str]] = {}  # image ID -> its names, as short as they can be

    def image(self, full: str) -> str | None:
        """Return the ID of the image that a full name stands for."""
        return self._images.get(full)

    def of(self, image_id: str) -> list[str]:
        """Return an image's names, tags and digests, as short as they can be, sorted."""
        return list(self._called.get(image_id, ()))

    def within(self, repository: str) -> dict[str, str]:
        """Return the full names of one repository with the images they stand for, sorted."""
        ends = (f"{repository}:", f"{repository}@")
        return {name: one for name, one in sorted(self._images.items()) if name.startswith(ends)}

    def give(self, full: str, image_id: str) -> None:
        """Let a full name stand for an image, and for no other."""
        self._write(self._images | {full: image_id})

    def take(self, full: str) -> None:
        """Forget a full name."""
        self._write({name: one for name, one in self._images.items() if name != full})

    def keep(self, images: Container[str]) -> None:
        """Forget the names of all images but these."""
        self._write({name: one for name, one in self._images.items() if one in images})

    def stamp(self) -> int:
        """Return when the file was last written, in nanoseconds; 0 where there is none."""
        return self._path.stat().st_mtime_ns if self._path.exists() else 0

    def read(self, images: Container[str]) -> None:
        """Read what another process may have written; a name of none of these images is none."""
        saved = json.loads(self._path.read_bytes()) if self._path.exists() else {}
        self._note({name: one for name, one in saved.items() if one in images})

    def _write(self, images: dict[str, str]) -> None:
        if images != self._images or not self._path.exists():
            write_beside(self._path, json.dumps(images, indent=1).encode(), self._scratch)
        self._note(images)

    def _note(self, images: dict[str, str]) -> None:
        self._images, self._called = images, {}
        for name, image_id in images.items():
            self._called.setdefault(image_id, []).append(short(name))
        for names in self._called.values():
            names.sort()


def parse(name: str) -> Reference:
    """Read an image name; refuse a bad one in dockerd's words, which clients look for.

    >>> parse("Alpine")
    Traceback (most recent call last):
    drydock.engine.errors.BadParameter: invalid reference format: repository name must be lowercase
    """
    try:
        return Reference.parse(name)
    except InvalidReference:
        pass
    try:
        Reference.parse(name.lower())
    except InvalidReference:
        raise BadParameter("invalid reference format") from None
    raise BadParameter("invalid reference format: repository name must be lowercase")


def shown(reference: Reference) -> str:
    """Return a name as dockerd's messages have it: short, but with its tag.

    >>> shown(Reference.parse("docker.io/library/alpine"))
    'alpine:latest'
    """
    return Reference.parse(reference.normal).familiar


@lru_cache(4096)
def short(name: str) -> str:
    """Return a full name as short as it can be."""
    return Reference.parse(name).familiar
