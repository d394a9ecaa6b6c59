"""A conversation with a program in a container, typed from Python: what `docker run -it` does in a terminal."""

from __future__ import annotations

import socket
from contextlib import closing
from typing import Any

from docker import DockerClient
from docker.errors import NotFound
from docker.models.containers import Container

from drydock.lessons.containers import NoContainer
from drydock.lessons.own import LAB

NOT_ANSWERED = (
    "Nobody has answered yet: there is no container {name}.\n"
    "It appears when you answer: in a terminal, or with two texts between the brackets of `lines = []`.\n"
    "Try: the command that the cell above prints, in a terminal; then run this cell again"
)


def answered(client: DockerClient, name: str, image: str, command: str, *lines: str) -> Container:
    """Return the container of that name whose program was answered, and print what it wrote.

    With lines they are typed from here, into a new container where there is none. Without them it is the one of the
    terminal; none is made in its place, for the name must stay free for it. Raises: NoContainer.
    """
    try:
        container = client.containers.get(name)
    except NotFound:
        if not lines:
            raise NoContainer(NOT_ANSWERED.format(name=name)) from None
        container = client.containers.create(image, command, name=name, stdin_open=True, labels={LAB: "exercise"})
    print(talk(container, *lines) if lines else container.logs().decode("utf-8", "replace"))
    return container


def talk(container: Container, *lines: str) -> str:
    """Start a container, type these lines into its program, and return all that it wrote until it ended.

    The container must have been created with `stdin_open=True` (the `-i` of `docker run`): otherwise its program
    finds no input, as a program finds none whose keyboard was unplugged. A program that asks for more than the
    lines given finds the end of its input.
    """
    with closing(container.attach_socket(params={"stdin": 1, "stream": 1})) as keyboard:
        container.start()
        wire: Any = getattr(keyboard, "_sock", keyboard)  # docker-py wraps a plain socket so that it only reads
        wire.sendall("".join(f"{line}\n" for line in lines).encode())
        wire.shutdown(socket.SHUT_WR)  # Ctrl-D: there is no more to come
        container.wait()
    return container.logs().decode("utf-8", "replace")
