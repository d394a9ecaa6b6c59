"""The containers that a lesson plays with: made under a name of the lesson's own, typed into, tidied up together.

What docker-py calls each of these things stands in the line that is printed, so nothing here has to be learnt.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import docker
from docker.errors import APIError, NotFound

import drydock
from drydock.badge import NOT_STARTED, executes
from drydock.lessons.own import LAB
from drydock.lessons.remark import Remark
from drydock.model.change import Writable
from drydock.model.layer import counted, shown

MADE = "{name}: a new container of {image}, as `docker create --name {name} {image}` makes one."
AGAIN = "{name}: the one of an earlier run is removed, and made anew from {image}."
TAKEN = (
    "There is a container {name} that this course did not make, so it is left alone.\n"
    "Try: docker rename {name} {name}-mine   and run this cell again"
)
NO_IMAGE = (
    "There is no image {image} here: the cell that builds it has probably not run.\nTry: run the cells above first"
)
GONE = "Container {name} is gone: another cell removed it, or `docker rm` did.\nTry: run the cell again that makes it"
ASLEEP = (
    "Container {name} does not run (it is {state}), so nothing can be typed into it.\n"
    "Try: client.containers.get({name!r}).start()"
)
SAID = 2000  # characters of what a command printed


class NoContainer(Remark):
    """A lesson's container cannot be made, is gone, or does not run; the message says what to try."""


def create(client: docker.DockerClient, name: str, image: str, lesson: str, say: bool = True, **more: Any) -> Any:
    """Return a new container of that name, not yet started; one that an earlier run of the lesson left gives way.

    `lesson` marks it, so that `tidy` finds it; `more` goes to docker-py's `containers.create`.
    Raises: NoContainer.
    """
    told = MADE
    try:
        old = client.containers.get(name)
        if LAB not in old.labels:
            raise NoContainer(TAKEN.format(name=name))
        old.remove(force=True)
        told = AGAIN
    except NotFound:
        pass
    try:
        made = client.containers.create(image, name=name, labels={LAB: lesson}, **more)
    except docker.errors.ImageNotFound:
        raise NoContainer(NO_IMAGE.format(image=image)) from None
    if say:
        print(told.format(name=name, image=image))
    return made


def typed(container: Any, *lines: str) -> Iterator[Writable]:
    """Type each line into the container's shell, as `docker exec` does, and give the container's layer after each.

    Where the engine executes nothing, that is said, and the layer given as it is. Raises: NoContainer.
    """
    try:
        yield drydock.writable(container)
        container.reload()
        if not executes(container.client):
            print(NOT_STARTED)
            return
        if container.status != "running":
            raise NoContainer(ASLEEP.format(name=container.name, state=container.status))
        for line in lines:
            _, output = container.exec_run(["sh", "-c", line])
            for said in output.decode("utf-8", "replace")[:SAID].splitlines():
                print(shown(said))
            yield replace(drydock.writable(container), did=line)
    except NotFound:
        raise NoContainer(GONE.format(name=container.name)) from None


def put(container: Any, path: str, text: str) -> Writable:
    """Put a file with this text into the container, as `docker cp` does, and return the container's layer.

    It need not run for that. Raises: NoContainer.
    """
    folder, _, name = path.rpartition("/")
    data, packed = text.encode(), io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(data), 0o644
        tar.addfile(entry, io.BytesIO(data))
    try:
        container.put_archive(folder or "/", packed.getvalue())
        return replace(drydock.writable(container), did=f"docker cp - {container.name}:{path}")
    except NotFound:
        raise NoContainer(GONE.format(name=container.name)) from None


def remove(container: Any) -> Writable:
    """Remove the container, as `docker rm --force` does, and return what went with it. Raises: NoContainer."""
    try:
        gone = drydock.writable(container).removed()
        container.remove(force=True)
        return gone
    except NotFound:
        raise NoContainer(GONE.format(name=container.name)) from None


def tidy(client: docker.DockerClient, lesson: str) -> None:
    """Remove every container and volume that the lesson made, and say how many."""
    wanted = {"label": f"{LAB}={lesson}"}
    containers = client.api.containers(all=True, filters=wanted)
    for row in containers:
        try:
            client.api.remove_container(row["Id"], force=True)
        except APIError as error:
            if error.status_code not in (404, 409):  # gone already, or going
                raise
    volumes = client.volumes.list(filters=wanted)
    for volume in volumes:
        volume.remove()
    print(f"Removed {counted(len(containers), 'container')} and {counted(len(volumes), 'volume')} of this lesson.")
