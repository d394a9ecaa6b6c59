"""The answer key of exercise 3, as a script that does it on the engine at hand: python grading/keys/ex3.py

`do` does the exercise as a `Work` says; KEY is the work that earns all points, and tests spoil it in every listed way.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import docker
import drydock
from docker.errors import ImageNotFound
from drydock.badge import executes
from drydock.lessons import bases
from drydock.lessons.containers import create
from drydock.lessons.visits import leave, visit
from drydock_grading import packing
from drydock_grading.artifact import nonce
from drydock_grading.checks.services import seal
from drydock_grading.detective import mystery
from drydock_grading.scene import prepare
from marks import marks

EXERCISE = Path(__file__).parents[1] / "source" / "ex3-play"
RECIPES = ("db/Dockerfile", "web/Dockerfile", "golf/Dockerfile")
IMAGES = {"db": "lab/ex3-db", "v1": "lab/ex3-web:v1", "golf": "lab/ex3-golf"}
V2 = "lab/ex3-web:v2"
NOTES = ("visits.txt", "findings.toml")
NETWORK, LESSON = "ex3", "ex3"
DB = """\
FROM drydock/python
WORKDIR /db
COPY db.py stock.json ./
ARG COURSE_CODE
ENV COURSE_CODE=$COURSE_CODE
EXPOSE 7433
CMD ["python3", "db.py"]
"""
WEB = """\
FROM drydock/python
WORKDIR /web
COPY catalogue.json ./
COPY web.py ./
ENV DB=http://ex3-db:7433
EXPOSE 7080
CMD ["python3", "web.py"]
"""
GOLF = """\
FROM drydock/python
WORKDIR /game
COPY install.py packages.txt ./
RUN python3 install.py
COPY index.py words.txt ./
RUN python3 index.py
COPY game.py selftest.py Readme.txt ./
RUN python3 selftest.py
CMD ["python3", "game.py"]
"""
REAL = ("v1", "kill", "v1", "again", "v1", "v2")  # what is done with the two containers, and who is visited


@dataclass(frozen=True)
class Work:
    """What a student did: Dockerfiles, the edit of web.py, what was done with the containers, what was found."""

    db: str = DB
    web: str = WEB
    golf: str = GOLF
    edit: tuple[str, str] = ('VERSION = "v1"', 'VERSION = "v2"')
    files: Mapping[str, str] = field(default_factory=dict)  # written before anything is built
    code: str = ""  # nothing: the student's own
    play: tuple[str, ...] = REAL
    told: str | None = None  # visits.txt as it was written by hand; None: the containers were really started
    build: tuple[str, ...] = ("db", "v1", "golf", "v2")
    found: Mapping[str, str | int] = field(default_factory=dict)  # findings that differ from the truth
    findings: str | None = None  # findings.toml as it was written by hand
    later: Mapping[str, str] = field(default_factory=dict)  # Dockerfiles as they were edited after the build


KEY = Work()


def do(work: Work, folder: Path, learner: str, client: docker.DockerClient, registry: str = "") -> None:
    """Do the exercise in a copy of its folder, and leave the artifact there."""
    bases.ensure("drydock/python", client)
    code = work.code or nonce("ex3", learner)
    for path, text in {**dict(zip(RECIPES, (work.db, work.web, work.golf), strict=True)), **work.files}.items():
        (folder / path).write_text(text)
    for name in (IMAGES.get(part, V2) for part in ("db", "v1", "golf", "v2") if part not in work.build):
        with suppress(ImageNotFound):
            client.api.remove_image(name, noprune=True)  # an earlier learner's, on the same engine
    for part in work.build:
        built(work, part, folder, code, client)
    visits = folder / "visits.txt"
    if work.told is not None:
        visits.write_text(work.told)
    elif work.play and executes(client):
        played(work, client, visits)
    found = {**mystery(nonce("ex3", learner)).truth, **work.found}
    lines = [f'{name} = "{said}"' if isinstance(said, str) else f"{name} = {said}" for name, said in found.items()]
    (folder / "findings.toml").write_text("\n".join(lines) + "\n" if work.findings is None else work.findings)
    for path, text in work.later.items():
        (folder / path).write_text(text)
    packing.pack("ex3", learner, client, V2, folder, dockerfiles=RECIPES, others=IMAGES, notes=NOTES)


def built(work: Work, part: str, folder: Path, code: str, client: docker.DockerClient) -> None:
    """Build one part; v2 is web again, after the edit. Where nothing executes, golf's steps cannot be built."""
    place = {"db": "db", "golf": "golf"}.get(part, "web")
    if place == "golf" and not executes(client):
        return
    if part == "v2":
        program = folder / "web" / "web.py"
        program.write_text(program.read_text().replace(*work.edit))
    wanted = {"COURSE_CODE": code} if "ARG COURSE_CODE" in work.db and part == "db" else {}
    drydock.build(folder / place, tag=IMAGES.get(part, V2), buildargs=wanted, client=client).run()


def played(work: Work, client: docker.DockerClient, visits: Path) -> None:
    """Start db and web on one network, and do with them what the work says."""
    if not client.networks.list(names=[NETWORK]):
        client.networks.create(NETWORK, labels={"org.drydock.lab": LESSON})
    try:
        for name, image in (("ex3-db", IMAGES["db"]), ("ex3-web", IMAGES["v1"])):
            started(client, name, image)
        at = "v1"
        for before, act in pairwise(("", *work.play)):
            if act == "kill":
                client.containers.get("ex3-db").kill()
            elif act == "again":
                client.containers.get("ex3-db").start()
            else:
                if act != at:
                    started(client, "ex3-web", V2)
                at = act
                visit(client, "ex3-web", 7080, 0 if before == "kill" else 20, visits)
    finally:
        leave(client, "ex3-web", "ex3-db", network=NETWORK)


def started(client: docker.DockerClient, name: str, image: str) -> None:
    """Start a container of that name on the network, in the place of an earlier one."""
    create(client, name, image, LESSON, say=False, network=NETWORK).start()


def receipt(code: str, db: str, version: str, web: str, answer: int = 1) -> str:
    """Return a receipt as db writes it."""
    line = f"db={db} answer={answer} web={version}/{web}"
    return f"{line} seal={seal(code, line)}"


def main() -> int:
    """Do the exercise to full marks; the exit code is 0 only for those."""
    learner = os.environ.get("DRYDOCK_LEARNER") or "key"
    with tempfile.TemporaryDirectory(prefix="ex3-") as scratch:
        folder = Path(shutil.copytree(EXERCISE, Path(scratch, "ex3-play")))
        client = drydock.connect()
        prepare(client, nonce("ex3", learner))
        do(KEY, folder, learner, client)
        client.close()
        return marks("ex3", folder, learner)


if __name__ == "__main__":
    sys.exit(main())
