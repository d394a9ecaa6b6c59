"""A virtual machine and a container side by side: what a program stands on in each, and what fifty of them cost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from drydock.model.layer import human
from drydock.model.prose import as_text
from drydock.model.stacks import GLYPHS, LAPTOP, NAMES, NEEDS, Figure, Need, Stack, alike, answer

from drydock_widgets.base import Picture, asset
from drydock_widgets.card import Mark, safe

MOST = 50  # apps
BUDGET = 20_000  # bytes of a snapshot
WRONG_VALUE = "Stacks shows a {kind}'s stack as {name}=, not {got}. Try: Stacks(vm=..., container=...)"
WORDS = {True: "yes", False: "no", None: "not measured"}


class Stacks(Picture):
    """Two columns: on the left a program in a virtual machine, on the right one in a container.

    Move the slider, and see what there is once, what there is once for each, and what that takes. Every figure says
    whether it was measured here, computed or cited.
    """

    arguments = ("vm", "container", "count", "memory")
    _esm = asset("stacks.js")
    _css = asset("stacks.css")

    def __init__(
        self,
        vm: Stack | None = None,
        container: Stack | None = None,
        count: int = MOST,
        memory: int = LAPTOP,
        **unknown: Any,
    ) -> None:
        super().__init__(**unknown)
        for name, one in (("vm", vm), ("container", container)):
            if not isinstance(one, Stack) or one.kind != name:
                got = f"a {one.kind}" if isinstance(one, Stack) else f"a {type(one).__name__}"
                raise TypeError(WRONG_VALUE.format(kind=name, name=name, got=got))
        assert vm is not None and container is not None
        self.stacks: tuple[Stack, Stack] = (vm, container)
        self.count, self.memory = max(1, min(int(count), MOST)), max(1, int(memory))
        self.refresh()

    def hear(self, message: Mapping[str, Any]) -> None:
        """Remember where slider and memory were left, for the saved picture; nothing is computed for the browser."""
        count, memory = message.get("count"), message.get("memory")
        if isinstance(count, int) and 1 <= count <= MOST:
            self.count = count
        if isinstance(memory, int) and 0 < memory <= 1 << 50:
            self.memory = memory

    def sentence(self) -> str:
        """Return what the figure says in two sentences."""
        return " ".join(one.sentence(self.count, self.memory) for one in self.stacks)

    def _column(self, one: Stack, limit: int) -> dict[str, Any]:
        biggest = max((s.size or 0 for each in self.stacks for s in each.strata), default=0) or 1
        strata = [{"name": s.name, "what": safe(s.what, limit), "times": s.times, "passed": s.passed,
                   "size": human(s.size) if s.size is not None else "",
                   "width": round(float(((s.size or 0) / biggest) ** 0.5), 4)} for s in one.strata]  # fmt: skip
        figures = {name: self._figure(figure, limit) for name, figure in one.figures().items()}
        title = NAMES[one.kind]
        return {
            "kind": one.kind,
            "title": title,
            "known": one.known,
            "strata": strata,
            "kernels": one.kernels,
            "path": one.path,
            **figures,
        }

    @staticmethod
    def _figure(figure: Figure | None, limit: int) -> dict[str, Any] | None:
        if figure is None:
            return None
        return {"value": figure.value, "text": figure.text, "known": figure.known, "glyph": GLYPHS[figure.known],
                "source": safe(figure.source, limit + 40)}  # fmt: skip

    def snapshot(self) -> dict[str, Any]:
        """Return all that the browser needs to do its sums alone."""
        needs = [{"ask": need.ask, "vm": need.vm, "container": need.container, "why": need.why, "rule": need.rule}
                 for need in NEEDS]  # fmt: skip
        for limit in (160, 80, 40, 20):
            columns = [self._column(one, limit) for one in self.stacks]
            whole = {"columns": columns, "needs": needs, "count": self.count, "most": MOST, "memory": self.memory,
                     "alike": alike(*self.stacks),
                     "sentence": safe(self.sentence(), 400)}  # fmt: skip
            if len(json.dumps(whole).encode()) < BUDGET:
                break
        return whole

    def still(self) -> tuple[str, str, list[Any], list[str], list[list[Any]]]:
        """Return both stacks for paper, with what so many of them take."""
        most = max((one.memory_of(self.count) or 0 for one in self.stacks), default=0) or 1
        marks, cells = [], []
        for one in self.stacks:
            marks.append(Mark("", f"{self.count} {NAMES[one.kind]}"))
            for s in one.strata:
                copies = "x 1" if s.times == "machine" else f"x {self.count}" if s.times == "app" else "x 1 image"
                marks.append(Mark(s.name, s.what, note=copies))
            memory = one.memory_of(self.count)
            if memory is not None and one.memory:
                marks.append(
                    Mark(
                        "memory", "", memory / most if alike(*self.stacks) else 0, f"{human(memory)} {one.memory.known}"
                    )
                )
            cells += [[NAMES[one.kind], name, f.text, f.known, f.source] for name, f in one.figures().items() if f]
        for need in NEEDS:
            said = [self._answer(need, one) for one in self.stacks]
            cells.append(["", need.ask, f"VM: {said[0]}", f"container: {said[1]}", need.why])
        title = "A kernel for each, or one kernel for all"
        return self.sentence(), title, marks, ["", "What", "Figure", "Known", "How, or why"], cells

    def _answer(self, need: Need, one: Stack) -> str:
        """Return whether a stack gives what is needed, and how that is known where it follows from a figure."""
        said = answer(need, one, self.count, self.memory)
        return WORDS[said] + (f" ({one.known})" if need.rule and said is not None else "")

    def picture(self) -> str:
        """Return both stacks as text, and which of them gives what."""
        rows = [self.sentence(), *(one.picture() for one in self.stacks)]
        for need in NEEDS:
            vm, container = (self._answer(need, one) for one in self.stacks)
            rows.append(f"{need.ask}?  VM: {vm}, container: {container}. {need.why}")
        return as_text("\n".join(rows))
