"""Artifacts made by hand, as real OCI archives: each test says what is in the layers and what is wrong with them."""

import gzip
import io
import json
import tarfile
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from drydock.lessons import own, pack
from drydock_grading import bases, reading
from drydock_grading.artifact import ABOUT, ARCHIVE, nonce
from drydock_grading.assignments import ASSIGNMENTS
from drydock_grading.checks.case import Case, run

ROOT = Path(__file__).resolve().parents[1]
EX1 = ROOT / "exercises" / "ex1-pull-modify-push" / "course"
EX2 = ROOT / "exercises" / "ex2-build-push"
BASE = bases.KnownBase("drydock/python", ("sha256:" + "b" * 64, "sha256:" + "c" * 64), "a test")
BASES = bases.Bases((BASE,))
ENV = ["PATH=/usr/local/bin:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE=1"]


def digest(body):
    return "sha256:" + sha256(body).hexdigest()


def blob(name):
    return "blobs/" + name.replace(":", "/")


def tar(files):
    """Return a tar: bytes are a file, a text is a symlink, None is a folder; a whiteout is an empty `.wh.` file."""
    return pack.tar(files)


def archive(members):
    """Return a tar of (name, bytes or TarInfo) in their order: nothing of it is checked."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as into:
        for name, body in members:
            entry = tarfile.TarInfo(name) if isinstance(body, bytes) else body
            if isinstance(body, bytes):
                entry.size = len(body)
            into.addfile(entry, io.BytesIO(body) if isinstance(body, bytes) else None)
    return out.getvalue()


@dataclass(frozen=True)
class Work:
    """A submission to be: steps above the base, how a container starts, and what artifact.json says."""

    assignment: str
    learner: str = "ada"
    steps: tuple = ()  # (created_by, files or None for a step without a layer)
    cmd: tuple = ("python3",)
    entrypoint: tuple = ()
    env: tuple = ()
    workdir: str = "/course"
    below: tuple = BASE.diff_ids
    recipes: dict = field(default_factory=dict)
    pushed: str = "localhost:5055/ada/ac295_playground:latest"
    pushed_config: str = ""

    def but(self, **changes):
        return replace(self, **changes)

    def blobs(self):
        """Return the blobs by digest, the manifest's digest, and artifact.json as a dict."""
        layers = [tar(files) for _, files in self.steps if files is not None]
        history = [{"created_by": "drydock: below"} for _ in self.below]
        history += [
            {"created_by": text, **({"empty_layer": True} if files is None else {})} for text, files in self.steps
        ]
        settings = {"Env": [*ENV, *self.env], "Cmd": list(self.cmd), "WorkingDir": self.workdir}
        settings |= {"Entrypoint": list(self.entrypoint)} if self.entrypoint else {}
        diff_ids = [*self.below, *map(digest, layers)]
        config = json.dumps(
            {"os": "linux", "architecture": "amd64", "config": settings, "history": history,
             "rootfs": {"type": "layers", "diff_ids": diff_ids}}
        ).encode()  # fmt: skip
        packed = [gzip.compress(layer, mtime=0) for layer in layers]
        rows = [{"digest": one, "size": 1} for one in self.below] + [
            {"digest": digest(b), "size": len(b)} for b in packed
        ]
        manifest = manifest_of(digest(config), rows)
        about = {
            "schema": 1, "learner": self.learner, "assignment": self.assignment, "image": "you/ac295_playground",
            "engine": "a test", "manifest": digest(manifest), "config": digest(config), "diff_ids": diff_ids,
            "base": {"name": "drydock/python"}, "dockerfiles": self.recipes,
        }  # fmt: skip
        if self.pushed:
            told = manifest_of(self.pushed_config or digest(config), rows)
            about["pushed"] = {"reference": self.pushed, "digest": digest(told), "manifest": told.decode()}
        return {digest(body): body for body in (manifest, config, *packed)}, digest(manifest), about

    def write(self, folder):
        """Write both files."""
        blobs, manifest, about = self.blobs()
        index = json.dumps({"schemaVersion": 2, "manifests": [{"digest": manifest}]}).encode()
        rows = [("oci-layout", b'{"imageLayoutVersion": "1.0.0"}'), ("index.json", index)]
        rows += [(blob(name), body) for name, body in blobs.items()]
        (folder / ARCHIVE).write_bytes(archive(rows))
        (folder / ABOUT).write_text(json.dumps(about))
        return folder


def manifest_of(config, rows):
    return json.dumps({"schemaVersion": 2, "config": {"digest": config, "size": 1}, "layers": rows}).encode()


def judged(folder, assignment, learner="ada", known=BASES, seen=None):
    """Return the verdicts by the last part of their ids."""
    case = Case(reading.read(folder), ASSIGNMENTS[assignment], learner, known, seen)
    return {check.id.partition(".")[2]: run(check, case) for check in ASSIGNMENTS[assignment].checks}


def course_files():
    return {f"course/{name}": (EX1 / name).read_bytes() for name in ("Question.py", "Readme.txt")}


def answered(learner="ada", professor="Pavlos Protopapas", path="course/Answer.txt"):
    text = f"professor: {professor}\ncode: {nonce('ex1', learner)}\n"
    return {path: text.encode()}


COURSE = (
    ("/bin/sh -c #(nop) WORKDIR /course", {"course": None}),
    ("/bin/sh -c #(nop) COPY multi:1 in /course/ ", course_files()),
    ('/bin/sh -c #(nop)  CMD ["cat" "Readme.txt"]', None),
)
GOOD1 = Work("ex1", steps=(*COURSE, ("python3 Question.py", answered())), cmd=("cat", "Answer.txt"))

RIGHT = """FROM drydock/python
WORKDIR /course
COPY prepare.py names.txt ./
RUN python3 prepare.py
ARG COURSE_CODE
ENV COURSE_CODE=$COURSE_CODE
COPY Question.py Readme.txt ./
CMD ["python3", "Question.py"]
"""
HELLO = 'FROM drydock/python\nWORKDIR /app\nCOPY hello.py .\nCMD ["python3", "hello.py"]\n'
IN_FOLDER = ("Dockerfile", "Question.py", "Readme.txt", "names.txt", "prepare.py", "token.txt")


def recipe(text, folder=EX2 / "playground", names=IN_FOLDER):
    rows = []
    for name in names:
        body = text.encode() if name == "Dockerfile" else (folder / name).read_bytes()
        rows.append(
            {"path": name, "kind": "file", "size": len(body), "mode": 0o644, "sha256": sha256(body).hexdigest()}
        )
    return {"text": text, "context": rows}


def given(*names):
    return {f"course/{name}": (EX2 / "playground" / name).read_bytes() for name in names}


def recipes(playground=RIGHT, hello=HELLO):
    return {
        "playground/Dockerfile": recipe(playground),
        "hello/Dockerfile": recipe(hello, EX2 / "hello", ("Dockerfile", "hello.py")),
    }


WORKDIR = ("/bin/sh -c #(nop) WORKDIR /course", {"course": None})
PREPARE = ("/bin/sh -c python3 prepare.py", {"course/names.json": b'{"layer": "what one step wrote"}'})
CODE = f"COURSE_CODE={nonce('ex2', 'ada')}"
GOOD2 = Work(
    "ex2",
    steps=(
        WORKDIR,
        ("/bin/sh -c #(nop) COPY multi:1 in ./ ", given("prepare.py", "names.txt")),
        PREPARE,
        ("/bin/sh -c #(nop)  ARG COURSE_CODE", None),
        (f"/bin/sh -c #(nop)  ENV {CODE}", None),
        ("/bin/sh -c #(nop) COPY multi:2 in ./ ", given("Question.py", "Readme.txt")),
        ('/bin/sh -c #(nop)  CMD ["python3" "Question.py"]', None),
    ),
    cmd=("python3", "Question.py"),
    env=(CODE,),
    recipes=recipes(),
)


def kit_base(source="this machine's Python 3.9.1"):
    """Return the kit's own base as another machine would make it: (created_by, files) of its two layers."""
    files, _ = own.machine.base()
    python = {
        "usr/local/bin/python3.9": b"\x7fELF" + bytes(2000),
        "usr/local/bin/python3": "python3.9",
        "usr/local/lib/python3.9/os.py": b"# the library",
    }
    return (
        ("drydock: this machine's busybox 1.30, packed in one layer", dict.fromkeys(pack.EXPECTED) | files),
        (f"drydock: {source}, its library and what they need", python),
    )
