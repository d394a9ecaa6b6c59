"""What a learner predicted, and what then really happened: kept for the learner, and for nobody else."""

from __future__ import annotations

import os
import time
from typing import Any

from drydock.record import lines


def learner() -> str:
    """Return who is learning: `$DRYDOCK_LEARNER`, else `$JUPYTERHUB_USER`, else nobody by name."""
    return os.environ.get("DRYDOCK_LEARNER") or os.environ.get("JUPYTERHUB_USER") or "me"


def save(notebook: str, question: str, answer: Any, truth: Any = None) -> None:
    """Keep one answer; an answer given again comes after the first, which stays."""
    row = {"learner": learner(), "notebook": notebook, "question": question, "answer": answer, "truth": truth,
           "time": time.time()}  # fmt: skip
    lines.change("predictions", lambda rows: [*rows, row])


def read(notebook: str | None = None) -> list[lines.Row]:
    """Return this learner's predictions, oldest first."""
    mine = [row for row in lines.read("predictions") if row.get("learner") == learner()]
    return [row for row in mine if notebook is None or row.get("notebook") == notebook]


def progress() -> dict[str, int]:
    """Return how many questions of each notebook this learner has answered."""
    answered: dict[str, set[str]] = {}
    for row in read():
        answered.setdefault(row["notebook"], set()).add(row["question"])
    return {notebook: len(found) for notebook, found in answered.items()}
