"""Every notebook runs from top to bottom, alone, against each engine; and is written as the course promises."""

import os
import re
import shutil
import tomllib
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NAMES = [path.stem for path in NOTEBOOKS]
PATIENCE = 600  # seconds for one cell: ends a cell that hangs. How long a notebook takes, benchmarks/notebooks.py says
EACH = pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)


def read(path):
    return nbformat.read(path, as_version=4)


def code(path):
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


@pytest.fixture
def copy(tmp_path):
    """A copy of the course's notebooks and lessons: running them writes beside them."""
    here = tmp_path / "notebooks"
    shutil.copytree(ROOT / "notebooks", here, ignore=shutil.ignore_patterns("work", ".ipynb_checkpoints"))
    return here


def run(path, url, home):
    """Execute a notebook as nobody watching would, and return it with its outputs."""
    environment = dict(os.environ, DOCKER_HOST=url, DRYDOCK_HOME=str(home), IPYTHONDIR=str(home / "ipython"))
    notebook = read(path)
    client = NotebookClient(notebook, timeout=PATIENCE, resources={"metadata": {"path": str(path.parent)}})
    client.execute(env=environment)
    return notebook


def said(notebook, id):
    """Return what the cell of that id shows as text: what it printed, then the text of what it displayed."""
    cell = next(cell for cell in notebook.cells if cell.id == id)
    return "\n".join(o.get("text") or o.get("data", {}).get("text/plain", "") for o in cell.outputs)


def lab_images(daemon):
    return {tag for image in daemon.images.list() for tag in image.tags if tag.startswith("lab/")}


@pytest.mark.docker
@EACH
def test_notebook_runs_unattended_and_leaves_no_image(path, copy, daemon, daemon_url, tmp_path):
    before = lab_images(daemon)
    notebook = run(copy / path.name, daemon_url, tmp_path / "home")
    assert lab_images(daemon) <= before
    told = TOLD.get(path.stem, {})
    missing = [(id, words) for id, words in told.items() if not re.search(words, said(notebook, id), re.DOTALL)]
    assert missing == [], [said(notebook, id) for id, _ in missing]


# What the lesson rests on must be what the learner then sees, whichever engine is there.
TOLD = {
    "00-start": {
        "doctor-run": r"Docker [\d.]+\S* answers at .*What works",
        "first-run-run": "Welcome to Drydock",
        "reset-list": r"image +lab/first",
    },
    "05-dockerfile-layers-history": {
        "nmap-reveal": "It is: 2 layers",
        "bytes-reveal": "It is: The list of packages|It is: What I wanted",
        "hello-run-run": "Hello world\n+Hello Pavlos",
        "secret-container-run": "No such file|can't open",
        "secret-recover-run": "ship-it-4711",
        "letter-reveal": "It is: 4 layers",
        "why-tree": "6 images: .* if each stood alone, .* with layers shared",
    },
    "06-build-cache": {
        "again-build": "0 of 6 steps ran",
        "edits-plan-run": "6 will come from the cache",
        "edits-cmd": "the text of CMD changed",
        "touch-build": "0 of 6 steps ran",
        "byte-plan": r"`greeting.txt` changed \(21 -> 21 bytes\)",
        "mode-plan": r"the mode of `notes.txt` changed \(644 -> 755\)",
        "stages-buildkit-plan": "no step of the image needs this stage",
        "shop-time": "Good to see you!.*before.*rescued",
    },
}


def test_the_lessons_that_are_checked_exist():
    assert set(TOLD) <= set(NAMES)
    for path in NOTEBOOKS:
        assert set(TOLD.get(path.stem, {})) <= {cell.id for cell in code(path)}


@EACH
def test_code_cells_are_at_most_five_lines(path):
    lines = {cell.id: [line for line in cell.source.splitlines() if line.strip()] for cell in code(path)}
    assert [id for id, found in lines.items() if len(found) > 5] == []


@EACH
def test_every_question_is_asked_once_and_every_asked_question_exists(path):
    kept = tomllib.loads((ROOT / "notebooks" / path.stem[:2] / "questions.toml").read_text())
    asked = re.findall(
        r'(?:ask\(|Question\.load\("\d\d/questions\.toml", )"([\w-]+)"', "\n".join(c.source for c in code(path))
    )
    assert sorted(asked) == sorted(kept)


@EACH
def test_cells_are_clean_and_have_ids_that_say_what_they_are(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert "widgets" not in notebook.metadata
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code(path))
    assert [cell.id for cell in notebook.cells if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", cell.id)] == []


@EACH
def test_notebook_ends_with_what_you_can_do_a_challenge_and_where_next(path):
    words = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    assert [w for w in ("minutes", "What you can do now", "**Challenge", "**Where next") if w not in words] == []
