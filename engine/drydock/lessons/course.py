"""The course's image in a registry, for learners to pull: put there once, by a teacher or by the learner's own kit."""

from __future__ import annotations

from pathlib import Path

import docker
from docker.errors import APIError

from drydock.builds import build
from drydock.lessons import bases
from drydock.lessons.folder import outside
from drydock.transfers import push

THERE = "{name} is in its registry: pull it."
PUBLISHED = "{name} was built from {folder} and pushed, and is not kept here: pull it."


def publish(folder: str | Path, name: str, client: docker.DockerClient) -> None:
    """Build the folder and push it under that name, unless its registry has the name already; print which.

    The engine does not keep the name: an image that is here already would teach nothing about pulling.
    Raises: bases.NoBase, BuildFailed, TransferFailed.
    """
    try:
        client.images.get_registry_data(name)
        print(THERE.format(name=name))
        return
    except APIError:
        pass  # not there, or not to be had: the push says what is wrong
    for base in outside((Path(folder) / "Dockerfile").read_text(encoding="utf-8")):
        print(bases.ensure(base, client).note)
    build(folder, tag=name, client=client).run()
    push(name, client).run()
    client.images.remove(name)
    print(PUBLISHED.format(name=name, folder=folder))
