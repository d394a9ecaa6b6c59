"""The glue to nbgrader: scores from the artifact, computed here, and feedback that keeps hidden checks hidden."""

from __future__ import annotations

from pathlib import Path

from drydock.model.reference import InvalidReference, Reference
from nbconvert.exporters.exporter import ResourcesDict
from nbformat import NotebookNode, v4
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import List, Unicode

from drydock_grading import bases, reading, remote
from drydock_grading.assignments import UnknownCheck, find, of_folder
from drydock_grading.calls import HIDDEN, Call, calls, shown
from drydock_grading.checks.case import Case, run
from drydock_grading.execution import is_test
from drydock_grading.result import CheckResult, none

WITHHELD = "A hidden check: {earned}"
NOT_SAID = "A hidden test did not pass."


KEPT = "drydock_artifact"  # among the resources that nbconvert hands from one preprocessor to the next


class TakeArtifact(NbGraderPreprocessor):
    """Reads the artifact before anything is executed: what students' code does to the folder then changes nothing."""

    def preprocess(self, nb: NotebookNode, resources: ResourcesDict) -> tuple[NotebookNode, ResourcesDict]:
        """Return the notebook as it is, and the artifact among the resources."""
        course, about = self.parent.parent.coursedir, resources["nbgrader"]
        # From where it was submitted: nbgrader's own copy was made by following links.
        place = course.format_path(course.submitted_directory, about["student"], about["assignment"])
        resources[KEPT] = reading.read(Path(place))
        return nb, resources


class ArtifactCheck(NbGraderPreprocessor):
    """Runs the checks that test cells call in the grader's own process, on the files that were handed in.

    What the cell shows afterwards is all its own: whatever the student's kernel printed is dropped. It comes after the
    execution, whichever that is, and before SaveAutoGrades, which reads the points from the cell.
    """

    registries = List(
        Unicode(), help="Registries that may be asked whether they still have a pushed image: host, or host:port."
    ).tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: ResourcesDict) -> tuple[NotebookNode, ResourcesDict]:
        """Return the notebook with a score and its reason in each test cell that calls a check."""
        tests = [cell for cell in nb.cells if is_test(cell) and calls(cell.source)]
        case = self._case(resources) if tests else None
        for count, cell in enumerate(tests, 1):
            cell.outputs = _outputs(cell, case, count)
            cell.execution_count = count
        return nb, resources

    def _case(self, resources: ResourcesDict) -> Case | None:
        about = resources["nbgrader"]
        assignment = of_folder(about["assignment"])
        if assignment is None:
            return None
        seen = self._seen if self.registries else None
        return Case(resources[KEPT], assignment, about["student"], bases.load(), seen)

    def _seen(self, name: str) -> tuple[str, str]:
        """Ask a registry, if it is one of the course's: a submission must not choose whom the grader talks to."""
        try:
            domain = Reference.parse(name).domain
        except InvalidReference as error:
            raise remote.NotThere(str(error)) from None
        if domain not in self.registries:
            raise remote.NotThere(f"{domain} is not one of the course's registries.")
        return remote.manifest(name, timeout=5)


def _outputs(cell: NotebookNode, case: Case | None, count: int) -> list[NotebookNode]:
    """Return a cell's value: its verdicts to read, and its points as the text that nbgrader takes."""
    judged = [(call, _verdict(call, case)) for call in calls(cell.source)]
    earned, most = sum(r.points for _, r in judged), sum(r.max for _, r in judged)
    worth = float(cell.metadata.nbgrader["points"])
    score = round(worth * earned / most, 6) if most else 0.0
    data = {"text/plain": f"{score:g}", "text/html": "".join(_told(call, result) for call, result in judged)}
    return [v4.new_output("execute_result", data=data, execution_count=count)]


def _verdict(call: Call, case: Case | None) -> CheckResult:
    try:
        assignment, check = find(call.id)
    except UnknownCheck as error:
        return none(1, str(error))
    if case is None or case.assignment is not assignment:
        return none(check.max, f"{call.id} is not a check of this assignment.")
    return run(check, case)


def _told(call: Call, result: CheckResult) -> str:
    """Return what a student may read of a verdict, as HTML: of a hidden one the points alone."""
    return f"<div>{WITHHELD.format(earned=result.earned)}</div>" if call.hidden else result.html()


class HideHidden(NbGraderPreprocessor):
    """Takes hidden tests out of the feedback: their text, and the errors that would quote it."""

    def preprocess_cell(
        self, cell: NotebookNode, resources: ResourcesDict, index: int
    ) -> tuple[NotebookNode, ResourcesDict]:
        """Return the cell as a student may see it."""
        if cell.cell_type != "code" or not HIDDEN.search(cell.source):
            return cell, resources
        judged = bool(calls(cell.source))
        cell.source = shown(cell.source)
        if not judged:
            failed = any(o.output_type == "error" or o.get("name") == "stderr" for o in cell.outputs)
            cell.outputs = [v4.new_output("stream", name="stdout", text=NOT_SAID + "\n")] if failed else []
        return cell, resources
