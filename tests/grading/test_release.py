"""What learners get holds no answer: the folder exercises, the wheel, and what stays of the repository on Binder."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "grading" / "source"
MARKS = ("BEGIN SOLUTION", "END SOLUTION", "HIDDEN TESTS")
ANSWERS = (  # a phrase of each solution, as grading/source and the keys have it
    "Protopapas",
    "changes='CMD",
    'CMD ["python3", "hello.py"]',
    "COPY prepare.py names.txt",
    "http://ex3-db:7433",
    "COPY install.py packages.txt",
    "witness.layers[removed].whiteouts",
    "that one layer was written by a container",
    "Now the RUN stands on prepare.py and names.txt alone",
    "A container lives as long as its first process, and",
)
MADE_HERE = shutil.ignore_patterns("hand-in", "artifact.*", "visits.txt", ".ipynb_checkpoints", "__pycache__")


def files(folder):
    """Return the bytes of every file below a folder, by path."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def answers_in(paths, phrases):
    """Return which phrases are in which of the repository's files."""
    found = [(path, (ROOT / path).read_text(encoding="utf-8", errors="replace").lower()) for path in paths]
    return [(str(path), phrase) for path, text in found for phrase in phrases if phrase.lower() in text]


def tracked(*below):
    listed = subprocess.run(["git", "ls-files", "-z", *below], cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for path in listed.stdout.split("\0") if path]


def kept_on_binder():
    """Return the repository's files that postBuild leaves on Binder, by the line in which it removes the others."""
    line = next(line for line in (ROOT / "postBuild").read_text().splitlines() if line.strip().startswith("rm -rf "))
    removed = shlex.split(line)[2:]
    assert ".git" in removed, "with its history, whatever is removed is one `git checkout` away"
    return [path for path in tracked() if not any(path == one or path.startswith(f"{one}/") for one in removed)]


@pytest.mark.slow
def test_the_exercises_are_what_nbgrader_makes_of_their_sources(tmp_path):
    course = tmp_path / "course"
    shutil.copytree(SOURCE, course / "grading" / "source")
    environment = os.environ | {
        "DRYDOCK_COURSE": str(course), "JUPYTER_CONFIG_PATH": str(ROOT / "grading"), "HOME": str(tmp_path),
        "IPYTHONDIR": str(tmp_path / "ipython"), "JUPYTER_DATA_DIR": str(tmp_path / "jupyter"),
    }  # fmt: skip
    command = [sys.executable, "-m", "drydock_grading.course", "exercises"]
    subprocess.run(command, env=environment, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    shutil.copytree(ROOT / "exercises", tmp_path / "kept", ignore=MADE_HERE)
    made, kept = files(course / "exercises"), files(tmp_path / "kept")
    assert sorted(made) == sorted(kept)
    assert [path for path in made if made[path] != kept[path]] == [], "Try: python3 run.py exercises"


def test_each_phrase_that_is_looked_for_is_in_a_solution():
    text = "".join(json.dumps(json.loads(p.read_text()), ensure_ascii=False) for p in SOURCE.glob("*/*.ipynb"))
    assert [phrase for phrase in ANSWERS if phrase not in text.replace('\\"', '"')] == []


def test_the_exercises_hold_no_answer():
    assert answers_in(tracked("exercises"), (*MARKS, *ANSWERS)) == []


def test_the_wheel_holds_no_answer_and_no_notebook():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    packed = tracked(*packages)
    assert packed and [path for path in packed if path.endswith(".ipynb") or "/keys/" in path] == []
    assert answers_in(packed, ANSWERS) == []


def test_binder_keeps_no_answer():
    kept = kept_on_binder()
    assert "exercises/ex1-pull-modify-push/ex1-pull-modify-push.ipynb" in kept
    assert "grading/drydock_grading/notebook.py" in kept, "checks run there, too"
    assert answers_in(kept, ANSWERS) == []
    assert answers_in([path for path in kept if path.endswith(".ipynb")], MARKS) == []
