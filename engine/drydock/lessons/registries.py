"""The registries of a lesson: the class registry, another one far away, and one that lies. All are put away again."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import docker
from docker.errors import APIError

import drydock
from drydock import classroom
from drydock.lessons.liar import lying, serving
from drydock.lessons.own import LAB
from drydock.lessons.wire import request
from drydock.serving.waiting import waited

REPOSITORIES = ("lab/shop", "lab/window", "lab/gallery", "lab/hello", "lab/forged")  # what lesson 08 puts there
FAR = "drydock-registry-far"
FOLDER, MARK = "lesson-registries", "lesson.pid"
RUNS = "The class registry answers at {address}."
FOUND = "The class registry runs already at {address}; it stays when this lesson ends."
INSIDE = (
    "The class registry cannot be had: {why}\n"
    "So the lesson's own one takes its place, inside this notebook, at {address}: all goes the same way."
)
DESKTOP = (
    "Docker Desktop's engine lives in a virtual machine and cannot reach a program in this notebook: "
    "the pull fails here for that reason, and not by the digest.\n"
)
SHUT = "The lesson's registries are put away already.\nTry: run the cell again that begins with `rooms =`"
NO_IMAGE = (
    "There is no image {image} here: the cell that builds it has probably not run.\nTry: run the cells above first"
)
TAGGED = "docker tag {image} {name}"
CLOSED = "The lesson's images and registries are put away."


class NoImage(LookupError):
    """The image that a cell needs is not there; the message says what to try."""


class Registries:
    """The registries of one lesson, each started when it is first named; `close` ends what the lesson started.

    >>> Registries().open
    True
    """

    def __init__(self) -> None:
        self._stack, self._addresses = ExitStack(), dict[str, str]()
        self.open = True

    @property
    def near(self) -> str:
        """The class registry's address, without what an earlier run of the lesson left there."""
        if address := self._known("near"):
            return address
        try:
            before = _process()
            address = drydock.start_registry()
            if request(address, "GET /v2/").status != 200:
                raise drydock.RegistryUnavailable("it asks for a password.")
            if not before:
                _mark()
            print((FOUND if before and not _ours() else RUNS).format(address=address))
        except drydock.RegistryUnavailable as error:
            address = self._stack.enter_context(_inside())
            print(INSIDE.format(why=str(error).splitlines()[0], address=address))
        _empty(address)
        self._addresses["near"] = address
        return address

    @property
    def far(self) -> str:
        """The address of another registry, which has nothing yet."""
        if not (address := self._known("far")):
            with classroom.desktop() as client:
                address = self._stack.enter_context(_inside() if client is None else _container())
            self._addresses["far"] = address
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

    def forget(self, client: docker.DockerClient) -> None:
        """Take this lesson's names, and the images that only they name, from the engine: nothing else."""
        hosts = ["", *(f"{address}/" for address in self._addresses.values())]
        ours = tuple(f"{host}{name}" for host in hosts for name in REPOSITORIES)
        for image in client.images.list():
            names = [*image.tags, *(image.attrs.get("RepoDigests") or [] if not image.tags else [])]
            for name in names:
                if name.startswith(tuple(f"{one}{sign}" for one in ours for sign in ":@")):
                    _untag(client, name)

    def close(self, client: docker.DockerClient) -> None:
        """Put everything away: names in the engine, images in the class registry, what was started for them."""
        self.forget(client)
        near = self._addresses.pop("near", "")
        self.open = False
        if near:
            _empty(near)
        self._stack.close()
        if _ours():
            _stop()
        print(CLOSED)


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


def _process() -> int:
    """Return the number of the class registry's process; 0 where none runs, or it is a container."""
    try:
        from drydock.registry.server import process
    except ImportError:
        return 0
    there = process.found(_home())
    return there.pid if there else 0


def _mark() -> None:
    """Note that the lesson started the registry: the next run may then stop it, where this one was cut short."""
    if pid := _process():
        (_home() / "registry" / MARK).write_text(str(pid))


def _ours() -> bool:
    with suppress(OSError, ImportError):
        return (_home() / "registry" / MARK).read_text() == str(_process() or "none")
    return False


def _stop() -> None:
    """Stop the class registry that the lesson started, and give back the disk that the lesson's blobs took."""
    from drydock.registry.server import clean, process
    from drydock.registry.server.store import Store
    from drydock.serving import resident

    folder = _home() / process.NAME
    process.stop(_home())
    (folder / MARK).unlink(missing_ok=True)
    with suppress(resident.Taken), resident.claim(folder, process.NAME):
        clean.clean(Store(_home()), grace=0)


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
def _inside() -> Iterator[str]:
    """Serve an empty registry from a thread of this process; its folder goes with it, or with the next run."""
    from drydock.registry.server.server import Server
    from drydock.registry.server.store import Store
    from drydock.serving import resident

    place = _home() / FOLDER
    place.mkdir(parents=True, exist_ok=True)
    for old in place.iterdir():
        if not resident.held(old):
            shutil.rmtree(old, ignore_errors=True)
    folder = place / f"{os.getpid()}-{threading.get_ident()}-{len(list(place.iterdir()))}"
    folder.mkdir()
    with resident.claim(folder, "lesson"), Server("127.0.0.1", 0, Store(folder)) as server:
        yield from serving(server)
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _container() -> Iterator[str]:
    """Run the other registry as a container in Docker Desktop, whose engine reaches no other server here."""
    with classroom.desktop() as client:
        assert client is not None
        made = client.containers.run(
            classroom.IMAGE,
            name=FAR,
            detach=True,
            labels={LAB: "08"},
            ports={f"{classroom.INSIDE}/tcp": ("127.0.0.1", 0)},
        )
        try:
            made.reload()
            bound = made.ports[f"{classroom.INSIDE}/tcp"] or [{}]
            port = int(bound[0]["HostPort"])
            waited(lambda: classroom.answers(port))
            yield f"localhost:{port}"
        finally:
            made.remove(force=True, v=True)
