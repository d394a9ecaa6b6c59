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
from drydock.model.dockerfile import parse
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PATIENCE = 600  # seconds for one cell: ends a cell that hangs. How long a notebook takes, benchmarks/notebooks.py says
EACH = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


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
    # A kernel sends what a cell prints in pieces, a single line too: they are put together, as JupyterLab does.
    client = NotebookClient(
        notebook, timeout=PATIENCE, coalesce_streams=True, resources={"metadata": {"path": str(path.parent)}}
    )
    client.execute(env=environment)
    return notebook


def said(notebook, id):
    """Return what the cell of that id shows as text: what it printed, then the text of what it displayed."""
    cell = next(cell for cell in notebook.cells if cell.id == id)
    return "\n".join(o.get("text") or o.get("data", {}).get("text/plain", "") for o in cell.outputs)


def lab_images(daemon):
    """Return what `docker images` lists of the lessons: names below lab/, and IDs of what has none, <none>."""
    rows = [(row["Id"], row.get("RepoTags") or [], row.get("Labels") or {}) for row in daemon.api.images()]
    named = {tag for _, tags, _ in rows for tag in tags if tag.startswith("lab/")}
    return named | {id for id, tags, labels in rows if LAB in labels and set(tags) <= {"<none>:<none>"}}


@pytest.mark.docker
@EACH
def test_notebook_runs_unattended_and_leaves_no_image(path, copy, daemon, daemon_url, tmp_path):
    check(copy / path.name, daemon_url, daemon, tmp_path)


def lab_containers(daemon):
    return {c.name for c in daemon.containers.list(all=True, filters={"label": LAB}, ignore_removed=True)}


def check(path, url, client, tmp_path, executes=True, **environment):
    before, containers = lab_images(client), lab_containers(client)
    cells = told(path, executes)
    notebook = run(path, url, tmp_path / "home", **environment)
    assert lab_images(client) - before == set()
    assert lab_containers(client) <= containers
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
    check(copy / path.name, *engine, tmp_path)


@EACH
@pytest.mark.parametrize("engine", ["D"], indirect=True)
def test_notebook_runs_where_nothing_is_executed_on_the_cache_that_was_made_elsewhere(
    path, copy, engine, images, tmp_path
):
    check(copy / path.name, *engine, tmp_path, executes=False, **{PLACE: str(images)})


# What the lesson rests on must be what the learner then sees, whichever engine is there. On rung D no container starts
# and no RUN runs, and the learner is told so where it would have; the rest is the same.
NAMED = {
    "NO_CONTAINER": "No container was started: this machine lets the engine execute nothing",
    "NO_RUN": "nocache=True is left out: every RUN comes from the lessons' cache.*0 of . steps ran",
}


def told(path, executes=True):
    """Return what each cell of the notebook must show: regular expressions, from told/NN.toml."""
    kept = tomllib.loads((Path(__file__).parent / "told" / f"{path.stem[:2]}.toml").read_text())
    cells = kept["everywhere"] | ({} if executes else kept["where-nothing-is-executed"])
    return {id: NAMED.get(words, words) for id, words in cells.items()}


@EACH
def test_the_cells_that_are_checked_exist(path):
    assert set(told(path, executes=False)) <= {cell.id for cell in code(path)}


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
def test_a_question_is_asked_above_what_answers_it(path):
    """A plan tells which steps run, a drawing which stages are needed: whoever is asked has not seen them yet."""
    tells = {
        **{
            "touch": "touch-plan",
            "byte": "byte-plan",
            "stages-run": "stages-needed-draw",
            "shop-edit": "shop-edit-run",
        },
        **{"where-to": "registry-names", "orchestrator": "orchestrators-explain"},
    }
    order = [cell.id for cell in read(path).cells]
    asked = {id: n for n, cell in enumerate(read(path).cells) for id in tells if f'ask("{id}")' in cell.source}
    assert [id for id, n in asked.items() if n > order.index(tells[id])] == []
    drawn = [cell for cell in code(path) if "diagram.stages(" in cell.source]
    assert all("verdict=False" in cell.source for cell in drawn[:1])


# The lecture's own Dockerfiles, to the letter.
LECTURE = {
    "05/nmap": 'FROM alpine:latest\nRUN apk update\nRUN apk add nmap\nENTRYPOINT ["nmap"]\nCMD ["localhost"]\n',
    "05/hello": 'FROM ubuntu:latest\nRUN apt-get update\nENTRYPOINT ["/bin/echo", "Hello"]\nCMD ["world"]\n',
}
LECTURE["04/hello"] = LECTURE["05/hello"]


@pytest.mark.parametrize("lesson", LECTURE)
def test_the_lectures_dockerfile_is_quoted_to_the_letter_and_what_stands_in_for_it_has_the_same_steps(lesson):
    number, folder = lesson.split("/")
    text = (ROOT / "notebooks" / lesson / "Dockerfile").read_text()
    assert text == LECTURE[lesson]
    (path,) = (ROOT / "notebooks").glob(f"{number}-*.ipynb")
    quoted = next(cell.source for cell in read(path).cells if cell.id == folder)
    assert "word for word" in quoted.lower() and f"```dockerfile\n{text}```" in quoted
    standin = (ROOT / "notebooks" / lesson / "Dockerfile.standin").read_text()
    steps = [[i.keyword for i in parse(one).stages[0].instructions] for one in (text, standin)]
    assert steps[0] == steps[1]


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
