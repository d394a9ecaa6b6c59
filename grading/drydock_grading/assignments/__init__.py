"""The course's assignments by the name that their folders begin with."""

from __future__ import annotations

import difflib

from drydock_grading.assignments.ex1 import EX1
from drydock_grading.assignments.ex2 import EX2
from drydock_grading.assignments.ex3 import EX3
from drydock_grading.checks.case import Assignment, Check

ASSIGNMENTS = {one.name: one for one in (EX1, EX2, EX3)}


class UnknownCheck(LookupError):
    """No assignment has a check of that id; the message names the nearest."""


def find(id: str) -> tuple[Assignment, Check]:
    """Return a check by its id, with its assignment.

    >>> find("ex1.bse")
    Traceback (most recent call last):
    drydock_grading.assignments.UnknownCheck: There is no check 'ex1.bse'.
    Try: check("ex1.base")

    Raises: UnknownCheck.
    """
    known = {check.id: (assignment, check) for assignment in ASSIGNMENTS.values() for check in assignment.checks}
    if id not in known:
        near = difflib.get_close_matches(id, known, 1, 0) or list(known)
        raise UnknownCheck(f'There is no check {id[:40]!r}.\nTry: check("{near[0]}")')
    return known[id]


def of_folder(name: str) -> Assignment | None:
    """Return the assignment that a folder holds.

    >>> of_folder("ex1-pull-modify-push").title
    'Pull, modify, push'
    """
    return ASSIGNMENTS.get(name.partition("-")[0])
