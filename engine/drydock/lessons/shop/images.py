"""The store's images: the same files packed as one process and as six, and again for each release."""

from __future__ import annotations

import io
import re
import tarfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import docker
import tornado
from docker.errors import APIError, BuildError, ImageNotFound

from drydock.lessons import bases
from drydock.lessons.nameless import remove_nameless
from drydock.lessons.own import PYTHON
from drydock.lessons.shop.process import NoShop
from drydock.model.shop import PARTS

LEFT_OUT = re.compile(r".*(__pycache__|/test(/.*)?|\.so|\.pyi)$")
LABEL = "02-shop"  # what the Dockerfiles write into every image
OTHER = "other"  # what recommendations are called, written anew on another stack
BROKEN = "\n\ndef ready():\n    import a_module_that_nobody_packed  # the mistake of this release\n"
NO_FOLDER = "There is no store in {folder}.\nTry: folder.fresh('02/shop', client)   which copies it beside the notebook"
NOT_BUILT = (
    "The image {name} could not be built: {why}\nTry: correct the file that it names in {folder}, then run again"
)
PARALLEL = 3


class Images:
    """What was built of the store: the monolith, the front and each part, in every version that was asked for."""

    def __init__(self, client: docker.DockerClient, folder: Path, name: str) -> None:
        if not (folder / "serve.py").is_file():
            raise NoShop(NO_FOLDER.format(folder=folder))
        self.client, self.folder, self.name = client, folder, name

    def tag(self, part: str, version: str) -> str:
        """Return the name of a part's image: lab/shop-cart:1.0."""
        return f"lab/{self.name}-{part}:{version}"

    def build(self, version: str) -> None:
        """Build the monolith, the front and every part.  Raises: NoShop, bases.NoBase."""
        bases.make(self.client, PYTHON)
        self.release("monolith", version)  # the first builds what all begin with; then the cache has it
        with ThreadPoolExecutor(PARALLEL) as several:
            list(several.map(lambda part: self.release(part, version), ("front", *PARTS)))

    def release(self, packed: str, version: str, changed: str = "", broken: bool = False) -> str:
        """Build one image as the folder stands now, `changed` (a part) under another version; return its name.

        `packed` is monolith, front, a part, or other; a broken release does not start. Raises: NoShop.
        """
        name, other = self.tag(packed, version), packed == OTHER
        before = {str(row["Id"]) for row in self.client.api.images(name)}
        try:
            self.client.images.build(
                fileobj=context(self.folder, changed, version, broken),
                custom_context=True,
                dockerfile="Dockerfile.other" if other else "Dockerfile",
                buildargs={} if other else {"PART": "*" if packed == "monolith" else packed},
                tag=name,
                rm=True,
            )
        except (BuildError, APIError) as error:
            why = str(getattr(error, "explanation", None) or error).strip().splitlines()[-1][:300]
            raise NoShop(NOT_BUILT.format(name=name, why=why, folder=self.folder)) from None
        for old in before - {str(row["Id"]) for row in self.client.api.images(name)}:
            with suppress(APIError):  # it has another name, or a container: then it stays
                self.client.images.remove(old)
        return name

    def shipped(self, old: str, new: str) -> int:
        """Return the bytes of the layers that the new image has and the old one has not: what a release must move."""
        have = {digest for digest, _ in self._layers(old)}
        return sum(size for digest, size in self._layers(new) if digest not in have)

    def _layers(self, name: str) -> list[tuple[str, int]]:
        """Return (diff ID, bytes) of each layer, base first.

        The history has a row for each layer and for each instruction that wrote none. Those have 0 bytes, and so
        may a layer have: where the numbers differ, rows without bytes go.
        """
        image = self.client.images.get(name)
        digests = image.attrs["RootFS"]["Layers"]
        sizes = [row["Size"] for row in reversed(image.history())]
        while len(sizes) > len(digests) and 0 in sizes:
            sizes.remove(0)
        return list(zip(digests, sizes, strict=False))


def tags(client: docker.DockerClient, name: str) -> tuple[str, ...]:
    """Return the names of all images of a store that the engine has."""
    begin = f"lab/{name}-"
    rows = client.api.images()  # not images.list(): it asks about each, and others may be removing theirs
    return tuple(sorted(tag for row in rows for tag in row.get("RepoTags") or () if tag.startswith(begin)))


def remove(client: docker.DockerClient, name: str) -> int:
    """Remove all images of a store; return how many names there were.

    The steps below them go as well: containerd's store keeps those of the classic builder as nameless images.
    """
    found = tags(client, name)
    for tag in found:
        with suppress(ImageNotFound):
            client.images.remove(tag)
    remove_nameless(client, LABEL)
    return len(found)


def context(folder: Path, changed: str = "", version: str = "1.0", broken: bool = False) -> io.BytesIO:
    """Return the build context: the store's folder, and the framework as this Python has it installed.

    Times and owners are left out, so that equal files are equal builds.
    """
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            name = path.relative_to(folder).as_posix()
            data = path.read_bytes()
            if changed and name == f"parts/{changed}.py":
                data = re.sub(rb'VERSION = "[^"]*"', f'VERSION = "{version}"'.encode(), data)
                data += BROKEN.encode() if broken else b""
            _add(tar, name, data)
        framework = Path(tornado.__file__).parent
        for path in sorted(framework.rglob("*.py")):
            _add(tar, f"tornado/{path.relative_to(framework).as_posix()}", path.read_bytes())
    packed.seek(0)
    return packed


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    if LEFT_OUT.match(f"/{name}") or LEFT_OUT.match(f"/{name.rpartition('/')[0]}"):
        return
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), 0o644
    tar.addfile(entry, io.BytesIO(data))
