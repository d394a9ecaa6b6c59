"""How far a learner has come: of each notebook, how many questions were answered, and how many right the first time."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from drydock.record import answers
from drydock.record.lines import Row

COURSE = Path(__file__).parents[3]  # the folder that has `notebooks` and `exercises` in it, where the kit lives there
CLAIM = "You answered {answered} of {asked} questions, {right} of them right the first time."
NONE = "No question has been answered here yet. {asked} are asked in the course."
HEAD = ("part", "answered", "of", "right the first time")


@dataclass(frozen=True)
class Part:
    """One notebook or exercise: how many questions it asks, and how many the learner answered, and answered right."""

    name: str
    asked: int
    answered: int
    right: int

    def cells(self) -> tuple[str, str, str, str]:
        """Return the part as a table's row."""
        return self.name, str(self.answered), str(self.asked or "?"), str(self.right)


@dataclass(frozen=True)
class Standing:
    """A learner's progress: a figure with a text twin, which a saved notebook keeps."""

    parts: tuple[Part, ...]

    def sentence(self) -> str:
        """Return the progress in one sentence."""
        asked, answered, right = (sum(getattr(p, name) for p in self.parts) for name in ("asked", "answered", "right"))
        return (CLAIM if answered else NONE).format(asked=asked, answered=answered, right=right)

    def picture(self) -> str:
        """Return the progress as text.

        >>> print(Standing((Part("00-start", 1, 1, 1), Part("06-build-cache", 9, 3, 2))).picture())
        You answered 4 of 10 questions, 3 of them right the first time.
        part            answered  of  right the first time
        00-start               1   1                     1  ##########
        06-build-cache         3   9                     2  ###.......
        """
        wide = max((len(part.name) for part in self.parts), default=4)
        rows = [f"{HEAD[0]:<{wide}}  {HEAD[1]}  {HEAD[2]}  {HEAD[3]}"]
        for part in self.parts:
            name, answered, asked, right = part.cells()
            bar = "#" * (10 * part.answered // max(part.asked, part.answered, 1))
            rows.append(f"{name:<{wide}}  {answered:>8}  {asked:>2}  {right:>20}  {bar:.<10}")
        return "\n".join([self.sentence(), *rows])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Return what a notebook shows: a table with bars, of elements that JupyterLab keeps in any saved notebook."""
        head = "".join(f'<th scope="col">{name}</th>' for name in (*HEAD, ""))
        rows = "".join(f"<tr>{_html(part)}</tr>" for part in self.parts)
        said = f"<caption>{escape(self.sentence())}</caption>"
        table = f"<table>{said}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        return {"text/html": table, "text/plain": self.picture()}


def _html(part: Part) -> str:
    name, *numbers = part.cells()
    most = max(part.asked, part.answered, 1)
    words = f"{part.answered} of {part.asked or '?'} answered"
    meter = f'<meter min="0" max="{most}" value="{part.answered}" title="{words}">{words}</meter>'
    cells = "".join(f"<td>{number}</td>" for number in numbers)
    return f'<th scope="row">{escape(name)}</th>{cells}<td>{meter}</td>'


def progress(course: str | Path = COURSE) -> Standing:
    """Return how far this learner is, counted from the answers that are kept."""
    return stand(answers.read(), asked(Path(course)))


def stand(rows: Iterable[Row], parts: dict[str, tuple[str, set[str]]]) -> Standing:
    """Count answers, oldest first; a question's first answer whose verdict is known is the one that can be right.

    >>> first, second = ({"notebook": "05", "question": "q", "right": right} for right in (False, True))
    >>> stand([first, second], {"05": ("05-layers", {"q", "r"})}).parts
    (Part(name='05-layers', asked=2, answered=1, right=0),)
    """
    answered: dict[str, set[str]] = {}
    first: dict[tuple[str, str], bool] = {}
    for row in rows:
        notebook, question = str(row.get("notebook")), str(row.get("question"))
        known = parts.get(notebook)
        if known and question in known[1]:  # what is no longer asked, or never was, does not count
            answered.setdefault(notebook, set()).add(question)
            if isinstance(row.get("right"), bool):
                first.setdefault((notebook, question), row["right"])
    return Standing(tuple(
        Part(name, len(questions), len(answered.get(key, ())), sum(first.get((key, q), False) for q in questions))
        for key, (name, questions) in parts.items()
    ))  # fmt: skip


def asked(course: Path) -> dict[str, tuple[str, set[str]]]:
    """Return the questions of each notebook and exercise: by the folder that holds them, a name and their ids."""
    found = {}
    for path in sorted(course.glob("notebooks/*/questions.toml")) + sorted(course.glob("exercises/*/questions.toml")):
        key = path.parent.name
        notebook = next(iter(sorted(path.parent.parent.glob(f"{key}-*.ipynb"))), None)
        found[key] = (notebook.stem if notebook else key, set(tomllib.loads(path.read_text("utf-8"))))
    return found
