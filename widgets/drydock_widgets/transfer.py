"""A pull or push between two shelves, this machine and the registry: a row per blob, and what really moved."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

from drydock.model import transfer as moves
from drydock.model.layer import human
from drydock.model.transfer import Blob

from drydock_widgets.base import Picture, asset
from drydock_widgets.card import Mark, safe
from drydock_widgets.layerstack import fingerprint

PAGE = 30  # blobs in the browser at a time
MOMENTS = 12  # times of one blob that are kept for the replay
STEP = 0.1  # s between two of them while its state stays the same
BUDGET = 20_000  # bytes of a snapshot
WRONG_VALUE = "Transfer shows a pull or a push, not {kind}. Try: Transfer(drydock.push(name))"
WHY = {
    "waiting": "Its turn has not come.",
    "sending": "On its way to the registry.",
    "receiving": "On its way to this machine.",
    "unpacking": "It is here, and its files are being unpacked.",
    "mounted": "The registry has these bytes in its repository {source}, and lists them here, too: nothing was sent.",
    "sent": "The registry did not have it, so all of it was sent: {size}.",
    "received": "This machine did not have it, so all of it was fetched: {size}.",
    "failed": "It did not arrive. {note}",
    "cancelled": "It was given up on the way.",
}
EXISTS = {
    "push": "The registry has a blob of this digest, so nothing was sent.",
    "pull": "This machine has it, so nothing was fetched.",
}
ESTIMATED = " The engine did not say so; it is worked out from the manifest (~)."
LIST = "The list of the digests above: it only names them, and counts no byte here. The tag points at it."


class Transfer(Picture):
    """Two shelves, and the blobs of one image on them: what moved, and what was there already.

    Give it `drydock.push(name)` or `drydock.pull(name)`, which runs when the widget is shown, or what came of one.
    Afterwards the slider replays it; choose a blob to read why it moved, or did not.
    """

    arguments = ("source",)
    _esm = asset("transfer.js")
    _css = asset("transfer.css")

    def __init__(self, source: moves.Transfer | Iterable[moves.Transfer], **unknown: Any) -> None:
        super().__init__(**unknown)
        self.transfer: moves.Transfer | None = None
        self._first, self._begun = 0, 0.0
        self._times: dict[str, list[list[Any]]] = {}  # blob -> [seconds, state, bytes moved], for the replay
        if isinstance(source, moves.Transfer):
            self.transfer = source
        elif isinstance(source, Iterable) and not isinstance(source, str | bytes | Mapping):
            self._feed = source
        else:
            raise TypeError(WRONG_VALUE.format(kind=f"a {type(source).__name__}"))
        self.refresh()

    def watch(self, values: Iterable[moves.Transfer]) -> moves.Transfer | None:
        """Show a pull or push as it happens, wait for its end, and return it."""
        self._times, self._begun, self._feed, self.transfer = {}, time.monotonic(), None, None
        return super().watch(values)

    def take(self, value: moves.Transfer) -> None:
        """Take the newer state, and note when each blob changed."""
        if not isinstance(value, moves.Transfer):
            raise TypeError(WRONG_VALUE.format(kind=f"a {type(value).__name__}"))
        self._rename(value)
        before = {id(blob) for blob in self.transfer.blobs} if self.transfer else set()
        now = time.monotonic() - self._begun
        for blob in value.blobs:
            if id(blob) not in before:
                self._note(blob, now)
        self.transfer = value

    def _rename(self, value: moves.Transfer) -> None:
        """Keep the times of layers that the manifest gives another name: some engines call them by their diff ID."""
        names = {blob.short for blob in value.blobs}
        gone = [blob.short for blob in (self.transfer.blobs if self.transfer else ()) if blob.short not in names]
        new = [blob.short for blob in value.blobs if blob.kind == "layer" and blob.short not in self._times]
        if len(gone) == len(new):
            for old, name in zip(gone, new, strict=True):
                self._times[name] = self._times.pop(old, [])

    def _note(self, blob: Blob, now: float) -> None:
        times = self._times.setdefault(blob.short, [])
        if times and times[-1][1] == blob.state and (blob.done or now - times[-1][0] < STEP):
            times[-1][2] = blob.moved if blob.done else times[-1][2]
            return
        times.append([round(now, 3), blob.state, blob.moved])
        if len(times) > MOMENTS:
            del times[len(times) // 2]  # the first and the last states stay

    def hear(self, message: Mapping[str, Any]) -> None:
        """Turn a page."""
        page = message.get("page")
        if isinstance(page, int) and self.transfer is not None:
            self._first = max(0, min(page, len(self.transfer.blobs) - 1)) // PAGE * PAGE

    def sentence(self) -> str:
        """Return what the figure says in one sentence."""
        return self.transfer.sentence() if self.transfer else "Nothing has moved yet."

    def _why(self, blob: Blob, limit: int = 60) -> str:
        assert self.transfer is not None
        if blob.kind in ("manifest", "index"):
            return LIST
        size = human(blob.size) if blob.size is not None else human(blob.moved)
        said = {**WHY, "exists": EXISTS[self.transfer.direction]}[blob.state]
        told = said.format(source=safe(blob.source, limit), size=size, note=safe(blob.note, limit)).strip()
        return told + (ESTIMATED if blob.estimated and blob.done else "")

    def _width(self, blob: Blob) -> float:
        """Return the bar's length: the square root of the size, so that small blobs can be seen beside large ones."""
        assert self.transfer is not None
        largest = max([1, *(one.size or one.moved for one in self.transfer.blobs)])
        return round(float(((blob.size or blob.moved) / largest) ** 0.5), 4)

    def _row(self, n: int, blob: Blob, end: float | None, limit: int) -> dict[str, Any]:
        times = self._times.get(blob.short) or []
        if end is not None and times and len(times) == 1 and blob.done and blob.moved:
            times = [[0, "waiting", 0], *times]  # nobody said when it moved: at the end it had
        return {"n": n, "id": fingerprint(blob.id), "digest": safe(blob.id, 80), "kind": safe(blob.kind, 20),
                "state": blob.state, "size": blob.size, "moved": blob.moved, "width": self._width(blob),
                "estimated": blob.estimated, "note": safe(blob.note or blob.source, limit),
                "why": self._why(blob, limit), "at": times if end is not None else []}  # fmt: skip

    def snapshot(self) -> dict[str, Any]:
        """Return one page of blobs; the replay is left out where it would take more than 20 kB."""
        now = self.transfer
        if now is None:
            return {"sentence": self.sentence(), "rows": [], "count": 0, "first": 0, "page": PAGE, "end": None,
                    "direction": "", "head": "", "problem": "", "glyphs": moves.GLYPHS, "size": None, "moved": 0,
                    "estimated": False}  # fmt: skip
        last = max((times[-1][0] for times in self._times.values() if times), default=0)
        end = max(now.seconds or 0, last) if self._times and now.state != "running" else None
        for until, limit in ((end, 60), (end, 20), (None, 20)):
            page = list(enumerate(now.blobs))[self._first : self._first + PAGE]
            whole = {
                "direction": now.direction, "sentence": safe(self.sentence(), 400),
                "problem": safe(now.error or "", 900),
                "head": safe(f"{now.direction} of {now.name} · {now.engine} · {now.state}", 200),
                "digest": safe(now.digest, 80), "size": now.size, "moved": now.moved, "estimated": now.estimated,
                "end": until, "glyphs": moves.GLYPHS, "first": self._first, "page": PAGE, "count": len(now.blobs),
                "rows": [self._row(n, blob, until, limit) for n, blob in page],
            }  # fmt: skip
            if len(json.dumps(whole).encode()) < BUDGET:
                break
        return whole

    def still(self) -> tuple[str, str, list[Any], list[str], list[list[Any]]]:
        """Return the blobs for paper: a solid bar moved, a dashed one did not."""
        blobs = self.transfer.blobs if self.transfer else ()
        marks, cells = [], []
        for blob in blobs:
            state = f"{moves.GLYPHS[blob.state]} {blob.state}"
            size = human(blob.size) if blob.size is not None else "?"
            moved = ("~" if blob.estimated else "") + human(blob.moved)
            still = blob.state not in moves.MOVED
            marks.append(
                Mark(state, f"{blob.kind} {fingerprint(blob.id)}", self._width(blob), f"{moved} of {size}", still)
            )
            seconds = f"{blob.seconds:.1f} s" if blob.seconds is not None else ""
            cells.append([blob.short, blob.kind, state, moved, size, seconds, self._why(blob)])
        way = {"push": "From this machine to the registry", "pull": "From the registry to this machine"}
        title = way[self.transfer.direction] if self.transfer else "Two shelves"
        head = ["Digest", "What", "State", "Moved", "Of", "Time", "Why"]
        return self.sentence(), f"{title}: solid moved, dashed did not", marks, head, cells

    def picture(self) -> str:
        """Return the blobs as text."""
        lines = self.transfer.picture().splitlines() if self.transfer else [self.sentence()]
        return "\n".join(safe(line, 400) for line in lines)
