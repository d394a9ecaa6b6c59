"""The images that lessons build on: the lecture's own where they can be had, else one that the kit makes."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass

import docker
from docker.errors import APIError, ContainerError, ImageNotFound
from requests.exceptions import RequestException

from drydock.badge import executes
from drydock.lessons import bundle, own, pack
from drydock.lessons.own import LAB, PYTHON, RECIPE

STANDIN = own.BASE

HERE = "{name} is here: the Dockerfile builds on it as it stands."
ROOM = "DRYDOCK_REGISTRY"  # the class registry's address, from which a room without a network gets alpine and ubuntu
FROM_ROOM = "{name} was pulled from the class registry, {host}: the Dockerfile builds on it as it stands."
PULLED = "{name} was pulled from its registry: the Dockerfile builds on it as it stands."
MADE = "{name} was made here from {source}: the Dockerfile builds on it as it stands."
NO_IMAGE = "{name} could not be pulled ({why})."
NO_PACKAGES = "{name} is here, but a container of it cannot reach its packages ({why})."
# How an image fetches its list of packages, by the program that a Dockerfile calls. Without Error-Mode=any,
# `apt-get update` ends well even when it reached no server at all.
MANAGERS = {
    "apt-get": ["apt-get", "update", "-qq", "-o", "APT::Update::Error-Mode=any"],
    "apk": ["apk", "update"],
}
NO_PROGRAM = 127  # how a shell, and busybox's timeout, tell that there is none of that name
INSTEAD = "The lesson runs on {standin} instead: made here from {source}, with steps of the same shape."
NOT_EXECUTED = (
    "Nothing can be executed on this machine, so a step on {name} could not run. The lesson runs on {standin} instead: "
    "its steps were run before, on another machine, and come from the cache in {folder}."
)
CANNOT_MAKE = (
    "No base image for this lesson: {why}\n"
    "The kit makes one from a Linux machine's programs, and this one has none that fit the daemon.\n"
    "Try: connect to a network once and run `docker pull {name}`, or get the lessons' images from a classmate "
    "(`drydock images load FOLDER`) or from the class registry (`drydock images pull HOST`)"
)


NOT_TAKEN = "The registry at {host} did not take {name}: {why}\nTry: drydock registry status"


class NoBase(RuntimeError):
    """No image to build on could be found, pulled or made."""


@dataclass(frozen=True)
class Base:
    """The image a lesson builds on: the one the lecture names or the stand-in; a line says which."""

    wanted: str
    name: str
    note: str

    @property
    def standin(self) -> bool:
        """True where the lesson runs on the base that the kit made itself."""
        return self.name != self.wanted

    def picture(self) -> str:
        """Return the line that a lesson shows before it builds."""
        return self.note


def ensure(wanted: str, client: docker.DockerClient, packages: str = "") -> Base:
    """Return an image to build on: `wanted` if the daemon has it or can pull it, else a stand-in made here.

    `packages` names the program with which the lesson installs packages there: its servers must be within reach, too.
    """
    if not executes(client):
        return _from_the_cache(wanted, client)
    if wanted == PYTHON:
        return Base(wanted, wanted, MADE.format(name=wanted, source=make(client, wanted)))
    found, why = _obtain(wanted, client)
    if found and packages:
        missing = _packages_missing(wanted, packages, client)
        found, why = (None, NO_PACKAGES.format(name=wanted, why=missing)) if missing else (found, "")
    if found:
        return Base(wanted, wanted, found.format(name=wanted))
    source = make(client, STANDIN, wanted)
    return Base(wanted, STANDIN, f"{why} {INSTEAD.format(standin=STANDIN, source=source)}")


def _from_the_cache(wanted: str, client: docker.DockerClient) -> Base:
    """Return the kit's image with the steps that were run elsewhere: where nothing executes, only they can be had."""
    name = wanted if wanted in own.MAKERS else STANDIN
    folder = bundle.folder()
    if not client.images.list(name):
        bundle.opened(folder).load(client)
    return Base(wanted, name, NOT_EXECUTED.format(name=wanted, standin=name, folder=folder))


def _obtain(wanted: str, client: docker.DockerClient) -> tuple[str | None, str]:
    """Return (how the daemon came by the image, why not): one of the two is empty."""
    if bundle.offline():
        return None, NO_IMAGE.format(name=wanted, why=f"{bundle.OFFLINE} is set")
    try:
        client.images.get(wanted)
        return HERE, ""
    except ImageNotFound:
        pass
    if (host := os.environ.get(ROOM, "")) and _from_room(client, wanted, host):
        return FROM_ROOM.replace("{host}", host), ""
    try:
        client.images.pull(wanted if re.search(r"[:@][^/]*$", wanted) else f"{wanted}:latest")
        return PULLED, ""
    except (APIError, RequestException) as error:
        return None, NO_IMAGE.format(name=wanted, why=reason(error))


def _from_room(client: docker.DockerClient, wanted: str, host: str) -> bool:
    """Pull an image from the class registry and give it the name that the lecture uses; False where it has none."""
    host = host.partition("://")[2] or host
    path, tag = _split(wanted)
    try:
        found = client.images.pull(f"{host}/{path}", tag)
        return bool(found.tag(path, tag))
    except (APIError, RequestException):
        return False


def to_room(client: docker.DockerClient, name: str, host: str) -> None:
    """Push an image of the engine to a class registry. Raises: APIError, NoBase where the registry did not take it."""
    path, tag = _split(name)
    client.images.get(name).tag(f"{host}/{path}", tag)
    try:
        for line in client.api.push(f"{host}/{path}", tag, stream=True, decode=True):
            if "error" in line:
                raise NoBase(NOT_TAKEN.format(host=host, name=name, why=line["error"]))
    finally:
        client.images.remove(f"{host}/{path}:{tag}")


def _split(name: str) -> tuple[str, str]:
    """Return a name and its tag.

    >>> _split("alpine"), _split("localhost:5055/app:1")
    (('alpine', 'latest'), ('localhost:5055/app', '1'))
    """
    path, colon, tag = name.rpartition(":")
    return (path, tag) if colon and "/" not in tag else (name, "latest")


def reason(error: Exception) -> str:
    """Return in a few words why a registry did not give an image.

    >>> reason(RuntimeError("dial tcp: lookup registry-1.docker.io: no such host"))
    'no network'
    >>> reason(RuntimeError("toomanyrequests: You have reached your pull rate limit"))
    "the registry's allowance is spent"
    """
    text = str(error).lower()
    for words, meaning in (
        ("toomanyrequests|rate limit|429", "the registry's allowance is spent"),
        ("no such host|dial tcp|network|timed out|timeout|lookup", "no network"),
        ("not found|denied|unauthorized", "the registry does not give it"),
    ):
        if re.search(words, text):
            return meaning
    return "the registry did not answer"


def manager(dockerfile: str) -> str:
    """Return the program with which a Dockerfile installs packages, or nothing where it installs none.

    >>> manager("FROM alpine\\nRUN apk update"), manager("FROM ubuntu\\nRUN apt-get update"), manager("FROM alpine")
    ('apk', 'apt-get', '')
    """
    return next((name for name in MANAGERS if re.search(rf"(?m)^\s*RUN\b.*\b{name} ", dockerfile)), "")


def _packages_missing(name: str, packages: str, client: docker.DockerClient) -> str:
    """Return why a container of `name` cannot fetch its package lists, or nothing where it can."""
    command = ["timeout", "60", *MANAGERS[packages]]
    try:
        client.containers.run(name, command, entrypoint=[], remove=True, stderr=True, labels={LAB: "probe"})
    except ContainerError as error:
        return f"it has no {packages}" if error.exit_status == NO_PROGRAM else "no network inside containers"
    except APIError as error:
        return reason(error)
    return ""


def make(client: docker.DockerClient, name: str, wanted: str = "alpine") -> str:
    """Make one of the kit's images on the daemon, where it is not there yet, and return what it was made from.

    One that is there already stays, wherever it was made: the build cache grows on it.
    """
    for image in client.images.list(name):
        if image.labels.get(RECIPE) == own.recipe():
            return source(image.history())
    _same_machine(client, wanted)
    packed, made_from = own.MAKERS.get(name, own.base)(name)
    client.images.load(pack.archive([packed]))
    return made_from


def source(history: list[dict[str, str]]) -> str:
    """Return what a kit's image was made from, as its history tells it.

    >>> source([{"CreatedBy": "CMD"}, {"CreatedBy": "drydock: this machine's busybox 1.35.0, packed in one layer"}])
    "this machine's busybox 1.35.0"
    """
    told = [row["CreatedBy"] for row in history if row.get("CreatedBy", "").startswith("drydock: ")]
    return told[0].removeprefix("drydock: ").partition(",")[0] if told else "an earlier making"


def _same_machine(client: docker.DockerClient, wanted: str) -> None:
    """Raise NoBase where this machine's programs are not what the daemon's kernel runs."""
    version, mine = client.version(), platform.machine().lower()
    theirs = version.get("Os"), version.get("Arch")
    if platform.system() != "Linux" or theirs != ("linux", own.ARCHITECTURES.get(mine)):
        why = f"this is {platform.system()} on {mine}, the daemon runs {theirs[0]} on {theirs[1]}."
        raise NoBase(CANNOT_MAKE.format(why=why, name=wanted))
