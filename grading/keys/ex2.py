"""The answer key of exercise 2, as a script that does it on the engine at hand: python grading/keys/ex2.py

`do` does the exercise as a `Work` says; KEY is the work that earns all points, and tests spoil it in every listed way.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import docker
import drydock
from drydock.lessons import bases
from drydock_grading import packing
from drydock_grading.artifact import nonce
from marks import marks

EXERCISE = Path(__file__).parents[1] / "source" / "ex2-build-push"
RECIPES = ("hello/Dockerfile", "playground/Dockerfile")
HELLO = """\
FROM drydock/python
WORKDIR /app
COPY hello.py .
CMD ["python3", "hello.py"]
"""
PLAYGROUND = """\
FROM drydock/python
WORKDIR /course
COPY prepare.py names.txt ./
RUN python3 prepare.py
COPY Question.py Readme.txt ./
ARG COURSE_CODE
ENV COURSE_CODE=$COURSE_CODE
CMD ["python3", "Question.py"]
"""


@dataclass(frozen=True)
class Work:
    """What a student did: the Dockerfiles, what else was written, the code given, what was pushed where."""

    hello: str = HELLO
    playground: str = PLAYGROUND
    files: Mapping[str, bytes] = field(default_factory=lambda: {"playground/.dockerignore": b"token.txt\n"})
    code: str = ""  # nothing: the student's own
    push: str = "ac295_playground"  # the repository; nothing: it was not pushed
    owner: str = ""  # of the repository; nothing: the student
    later: Mapping[str, str] = field(default_factory=dict)  # Dockerfiles as they were edited after the build


KEY = Work()


def do(work: Work, folder: Path, learner: str, client: docker.DockerClient, registry: str) -> None:
    """Do the exercise in a copy of its folder, and leave the artifact there."""
    bases.ensure("drydock/python", client)
    write(work, folder)
    image = f"{registry}/{work.owner or learner}/{work.push or 'ac295_playground'}"
    code = work.code or nonce("ex2", learner)
    wanted = {"COURSE_CODE": code} if "ARG COURSE_CODE" in work.playground else {}
    drydock.build(folder / "playground", tag=image, buildargs=wanted, client=client).run()
    if work.push:
        drydock.push(image, client=client).run()
    for path, text in work.later.items():
        (folder / path).write_text(text.replace("CODE", code))
    packing.pack("ex2", learner, client, image, folder, image if work.push else "", RECIPES)


def write(work: Work, folder: Path) -> None:
    """Write what the student edited."""
    for path, text in zip(RECIPES, (work.hello, work.playground), strict=True):
        (folder / path).write_text(text)
    for path, body in work.files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(body)


def main() -> int:
    """Do the exercise to full marks; the exit code is 0 only for those."""
    learner = os.environ.get("DRYDOCK_LEARNER") or "key"
    registry = os.environ.get("DRYDOCK_REGISTRY") or drydock.start_registry()
    with tempfile.TemporaryDirectory(prefix="ex2-") as scratch:
        folder = Path(shutil.copytree(EXERCISE, Path(scratch, "ex2-build-push")))
        client = drydock.connect()
        do(KEY, folder, learner, client, registry)
        client.close()
        return marks("ex2", folder, learner)


if __name__ == "__main__":
    sys.exit(main())
