"""The log of a build that notebook 6 shows is what the classic builder says, on whichever engine."""

import re
import shutil
from pathlib import Path

import nbformat
import pytest
from drydock.lessons import bases

ROOT = Path(__file__).parents[2]
TAG = "lecture/log"


@pytest.mark.docker
def test_the_log_of_a_second_build_is_the_one_that_notebook_6_shows(daemon, tmp_path):
    """docker-py asks the classic builder everywhere. The first line is docker's own, and the IDs are each engine's."""
    folder = Path(shutil.copytree(ROOT / "notebooks/06/hello", tmp_path / "hello"))
    bases.make(daemon, bases.STANDIN)
    text = (folder / "Dockerfile").read_text()
    (folder / "Dockerfile").write_text(text.replace("FROM alpine", f"FROM {bases.STANDIN}"))
    try:
        for _ in range(2):
            said = daemon.api.build(path=str(folder), tag=TAG, rm=True, decode=True)
            log = "".join(line.get("stream", "") for line in said)
    finally:
        daemon.images.remove(TAG)
    notebook = nbformat.read(next(ROOT.glob("notebooks/06-*.ipynb")), as_version=4)
    shown = next(cell.source for cell in notebook.cells if cell.id == "log").split("```\n")[1]
    first, _, rest = shown.partition("\n")
    assert first.startswith("Sending build context to Docker daemon")
    assert without_ids(rest) == without_ids(log)


def without_ids(log):
    return [re.sub(r"\b[0-9a-f]{12}\b", "ID", line) for line in log.splitlines() if line.strip()]
