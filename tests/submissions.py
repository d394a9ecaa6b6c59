"""Submissions as a class makes them: the answer keys, spoiled by name in every way that the exercises list.

The name of a mistake is the student's id. What each must earn stands in expected_ex1.csv and its like, written by hand.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import docker
import ex1
import ex2
from drydock_grading import packing
from drydock_grading.artifact import nonce
from submissions_ex3 import EX3, Third

TOKEN = "dckr_pat_of-no-use-to-anybody-0002"

E1 = ex1.KEY
EX1: dict[str, ex1.Work] = {
    "key": E1,
    "lower-case": replace(E1, professor="protopapas"),
    "two-commits": replace(E1, commits=("true",)),
    "cmd-in-a-shell": replace(E1, change="CMD cat Answer.txt"),
    "wrong-professor": replace(E1, professor="Ada Lovelace"),
    "first-name-only": replace(E1, professor="Pavlos"),
    "wrong-place": replace(E1, more=("mkdir /answers", "mv Answer.txt /answers")),
    "answer-removed": replace(E1, commits=("rm Answer.txt",)),
    "no-code": replace(E1, code=" "),
    "neighbours-code": replace(E1, code=nonce("ex1", "key")),
    "cmd-forgotten": replace(E1, change=""),
    "cmd-of-the-course": replace(E1, change='CMD ["cat", "Readme.txt"]'),
    "cmd-something-else": replace(E1, change='CMD ["ls"]'),
    "entrypoint": replace(E1, change='ENTRYPOINT ["cat", "Answer.txt"]'),
    "question-changed": replace(E1, more=("echo >> Question.py",)),
    "readme-removed": replace(E1, more=("rm Readme.txt",)),
    "bytecode": replace(E1, more=("mkdir __pycache__", "echo x > __pycache__/Question.pyc")),
    "temporary-files": replace(E1, more=("mkdir -p /tmp", "echo x > /tmp/notes")),
    "junk-removed-later": replace(E1, more=("mkdir .git", "echo x > .git/HEAD"), commits=("rm -r .git",)),
    "secret": replace(E1, more=(f"echo {TOKEN} > note.txt",)),
    "secret-removed-later": replace(E1, more=("echo A=1 > .env",), commits=("rm .env",)),
    "many-commits": replace(E1, commits=("echo 1 > /a", "echo 2 > /a", "rm /a")),
    "not-pushed": replace(E1, push=""),
    "pushed-elsewhere": replace(E1, push="playground"),
    "pushed-to-the-course": replace(E1, owner="ac295"),
    "tag-moved": replace(E1, moved=True),
}


def nothing_changed(folder: Path, learner: str, client: docker.DockerClient, registry: str) -> None:
    """Hand in the course's image as it is."""
    image = f"{registry}/{learner}/ac295_playground"
    client.images.get(ex1.pulled(client, registry)).tag(image)
    ex1.hand_in(E1, folder, learner, client, image)


def unanswered(folder: Path, learner: str, client: docker.DockerClient, registry: str) -> None:
    """Commit a container in which nothing was answered: one more layer, with nothing in it."""
    image = f"{registry}/{learner}/ac295_playground"
    container = client.containers.create(ex1.pulled(client, registry), ["python3", "Question.py"])
    container.start()  # nobody types: it finds the end of its input
    container.wait()
    container.commit(image, changes=ex1.SHOWS)
    container.remove()
    ex1.hand_in(E1, folder, learner, client, image)


def squashed(folder: Path, learner: str, client: docker.DockerClient, registry: str) -> None:
    """Export the container and import it: one layer, without its base, its CMD and its folder."""
    image = f"{registry}/{learner}/ac295_playground"
    ex1.do(E1, folder, learner, client, registry)
    container = client.containers.create(image)
    packed = b"".join(container.export())
    container.remove()
    client.api.import_image_from_data(packed, repository=image, changes=[ex1.SHOWS, "WORKDIR /course"])
    ex1.hand_in(E1, folder, learner, client, image)


def other_base(folder: Path, learner: str, client: docker.DockerClient, registry: str) -> None:
    """Build the answer on another image than the course's."""
    image = f"{registry}/{learner}/ac295_playground"
    client.images.build(path=str(_written(folder, learner, "FROM drydock/base")), tag=image)
    ex1.hand_in(E1, folder, learner, client, image)


def by_dockerfile(folder: Path, learner: str, client: docker.DockerClient, registry: str) -> None:
    """Build the answer on the course's image, by a Dockerfile: as good as a commit, and better."""
    image = f"{registry}/{learner}/ac295_playground"
    client.images.build(path=str(_written(folder, learner, f"FROM {ex1.pulled(client, registry)}")), tag=image)
    ex1.hand_in(E1, folder, learner, client, image)


def _written(folder: Path, learner: str, first: str) -> Path:
    place = folder / "mine"
    place.mkdir()
    (place / "Answer.txt").write_text(f"professor: Pavlos Protopapas\ncode: {nonce('ex1', learner)}\n")
    (place / "Dockerfile").write_text(f"{first}\nWORKDIR /course\nCOPY Answer.txt .\n{ex1.SHOWS}\n")
    return place


ODD1 = {
    "nothing-changed": nothing_changed,
    "unanswered": unanswered,
    "squashed": squashed,
    "other-base": other_base,
    "by-dockerfile": by_dockerfile,
}

E2 = ex2.KEY
P = E2.playground
IGNORED = dict(E2.files)
AS_GIVEN = (ex2.EXERCISE / "playground" / "Dockerfile").read_text()


def swapped(old: str, new: str) -> ex2.Work:
    assert old in P
    return replace(E2, playground=P.replace(old, new))


def besides(line: str, **files: bytes) -> ex2.Work:
    more = {f"playground/{name.replace('__', '.')}": body for name, body in files.items()}
    return replace(swapped("ARG COURSE_CODE", f"{line}\nARG COURSE_CODE"), files=IGNORED | more)


CMD = 'CMD ["python3", "Question.py"]'
CODE = "ARG COURSE_CODE\nENV COURSE_CODE=$COURSE_CODE\n"
EX2: dict[str, ex2.Work] = {
    "key": E2,
    "interpreter-as-entrypoint": swapped(CMD, 'ENTRYPOINT ["python3"]\nCMD ["Question.py"]'),
    "no-dockerignore": replace(E2, files={}),
    "code-in-a-file": swapped(CODE, "ARG COURSE_CODE\nRUN echo $COURSE_CODE > code.txt\n"),
    "untouched": replace(
        E2, hello=(ex2.EXERCISE / "hello" / "Dockerfile").read_text(), playground=AS_GIVEN, files={}, push=""
    ),
    "hello-runs-at-build": replace(E2, hello=ex2.HELLO.replace('CMD ["python3", "hello.py"]', "RUN python3 hello.py")),
    "hello-runs-twice": replace(E2, hello=ex2.HELLO.replace("CMD", "RUN python3 hello.py\nCMD")),
    "hello-starts-nothing": replace(E2, hello=ex2.HELLO.partition("CMD")[0]),
    "hello-misspelt": replace(E2, hello=ex2.HELLO.replace("FROM", "FORM")),
    "no-cmd": swapped(CMD, "LABEL by=me"),
    "asked-while-building": swapped(CMD, "RUN python3 Question.py"),
    "cmd-in-a-shell": swapped(CMD, "CMD python3 Question.py"),
    "entrypoint": swapped(CMD, 'ENTRYPOINT ["python3", "Question.py"]'),
    "cmd-something-else": swapped(CMD, 'CMD ["python3", "prepare.py"]'),
    "not-prepared": swapped("RUN python3 prepare.py\n", ""),
    "readme-left-out": swapped(" Readme.txt", ""),
    "question-changed": replace(E2, files=IGNORED | {"playground/Question.py": b"print('quicker')\n"}),
    "order-as-given": replace(E2, playground=AS_GIVEN + CODE + CMD + "\n"),
    "question-too-early": swapped("COPY prepare.py", "COPY Question.py prepare.py"),
    "edited-after-the-build": replace(
        E2, playground=AS_GIVEN + CODE + CMD + "\n", later={"playground/Dockerfile": P}
    ),
    "token-copied": besides("COPY token.txt .", __dockerignore=b""),
    "token-removed-later": besides("COPY token.txt .\nRUN rm token.txt", __dockerignore=b""),
    "token-in-the-environment": besides("ENV HUB_TOKEN=hunter22hunter22"),
    "no-code": swapped(CODE, ""),
    "code-only-an-argument": swapped(CODE, "ARG COURSE_CODE\nRUN echo $COURSE_CODE > /dev/null\n"),
    "neighbours-code": replace(E2, code=nonce("ex2", "key")),
    "recipe-copied": replace(swapped("COPY Question.py Readme.txt ./", "COPY . ."), files=IGNORED),
    "recipe-removed-later": replace(
        swapped("COPY Question.py Readme.txt ./", "COPY . .\nRUN rm Dockerfile .dockerignore"), files=IGNORED
    ),
    "large": besides("COPY names.bin .", names__bin=bytes(1_500_000)),
    "large-and-hidden": besides("COPY names.bin .\nRUN rm names.bin", names__bin=bytes(1_500_000)),
    "notebooks-copied": besides("COPY draft.ipynb .", draft__ipynb=b"{}"),
    "other-base": swapped("FROM drydock/python", "FROM lab/other"),
    "not-pushed": replace(E2, push=""),
    "pushed-elsewhere": replace(E2, push="playground"),
    "pushed-to-the-course": replace(E2, owner="ac295"),
}  # fmt: skip


def no_artifact(folder: Path) -> None:
    """Hand in the notebook alone."""
    for path in folder.glob("artifact.*"):
        path.unlink()


def no_image(folder: Path) -> None:
    """Hand in a picture where the archive should be."""
    (folder / packing.ARCHIVE).write_bytes(b"\x89PNG\r\n" + bytes(5000))


def edit(folder: Path, change: Callable[[dict], None]) -> None:
    """Change the notebook as a student's hand would."""
    path = next(folder.glob("*.ipynb"))
    notebook = json.loads(path.read_text())
    change(notebook)
    path.write_text(json.dumps(notebook))


def tests(notebook: dict) -> list[dict]:
    return [c for c in notebook["cells"] if c["metadata"].get("nbgrader", {}).get("grade") and c["cell_type"] == "code"]


def forged(notebook: dict) -> None:
    """Claim all points: in the outputs, in the cell that imports, in the test itself, in the points."""
    for cell in tests(notebook):
        cell["source"] = "100"
        cell["metadata"]["nbgrader"]["points"] = 100
        cell["outputs"] = [
            {"output_type": "execute_result", "data": {"text/plain": "100"}, "metadata": {}, "execution_count": 1}
        ]
    notebook["cells"][3]["source"] += "\nimport drydock_grading\ncheck = drydock_grading.check = lambda id: 100.0\n"


def _drop(notebook: dict) -> None:
    for cell in tests(notebook)[:2]:
        notebook["cells"].remove(cell)


def _copy(notebook: dict) -> None:
    notebook["cells"] += [json.loads(json.dumps(cell)) for cell in tests(notebook)]


def _retype(notebook: dict) -> None:
    for cell in tests(notebook)[:3]:
        cell["cell_type"] = "markdown"
        cell.pop("outputs"), cell.pop("execution_count")


def _rename(notebook: dict) -> None:
    for number, cell in enumerate(tests(notebook)):
        cell["metadata"]["nbgrader"]["grade_id"] = f"mine-{number}"


def _raising(notebook: dict) -> None:
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code" and not cell["metadata"].get("nbgrader"):
            cell["source"] = "raise SystemExit(1)"


def _explained(notebook: dict) -> None:
    for cell in notebook["cells"]:
        if cell["id"].startswith("explain-"):
            cell["source"] = "Because the steps above the first miss stay."


NOTEBOOKS: dict[str, Callable[[Path], None]] = {  # good work in a notebook to which something happened
    "cells-deleted": lambda folder: edit(folder, _drop),
    "cells-copied": lambda folder: edit(folder, _copy),
    "cells-reordered": lambda folder: edit(folder, lambda notebook: notebook["cells"].reverse()),
    "cells-retyped": lambda folder: edit(folder, _retype),
    "ids-changed": lambda folder: edit(folder, _rename),
    "cells-raise": lambda folder: edit(folder, _raising),
    "explained": lambda folder: edit(folder, _explained),
    "broken-json": lambda folder: next(folder.glob("*.ipynb")).write_text('{"cells": ['),
    "notebook-renamed": lambda folder: next(folder.glob("*.ipynb")).rename(folder / "final version (2).ipynb"),
    "no-notebook": lambda folder: next(folder.glob("*.ipynb")).unlink(),
    "bad-timestamp": lambda folder: (folder / "timestamp.txt").write_text("yesterday, about noon"),
}
BAD: dict[str, Callable[[Path], None]] = {  # work that earns nothing, or little
    "no-artifact": no_artifact,
    "no-image": no_image,
    "claims-only": lambda folder: (no_artifact(folder), edit(folder, forged)),
}


CLASSES = {"ex1": (ex1, EX1, ODD1), "ex2": (ex2, EX2, {}), "ex3": (Third, EX3, {})}
ALL = (*NOTEBOOKS, *BAD, "neighbours-image")
COMMON = {"ex1": ALL, "ex2": ALL, "ex3": ("explained", "no-artifact", "neighbours-image")}  # ex3: what is its own
PARTIAL = {
    "ex1": ("first-name-only", "secret"),
    "ex2": ("pushed-elsewhere", "hello-misspelt"),
    "ex3": ("decoy", "untouched"),
}


def through(name: str) -> tuple[str, ...]:
    """Return whose work goes through nbgrader each time: what happened to notebooks, and some of what earns a part.

    The rest of a class differs in the artifact alone, and the checks judge that the same without a notebook around it.
    """
    return ("key", *COMMON[name], *PARTIAL[name])


def make(name: str, released: Path, into: Path, client: docker.DockerClient, registry: str) -> list[str]:
    """Make every submission of one exercise, a folder for each student, and return the students."""
    key, works, odd = CLASSES[name]
    for student in (*works, *odd, *COMMON[name]):
        folder = into / student
        shutil.copytree(released, folder)
        if student in odd:
            odd[student](folder, student, client, registry)
        elif student == "neighbours-image":
            for path in (into / "key").glob("artifact.*"):
                shutil.copy(path, folder)
        elif student not in ("no-artifact", "claims-only"):
            key.do(works.get(student, key.KEY), folder, student, client, registry)
        NOTEBOOKS.get(student, BAD.get(student, lambda folder: None))(folder)
    return sorted(path.name for path in into.iterdir())


def tidy(url: str, registry: str) -> None:
    """Remove what the exercises leave in an engine for their learners: containers, a network, images by their names."""
    client = docker.DockerClient(base_url=url)
    for container in client.containers.list(all=True, filters={"name": "^/(ac295|ex3-db|ex3-web)$"}):
        container.remove(force=True)
    for network in client.networks.list(names=["ex3"]):
        network.remove()
    for image in client.images.list():
        for tag in image.tags:
            if tag.startswith((registry, "lab/ex2-hello", "lab/ex3-")):
                client.images.remove(tag)
    client.close()
