"""What an exercise's cells call: `nonce`, `pack` and `check`, in the student's own kernel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from drydock.lessons.remark import Remark
from drydock.record import answers

from drydock_grading import artifact, bases, reading
from drydock_grading.assignments import ASSIGNMENTS, find
from drydock_grading.checks.case import Case, run
from drydock_grading.result import Score

NOBODY = (
    "Your course code cannot be made: the notebook does not know who you are.\n"
    "The code is made from your id, so that an image with your code is yours and nobody else's.\n"
    'Try: write your id between the quotes, as in me = "ada", and run that cell again'
)


class NoLearner(Remark):
    """No name is set for the learner."""


def learner() -> str:
    """Return the name you submit with. Raises: NoLearner."""
    name = answers.learner()
    if name == "me":
        raise NoLearner(NOBODY)
    return name


def nonce(assignment: str) -> str:
    """Return your own code for an exercise: the image that you hand in must have it. Raises: NoLearner, LookupError."""
    _known(assignment)
    return artifact.nonce(assignment, learner())


def pack(
    assignment: str,
    image: str,
    *,
    pushed: str = "",
    dockerfiles: Iterable[str] = (),
    others: Mapping[str, str] | None = None,
    notes: Iterable[str] = (),
    folder: str | Path = ".",
    client: Any = None,
) -> artifact.Artifact:
    """Write artifact.oci.tar and artifact.json beside the notebook, and return exactly what will be graded.

    Raises: NoLearner, packing.NoImage, BadArtifact, NoContext.
    """
    from drydock.client import connect  # here, for a grader's kernel packs nothing and need not load what does

    from drydock_grading import packing

    _known(assignment)
    return packing.pack(
        assignment, learner(), client or connect(), image, Path(folder), pushed, dockerfiles, others=others, notes=notes
    )


def check(id: str, *, folder: str | Path = ".") -> Score:
    """Return the points for the artifact beside the notebook; a cell that ends with it shows the verdict.

    At grading the same check runs on the same files in the grader's own process; what is shown here counts for nothing.
    Raises: UnknownCheck.
    """
    assignment, one = find(id)
    return Score(run(one, Case(reading.read(folder), assignment, answers.learner(), bases.load())))


def _known(assignment: str) -> None:
    if assignment not in ASSIGNMENTS:
        raise LookupError(f"There is no exercise {assignment!r}.\nTry: one of {', '.join(ASSIGNMENTS)}")
