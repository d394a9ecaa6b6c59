"""Lesson images in a class registry: one machine has them, and a room without a network gets them from there.

Each image is pushed under its name, so that `docker pull HOST/drydock/base` works for everybody; and the whole folder
as one artifact, `drydock/lessons-folder`, since the cache's list and the steps below the images travel with no image.
Its layers carry their file names in the annotation that oras reads too. Sources: OCI distribution-spec 1.1; image-spec
1.1, manifest.md, "Guidelines for Artifact Usage".
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from drydock.lessons import pack
from drydock.lessons.bundle import LIST, Bundle, opened
from drydock.lessons.harvest import put_in_place
from drydock.model.reference import DOMAIN, Reference
from drydock.registry import Descriptor, Document, NotThere, RegistryError, Repository, Settings, Unauthorized, of_user
from drydock.registry.download import Download
from drydock.registry.errors import Cut, InvalidManifest, Lying, Unreachable, Untrusted
from drydock.registry.http import Http
from drydock.registry.manifest import LARGEST, LIMIT, OCI, descriptor, document
from drydock.registry.trust import loopback
from drydock.registry.upload import Upload

FOLDER = "drydock/lessons-folder"
KIND = "application/vnd.drydock.lessons.v1"
EMPTY = b"{}"
TITLE = "org.opencontainers.image.title"
FRONT = (LIST, "manifest.json", "index.json", "oci-layout")

NOT_REACHED = "No registry answers at {url}: {why}.\nTry: drydock registry start   on the machine that has the images"
NOT_ENCRYPTED = (
    "The registry at {url} does not speak TLS, or not with a certificate that is trusted here: {why}\n"
    "Try: http://{host}   if it is the kit's own registry, in a room that you trust"
)
PASSWORD = "The registry at {url} asks for a name and a password.\nTry: docker login {host}"
REFUSED = "The registry at {url} did not do it: {why}\nTry: drydock registry status   on its machine"
NONE_THERE = "The registry at {url} has no lesson images.\nTry: drydock images push HOST   on the machine that has them"
WRONG = "What came from {url} is not what its name says: {why}.\nTry it again; if it stays so, ask whose registry it is"
TOLD: tuple[tuple[type[RegistryError], str], ...] = (
    *((Untrusted, NOT_ENCRYPTED), (Unreachable, NOT_REACHED), (Cut, NOT_REACHED)),
    *((Unauthorized, PASSWORD), (Lying, WRONG), (RegistryError, REFUSED)),
)


class NoRoom(RuntimeError):
    """The lesson images could not be given to a registry, or had from it; the message says why, and what to try."""


class Room:
    """A class registry, by its address: `localhost:5055`, `http://10.0.0.7:5055`, `registry.example.org`.

    It is asked in plain HTTP where the address says so, or is this machine's. Raises: NoRoom.
    """

    def __init__(self, address: str) -> None:
        parts = urlsplit(address if "://" in address else f"//{address}")
        self.host = parts.netloc
        plain = parts.scheme == "http" or (not parts.scheme and loopback(parts.hostname or ""))
        self.url = f"{'http' if plain else 'https'}://{self.host}"
        if not DOMAIN.fullmatch(self.host):
            raise NoRoom(NOT_REACHED.format(url=self.url, why="this is no address"))
        self._http, self._credentials = Http(), of_user(self.host)

    def __enter__(self) -> Room:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    # Giving

    def push(self, bundle: Bundle) -> Iterator[str]:
        """Push a folder of lesson images; each value says what has just been done. Raises: NoRoom, BadBundle."""
        bundle.verify()
        with self._explained():
            has: dict[str, str] = {}
            for name, manifest in _named(bundle):
                path, _, tag = name.rpartition(":")
                repository = self._repository(path, push=True)
                for row in (manifest.json["config"], *manifest.json["layers"]):
                    _send(repository, row, bundle.folder / pack.blob(row["digest"]), has)
                repository.put(tag, manifest)
                yield f"{self.host}/{name}"
            repository = self._repository(FOLDER, push=True)
            rows = [_row(bundle.folder, path) for path in (*map(bundle.folder.joinpath, FRONT), *bundle.blobs())]
            artifact = _artifact(rows)
            for row in rows:
                _send(repository, row, bundle.folder / row["annotations"][TITLE], has)
            _send(repository, artifact.json["config"], EMPTY, has)
            repository.put("latest", artifact)
            yield f"{self.host}/{FOLDER}, the whole folder"

    # Getting

    def pull(self, into: Path) -> Bundle:
        """Get the folder of lesson images, in the place of an older one; what is here already is not sent again.

        Raises: NoRoom, BadBundle.
        """
        new = into.with_name(f"{into.name}.new")  # kept where this is cut short: the next time goes on from there
        blobs = new / "blobs" / "sha256"
        with self._explained():
            repository = self._repository(FOLDER)
            files = self._files(repository)
            blobs.mkdir(parents=True, exist_ok=True)
            for name, blob in files.items():
                come = new / pack.blob(blob.digest)
                if not come.exists() and (into / name).is_file():
                    shutil.copyfile(into / name, come)
                Download(repository, blob, blobs).run().replace(new / name)
        for path in blobs.iterdir():
            if f"blobs/sha256/{path.name}" not in files:
                path.unlink()
        opened(new).verify()
        put_in_place(new, into)
        return opened(into)

    def _files(self, repository: Repository) -> dict[str, Descriptor]:
        """Return the folder's files; the name of each is that of one of the folder's lists, or its own digest's."""
        found: dict[str, Descriptor] = {}
        try:
            for row in repository.manifest("latest").json["layers"]:
                name, blob = row["annotations"][TITLE], descriptor(row, LARGEST)
                if name not in FRONT and name != pack.blob(blob.digest):
                    raise InvalidManifest(f"a file {name[:80]!r}")
                if name in FRONT and blob.size > LIMIT:
                    raise InvalidManifest(f"a size of {blob.size}")
                found[name] = blob
        except NotThere:
            raise NoRoom(NONE_THERE.format(url=self.url)) from None
        except (InvalidManifest, KeyError, TypeError) as error:
            raise NoRoom(WRONG.format(url=self.url, why=f"the list of its files is wrong ({error})")) from None
        return found

    # Asking

    def _repository(self, path: str, push: bool = False) -> Repository:
        where = Reference(self.host, path)
        return Repository(where, self._credentials, Settings(root=self.url), push=push, http=self._http)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Tell what goes wrong as it is in a class: of the client's own words, those that say what, not what to try."""
        try:
            yield
        except RegistryError as error:
            text = next(text for kind, text in TOLD if isinstance(error, kind))
            why = str(error).partition(". ")[0]
            raise NoRoom(text.format(url=self.url, host=self.host, why=why)) from None


def _send(to: Repository, row: object, content: Path | bytes, has: dict[str, str]) -> None:
    """Send a blob, unless the registry has it, there or in another repository (`has`: digest -> path) of these."""
    blob = descriptor(row, LARGEST)
    if to.size_of(blob.digest) is None and (location := to.begin(blob.digest, has.get(blob.digest, ""))):
        Upload(to, blob, lambda: content.open("rb") if isinstance(content, Path) else io.BytesIO(content)).run(
            location=location
        )
    has[blob.digest] = to.path


def _named(bundle: Bundle) -> Iterator[tuple[str, Document]]:
    """Go through the names of a folder's images with their manifests."""
    for row in json.loads((bundle.folder / "index.json").read_bytes())["manifests"]:
        name = row["annotations"][pack.TAGGED].removeprefix("docker.io/")
        yield name, document((bundle.folder / pack.blob(row["digest"])).read_bytes(), OCI)


def _row(folder: Path, path: Path) -> dict[str, Any]:
    name = path.relative_to(folder).as_posix()
    digest = pack.digest(path.read_bytes()) if name in FRONT else f"sha256:{path.name}"
    kind = "application/octet-stream"
    return {"mediaType": kind, "digest": digest, "size": path.stat().st_size, "annotations": {TITLE: name}}


def _artifact(rows: list[dict[str, Any]]) -> Document:
    """Return the manifest of an artifact that is a folder of files."""
    empty = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": pack.digest(EMPTY), "size": len(EMPTY)}
    kinds = {"schemaVersion": 2, "mediaType": OCI, "artifactType": KIND}
    return document(json.dumps(kinds | {"config": empty, "layers": rows}).encode(), OCI)
