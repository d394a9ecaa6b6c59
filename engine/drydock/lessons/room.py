"""Lesson images in a class registry: one machine has them, and a room without a network gets them from there.

Each image is pushed under its name, so that `docker pull HOST/drydock/base` works for everybody; and the whole folder
as one artifact, `drydock/lessons-folder`, since the cache's list and the steps below the images travel with no image.
Its layers carry their file names in the annotation that oras reads too. Sources: OCI distribution-spec 1.1; image-spec
1.1, manifest.md, "Guidelines for Artifact Usage".
"""

from __future__ import annotations

import ipaddress
import json
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urljoin, urlsplit

import docker.auth
import requests
from requests.exceptions import RequestException, SSLError

from drydock.lessons import pack
from drydock.lessons.bundle import CHUNK, LIST, Bundle, opened
from drydock.lessons.harvest import put_in_place

FOLDER = "drydock/lessons-folder"
KIND = "application/vnd.drydock.lessons.v1"
EMPTY = b"{}"
TITLE = "org.opencontainers.image.title"
FRONT = (LIST, "manifest.json", "index.json", "oci-layout")
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
LARGEST = 4 << 20  # bytes of a manifest or a list
PATIENCE = 60  # s of silence

NOT_REACHED = "No registry answers at {url}: {why}.\nTry: drydock registry start   on the machine that has the images"
NOT_ENCRYPTED = (
    "The registry at {url} does not speak TLS, or not with a certificate that is trusted here: {why}\n"
    "Try: http://{host}   if it is the kit's own registry, in a room that you trust"
)
PASSWORD = "The registry at {url} asks for a name and a password.\nTry: docker login {host}"
REFUSED = "The registry at {url} did not do it: {why}\nTry: drydock registry status   on its machine"
NONE_THERE = "The registry at {url} has no lesson images.\nTry: drydock images push HOST   on the machine that has them"
WRONG = (
    "What came from {url} is not what its name says: {what}.\nTry it again; if it stays so, ask whose registry it is"
)


class NoRoom(RuntimeError):
    """The lesson images could not be given to a registry, or had from it; the message says why, and what to try."""


class Room:
    """A class registry, by its address: `localhost:5055`, `http://10.0.0.7:5055`, `registry.example.org`."""

    def __init__(self, address: str) -> None:
        self.host = urlsplit(address if "://" in address else f"//{address}").netloc
        plain = address.startswith("http://") or ("://" not in address and _loopback(self.host))
        self.url = f"{'http' if plain else 'https'}://{self.host}"
        self._session = requests.Session()
        self._session.trust_env = not _loopback(self.host)  # no proxy stands between a machine and itself
        known = docker.auth.load_config().resolve_authconfig(self.host) or {}
        if known.get("username"):
            self._session.auth = (known["username"].encode(), known["password"].encode())

    def __enter__(self) -> Room:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._session.close()

    # Giving

    def push(self, bundle: Bundle) -> Iterator[str]:
        """Push a folder of lesson images; each value says what has just been done. Raises: NoRoom, BadBundle."""
        bundle.verify()
        for name, manifest in _named(bundle):
            path, _, tag = name.rpartition(":")
            value = json.loads(manifest)
            for row in (value["config"], *value["layers"]):
                self._send(path, bundle.folder / pack.blob(row["digest"]), row["digest"])
            self._manifest(path, tag, manifest)
            yield f"{self.host}/{name}"
        rows = [_row(bundle.folder / name, name) for name in FRONT]
        rows += [_row(path, f"blobs/sha256/{path.name}") for path in bundle.blobs()]
        for row in rows:
            self._send(FOLDER, bundle.folder / row["annotations"][TITLE], row["digest"])
        self._send(FOLDER, EMPTY, pack.digest(EMPTY))
        self._manifest(FOLDER, "latest", _artifact(rows))
        yield f"{self.host}/{FOLDER}, the whole folder"

    def _send(self, path: str, content: Path | bytes, digest: str) -> None:
        """Send a blob, unless the registry has it, here or in another repository of these."""
        if self._ask("HEAD", f"/v2/{path}/blobs/{digest}", good=(200, 404)).status_code == 200:
            return
        begun = self._ask("POST", f"/v2/{path}/blobs/uploads/?mount={digest}", good=(201, 202))
        if begun.status_code == 201:
            return
        place = urljoin(f"{self.url}/", begun.headers.get("Location", ""))
        if urlsplit(place).netloc != self.host:
            raise NoRoom(REFUSED.format(url=self.url, why="it sends uploads to another host"))
        place += f"{'&' if urlsplit(place).query else '?'}digest={digest}"
        if isinstance(content, bytes):
            self._ask("PUT", place, data=content, good=(201,))
        else:
            with content.open("rb") as file:
                self._ask("PUT", place, data=file, good=(201,))

    def _manifest(self, path: str, tag: str, manifest: bytes) -> None:
        self._ask("PUT", f"/v2/{path}/manifests/{tag}", data=manifest, headers={"Content-Type": MANIFEST}, good=(201,))

    # Getting

    def pull(self, into: Path) -> Bundle:
        """Get the folder of lesson images, in the place of an older one; what is here already is not sent again.

        Raises: NoRoom, BadBundle.
        """
        with closing(self._ask("GET", f"/v2/{FOLDER}/manifests/latest", accept=True, good=(200, 404))) as answer:
            if answer.status_code == 404:
                raise NoRoom(NONE_THERE.format(url=self.url))
            rows = self._rows(_limited(answer))
        new = into.with_name(f"{into.name}.new")  # kept where this is cut short: the next time goes on from there
        (new / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
        for name, digest, size in rows:
            if not any(_is(place / name, digest) for place in (new, into)):
                self._fetch(digest, size, new / name)
            elif not _is(new / name, digest):
                shutil.copyfile(into / name, new / name)
        wanted = {name for name, _, _ in rows}
        for path in (new / "blobs" / "sha256").iterdir():
            if f"blobs/sha256/{path.name}" not in wanted:
                path.unlink()
        opened(new).verify()
        put_in_place(new, into)
        return opened(into)

    def _rows(self, manifest: bytes) -> list[tuple[str, str, int]]:
        """Return name, digest and size of each file; a name is one of the folder's lists or the digest's own."""
        try:
            rows = [(r["annotations"][TITLE], r["digest"], int(r["size"])) for r in json.loads(manifest)["layers"]]
            for name, digest, size in rows:
                if name not in FRONT and (name != pack.blob(digest) or len(digest) != 71 or not digest[7:].isalnum()):
                    raise ValueError(f"a file {name[:80]!r}")
                if size < 0 or (name in FRONT and size > LARGEST):
                    raise ValueError(f"a size of {size}")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise NoRoom(WRONG.format(url=self.url, what=f"the list of its files has {error}")) from None
        return rows

    def _fetch(self, digest: str, size: int, into: Path) -> None:
        beside, running, come = into.with_name(f"{into.name}.part"), sha256(), 0
        with closing(self._ask("GET", f"/v2/{FOLDER}/blobs/{digest}", good=(200,))) as answer, beside.open("wb") as out:
            for chunk in self._heard(answer.iter_content(CHUNK)):
                come += len(chunk)
                if come > size:
                    break
                running.update(chunk)
                out.write(chunk)
        if (come, f"sha256:{running.hexdigest()}") != (size, digest):
            beside.unlink()
            raise NoRoom(WRONG.format(url=self.url, what=f"{digest[:19]} is damaged, or was cut off"))
        beside.replace(into)

    # Asking

    def _heard(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        with self._explained():
            yield from chunks

    def _ask(self, method: str, path: str, good: tuple[int, ...], accept: bool = False, **more: Any) -> Any:
        """Send a request and return the answer. Raises: NoRoom."""
        if accept:
            more["headers"] = {"Accept": MANIFEST}
        with self._explained():
            url, follow = urljoin(self.url, path), method == "GET"
            answer = self._session.request(method, url, timeout=PATIENCE, stream=follow, allow_redirects=follow, **more)
        if answer.status_code in good:
            return answer
        with closing(answer):
            if answer.status_code in (401, 403):
                raise NoRoom(PASSWORD.format(url=self.url, host=self.host))
            said = _limited(answer)[:300].decode(errors="replace")
            raise NoRoom(REFUSED.format(url=self.url, why=f"{answer.status_code} {said}"))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except SSLError as error:
            raise NoRoom(NOT_ENCRYPTED.format(url=self.url, host=self.host, why=str(error)[:200])) from None
        except (RequestException, OSError) as error:
            why = str(getattr(error.args[0], "reason", error) if error.args else error)[:200]
            raise NoRoom(NOT_REACHED.format(url=self.url, why=why)) from None


def _named(bundle: Bundle) -> Iterator[tuple[str, bytes]]:
    """Go through the names of a folder's images with their manifests."""
    for row in json.loads((bundle.folder / "index.json").read_bytes())["manifests"]:
        name = row["annotations"][pack.TAGGED].removeprefix("docker.io/")
        yield name, (bundle.folder / pack.blob(row["digest"])).read_bytes()


def _row(path: Path, name: str) -> dict[str, Any]:
    digest = f"sha256:{path.name}" if name.startswith("blobs/") else pack.digest(path.read_bytes())
    kind = "application/octet-stream"
    return {"mediaType": kind, "digest": digest, "size": path.stat().st_size, "annotations": {TITLE: name}}


def _artifact(rows: list[dict[str, Any]]) -> bytes:
    """Return the manifest of an artifact that is a folder of files."""
    empty = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": pack.digest(EMPTY), "size": len(EMPTY)}
    kinds = {"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": KIND}
    return json.dumps(kinds | {"config": empty, "layers": rows}).encode()


def _is(path: Path, digest: str) -> bool:
    """Return True where a file has this digest."""
    if not path.is_file():
        return False
    running = sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            running.update(chunk)
    return f"sha256:{running.hexdigest()}" == digest


def _limited(answer: Any) -> bytes:
    """Return an answer that is no larger than it may be, or the beginning of it."""
    data = b""
    for chunk in answer.iter_content(1 << 16):
        data += chunk
        if len(data) > LARGEST:
            break
    return data[:LARGEST]


def _loopback(host: str) -> bool:
    """Return True where a host is this machine.

    >>> _loopback("localhost:5055"), _loopback("127.0.0.1:5055"), _loopback("[::1]:5055"), _loopback("10.0.0.7:5055")
    (True, True, True, False)
    """
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
