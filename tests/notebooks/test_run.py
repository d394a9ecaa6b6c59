"""Every notebook runs from top to bottom, alone, against each engine; and is written as the course promises.

The kit's own engine runs them on rungs A and C, and on rung D, where nothing is executed, with the lesson images.
"""

import os
import re
import shutil
import tomllib
from pathlib import Path

import nbformat
import pytest
from drydock.lessons.bundle import PLACE
from drydock.lessons.make import make
from drydock.lessons.own import LAB
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NAMES = [path.stem for path in NOTEBOOKS]
PATIENCE = 600  # seconds for one cell: ends a cell that hangs. How long a notebook takes, benchmarks/notebooks.py says
EACH = pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
LATER = ("drydock-classic", "graph", "embedded")  # one Docker, and the kit's engine on rungs A, C, D, each time


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


def run(path, url, home, **more):
    """Execute a notebook as nobody watching would, and return it with its outputs."""
    (home / "ipython").mkdir(parents=True)
    environment = dict(os.environ, DOCKER_HOST=url, DRYDOCK_HOME=str(home), IPYTHONDIR=str(home / "ipython"), **more)
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
    check(copy / path.name, daemon_url, daemon, tmp_path, TOLD)


def lab_containers(daemon):
    return {c.name for c in daemon.containers.list(all=True, filters={"label": LAB}, ignore_removed=True)}


def check(path, url, client, tmp_path, told, **environment):
    before, containers = lab_images(client), lab_containers(client)
    notebook = run(path, url, tmp_path / "home", **environment)
    assert lab_images(client) <= before
    assert lab_containers(client) <= containers
    cells = told.get(path.stem, {})
    missing = [(id, words) for id, words in cells.items() if not re.search(words, said(notebook, id), re.DOTALL)]
    assert missing == [], [said(notebook, id) for id, _ in missing]


@pytest.fixture(scope="module")
def engine(request, own):
    """The address and a client of the kit's own engine on one rung, as an ordinary user."""
    with own("--rung", request.param) as one:
        yield one.url, one.client


@pytest.fixture(scope="module")
def images(own, tmp_path_factory):
    """The lesson images with their cache, made by the kit's own engine on the best rung that works here."""
    folder = tmp_path_factory.mktemp("lessons") / "images"
    with own() as one:
        make(one.client, one.url, folder)
    return folder


@EACH
@pytest.mark.parametrize("engine", ["A", "C"], indirect=True)
def test_notebook_runs_on_the_kits_own_engine(path, copy, engine, tmp_path):
    check(copy / path.name, *engine, tmp_path, TOLD)


@EACH
@pytest.mark.parametrize("engine", ["D"], indirect=True)
def test_notebook_runs_where_nothing_is_executed_on_the_cache_that_was_made_elsewhere(
    path, copy, engine, images, tmp_path
):
    check(copy / path.name, *engine, tmp_path, TOLD_ON_D, **{PLACE: str(images)})


# What the lesson rests on must be what the learner then sees, whichever engine is there.
TOLD = {
    "00-start": {
        "doctor-run": r"(Docker [\d.]+\S*|Drydock engine \S+, rung [AC].*) answers at .*What works",
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
    "07-copy-on-write": {
        "two-look": "2 containers read the same .* and have 0B of their own",
        "writes-run": "A     16B  /note.txt  New: 16B",
        "writes-bob": "note.txt.*No such file",
        "diff-run": "'Kind': 1, 'Path': '/note.txt'|'Path': '/note.txt', 'Kind': 1",
        "byte-run": r"C    20MB  /shop/goods.db  The whole file was copied up from layer 1: 20MB .* for 1 byte more",
        "byte-chmod": "C    20MB  /shop/goods.db .* for not one byte more",
        "delete-run": r"lab-bob` has 0B of its own.*D       -  /shop/goods.db  Hidden by a whiteout. Its 20MB stay",
        "new-finds-run": r" 20000000 .* goods.db",
        "stop-run": "'lab-ada', 'exited'",
        "stop-put": "lab-ada  exited  on lab/box.*C     25B  /shop/welcome.txt",
        "stop-start": "Maggie was here.*Please ask Ada",
        "commit-run": r"4 layers  \d+(\.\d)?MB.*layer 3     20MB",
        "rm-run": "lab-bob` is removed: its 27B are gone.*1 container reads .* 1 removed, with all that it had written",
        "fifty-run": r"^50 containers read the same \S+, stored once, and have \d{3}B of their own",
        "fifty-size": r"50 containers: [\d,]{3,7} bytes of their own",
        "volume-write": r"lab-carl` has 0B of its own",
        "volume-read": "Dear diary",
        "parents-run": "3 images: .* if each stood alone",
        "tidy-containers": "Removed 51 containers and 1 volumes",
    },
}


# On rung D no container starts and no RUN runs, and the learner is told so where it would have; the rest is the same.
NO_CONTAINER = "No container was started: this machine lets the engine execute nothing"
NO_RUN = "nocache=True is left out: every RUN comes from the lessons' cache.*0 of . steps ran"
OTHERWISE = {
    "00-start": {
        "doctor-run": r"rung D.*answers at.*No container starts.*Try: ",
        "first-fresh": "Nothing can be executed on this machine.*runs on drydock/base instead.*cache in",
        "first-build-run": "0 of 3 steps ran",
        "first-run-run": NO_CONTAINER,
        "reset-list": r"^  image (?!.*container).*lab/first",
    },
    "05-dockerfile-layers-history": {
        "connect": "rung D: it executes nothing here",
        "run-nmap-run": NO_CONTAINER,
        "hello-run-run": NO_CONTAINER,
        "secret-container-run": NO_CONTAINER,
    },
    "06-build-cache": {
        "first-build": NO_RUN,
        "stages-classic": NO_RUN,
        "shop-build": NO_RUN,
        "byte-plan": "6 will come from the cache",
        "byte-build": "0 of 6 steps ran",
        "shop-time": NO_CONTAINER,
    },
    "07-copy-on-write": {
        "two-create": NO_CONTAINER,
        "writes-run": NO_CONTAINER,
        "writes-bob": NO_CONTAINER,
        "diff-run": "^$",
        "byte-run": NO_CONTAINER,
        "byte-chmod": NO_CONTAINER,
        "delete-run": NO_CONTAINER,
        "new-finds-run": NO_CONTAINER,
        "stop-run": "'lab-ada', 'created'",
        "stop-put": "lab-ada  created  on .*lab/box.*C     25B  /shop/welcome.txt",
        "stop-start": NO_CONTAINER,
        "commit-run": r"4 layers  .*layer 3 +25B",
        "volume-write": NO_CONTAINER,
        "volume-read": NO_CONTAINER,
    },
}
TOLD_ON_D = {name: cells | OTHERWISE[name] for name, cells in TOLD.items()}


def test_the_lessons_that_are_checked_exist():
    assert set(TOLD) <= set(NAMES)
    for path in NOTEBOOKS:
        assert set(TOLD_ON_D.get(path.stem, {})) <= {cell.id for cell in code(path)}


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
