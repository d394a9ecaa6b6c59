"""The online store run two ways, side by side: as one box and as boxes with wires, under the same customers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from drydock.model.layer import counted, human
from drydock.model.shop import Comparison, Part, Run, Window
from drydock.model.shop_control import control_sentence

from drydock_widgets.base import Picture, asset
from drydock_widgets.card import Mark, safe

SLICES = 40  # of time in the browser, for each design; more of them are thinned out
SPARK = 20  # slices of a small multiple
ROWS = 30  # small multiples in the browser; all are in the saved table
EVENTS = 12  # for each design
SPANS = 8  # for each part
BUDGET = 20_000  # bytes of a snapshot
GLYPHS = {"running": ">", "starting": ".", "dead": "!", "stopped": "-", "not seen": "?"}
WRONG_VALUE = "Shop shows runs of the store, not {kind}. Try: Shop(store.play('crash'))"
NOTHING = "Nothing was run yet."
Span = tuple[float, str, str]  # since when (seconds), the part's state, and what is to be said of it


class Shop(Picture):
    """Both designs of the store: their processes, who was served in each slice of time, and what it took.

    Give it one comparison (or one run), what yields them as they happen, or a list of finished ones: then each is a
    row of small pictures to choose from.
    """

    arguments = ("values",)
    _esm = asset("shop.js")
    _css = asset("shop.css")

    def __init__(self, *values: Comparison | Run | Iterable[Comparison | Run], **unknown: Any) -> None:
        super().__init__(**unknown)
        self.comparisons: list[Comparison] = []
        self._spans: list[dict[tuple[str, str], list[Span]]] = []  # of each comparison: what became of each part
        self._focus = 0
        for value in values:
            if isinstance(value, Comparison | Run):
                self.take(value)
            elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
                for one in value:
                    self.take(one)
                self._focus = 0
            elif isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping) and len(values) == 1:
                self._feed = value
            else:
                raise TypeError(WRONG_VALUE.format(kind=f"a {type(value).__name__}"))
        self.refresh()

    def take(self, value: Any) -> None:
        """Take a newer state of the comparison that is under way, or the first of the next one."""
        if not isinstance(value, Comparison | Run):
            raise TypeError(WRONG_VALUE.format(kind=f"a {type(value).__name__}"))
        new = value if isinstance(value, Comparison) else Comparison((value,))
        last = self.comparisons[-1] if self.comparisons else None
        spoiled = last is not None and not last.done and new.tries > last.tries
        if spoiled:  # the attempt before is no row
            self.comparisons.pop()
            self._spans.pop()
        if (
            spoiled or last is None or last.done or last.plan != new.plan
        ):  # what was interrupted is never done: it stays
            self.comparisons.append(new)
            self._spans.append({})
        self.comparisons[-1] = new
        self._focus = len(self.comparisons) - 1
        for run in new.runs:
            for part in run.parts:
                spans = self._spans[-1].setdefault((run.design, part.name), [])
                at, said = _moment(run), (part.state, _told(part))
                if not spans and at > run.plan.slice:  # what comes finished does not say what it was before
                    spans.append((0.0, "not seen", "only its end was"))
                if spans and spans[-1][0] == at:
                    spans.pop()
                if not spans or spans[-1][1:] != said:
                    spans.append((at, *said))

    def hear(self, message: Mapping[str, Any]) -> None:
        """Choose one of the small pictures."""
        focus = message.get("focus")
        if isinstance(focus, int) and not isinstance(focus, bool) and 0 <= focus < len(self.comparisons):
            self._focus = focus

    @property
    def chosen(self) -> Comparison | None:
        """Return the comparison that is drawn large."""
        return self.comparisons[self._focus] if self.comparisons else None

    def sentence(self) -> str:
        """Return what the figure says: how the customers fared; before there are any, what it takes to be open."""
        if self.chosen is None:
            return NOTHING
        if any(run.requests for run in self.chosen.runs):
            return self.chosen.sentence()
        return self.chosen.provenance + " ".join(map(_up, self.chosen.runs))

    def snapshot(self) -> dict[str, Any]:
        """Return the chosen comparison and the small ones, thinned out as far as 20 kB ask for."""
        for slices, events, limit in ((SLICES, EVENTS, 160), (SLICES, 6, 90), (20, 4, 60), (10, 2, 30)):
            now = self.chosen
            first = max(0, min(self._focus - ROWS // 2, len(self.comparisons) - ROWS))
            rows = list(enumerate(self.comparisons))[first : first + ROWS]
            whole = {
                "sentence": safe(self.sentence(), 900), "focus": self._focus, "count": len(self.comparisons),
                "plan": safe(now.plan.sentence(), 200) if now else "", "seconds": now.plan.seconds if now else 0,
                "at": now.plan.at if now and now.plan.deed != "nothing" else None,
                "source": safe(now.runs[0].source, 60) if now else "",
                "why": safe(now.runs[0].why, 500) if now else "",
                "control": safe(control_sentence(now), 120) if now else "",
                "patience": now.plan.patience if now else 0,
                "measured": bool(now and all(run.measured for run in now.runs)),
                "memoryIs": safe(now.runs[0].memory_is, 140) if now else "",
                "longest": max([50.0, *(w.p95 or 0 for run in now.runs for w in run.windows)]) if now else 50.0,
                "heaviest": max([1, *(held for run in now.runs for _, held in run.held)]) if now else 1,
                "runs": [self._run(run, slices, events, limit) for run in now.runs] if now else [],
                "rows": [_row(n, one) for n, one in rows] if len(self.comparisons) > 1 else [],
            }  # fmt: skip
            if len(json.dumps(whole).encode()) < BUDGET:
                break
        return whole

    def _run(self, run: Run, slices: int, events: int, limit: int) -> dict[str, Any]:
        most = _greatest(self.chosen.runs if self.chosen else ())
        return {
            "design": safe(run.design, 20),
            "parts": [{"name": safe(p.name, 24), "inside": [safe(name, 24) for name in p.inside][:8],
                       "spans": [[round(at, 2), GLYPHS.get(state, "?"), safe(state, 12), safe(said, limit)]
                                 for at, state, said in _kept(self._spans[self._focus][run.design, p.name])]}
                      for p in run.parts[:12]],
            "windows": [[w.start, w.seconds, w.sent, w.ok, w.left, _ms(w.p50), _ms(w.p95)]
                        for w in _thinned(run.windows, slices)],
            "events": [[round(e.at, 2), safe(e.what, 24), safe(e.text, limit)] for e in run.events[:events]],
            "held": [[round(at, 1), held, human(held)] for at, held in _peaks(run.held, slices)],
            "figures": [[name, said, round(share, 3)] for name, said, share in _figures(run, most)],
            "kinds": [[kind, w.sent, w.ok] for kind, w in run.by_kind().items()] if run.requests else [],
        }  # fmt: skip

    def still(self) -> tuple[str, str, list[Any], list[str], list[list[Any]]]:
        """Return the chosen comparison for paper; where there are several, one line each and design."""
        head = ["Design", "From", "Asked", "Went well", "Gave up", "p50", "p95"]
        if self.chosen is None:
            return NOTHING, "The store, run two ways", [], head, []
        marks: list[Any] = []
        cells: list[list[Any]] = []
        most = _greatest(self.chosen.runs)
        for run in self.chosen.runs if len(self.comparisons) == 1 else ():
            named = run.design
            for name, said, share in _figures(run, most):
                marks.append(Mark(named, name, share, said))
                named = ""
            marks += [Mark("", f"{'before' if e.at < 0 else f'{e.at:.1f} s'}: {e.text}") for e in run.events[:3]]
        for one in self.comparisons if len(self.comparisons) > 1 else ():
            for run in one.runs:
                marks.append(Mark(run.design, _label(one), run.after.success or 0, _outcome(run)))
        for one in self.comparisons:
            for run in one.runs:
                cells += [[run.design, f"{_label(one)}: {run.source}", *[""] * 5]]
                cells += [[run.design, f"{w.start:.1f} s", w.sent, w.ok, w.left, _ms(w.p50), _ms(w.p95)]
                          for w in _thinned(run.windows, SLICES)]  # fmt: skip
        title = f"One store, two designs, the same customers ({self.chosen.runs[0].source})"
        return self.sentence(), title, marks, head, cells

    def picture(self) -> str:
        """Return the comparison as text; where there are several, a line each before it."""
        rows = [f"{_label(one):<44} {run.design:<9} {_outcome(run)}" for one in self.comparisons for run in one.runs]
        large = [self.chosen.picture()] if self.chosen else [NOTHING]
        return "\n".join([*(rows if len(self.comparisons) > 1 else []), *large, *self._started()])

    def _started(self) -> list[str]:
        return [self.sentence()] if self.chosen and not any(run.requests for run in self.chosen.runs) else []


def _told(part: Part) -> str:
    """Return what there is to say of a part besides its name and state."""
    said = [f"version {part.version}"] if part.version != "1.0" else []
    said += [part.stack] if part.stack != "tornado" else []
    said += [counted(part.replicas, "replica")] if part.replicas > 1 else []
    said += [part.fault] if part.fault else []
    said += [human(part.memory)] if part.memory else []
    return ", ".join([*said, *([f"up in {part.started:.2f} s"] if part.started is not None else [])])


def _up(run: Run) -> str:
    count = sum(part.replicas for part in run.parts if part.state == "running")
    said = f"{run.design}: {counted(count, 'process', 'processes')}"
    said += f", open after {run.started:.2f} s" if run.started is not None else ""
    return said + (f", {human(run.memory)} of memory." if run.memory else ".")


def _ms(value: float | None) -> float | None:
    return None if value is None else round(value, 1 if value < 10 else None)


def _thinned(windows: Sequence[Window], most: int) -> Sequence[Window]:
    """Return at most so many slices: neighbours become one; of their times the longer is kept, so no peak is lost."""
    while len(windows) > most:
        windows = [_joined(windows[n : n + 2]) for n in range(0, len(windows), 2)]
    return windows


def _joined(pair: Sequence[Window]) -> Window:
    p50, p95 = ([ms for ms in times if ms is not None] for times in ([w.p50 for w in pair], [w.p95 for w in pair]))
    seconds, left = sum(w.seconds for w in pair), sum(w.left for w in pair)
    sent, ok = sum(w.sent for w in pair), sum(w.ok for w in pair)
    return Window(pair[0].start, seconds, sent, ok, left, max(p50, default=None), max(p95, default=None))


def _moment(run: Run) -> float:
    """Return the moment of the run that its parts stand at: an engine may go on for a while after the last request."""
    end = run.windows[-1].start + run.plan.slice if run.windows else run.plan.seconds
    return min(run.now, run.plan.seconds, end)


def _kept(spans: Sequence[Span]) -> list[Span]:
    """Return so many spans as there is room for: the first, each change of state, the last, then the newest others."""
    last = len(spans) - 1
    changed = [n for n, span in enumerate(spans) if n in (0, last) or span[1] != spans[n - 1][1]][-SPANS:]
    others = [n for n in range(len(spans)) if n not in changed]
    room = SPANS - len(changed)
    return [spans[n] for n in sorted([*changed, *(others[-room:] if room else [])])]


def _peaks(held: Sequence[tuple[float, int]], most: int) -> list[tuple[float, int]]:
    """Return about so many moments: of neighbours the one with the most memory, and the last as it is."""
    step, before = -(-len(held) // most) or 1, held[:-1]
    tops = [max(before[n : n + step], key=lambda one: one[1]) for n in range(0, len(before), step)]
    return [*tops, *held[-1:]]


def _greatest(runs: Sequence[Run]) -> tuple[float, float, float]:
    """Return the greater memory, start-up and shipped bytes of the designs: the scale of their bars."""
    memory, started, shipped = (max((one or 0 for one in row), default=0) for row in (
        [run.memory for run in runs], [run.started for run in runs], [run.shipped for run in runs]))  # fmt: skip
    return memory or 1, started or 1, shipped or 1


def _figures(run: Run, most: tuple[float, float, float]) -> list[tuple[str, str, float]]:
    """Return what is compared: its name, the figure in words, and the length of its bar, 0 to 1."""
    rows, after, patience = [], run.after, 1000 * run.plan.patience
    if after.success is not None:
        rows.append(("went well", f"{100 * after.success:.0f} % of {after.sent}", after.success))
    if after.p50 is not None and after.p95 is not None:
        rows.append(("p50", f"{after.p50:.0f} ms", min(1.0, after.p50 / patience)))
        rows.append(("p95", f"{after.p95:.0f} ms", min(1.0, after.p95 / patience)))
    if run.memory is not None:
        rows.append(("memory", human(run.memory), run.memory / most[0]))
    if run.started is not None:
        rows.append(("start-up", f"{run.started:.2f} s", run.started / most[1]))
    if run.shipped is not None:
        rows.append(("shipped", human(run.shipped), run.shipped / most[2]))
    return rows


def _label(one: Comparison) -> str:
    plan = one.plan
    what = plan.deed if plan.deed == "nothing" else f"{plan.deed}: {plan.part}"
    remedies = f" + {', '.join(plan.remedies)}" if plan.remedies else ""
    return what + remedies + ("" if one.runs[0].measured else " (model)")


def _outcome(run: Run) -> str:
    after = run.after
    if after.success is None:
        return "not asked"
    return f"{100 * after.success:.0f} % well" + (f", p95 {after.p95:.0f} ms" if after.p95 is not None else "")


def _row(n: int, one: Comparison) -> dict[str, Any]:
    """Return a small multiple: for each design the share that went well, slice by slice, in tenths."""
    cells = []
    for run in one.runs:
        slices = _thinned(run.windows, SPARK)
        tenths = [-1 if w.success is None else round(10 * w.success) for w in slices]
        cells.append([safe(run.design, 20), tenths, _outcome(run)])
    return {"n": n, "label": safe(_label(one), 60), "cells": cells}
