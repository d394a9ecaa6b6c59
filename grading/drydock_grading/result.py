"""What a check says: points, the reason for them, and a hint drawn from what is wrong now."""

from __future__ import annotations

from dataclasses import dataclass

from drydock.model.layer import counted, shown
from drydock.model.prose import as_html, as_text

LONGEST = 400  # characters of a reason: names in it come from a submission
MARKS = {"full": ("✓", "right"), "part": ("◐", "partly right"), "none": ("✗", "not yet")}


@dataclass(frozen=True, repr=False)
class CheckResult:
    """One check's verdict on one piece of work: what it earned of what can be earned, and why."""

    points: float
    max: float
    passed: bool
    reason: str
    misconception: str = ""  # an id of drydock_grading.misconceptions
    hint: str = ""

    @property
    def mark(self) -> tuple[str, str]:
        """Return the sign and the word for the verdict: neither stands alone, and no colour is needed.

        >>> CheckResult(1, 2, False, "one file of two").mark
        ('◐', 'partly right')
        """
        return MARKS["full" if self.passed else "part" if self.points > 0 else "none"]

    def picture(self) -> str:
        """Return the verdict as text.

        >>> print(CheckResult(0, 2, False, "There is no CMD.", hint="What should start?").picture())
        ✗ not yet: 0 of 2 points. There is no CMD.
          Hint: What should start?
        """
        sign, word = self.mark
        rows = [f"{sign} {word}: {self.earned} {as_text(shown(self.reason))}"]
        return "\n".join(rows + [f"  Hint: {as_text(shown(self.hint))}"] * bool(self.hint))

    @property
    def earned(self) -> str:
        """Return the points in words.

        >>> CheckResult(1, 1, True, "").earned
        '1 of 1 point.'
        """
        return f"{self.points:g} of {counted(self.max, 'point')}."

    def __repr__(self) -> str:
        return self.picture()

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/plain": self.picture(), "text/html": self.html()}

    def html(self) -> str:
        """Return the verdict as HTML: all that comes from outside is escaped."""
        sign, word = self.mark
        head = f"<b><span aria-hidden='true'>{sign}</span> {word}</b>: {self.earned}"
        hint = f"<br>Hint: {as_html(shown(self.hint))}" if self.hint else ""
        return f"<div role='status'>{head} {as_html(shown(self.reason))}{hint}</div>"


class Score(float):
    """A check's points, with the whole verdict in `.result`.

    A notebook shows the verdict. nbgrader reads the points from the same output: it takes the text of a cell's value as
    partial credit where that is a number (nbgrader.utils.determine_grade), and all the points where it is none.
    """

    result: CheckResult

    def __new__(cls, result: CheckResult) -> Score:
        """Return the points of a verdict.

        >>> score = Score(CheckResult(1.5, 2, False, "nearly"))
        >>> score, score.result.reason
        (1.5, 'nearly')
        """
        score = super().__new__(cls, result.points)
        score.result = result
        return score

    def __str__(self) -> str:
        return self.result.picture()

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self.result.html()}


def full(most: float, reason: str) -> CheckResult:
    """Return all points."""
    return CheckResult(most, most, True, _short(reason))


def part(points: float, most: float, reason: str, misconception: str = "", hint: str = "") -> CheckResult:
    """Return some of the points, or none.

    >>> part(5, 3, "never more than all").points
    3
    """
    return CheckResult(max(0, min(points, most)), most, False, _short(reason), misconception, _short(hint))


def none(most: float, reason: str, misconception: str = "", hint: str = "") -> CheckResult:
    """Return no points."""
    return part(0, most, reason, misconception, hint)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
