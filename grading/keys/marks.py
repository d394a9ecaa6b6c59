"""What a key earned, check by check."""

from __future__ import annotations

from pathlib import Path

from drydock_grading import bases, reading
from drydock_grading.assignments import ASSIGNMENTS
from drydock_grading.checks.case import Case, run


def points(name: str, folder: Path, learner: str) -> dict[str, tuple[float, str]]:
    """Return points and reason by the check's short name."""
    assignment = ASSIGNMENTS[name]
    case = Case(reading.read(folder), assignment, learner, bases.load())
    found = {check.id.partition(".")[2]: run(check, case) for check in assignment.checks}
    return {id: (result.points, result.reason) for id, result in found.items()}


def marks(name: str, folder: Path, learner: str) -> int:
    """Print every check's points and reason, and return 0 for full marks, 1 for less."""
    found, most = points(name, folder, learner), ASSIGNMENTS[name].points
    for id, (earned, reason) in found.items():
        print(f"{id:8} {earned:g}  {reason}")
    total = sum(earned for earned, _ in found.values())
    print(f"{total:g} of {most:g}")
    return 0 if total == most else 1
