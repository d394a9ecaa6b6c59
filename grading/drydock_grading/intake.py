"""A submission as it comes in: whatever is wrong with the notebook is put right or noted, so that grading goes on.

nbgrader knows its cells by metadata that every student can edit, copy and delete. Here they are made anew from the
gradebook: one cell for each of the assignment's own, with the points, the type and the lock that the source has.
"""

from __future__ import annotations

import json
import logging
import os
import re
import stat
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nbconvert.exporters import NotebookExporter
from nbconvert.exporters.exporter import ResourcesDict
from nbformat import NotebookNode, v4
from nbgrader.api import Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import compute_checksum, parse_utc

from drydock_grading.claims import BadArtifact
from drydock_grading.reading import FAILURES, regular

LARGEST = 20_000_000  # bytes of a notebook, its outputs included
CELLS = 2000
DO = "drydock-do"  # a cell that builds, runs or pushes: at grading it is not executed
UNREADABLE = "The notebook could not be read: {why} Its own cells were put back without answers."
NOTE = "**Noted when this work came in:**\n"
CELL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def set_aside(assignment: str = "", student: str = "", notebooks: list[str] | None = None) -> None:
    """Take out of a submission what nbgrader trips over: links, which it follows, pipes, a time that is none."""
    for folder in {Path(one).parent for one in notebooks or ()}:
        for place, folders, files in os.walk(folder):
            for name in (*folders, *files):
                path = Path(place, name)
                if not stat.S_ISREG(mode := path.lstat().st_mode) and not stat.S_ISDIR(mode):
                    logging.getLogger("traitlets").warning("%s is no file of its own: taken out", path)
                    path.unlink()
        _time(folder / "timestamp.txt")


def _time(path: Path) -> None:
    """Replace a time of submission that is none by the time of its file."""
    if not path.is_file():
        return
    try:
        parse_utc(regular(path, 100).decode().strip())
    except FAILURES:
        when = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        logging.getLogger("traitlets").warning("%s holds no time: the file's own, %s, counts", path, when)
        path.write_text(f"{when:%Y-%m-%d %H:%M:%S.%f} UTC")


class SubmissionExporter(NotebookExporter):
    """Reads a notebook that may be anything, and writes one that nbgrader can grade."""

    def from_filename(self, filename: str, resources: dict[str, Any] | None = None, **kw: Any) -> Any:
        """Convert a notebook from a file, as nbconvert does; one that cannot be read is empty, and says why."""
        path = Path(filename)
        known = ResourcesDict() if resources is None else resources
        about = known.setdefault("metadata", ResourcesDict())
        about["name"], about["path"] = path.stem, str(path.parent)  # the kernel runs beside the notebook
        try:
            nb = notebook(regular(path, LARGEST))
        except FAILURES as error:
            why = str(error) if isinstance(error, BadArtifact) else f"it is no notebook ({type(error).__name__})."
            self.log.error("%s: %s", path, why)
            nb = v4.new_notebook(cells=[v4.new_markdown_cell(NOTE + "\n- " + UNREADABLE.format(why=why))])
        return self.from_notebook_node(nb, known, **kw)


def notebook(raw: bytes) -> NotebookNode:
    """Return a notebook with what counts of each cell: its type, its text, its tags, and which of the source's it is.

    Raises: ValueError for what is no notebook.
    """
    said = json.loads(raw)
    if not isinstance(said, dict) or not isinstance(said.get("cells"), list):
        raise ValueError("there are no cells")
    seen: set[str] = set()
    cells = [_cell(row, seen) for row in said["cells"][:CELLS] if isinstance(row, dict)]
    return v4.new_notebook(cells=cells)


def _cell(row: Mapping[str, Any], seen: set[str]) -> NotebookNode:
    source = row.get("source")
    text = "".join(map(str, source)) if isinstance(source, list) else str(source or "")
    text = text.encode("utf-8", "replace").decode()
    kind = str(row.get("cell_type"))
    make = {"code": v4.new_code_cell, "raw": v4.new_raw_cell}.get(kind, v4.new_markdown_cell)
    cell = make(source=text)
    if isinstance(row.get("id"), str) and CELL_ID.fullmatch(row["id"]) and row["id"] not in seen:
        cell["id"] = row["id"]
    seen.add(cell["id"])
    told = row.get("metadata")
    metadata = told if isinstance(told, dict) else {}
    mark, tags = metadata.get("nbgrader"), metadata.get("tags")
    if isinstance(mark, dict) and isinstance(mark.get("grade_id"), str):
        cell.metadata["nbgrader"] = NotebookNode(mark if _whole(mark) else {"grade_id": mark["grade_id"]})
    if isinstance(tags, list):
        cell.metadata["tags"] = [tag[:80] for tag in tags[:20] if isinstance(tag, str)]
    return cell


def _whole(mark: Mapping[str, Any]) -> bool:
    """Return True where nbgrader's metadata is flat, as nbgrader writes it."""
    return len(mark) < 20 and all(isinstance(v, str | int | float | bool | None) for v in mark.values())


class Intake(NbGraderPreprocessor):
    """Gives a notebook each of the assignment's own cells exactly once, as the gradebook knows it."""

    def preprocess(self, nb: NotebookNode, resources: ResourcesDict) -> tuple[NotebookNode, ResourcesDict]:
        """Return the notebook with its cells put right, and a note of what was wrong in front of it."""
        about = resources["nbgrader"]
        with Gradebook(about["db_url"]) as gradebook:
            source = Sources(gradebook.find_notebook(about["notebook"], about["assignment"]), self._tags(about))
            notes = put_right(nb, source)
        if notes:
            rows = "\n".join(f"- {note}" for note in notes)
            nb.cells.insert(0, v4.new_markdown_cell(f"{NOTE}\n{rows}"))
            for note in notes:
                self.log.warning("%s, %s: %s", about["student"], about["notebook"], note)
        return nb, resources

    def _tags(self, about: Mapping[str, str]) -> dict[str, list[str]]:
        """Return the tags of the source's cells: the gradebook does not keep them."""
        course = self.parent.parent.coursedir
        folder = course.format_path(course.source_directory, ".", about["assignment"])
        try:
            nb = notebook(regular(Path(folder) / f"{about['notebook']}.ipynb", LARGEST))
        except FAILURES:
            return {}
        cells = [cell for cell in nb.cells if cell.metadata.get("nbgrader")]
        return {cell.metadata.nbgrader["grade_id"]: list(cell.metadata.get("tags", [])) for cell in cells}


class Sources:
    """The assignment's own cells, as the gradebook has them."""

    def __init__(self, notebook: Any, tags: Mapping[str, list[str]]) -> None:
        self.cells = {cell.name: cell for cell in notebook.source_cells}
        self.points = {cell.name: cell.max_score for cell in (*notebook.grade_cells, *notebook.task_cells)}
        self.grade = {cell.name for cell in notebook.grade_cells}
        self.solution = {cell.name for cell in notebook.solution_cells}
        self.task = {cell.name for cell in notebook.task_cells}
        self.tags = tags

    def fresh(self, name: str, text: str) -> NotebookNode:
        """Return a cell of the assignment with this text, and metadata that no student has touched."""
        source = self.cells[name]
        cell = (v4.new_code_cell if source.cell_type == "code" else v4.new_markdown_cell)(source=text)
        mark = {"schema_version": 3, "grade_id": name, "grade": name in self.grade, "solution": name in self.solution}
        mark |= {"locked": bool(source.locked), "task": name in self.task, "cell_type": source.cell_type}
        mark |= {"checksum": source.checksum} | ({"points": self.points[name]} if name in self.points else {})
        cell.metadata["nbgrader"] = NotebookNode(mark)
        if self.tags.get(name):
            cell.metadata["tags"] = list(self.tags[name])
        return cell


def put_right(nb: NotebookNode, source: Sources) -> list[str]:
    """Put the notebook's cells right, and return what was wrong, a line each."""
    notes: list[str] = []
    chosen = _chosen(nb, source, notes)
    for at, cell in enumerate(nb.cells):
        name = (cell.metadata.pop("nbgrader", None) or {}).get("grade_id", "")
        if chosen.get(name) == at:
            nb.cells[at] = _restored(cell, name, source, notes)
    places = {cell.metadata.nbgrader["grade_id"]: cell for cell in nb.cells if "nbgrader" in cell.metadata}
    for name in source.cells:
        if name not in places and (name in source.grade or name in source.task):
            notes.append(f"the cell `{name}` was missing and was put back")
            places[name] = source.fresh(name, source.cells[name].source)
            nb.cells.insert(_place(nb, name, list(source.cells)), places[name])
    return notes


def _chosen(nb: NotebookNode, source: Sources, notes: list[str]) -> dict[str, int]:
    """Return which cell stands for each of the source's: of several the first that was answered, else the first."""
    found: dict[str, list[int]] = {}
    for at, cell in enumerate(nb.cells):
        name = (cell.metadata.get("nbgrader") or {}).get("grade_id", "")
        if name in source.cells:
            found.setdefault(name, []).append(at)
        elif name:
            notes.append(f"a cell calls itself `{name[:60]}`, which this assignment does not have")
    chosen = {}
    for name, places in found.items():
        answered = [at for at in places if nb.cells[at].source.strip() != source.cells[name].source.strip()]
        chosen[name] = answered[0] if answered and name in source.solution else places[0]
        if len(places) > 1:
            notes.append(f"the cell `{name}` is there {len(places)} times: cell {chosen[name] + 1} counts")
    return chosen


def _restored(cell: NotebookNode, name: str, source: Sources, notes: list[str]) -> NotebookNode:
    """Return the student's cell under the source's metadata; a locked one has the source's text."""
    own = source.cells[name]
    new = source.fresh(name, own.source if own.locked else cell.source)
    new["id"] = cell["id"]
    if cell.cell_type != own.cell_type:
        notes.append(f"the cell `{name}` was made a {cell.cell_type} cell; it is a {own.cell_type} cell again")
    elif own.locked and compute_checksum(new) == own.checksum and cell.source.strip() != _released(own.source):
        notes.append(f"the cell `{name}` was changed; the test that counts is the course's own")
    return new


def _released(source: str) -> str:
    from drydock_grading.calls import shown

    return shown(source).strip()


def _place(nb: NotebookNode, name: str, order: list[str]) -> int:
    """Return where a missing cell belongs: behind the nearest cell of the source above it that is there."""
    there = {c.metadata.nbgrader["grade_id"]: at for at, c in enumerate(nb.cells) if "nbgrader" in c.metadata}
    above: Iterator[str] = reversed(order[: order.index(name)])
    return next((there[one] + 1 for one in above if one in there), len(nb.cells) if not there else 0)
