"""One image and its containers: each a thin writable layer on top of layers that all of them only read."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from drydock.model.change import LETTERS, Change, Writable
from drydock.model.image import Image
from drydock.model.layer import counted, human
from drydock.model.prose import as_text

from drydock_widgets.base import Picture, Shown, asset
from drydock_widgets.card import Code, Mark, safe
from drydock_widgets.layerstack import fingerprint

PAGE = 20  # containers in the browser at a time
ROWS = 30  # changes in the browser at a time
MOMENTS = 20  # the last steps are kept for the replay
MAX_LAYERS = 30
STILL = 10  # containers drawn on paper; the table has more
BUDGET = 20_000  # bytes of a snapshot
WRONG_VALUE = "WritableLayer shows containers, not {kind}. Try: WritableLayer(drydock.writable(container))"
OTHER_IMAGE = (
    "WritableLayer draws containers of one image, and {name} is of another.\nTry: a WritableLayer for each image"
)
Row = tuple[Change, int, int]  # a change, the moment at which it is first seen, the one at which it no longer is


@dataclass(frozen=True)
class Moment:
    """All containers at one point in time: what was done just before, and what that came to."""

    did: str
    sentence: str
    containers: Mapping[str, Writable]


class WritableLayer(Picture):
    """One stack of read-only layers, and on it each container's own layer, dashed and thin.

    Give it one container or several, or what yields them as they change: the last steps can then be replayed.
    Choose a container to see what it changed, choose a change to see what it cost and from which layer it came.
    """

    arguments = ("values",)
    _esm = asset("writablelayer.js")
    _css = asset("writablelayer.css")

    def __init__(self, *values: Writable | Iterable[Writable], **unknown: Any) -> None:
        super().__init__(**unknown)
        self.image: Image | None = None
        self.containers: dict[str, Writable] = {}
        self._moments: deque[Moment] = deque(maxlen=MOMENTS)
        self._focus, self._first, self._from = 0, 0, 0
        self._picked: tuple[str, str] | None = None
        self._shown = Shown()
        self._kept: tuple[list[Writable | None], list[Row]] = ([], [])
        if len(values) == 1 and not isinstance(values[0], Writable):
            if not isinstance(values[0], Iterable) or isinstance(values[0], str | bytes | Mapping):
                raise TypeError(WRONG_VALUE.format(kind=f"a {type(values[0]).__name__}"))
            self._feed = values[0]
        else:
            self._add(values)
        self.refresh()

    def take(self, value: Writable | Iterable[Writable]) -> None:
        """Take a container's newer state, or those of several at once."""
        values = (value,) if isinstance(value, Writable) else tuple(value)
        self._add(values)
        if values and list(self.containers)[self._focus] != values[-1].id:  # look where something happens
            self._focus, self._picked = list(self.containers).index(values[-1].id), None
        self._first, self._from = self._focus // PAGE * PAGE, 0

    def _add(self, values: Iterable[Any]) -> None:
        did = ""
        for one in values:
            if not isinstance(one, Writable):
                raise TypeError(WRONG_VALUE.format(kind=f"a {type(one).__name__}"))
            if self.image is not None and one.image.id != self.image.id:
                raise ValueError(OTHER_IMAGE.format(name=safe(one.name, 60)))
            self.image = one.image
            self.containers = {**self.containers, one.id: one}
            did = one.did or did
        if self.containers:
            self._moments.append(Moment(did, self.sentence(), self.containers))

    def hear(self, message: Mapping[str, Any]) -> None:
        """Choose a container or a change; turn a page."""
        focus, page, rows, pick = (message.get(name) for name in ("focus", "page", "rows", "pick"))
        if isinstance(focus, int) and 0 <= focus < len(self.containers):
            self._focus, self._from, self._picked = focus, 0, None
        if isinstance(page, int):
            self._first = max(0, min(page, len(self.containers) - 1)) // PAGE * PAGE
        if isinstance(rows, int):
            self._from = max(0, min(rows, len(self._rows()) - 1)) // ROWS * ROWS
        row = self._shown.row(message.get("listing"), pick)
        if row is not None:
            focus, path, kind = row
            if focus != self._focus:
                self._focus, self._from = focus, 0
            self._picked = (path, kind)

    def _rows(self) -> list[Row]:
        """Return what the chosen container changed in all moments, the heaviest first."""
        if not self.containers:
            return []
        identity = list(self.containers)[self._focus]
        states = [moment.containers.get(identity) for moment in self._moments]
        if [*map(id, self._kept[0])] != [*map(id, states)]:
            self._kept = (states, _spans(states))
        return self._kept[1]

    @property
    def size(self) -> int:
        """Bytes that all the containers have of their own."""
        return sum(one.size for one in self.containers.values() if one.there)

    def sentence(self) -> str:
        """Return what the figure says in one sentence."""
        if self.image is None:
            return "No container yet."
        if len(self.containers) == 1:
            return next(iter(self.containers.values())).sentence()
        there, shared = sum(one.there for one in self.containers.values()), self.image.size
        gone, own = len(self.containers) - there, human(self.size)
        told = f"{there} containers read the same {human(shared)}, stored once, and have {own} of their own"
        if there == 1:
            told = f"1 container reads {human(shared)} of the image, and has {own} of its own"
        told += f": {human(shared + self.size)} on disk."
        if there > 1:
            told += f" Copies would be {human(there * shared + self.size)}."
        return told + (f" {gone} removed, with all that {'it' if gone == 1 else 'they'} had written." if gone else "")

    def _biggest(self) -> int:
        layers = self.image.layers if self.image else ()
        return max([1, *(layer.size for layer in layers), *(one.size for one in self.containers.values())])

    def _container(self, n: int, identity: str, limit: int) -> dict[str, Any]:
        now, spans, last = self.containers[identity], [], None
        for at, moment in enumerate(self._moments):
            one = moment.containers.get(identity)
            if one is not last:
                spans.append([at, one and one.state, one and human(one.size), one and self._width(one.size)])
                last = one
        return {"n": n, "name": safe(now.name, limit), "spans": spans}

    def _width(self, size: int) -> float:
        return round(float((size / self._biggest()) ** 0.5), 4)

    def _layers(self, limit: int) -> list[dict[str, Any]]:
        if self.image is None:
            return []
        texts = {row.layer: row.instruction for row in self.image.history if row.layer is not None}
        rows = [{"layer": n, "text": safe(texts.get(n, ""), limit), "size": human(layer.size),
                 "width": self._width(layer.size), "id": fingerprint(layer.diff_id)}
                for n, layer in enumerate(self.image.layers)]  # fmt: skip
        return rows[-MAX_LAYERS:]

    def _detail(self, change: Change, limit: int) -> dict[str, Any]:
        return {"path": safe(change.path, limit + 60), "why": change.why(), "from": change.layer}

    def snapshot(self) -> dict[str, Any]:
        """Return one page of containers and one of changes; texts are cut as short as it takes to stay in 20 kB."""
        rows, names = self._rows(), list(self.containers)
        listing = self._shown.name([(self._focus, change.path, change.kind) for change, _, _ in rows])
        page = [(n, *row) for n, row in enumerate(rows)][self._from : self._from + ROWS]
        image = self.image
        for limit, moments in ((120, MOMENTS), (60, MOMENTS), (40, 10), (20, 3)):
            begin = max(0, len(self._moments) - moments)
            whole = {
                "sentence": safe(self.sentence(), 400), "focus": self._focus, "first": self._first, "page": PAGE,
                "count": len(names), "from": self._from, "rowsPage": ROWS, "rowsCount": len(rows), "begin": begin,
                "engine": safe(next((c.engine for c in self.containers.values()), ""), 60), "listing": listing,
                "chosen": safe(self.containers[names[self._focus]].name, limit) if names else "",
                "image": {"name": safe(", ".join(image.names) or image.id[:19], 80) if image else "",
                          "size": human(image.size) if image else "", "layers": self._layers(limit),
                          "cut": max(0, len(image.layers) - MAX_LAYERS) if image else 0},
                "containers": [self._container(n, names[n], limit)
                               for n in range(self._first, min(len(names), self._first + PAGE))],
                "rows": [{"n": n, "glyph": LETTERS[c.kind], "kind": c.kind, "path": safe(c.path, limit + 20),
                          "size": human(c.size) if c.what == "file" and c.kind != "removed" else "",
                          "at": [since, until], "picked": self._picked == (c.path, c.kind)}
                         for n, c, since, until in page],
                "moments": [[safe(m.did, limit), safe(m.sentence, 300)] for m in list(self._moments)[begin:]],
                "detail": next((self._detail(c, limit) for c, _, _ in rows if (c.path, c.kind) == self._picked), None),
            }  # fmt: skip
            if len(json.dumps(whole).encode()) < BUDGET:
                break
        return whole

    def still(self) -> tuple[str, str, list[Any], list[str], list[list[Any]]]:
        """Return the containers for paper, on top of the image's layers."""
        marks, cells, shown = [], [], list(self.containers.values())
        for one in shown:
            size = human(one.size) if one.there else f"{human(one.size)} gone"
            marks.append(Mark(one.state, Code(one.name), max(0.004, self._width(one.size)), size, dashed=True))
            cells += [[one.name, LETTERS[c.kind], Code(f"/{c.path}"), human(c.size), c.why()] for c in one.changes]
        if len(marks) > STILL:
            marks[STILL:] = [
                Mark("", f"and {counted(len(marks) - STILL, 'more container')}, {human(self.size)} in all")
            ]
        layers = self._layers(120)
        marks += [Mark(f"layer {r['layer']}", Code(r["text"]), r["width"], r["size"]) for r in reversed(layers[-12:])]
        cells += [
            ["(image)", "", Code(r["text"]), r["size"], f"layer {r['layer']}, read only"] for r in reversed(layers)
        ]
        title = "Thin writable layers, dashed, on top of layers that are only read"
        return self.sentence(), title, marks, ["Container", "", "Path", "Size", "What it cost"], cells

    def picture(self) -> str:
        """Return the containers as text, and the image below them."""
        shown = [one.picture() for one in list(self.containers.values())[:PAGE]]
        left = len(self.containers) - len(shown)
        more = [f"and {counted(left, 'more container')}"] if left > 0 else []
        return "\n".join([as_text(self.sentence()), *shown, *more, *([self.image.picture()] if self.image else [])])


def _spans(states: list[Writable | None]) -> list[Row]:
    """Return each change with the moments between which it is seen, the heaviest first, folders last."""
    found: dict[Change, list[int]] = {}
    last = None
    for at, one in enumerate(states):
        now = set(one.changes) if one is not None and one.there else set()
        if one is not last:
            for change in now:
                found.setdefault(change, [at, at])
            last = one
        for change in now:
            found[change][1] = at + 1
    rows = [(change, since, until) for change, (since, until) in found.items()]
    return sorted(rows, key=lambda row: (row[0].kind == "changed" and not row[0].copied, -row[0].size, row[0].path))
