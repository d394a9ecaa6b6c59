"""The exercises as students get them: what a cell says where nothing has been done yet, and that any order works."""

import os
import shutil
import subprocess
from contextlib import closing, contextmanager
from pathlib import Path

import nbformat
import pytest
from drydock.lessons import bases
from drydock.registry.server import process
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from ownregistry import usual_port_taken
from submissions import tidy

ROOT = Path(__file__).parents[2]
FOLDERS = {path.name[:3]: path for path in sorted((ROOT / "exercises").glob("ex*"))}
NO_CLI = "no docker command: apt install docker.io (Debian), docker-cli elsewhere"
SETTINGS = ("DRYDOCK_LEARNER", "JUPYTERHUB_USER", "DRYDOCK_REGISTRY", "DOCKER_HOST")

pytestmark = pytest.mark.slow


class Sitting:
    """One exercise in a kernel, cell by cell, as somebody does it who runs them one after the other."""

    def __init__(self, client):
        self.client, self.cells = client, {cell.id: cell for cell in client.nb.cells}
        self.order = list(self.cells)

    def run(self, first, last=""):
        """Run the code cells from one id to another, and return what the last one printed, or its error's text."""
        for id in self.order[self.order.index(first) : self.order.index(last or first) + 1]:
            cell = self.cells[id]
            if cell.cell_type != "code":
                continue
            try:
                self.client.execute_cell(cell, self.order.index(id))
            except CellExecutionError:
                return "\n".join(cell.outputs[-1].traceback)
        return "".join(output.get("text", "") for output in cell.outputs)


@contextmanager
def sitting(name, tmp_path, **environment):
    """Begin an exercise in a copy of its folder, in an environment without a learner, an engine or a registry."""
    folder = Path(shutil.copytree(FOLDERS[name], tmp_path / FOLDERS[name].name))
    clean = {key: value for key, value in os.environ.items() if key not in SETTINGS}
    home = {"DRYDOCK_HOME": str(tmp_path / "home"), "IPYTHONDIR": str(tmp_path / "ipython")}
    notebook = nbformat.read(folder / f"{folder.name}.ipynb", as_version=4)
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}})
    with client.setup_kernel(env=clean | home | environment):
        yield Sitting(client)


@pytest.mark.parametrize("name", FOLDERS)
def test_who_gives_no_name_is_told_in_a_few_lines_what_the_notebook_says(name, tmp_path):
    with sitting(name, tmp_path) as one:
        said = one.run("imports", "who-run")
        assert len(said.splitlines()) <= 3 and 'write your id between the quotes, as in me = "ada"' in said
        one.cells["who-run"].source = one.cells["who-run"].source.replace('me = ""', 'me = "ada"')
        assert "Your course code is" in one.run("who-run")


@pytest.fixture
def started(own, tmp_path):
    """Exercise 1, down to where the container is to be started, while another program has the registry's usual port."""
    with own() as engine, usual_port_taken() as usual:
        bases.make(engine.client, "drydock/python")
        with sitting("ex1", tmp_path, DOCKER_HOST=engine.url, DRYDOCK_LEARNER="ada") as one:
            said = one.run("imports", "registry-run")
            assert "localhost:" in said and f"localhost:{usual}/" not in said
            one.run("publish-run", "readme-run")
            yield one, engine
        tidy(engine.url, process.found(tmp_path / "home").address)
    process.stop(tmp_path / "home")


def typed(engine, command, *lines):
    """Do in a terminal what the notebook prints, but for the terminal itself, which no test has."""
    if (docker := shutil.which("docker")) is None:
        return pytest.fail(NO_CLI) if os.environ.get("CI") == "true" else pytest.skip(NO_CLI)
    words = [docker, "run", "-i", *command.partition(" run -it ")[2].split()]
    return subprocess.run(
        words, input="".join(f"{line}\n" for line in lines), env=os.environ | {"DOCKER_HOST": engine.url},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_the_terminal_after_the_cell_that_needs_no_terminal(started):
    one, engine = started
    command = one.run("answer-command").splitlines()[0]
    said = one.run("answer-do")
    assert "Nobody has answered yet" in said and len(said.splitlines()) <= 3
    done = typed(engine, command, "Ada Lovelace", "0" * 12)
    assert done.returncode == 0, done.stderr
    assert "Written to /course/Answer.txt" in one.run("answer-do")
    assert one.run("changed").splitlines() == ["C /course", "A /course/Answer.txt"]


def test_a_container_that_changed_nothing_shows_no_change_and_no_error(started):
    one, engine = started
    done = typed(engine, one.run("answer-command").splitlines()[0])
    assert "EOFError" in done.stderr
    one.run("answer-do")
    assert one.run("changed") == ""


def test_the_cell_that_needs_no_terminal_after_the_terminal(started):
    one, engine = started
    typed(engine, one.run("answer-command").splitlines()[0], "somebody", "a code")
    one.cells["answer-do"].source = one.cells["answer-do"].source.replace("[]", '["Ada Lovelace", "0" * 12]')
    assert "Written to /course/Answer.txt" in one.run("answer-do")
    assert one.run("changed").splitlines() == ["C /course", "A /course/Answer.txt"]
    with closing(engine.client.api.get_archive("ac295", "/course/Answer.txt")[0]) as packed:
        assert b"professor: Ada Lovelace" in b"".join(packed)
