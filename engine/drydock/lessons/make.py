"""Making the lesson images: the kit's bases, and all that the lessons' notebooks build on them.

The notebooks themselves are run, so what they build and what the cache has can never drift apart.
"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import docker

import drydock
from drydock.badge import badge, executes
from drydock.lessons import bases, own
from drydock.lessons.bundle import OFFLINE, Bundle
from drydock.lessons.harvest import harvest

LIVE = ("02", "03")  # what these lessons start is only there to run: on rung D a model and cited figures stand for it
TIDY = "tidy-run"  # the cell with which a lesson removes what it built
LONGEST = 600  # seconds for one cell, on a busy machine
NOTHING_RUNS = (
    "The lesson images cannot be made with {badge}.\n"
    "To fill the cache the lessons' steps must run once, and this engine runs none.\n"
    "Try: make them on a machine with Docker, or with PRoot installed, and copy the folder"
)


class CannotMake(RuntimeError):
    """The engine cannot run the steps that the lesson images are to hold."""


def make(client: docker.DockerClient, url: str, into: Path, notebooks: Path | None = None, say: Any = print) -> Bundle:
    """Make the kit's bases on an engine, run the lessons there, and write what came of it into a folder.

    Raises: CannotMake.
    """
    if not executes(client):
        raise CannotMake(NOTHING_RUNS.format(badge=badge(client)))
    for name in own.MAKERS:
        say(f"{name}, made from {bases.make(client, name)}")
    source = notebooks or Path(drydock.__file__).parents[2] / "notebooks"
    before = _tags(client)
    with tempfile.TemporaryDirectory(prefix="drydock-images-") as place:
        copy = Path(place) / "notebooks"
        shutil.copytree(source, copy, ignore=shutil.ignore_patterns("work", ".ipynb_checkpoints"))
        for path in sorted(copy.glob("*.ipynb")):
            if path.name.startswith(LIVE):
                continue
            say(f"the builds of notebook {path.stem}")
            run(path, url, Path(place) / "home")
        try:
            return harvest(client, own.MAKERS, into, f"{badge(client)}, {platform.system()} on {platform.machine()}")
        finally:
            for name in _tags(client) - before:
                client.images.remove(name)


def _tags(client: docker.DockerClient) -> set[str]:
    """Return the names under which lessons build."""
    return {tag for image in client.images.list() for tag in image.tags if tag.startswith("lab/")}


def run(path: Path, url: str, home: Path, leave_out: Sequence[str] = (TIDY,)) -> None:
    """Execute a notebook's cells but the last ones, on an engine and with a record of its own."""
    import nbformat  # JupyterLab brings both
    from nbclient import NotebookClient

    (home / "ipython").mkdir(parents=True, exist_ok=True)
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    notebook.cells = [cell for cell in notebook.cells if cell.id not in leave_out]
    environment = {"DOCKER_HOST": url, "DRYDOCK_HOME": str(home), OFFLINE: "1", "IPYTHONDIR": str(home / "ipython")}
    client = NotebookClient(notebook, timeout=LONGEST, resources={"metadata": {"path": str(path.parent)}})
    client.execute(env=dict(os.environ, **environment))
