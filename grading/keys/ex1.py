"""The answer key of exercise 1, as a script that does it on the engine at hand: python grading/keys/ex1.py

`do` does the exercise as a `Work` says; KEY is the work that earns all points, and tests spoil it in every listed way.
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import docker
import drydock
from docker.models.containers import Container
from drydock.lessons.course import publish
from drydock.lessons.talk import talk
from drydock_grading import packing
from drydock_grading.artifact import nonce
from marks import marks

EXERCISE = Path(__file__).parents[1] / "source" / "ex1-pull-modify-push"
SHOWS = 'CMD ["cat", "Answer.txt"]'


@dataclass(frozen=True)
class Work:
    """What a student did: the lines typed, what else was done in containers, how it was committed and pushed."""

    professor: str = "Pavlos Protopapas"
    code: str = ""  # nothing: the student's own
    more: tuple[str, ...] = ()  # what a shell did in the same container afterwards
    change: str = SHOWS  # docker commit --change
    commits: tuple[str, ...] = ()  # what a shell did in containers of the image, each committed onto it
    push: str = "ac295_playground"  # the repository; nothing: it was not pushed
    owner: str = ""  # of the repository; nothing: the student
    moved: bool = False  # the name was pushed again, with another image, before the work was packed


KEY = Work()


def do(work: Work, folder: Path, learner: str, client: docker.DockerClient, registry: str) -> None:
    """Do the exercise and leave the artifact in the folder."""
    image = f"{registry}/{work.owner or learner}/{work.push or 'ac295_playground'}"
    course = pulled(client, registry)
    script = "; ".join(("python3 Question.py", *work.more))
    container = client.containers.create(course, ["sh", "-c", script], stdin_open=True)
    try:
        talk(container, work.professor, work.code or nonce("ex1", learner))
        container.commit(image, changes=work.change)
    finally:
        container.remove()
    for script in work.commits:
        onto(client, image, script, work.change)
    hand_in(work, folder, learner, client, image)


def pulled(client: docker.DockerClient, registry: str) -> str:
    """Pull the course's image, which is published first where nobody has, and return its name."""
    course = f"{registry}/course/ac295_playground"
    publish(EXERCISE / "course", course, client)
    drydock.pull(course, client=client).run()
    return course


def onto(client: docker.DockerClient, image: str, script: str, change: str) -> None:
    """Do something in a container of the image, and commit it under the same name."""
    container: Container = client.containers.create(image, ["sh", "-c", script], entrypoint=[])
    try:
        container.start()
        container.wait()
        container.commit(image, changes=change)
    finally:
        container.remove()


def hand_in(work: Work, folder: Path, learner: str, client: docker.DockerClient, image: str) -> None:
    """Push the image where the work says so, and pack it."""
    if work.push:
        drydock.push(image, client=client).run()
    if work.moved:
        onto(client, image, "echo more >> Answer.txt", work.change)
    packing.pack("ex1", learner, client, image, folder, image if work.push else "")


def main() -> int:
    """Do the exercise to full marks; the exit code is 0 only for those."""
    learner = os.environ.get("DRYDOCK_LEARNER") or "key"
    registry = os.environ.get("DRYDOCK_REGISTRY") or drydock.start_registry()
    with tempfile.TemporaryDirectory(prefix="ex1-") as scratch:
        client = drydock.connect()
        do(KEY, Path(scratch), learner, client, registry)
        client.close()
        return marks("ex1", Path(scratch), learner)


if __name__ == "__main__":
    sys.exit(main())
