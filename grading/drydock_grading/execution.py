"""How a submission is executed: one step of grading, named in nbgrader_config.py, that another can replace."""

from __future__ import annotations

from typing import Any

from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbconvert.exporters.exporter import ResourcesDict
from nbformat import NotebookNode, v4
from nbgrader.preprocessors import Execute
from nbgrader.preprocessors.execute import UnresponsiveKernelError
from nbgrader.utils import is_grade, is_solution

from drydock_grading.calls import calls
from drydock_grading.intake import DO

# What students' code brings about. A kernel that does not even start is the machine's fault, and costs nobody a point:
# that error goes up, and the submission is graded again.
LOST = (CellExecutionError, CellTimeoutError, DeadKernelError, UnresponsiveKernelError)
NOT_RUN = "This test did not run: {why}."


class ExecuteHere(Execute):
    """Executes a notebook in a kernel of this very user: students' code can do what the instructor can.

    Cells that build, run or push are passed over, and tests that look at the artifact: those are judged outside. A
    kernel that dies or hangs costs the tests that did not run, and not the submission.
    """

    def __init__(self, **kw: Any) -> None:
        super().__init__(**kw)
        self.skip_cells_with_tag = DO

    def preprocess(
        self, nb: NotebookNode, resources: ResourcesDict | None = None, km: Any = None
    ) -> tuple[NotebookNode, ResourcesDict]:
        """Return the notebook as executed, as far as it went."""
        why = "a cell above it did not come to an end"
        try:
            nb, resources = super().preprocess(nb, resources, km)
        except LOST as error:
            self.log.error("The kernel was lost: %s", error)
            why = f"the kernel was lost ({type(error).__name__})"
        for cell in nb.cells:
            if is_test(cell) and not calls(cell.source) and cell.execution_count is None:
                text = NOT_RUN.format(why=why)
                cell.outputs = [v4.new_output("error", ename="NotRun", evalue=text, traceback=[text])]
        return nb, resources if resources is not None else ResourcesDict()

    def preprocess_cell(
        self, cell: NotebookNode, resources: ResourcesDict, index: int
    ) -> tuple[NotebookNode, ResourcesDict]:
        """Execute one cell, unless it is judged outside."""
        if is_test(cell) and calls(cell.source):
            return cell, resources
        executed: tuple[NotebookNode, ResourcesDict] = super().preprocess_cell(cell, resources, index)
        return executed


def is_test(cell: NotebookNode) -> bool:
    """Return True for a cell that earns points by what it gives."""
    return cell.cell_type == "code" and bool(is_grade(cell)) and not is_solution(cell)
