"""Each exercise, with its solutions, runs from top to bottom and earns all its points, on Docker and on our engine."""

import json
import os
import shutil
from pathlib import Path

import nbformat
import pytest
from drydock.lessons import bases
from drydock.lessons.own import MAKERS
from drydock.registry.server import process
from nbclient import NotebookClient
from submissions import tidy

ROOT = Path(__file__).parents[2]
EXERCISES = sorted((ROOT / "grading" / "source").glob("*/*.ipynb"))
EACH = pytest.mark.parametrize("path", EXERCISES, ids=[path.stem for path in EXERCISES])
PATIENCE = 600  # seconds for one cell: ends a cell that hangs
LATER = ("containerd", "graph", "embedded")  # one Docker, and the kit's engine on rungs A and C, each time


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """The kit's own registry, empty."""
    home = tmp_path_factory.mktemp("registry")
    yield process.start(home, port=0).address
    process.stop(home)


@EACH
@pytest.mark.docker
def test_exercise_earns_all_points_on_docker(path, daemon_url, registry, tmp_path):
    earns_all_points(path, daemon_url, registry, tmp_path)


@EACH
@pytest.mark.parametrize("rung", ["A", "C"])
def test_exercise_earns_all_points_on_the_kits_own_engine(path, rung, own, registry, tmp_path):
    with own("--rung", rung) as engine:
        earns_all_points(path, engine.url, registry, tmp_path)


@pytest.mark.deep
def test_exercise_3_earns_what_can_be_had_where_nothing_executes(own, registry, tmp_path):
    with own("--rung", "D") as engine:
        for name in MAKERS:
            bases.make(engine.client, name)
        path = ROOT / "grading" / "source" / "ex3-play" / "ex3-play.ipynb"
        earns_all_points(path, engine.url, registry, tmp_path, {"test-receipts": 0, "test-golf": 3})


def earns_all_points(path, url, registry, tmp_path, other=()):
    """Run the exercise as a learner who solves it would, and compare each test with its points, or with `other`."""
    folder = Path(shutil.copytree(path.parent, tmp_path / path.stem))
    (tmp_path / "ipython").mkdir()
    environment = os.environ | {
        "DOCKER_HOST": url, "DRYDOCK_REGISTRY": registry, "DRYDOCK_LEARNER": "ada",
        "DRYDOCK_HOME": str(tmp_path / "home"), "IPYTHONDIR": str(tmp_path / "ipython"),
    }  # fmt: skip
    notebook = nbformat.read(folder / path.name, as_version=4)
    try:
        NotebookClient(notebook, timeout=PATIENCE, resources={"metadata": {"path": str(folder)}}).execute(
            env=environment
        )
    finally:
        tidy(url, registry)
    tests = [c for c in notebook.cells if c.cell_type == "code" and c.metadata.get("nbgrader", {}).get("grade")]
    worth = {c.id: float(c.metadata.nbgrader.points) for c in tests}
    assert worth | dict(other) == {c.id: float(c.outputs[-1].data["text/plain"]) for c in tests}
    assert sum(worth.values()) == 20
    about = json.loads((folder / "artifact.json").read_text())
    assert about["learner"] == "ada"
    if "push" in path.stem:
        assert about["pushed"]["reference"].startswith(registry)
    assert (tmp_path / "hand-in" / path.stem[:3] / "ada.zip").is_file()
