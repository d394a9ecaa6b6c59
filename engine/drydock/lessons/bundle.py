"""The lessons' images in one folder, to be handed round on a stick: bases, and every step that a lesson builds.

The folder is what `docker save` writes and an OCI image layout at once. manifest.json names, for each step, the step
before it (`Parent`, moby's own field: image/tarexport/save.go). drydock-bundle.json lists which of these images count
as built here. That list is the only reason for an engine to reuse a step that came from elsewhere: an image that was
merely loaded never counts as built, or anybody could plant a poisoned step in your cache (CVE-2024-24557).
"""

from __future__ import annotations

import json
import os
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

import docker

import drydock

LIST = "drydock-bundle.json"
SCHEMA = 1
PLACE = "DRYDOCK_IMAGES"  # where the folder is, if not beside the notebooks
OFFLINE = "DRYDOCK_OFFLINE"  # set: no registry is asked, lessons run on the kit's own images
CACHE = "drydock/lessons:"  # a name for each build of a lesson, so that tidying up a lesson's image keeps its steps
CHUNK = 1 << 20

NO_BUNDLE = (
    "There are no lesson images in {folder} ({why}).\n"
    "They are made once, on a machine on which programs can be executed, and can be copied from there.\n"
    "Try: drydock images make {folder}   or, with a folder that somebody gave you: drydock images load FOLDER"
)
DAMAGED = (
    "The lesson images in {folder} are damaged: {what} is not what its name says.\n"
    "The copy was probably cut off, or somebody changed it.\nTry: copy the folder again"
)
NOT_SENT = "The engine did not take the lesson images: {why}\nTry: drydock doctor"


class BadBundle(RuntimeError):
    """A folder of lesson images that is not there, or not what its own list says."""


@dataclass(frozen=True)
class Bundle:
    """A folder of lesson images: where it is, its rows of manifest.json, and the IDs that count as built."""

    folder: Path
    rows: tuple[Mapping[str, Any], ...]
    built: frozenset[str]
    made_on: str

    @property
    def names(self) -> tuple[str, ...]:
        """The names that the images in it have."""
        return tuple(sorted(name for row in self.rows for name in row.get("RepoTags") or ()))

    def picture(self) -> str:
        """Return what is in the folder, as text."""
        size = sum(path.stat().st_size for path in self.blobs())
        steps = sum(not row.get("RepoTags") for row in self.rows)
        lines = [name for name in self.names if not name.startswith(CACHE)]
        cached = len(self.names) - len(lines)
        told = f"{cached} builds of the lessons, {steps} steps below them, {size / 1e6:.0f} MB, made on {self.made_on}"
        return "\n".join([*lines, told])

    def blobs(self) -> list[Path]:
        """Return every blob of the folder."""
        return sorted((self.folder / "blobs" / "sha256").iterdir())

    def verify(self) -> None:
        """Raise BadBundle where a blob is not what its name says, or a row speaks of one that is not there."""
        for path in self.blobs():
            with path.open("rb") as stream:
                if _hash(stream) != path.name:
                    raise BadBundle(DAMAGED.format(folder=self.folder, what=path.name))
        for row in self.rows:
            for name in (row["Config"], *row["Layers"]):
                if not name.startswith("blobs/sha256/") or not (self.folder / name).is_file():
                    raise BadBundle(DAMAGED.format(folder=self.folder, what=name))

    def load(self, client: docker.DockerClient) -> list[str]:
        """Give the engine all of it and return what it says it loaded.

        `bundle=1` is the owner's word that this folder may fill the cache; Docker does not know it and loads images.
        """
        self.verify()
        url = f"{client.api.base_url}/v{client.api.api_version}/images/load"
        with tempfile.TemporaryFile() as file:
            self.write(file)
            file.seek(0)
            answer = client.api.post(
                url, data=file, params={"quiet": 1, "bundle": 1}, headers={"Content-Type": "application/x-tar"}
            )
            answer.raise_for_status()
        said = [json.loads(line) for line in answer.text.splitlines() if line.strip()]
        for line in said:
            if "error" in line:
                raise BadBundle(NOT_SENT.format(why=line["error"]))
        return [text.strip() for line in said if (text := line.get("stream"))]

    def write(self, into: IO[bytes]) -> None:
        """Write the folder as the tar that an engine loads, the lists first: they say what the blobs are for."""
        with tarfile.open(fileobj=into, mode="w", format=tarfile.PAX_FORMAT) as tar:
            front = [self.folder / n for n in (LIST, "manifest.json", "index.json", "oci-layout")]
            for path in [*front, self.folder / "blobs", self.folder / "blobs" / "sha256", *self.blobs()]:
                info = tar.gettarinfo(path, path.relative_to(self.folder).as_posix())
                info.uid = info.gid = 0
                info.uname = info.gname = ""
                if path.is_dir():
                    tar.addfile(info)
                else:
                    with path.open("rb") as stream:
                        tar.addfile(info, stream)


def folder() -> Path:
    """Return where the lesson images are looked for: $DRYDOCK_IMAGES, else `images` beside the notebooks."""
    said = os.environ.get(PLACE)
    return Path(said) if said else Path(drydock.__file__).parents[2] / "images"


def offline() -> bool:
    """Return True where the learner said that no registry is to be asked."""
    return os.environ.get(OFFLINE, "") not in ("", "0")


def opened(folder: Path) -> Bundle:
    """Return the bundle in a folder. Raises: BadBundle."""
    try:
        told = json.loads((folder / LIST).read_bytes())
        rows = json.loads((folder / "manifest.json").read_bytes())
        if told["schema"] != SCHEMA:
            raise ValueError(f"schema {told['schema']} is not {SCHEMA}")
        return Bundle(folder, tuple(rows), frozenset(told["built"]), str(told["made_on"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = error.strerror if isinstance(error, OSError) else f"{LIST}: {error}"
        raise BadBundle(NO_BUNDLE.format(folder=folder, why=why)) from None


def _hash(stream: IO[bytes]) -> str:
    running = sha256()
    while chunk := stream.read(CHUNK):
        running.update(chunk)
    return running.hexdigest()
