"""Which steps of a build come from the cache, and why: foretold, watched as it happens, tried without building."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from drydock.model import cache, steps
from drydock.model.cache import Plan
from drydock.model.dockerfile import Dockerfile, DockerfileError
from drydock.model.steps import Build, Step

from drydock_widgets.base import Picture, asset
from drydock_widgets.card import Code, Mark, safe

PAGE = 60  # rows in the browser at a time
BUDGET = 20_000  # bytes of a snapshot
MAX_FILES = 40
EXPECTED = {
    cache.HIT: ("cached",),
    cache.MISS: ("ran", "failed"),
    cache.CONFIG: ("config",),
    cache.SKIPPED: ("skipped",),
}
WRONG_VALUE = "BuildCache shows a plan, a build or a running build, not {kind}. Try: BuildCache(drydock.plan())"


def reordered(dockerfile: Dockerfile, order: Sequence[int]) -> str:
    """Return the Dockerfile's text with its instructions in another order; comments travel with the line below them."""
    rows = dockerfile.source.splitlines()
    found = dockerfile.instructions
    first = found[0].lines[0] - 1
    ends = [first, *(i.lines[1] for i in found)]
    chunks = [rows[begin:end] for begin, end in pairwise(ends)]
    return "\n".join([*rows[:first], *(row for at in order for row in chunks[at]), *rows[ends[-1] :]]) + "\n"


class BuildCache(Picture):
    """The build, a line per step: what the cache will do, then what it did.

    Give it a plan (and try edits on it), or a build from `drydock.build(...)`, which runs when the widget is shown.
    """

    arguments = ("source",)
    _esm = asset("buildcache.js")
    _css = asset("buildcache.css")

    def __init__(self, source: Plan | Build | Iterable[Build], **unknown: Any) -> None:
        super().__init__(**unknown)
        self.plan: Plan | None = source if isinstance(source, Plan) else getattr(source, "plan", None)
        self.build: Build | None = source if isinstance(source, Build) else None
        if not isinstance(source, Plan | Build):
            if not isinstance(source, Iterable) or isinstance(source, str | bytes | Mapping):
                raise TypeError(WRONG_VALUE.format(kind=f"a {type(source).__name__}"))
            self._feed = source
        self._first, self._problem = 0, ""
        self._times: dict[int, list[float]] = {}  # step -> when it began and ended, for the replay
        self._begun: float | None = None
        self._try(range(len(self.plan.dockerfile.instructions)) if self.plan else (), frozenset())
        self.refresh()

    @property
    def can_try(self) -> bool:
        """True while nothing was built: afterwards the plan is about a cache that is no more."""
        return self.plan is not None and self.build is None and self._feed is None

    def watch(self, values: Iterable[Build]) -> Build | None:
        """Show a build as it happens, wait for its end, and return it."""
        self.plan = getattr(values, "plan", self.plan)
        self._times, self._begun, self._feed = {}, time.monotonic(), None
        return super().watch(values)

    def take(self, value: Build) -> None:
        """Take the next state of the build, and note for the replay when each step began and ended."""
        now = round(time.monotonic() - self._begun, 3) if self._begun is not None else 0.0
        for step in value.steps:
            if step.state != "waiting":
                span = self._times.setdefault(step.number, [now])
                if step.done and len(span) == 1:
                    span.append(now)
        running = next((step.number for step in value.steps if step.state == "running"), 1)
        self._first = (running - 1) // PAGE * PAGE
        self.build = value

    def hear(self, message: Mapping[str, Any]) -> None:
        """Turn the page, or try an edit: move a line, change a file, or take it all back."""
        page, edit = message.get("page"), message.get("edit")
        if isinstance(page, int):
            self._first = max(0, min(page, len(self._rows()) - 1)) // PAGE * PAGE
        if not self.can_try:
            return
        if message.get("reset"):
            self._try(sorted(self._order), frozenset())
        elif "move" in message:
            self._move(message["move"], message.get("by"))
        elif isinstance(edit, str):
            self._try(self._order, self._edited ^ {edit} & {file.path for file in self._files()})

    def _move(self, line: Any, by: Any) -> None:
        """Swap a line with its neighbour. It is named, not its place: of two quick clicks the second counts as well."""
        at = self._order.index(line) if line in self._order else -1
        if by in (1, -1) and self._movable(at) and self._movable(at + by):
            order = list(self._order)
            order[at], order[at + by] = order[at + by], order[at]
            self._try(order, self._edited)

    def _movable(self, at: Any) -> bool:
        if not isinstance(at, int) or not 0 <= at < len(self._order) or self.plan is None:
            return False
        return self.plan.dockerfile.instructions[self._order[at]].keyword != "FROM"

    def _files(self) -> list[Any]:
        files = self.plan.context.files if self.plan else ()
        return [f for f in files if f.kind == "file" and not f.ignored and f.path.isprintable()]

    def _try(self, order: Iterable[int], edited: frozenset[str]) -> None:
        self._order, self._edited, self._problem = tuple(order), frozenset(edited), ""
        self._tried = self.plan
        if self.plan is None or not (self._edited or list(self._order) != sorted(self._order)):
            return
        text = reordered(self.plan.dockerfile, self._order) if list(self._order) != sorted(self._order) else None
        sizes = {file.path: file.size for file in self._files()}
        try:
            changes = {path: b"x" * (min(sizes[path], 1_000_000) + 1) for path in self._edited}
            self._tried = self.plan.edited(dockerfile=text, files=changes)
            _ = self._tried.predictions
        except (DockerfileError, ValueError) as problem:
            self._tried, self._problem = self.plan, f"That would not build: {problem}"
            self._order, self._edited = tuple(sorted(self._order)), frozenset()  # what is shown again

    def sentence(self) -> str:
        """Return what the figure shows in one sentence."""
        if self.build is not None:
            return self.build.sentence()
        if self._problem or self._tried is None:
            return self._problem or "Nothing has been built yet."
        edits = [f"`{path}` edited" for path in sorted(self._edited)]
        edits += ["lines moved"] if list(self._order) != sorted(self._order) else []
        return f"What if ({', '.join(edits)}): {self._tried.sentence()}" if edits else self._tried.sentence()

    def _rows(self) -> list[dict[str, Any]]:
        if self.build is not None:
            return [self._built(step) for step in self.build.steps]
        if self._tried is None:
            return []
        pairs = zip(self._tried.dockerfile.instructions, self._tried.predictions, strict=True)
        return [
            {"n": n, "line": line, "text": i.text, "glyph": cache.GLYPHS[p.verdict], "word": p.verdict, "why": p.why,
             "up": self._movable(n - 1) and self._movable(n - 2), "down": self._movable(n - 1) and self._movable(n)}
            for n, (line, (i, p)) in enumerate(zip(self._order, pairs, strict=True), 1)
        ]  # fmt: skip

    def _built(self, step: Step) -> dict[str, Any]:
        row = {"n": step.number, "text": step.text, "glyph": steps.GLYPHS[step.state], "word": step.state,
               "why": step.error or (step.prediction.why if step.prediction else ""), "time": step.seconds,
               "note": step.progress, "at": self._times.get(step.number, [])}  # fmt: skip
        if step.prediction is not None:
            expected = EXPECTED.get(step.prediction.verdict)
            agree = "as foretold" if expected and step.state in expected else f"foretold: {step.prediction.verdict}"
            row["foretold"] = agree if step.done else f"foretold: {step.prediction.verdict}"
        if step.state in ("running", "failed"):
            row["output"] = [safe(line, 160) for line in step.output[-5:]]
        return row

    def snapshot(self) -> dict[str, Any]:
        """Return one page of steps; texts are cut as short as it takes to stay within 20 kB."""
        rows = self._rows()
        plan = self._tried
        files = [
            {"path": safe(f.path, 80), "id": f.path, "on": f.path in self._edited} for f in self._files()[:MAX_FILES]
        ]
        whole = {
            "mode": "build" if self.build is not None else "plan", "builder": self.build.builder if self.build else
            plan.builder if plan else "", "engine": safe(self.build.engine, 60) if self.build else "",
            "status": self.build.state if self.build else "planned", "sentence": safe(self.sentence(), 400),
            "problem": safe((self.build.error if self.build else "") or "", 600), "first": self._first, "page": PAGE,
            "count": len(rows), "files": files if self.can_try else [],
            "tried": self._tried is not self.plan or bool(self._problem), "try": self.can_try,
            "end": self.build.seconds if self.build and self._times and self.build.state != "running" else None,
        }  # fmt: skip
        for limit in (300, 120, 60, 30):
            page = [
                {
                    **row,
                    "text": safe(row["text"], limit),
                    "why": safe(row["why"], limit + 60),
                    "note": safe(row.get("note", ""), 60),
                }
                for row in rows[self._first : self._first + PAGE]
            ]
            if len(json.dumps({**whole, "rows": page})) < BUDGET:
                break
        return {**whole, "rows": page}

    def still(self) -> tuple[str, str, list[Any], list[str], list[list[Any]]]:
        """Return the steps for paper."""
        rows = self._rows()
        times = [f"{row['time']:.1f} s" if row.get("time") is not None else "" for row in rows]
        longest = max((row.get("time") or 0 for row in rows), default=0) or 1
        marks = [
            Mark(f"{row['glyph']} {row['word']}", Code(row["text"]), (row.get("time") or 0) / longest, spent)
            for row, spent in zip(rows, times, strict=True)
        ]
        head = ["Step", "State", "Instruction", "Time", "Why", "Foretold"]
        cells = [
            [row["n"], f"{row['glyph']} {row['word']}", Code(row["text"]), spent, row["why"], row.get("foretold", "")]
            for row, spent in zip(rows, times, strict=True)
        ]
        return self.sentence(), "The build, step by step", marks, head, cells

    def picture(self) -> str:
        """Return the steps as text."""
        shown = self.build or self._tried
        return "\n".join(safe(line, 400) for line in shown.picture().splitlines()) if shown else self.sentence()
