"""Predict first, then look: a question whose answer is kept, and set beside what really happened."""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from drydock import record
from drydock.model.layer import counted
from drydock.model.prose import as_text

from drydock_widgets.base import Picture, asset
from drydock_widgets.card import Mark, safe

KINDS = ("choice", "several", "number", "text", "order")
NO_QUESTION = "{path} has no question {id!r}. It has: {known}."
NOT_A_NUMBER = "{answer!r} is not a number. Write digits only, such as 12 or 0.5."


class Question(Picture):
    """A question to answer before you know: your answer stays yours, right or wrong.

    `truth` is the right answer, or a function that gives it, or None until `reveal(truth)` is called.
    What stands between two backticks is shown as code.
    """

    arguments = ("kind", "prompt", "choices", "truth", "explanation", "unit", "tolerance", "id", "notebook")
    _esm = asset("question.js")
    _css = asset("question.css")

    def __init__(
        self,
        kind: str = "text",
        prompt: str = "",
        choices: Sequence[str] = (),
        truth: Any | Callable[[], Any] = None,
        explanation: str = "",
        unit: str = "",
        tolerance: float = 0,
        id: str = "",
        notebook: str = "",
        **unknown: Any,
    ) -> None:
        super().__init__(**unknown)
        if kind not in KINDS:
            raise ValueError(f"A question of kind {kind!r} does not exist. There are: {', '.join(KINDS)}.")
        self.kind, self.prompt, self.choices = kind, prompt, list(choices)
        self.explanation, self.unit, self.tolerance = explanation, unit, tolerance
        self.id, self.notebook = id, notebook
        self._truth = truth
        self._answer: Any = None
        self._problem = ""
        self.revealed = False
        self._kept: tuple[Any, ...] = ()
        self._recall()
        self.refresh()

    @classmethod
    def load(cls, path: str | Path, id: str, truth: Any = None) -> Question:
        """Return one question of a questions.toml: kept there so that a cell shows the question, not its answer."""
        questions = tomllib.loads(Path(path).read_text("utf-8"))
        if id not in questions:
            raise KeyError(NO_QUESTION.format(path=path, id=id, known=", ".join(questions)))
        fields: dict[str, Any] = dict(questions[id])
        if "lines" in fields:  # what there is to put in order
            fields["choices"] = fields.pop("lines")
        notebook = Path(path).resolve().parent.name
        return cls(
            **{**fields, "id": id, "notebook": notebook, "truth": fields.get("truth") if truth is None else truth}
        )

    @property
    def truth(self) -> Any:
        """What is right; None while nobody knows yet."""
        return self._truth() if callable(self._truth) else self._truth

    @property
    def answer(self) -> Any:
        """What the learner answered; None before."""
        return self._answer

    @answer.setter
    def answer(self, value: Any) -> None:
        with self._guard:
            self._give(value)
            self.refresh()

    @property
    def right(self) -> bool | None:
        """True if the answer agrees with the truth; None while one of them is missing."""
        truth, answer = self.truth, self._answer
        if truth is None or answer is None:
            return None
        if self.kind == "number":
            return abs(answer - truth) <= self.tolerance
        if self.kind == "several":
            return set(answer) == set(truth)
        if self.kind == "text":
            return " ".join(str(answer).split()).casefold() == " ".join(str(truth).split()).casefold()
        return bool(answer == truth)

    def reveal(self, truth: Any = None) -> Question:
        """Set what really happened beside the answer, and show the question again."""
        with self._guard:
            self._truth = self._truth if truth is None else truth
            self.revealed = self.truth is not None
            if self._answer is not None:
                self._keep()
            self.refresh()
        return self

    def hear(self, message: Mapping[str, Any]) -> None:
        """Take the answer from the browser; once the truth is out it stands."""
        if "answer" in message and not self.revealed:
            self._give(message["answer"])

    def _give(self, value: Any) -> None:
        self._problem = ""
        try:
            self._answer = self._read(value)
        except (TypeError, ValueError) as problem:
            self._problem = str(problem)
            return
        self.revealed = self.truth is not None
        self._keep()

    def _keep(self) -> None:
        kept = (self._answer, self.truth, self.right)
        if kept != self._kept:  # a notebook that is run again says nothing new
            record.save_prediction(self.notebook, self.id, *kept)
        self._kept = kept

    def _recall(self) -> None:
        """Take the answer that the record has: the kernel that heard it is gone."""
        if not (self.id and self.notebook):
            return
        rows = [row for row in record.predictions(self.notebook) if row.get("question") == self.id]
        if rows:
            with contextlib.suppress(TypeError, ValueError):  # it was another question when it was answered
                self._answer = self._read(rows[-1].get("answer"))
                self._kept = tuple(rows[-1].get(name) for name in ("answer", "truth", "right"))
                self.revealed = self.truth is not None

    def _read(self, value: Any) -> Any:
        if self.kind == "number":
            try:
                return float(str(value).strip().replace(",", "."))
            except ValueError:
                raise ValueError(NOT_A_NUMBER.format(answer=safe(value, 40))) from None
        if self.kind in ("several", "order"):
            chosen = [str(item) for item in value]
            if set(chosen) - set(self.choices) or (self.kind == "order" and sorted(chosen) != sorted(self.choices)):
                raise ValueError("Choose from the lines above.")
            return chosen
        if self.kind == "choice" and value not in self.choices:
            raise ValueError("Choose one of the answers above.")
        return str(value)[:2000]

    def _shown(self, value: Any) -> str:
        if self.kind == "number" and value is not None:
            things = self.unit.endswith("s") and len(self.unit) > 1  # layers, steps: not MB, and not s
            value = int(value) if value == int(value) else value
            return counted(value, self.unit[:-1]) if things else f"{value:g} {self.unit}".strip()
        return (
            safe(" > ".join(value) if self.kind == "order" else ", ".join(value))
            if isinstance(value, list)
            else safe(value)
        )

    def sentence(self) -> str:
        """Return how things stand in one sentence."""
        if self._problem:
            return self._problem
        if self._answer is None:
            return f"It is: {self._shown(self.truth)}" if self.revealed else "Your guess first."
        mine = f"You said: {self._shown(self._answer)}"
        if not self.revealed:
            return f"Kept. {mine}"
        return f"= Right. {mine}" if self.right else f"! {mine} | It was: {self._shown(self.truth)}"

    def snapshot(self) -> dict[str, Any]:
        """Return what the browser shows; the truth is not in it before it is revealed."""
        shown = {"truth": self._shown(self.truth), "why": self.explanation} if self.revealed else {}
        return {
            "kind": self.kind, "prompt": safe(self.prompt, 1000), "choices": [safe(c) for c in self.choices],
            "unit": self.unit, "answer": self._answer, "revealed": self.revealed, "right": self.right,
            "sentence": self.sentence(), "problem": bool(self._problem), **shown,
        }  # fmt: skip

    def still(self) -> tuple[str, str, list[Any], list[str], list[list[Any]]]:
        """Return the question for paper: what was answered; folded away the truth, since nobody can answer there."""
        known = self.truth
        marks = [Mark(self._outcome(choice), choice) for choice in self.choices]
        marks = marks or [Mark("", f"a {self.kind} {self.unit}".rstrip())]
        rows = [["Your answer", self._shown(self._answer) if self._answer is not None else "none yet"]]
        rows += [["What is right", self._shown(known)], ["Why", self.explanation]] if known is not None else []
        said = f"{self.prompt} {self.sentence()}" if self.revealed or self._answer is not None else self.prompt
        return said, "Question: your guess first", marks, ["", ""], rows

    def _outcome(self, choice: str) -> str:
        """Return what a choice is marked with on paper; where lines are put in order, the sentence says it."""
        known = (self._answer, self.truth if self.revealed else None)
        mine, right = (choice in (value if isinstance(value, (list, tuple)) else [value]) for value in known)
        if self.kind == "order" or not (mine or right):
            return ""
        if not self.revealed:
            return "> yours"
        return ("= yours, right" if right else "! yours, wrong") if mine else "< right"

    def picture(self) -> str:
        """Return the question as text, with the truth where it is known."""
        lines = [safe(self.prompt, 1000), *(f"  ( ) {choice}" for choice in map(safe, self.choices))]
        if self._answer is not None:
            lines.append(f"You said: {self._shown(self._answer)}")
        if self.truth is not None:
            lines += [f"It is: {self._shown(self.truth)}", *([self.explanation] if self.explanation else [])]
        return as_text("\n".join(lines))
