"""The registries of a lesson: the class registry, another one far away, and one that lies. All are put away again."""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPException
from pathlib import Path

import docker
from docker.errors import APIError, DockerException
from requests.exceptions import RequestException

import drydock
from drydock import classroom
from drydock.lessons.liar import lying, serving
from drydock.lessons.own import LAB
from drydock.lessons.wire import request
from drydock.registry.server.settings import PORTS
from drydock.serving.waiting import waited

REPOSITORIES = ("lab/shop", "lab/window", "lab/gallery", "lab/hello", "lab/forged")  # what lesson 08 puts there
BUILT = re.compile(rf"({'|'.join(REPOSITORIES)})[:@]")
MOVED = re.compile(rf"localhost:\d+/{BUILT.pattern}")
NEAR, FAR = "drydock-lesson-near", "drydock-lesson-far"  # the containers in Docker Desktop
FOLDER, YOUNG = "lesson-registries", 60  # s: a folder so young may be about to be claimed
HERE = "A registry answers at {address}: it runs inside this notebook, and ends with it."
FOUND = "The class registry answers at {address}; the lesson uses it, and leaves it as it was."
TAKEN = "Port {port}, where the course's registry usually answers, is taken: the lesson takes port {other}."
DESKTOP = (
    "Docker Desktop's engine lives in a virtual machine and cannot reach a program in this notebook: "
    "the pull fails here for that reason, and not by the digest.\n"
)
SHUT = "The lesson's registries are put away already.\nTry: run the cell again that begins with `rooms =`"
NO_IMAGE = (
    "There is no image {image} here: the cell that builds it has probably not run.\nTry: run the cells above first"
)
TAGGED = "docker tag {image} {name}"
CLOSED = "The lesson's registries are put away, with all that was in them."


class NoImage(LookupError):
    """The image that a cell needs is not there; the message says what to try."""


class Registries:
    """The registries of one lesson, each started when it is first named; `close` ends what the lesson started.

    An engine keeps images under a registry's name when that is no more: what a run left that was cut short goes first.
    """

    def __init__(self, client: docker.DockerClient) -> None:
        self.client = client
        _forget(client, MOVED)
        self._stack, self._addresses = ExitStack(), dict[str, str]()
        self.open = True

    @property
    def near(self) -> str:
        """The class registry's address where one runs, without what an earlier run left there; else one's own."""
        if not (address := self._known("near")):
            address = self._addresses["near"] = self._class() or self._start(PORTS, NEAR)
        return address

    @property
    def far(self) -> str:
        """The address of another registry, which has nothing yet."""
        if not (address := self._known("far")):
            address = self._addresses["far"] = self._start([0], FAR)
        return address

    @property
    def liar(self) -> str:
        """The address of one that passes on what the class registry has, but for one byte of every layer."""
        if not (address := self._known("liar")):
            address = self._addresses["liar"] = self._stack.enter_context(lying(self.near))
            with classroom.desktop() as client:
                print(*([DESKTOP] if client is not None else []), end="")
        return address

    def _known(self, name: str) -> str:
        if not self.open:
            raise drydock.RegistryUnavailable(SHUT)
        return self._addresses.get(name, "")

    def _class(self) -> str:
        """Return the address of the class registry that runs here already, if it wants no password."""
        try:
            from drydock.registry.server import process
        except ImportError:  # Windows: no file locks of this kind
            return ""
        there = process.found(_home())
        if there is None or there.auth or not process.answers(there):
            return ""
        _empty(there.address)
        print(FOUND.format(address=there.address))
        return there.address

    def _start(self, ports: Sequence[int], name: str) -> str:
        with classroom.desktop() as client:
            if client is not None:
                return self._stack.enter_context(_container(name, ports))
        address = self._stack.enter_context(_inside(ports))
        usual, other = ports[0], int(address.partition(":")[2])
        if usual not in (0, other):
            print(TAKEN.format(port=usual, other=other))
        print(HERE.format(address=address))
        return address

    def close(self) -> None:
        """Put the registries away, and what bears their names in the engine; what was built here stays."""
        near = self._addresses.get("near", "")
        _forget(self.client, MOVED)
        if self.open and near:
            with suppress(OSError, HTTPException):  # somebody has stopped it
                _empty(near)
        self.open = False
        self._addresses.clear()
        self._stack.close()
        print(CLOSED)


def forget(client: docker.DockerClient) -> None:
    """Remove the images that lesson 08 built, by their names: they go with their last one."""
    _forget(client, BUILT)


def _forget(client: docker.DockerClient, ours: re.Pattern[str]) -> None:
    for row in client.api.images():  # not client.images.list(), which asks for each once more: one may be gone by then
        names = [name for name in row["RepoTags"] or [] if name != "<none>:<none>"] or row["RepoDigests"] or []
        for name in names:
            if ours.match(name):
                _untag(client, name)


def tag(client: docker.DockerClient, image: str, name: str) -> None:
    """Give an image one more name, as `docker tag` does: nothing is copied. Raises: NoImage."""
    try:
        client.images.get(image).tag(*name.rsplit(":", 1))
    except docker.errors.ImageNotFound:
        raise NoImage(NO_IMAGE.format(image=image)) from None
    print(TAGGED.format(image=image, name=name))


def _untag(client: docker.DockerClient, name: str) -> None:
    with suppress(docker.errors.ImageNotFound):
        try:
            client.images.remove(name)
        except APIError:
            client.images.remove(name, force=True)


# The class registry


def _home() -> Path:
    from drydock.serving import resident

    return resident.home()


def _empty(address: str) -> None:
    """Remove what the lesson put into a registry: manifests, and the blobs that they name."""
    for name in REPOSITORIES:
        tags = (request(address, f"GET /v2/{name}/tags/list").json or {}).get("tags") or []
        for tag in tags:
            _remove(address, name, tag)


def _remove(address: str, name: str, reference: str) -> None:
    found = request(address, f"GET /v2/{name}/manifests/{reference}")
    listed = found.json if found.status == 200 else {}
    for child in listed.get("manifests") or []:
        _remove(address, name, child["digest"])
    if digest := found.headers.get("Docker-Content-Digest"):
        request(address, f"DELETE /v2/{name}/manifests/{digest}")
    for blob in [listed.get("config"), *(listed.get("layers") or [])]:
        if blob:
            request(address, f"DELETE /v2/{name}/blobs/{blob['digest']}")


# Registries inside this process: they end with it, however it ends


@contextmanager
def _inside(ports: Sequence[int]) -> Iterator[str]:
    """Serve an empty registry from a thread of this process; its folder goes with it, or with the next run."""
    from drydock.registry.server.server import listen
    from drydock.registry.server.store import Store
    from drydock.serving import resident

    place = _home() / FOLDER
    place.mkdir(parents=True, exist_ok=True)
    for old in place.iterdir():
        if not resident.held(old) and old.stat().st_mtime < time.time() - YOUNG:
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(dir=place))
    try:
        with resident.claim(folder, "lesson"), listen("127.0.0.1", ports, Store(folder)) as server:
            yield from serving(server)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _container(name: str, ports: Sequence[int]) -> Iterator[str]:
    """Run a registry as a container in Docker Desktop, whose engine reaches no other server here."""
    with classroom.desktop() as client:
        assert client is not None
        for left in client.containers.list(all=True, filters={"name": f"^/{name}$", "label": LAB}):
            left.remove(force=True, v=True)
        try:
            made = classroom.started(client, ports, name, "08")
        except (DockerException, RequestException) as error:
            why = str(error).splitlines()[0][:200]
            raise drydock.RegistryUnavailable(classroom.NOT_RUN.format(why=why, name=name)) from None
        try:
            made.reload()
            bound = made.ports[f"{classroom.INSIDE}/tcp"] or [{}]
            port = int(bound[0]["HostPort"])
            waited(lambda: classroom.answers(port))
            yield f"localhost:{port}"
        finally:
            made.remove(force=True, v=True)
