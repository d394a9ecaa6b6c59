"""What a learner predicted, and what then really happened: kept for the learner, and for nobody else."""

from __future__ import annotations

import time
from typing import Any

from drydock.record import lines
from drydock.record.learners import learner

__all__ = ["learner", "read", "save"]


def save(notebook: str, question: str, answer: Any, truth: Any = None, right: bool | None = None) -> None:
    """Keep one answer, and whether it was right where that is known; one given again comes after it, which stays."""
    row = {"learner": learner(), "notebook": notebook, "question": question, "answer": answer, "truth": truth,
           "right": right, "time": time.time()}  # fmt: skip
    lines.change("predictions", lambda rows: [*rows, row])


def read(notebook: str | None = None) -> list[lines.Row]:
    """Return this learner's predictions, oldest first."""
    mine = [row for row in lines.read("predictions") if row.get("learner") == learner()]
    return [row for row in mine if notebook is None or row.get("notebook") == notebook]
