"""An image as the stack of layers it is: what each step wrote, what later steps hide, where each file comes from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Any

from drydock.model import tree
from drydock.model.image import Image
from drydock.model.layer import counted, human

from drydock_widgets.base import Picture, Shown, asset
from drydock_widgets.card import Code, Mark, safe

PAGE = 40  # rows of the file list in the browser at a time
MAX_ROWS = 60  # rows of history; more than 127 layers no Docker stores
BUDGET = 20_000  # bytes of a snapshot
SHOWN = 2000  # characters of a file's content
GLYPHS = {**tree.MARKS, "same": "="}
PATTERNS = "▖▗▘▙▚▛▜▝▞▟"


def fingerprint(digest: str) -> str:
    """Return a digest as 7 hex digits and a small pattern, so that equal layers look equal at a glance.

    >>> fingerprint("sha256:0123456789abcdef")
    '0123456 ▖▗▘'
    """
    digits = digest.removeprefix("sha256:")
    numbers = [int(digit, 16) if digit in "0123456789abcdef" else 0 for digit in digits[:3]]
    return f"{digits[:7]} " + "".join(PATTERNS[n % len(PATTERNS)] for n in numbers)


class LayerStack(Picture):
    """One image, or two side by side: a bar per layer, the base at the bottom.

    Choose a layer to see what it wrote, or the whole file system as it stood then; choose a file to follow it.
    """

    arguments = ("image", "other")
    _esm = asset("layerstack.js")
    _css = asset("layerstack.css")

    def __init__(self, image: Image, other: Image | None = None, **unknown: Any) -> None:
        super().__init__(**unknown)
        for one in (image, other):
            if one is not None and not isinstance(one, Image):
                what = f"not a {type(one).__name__}. Try: LayerStack(drydock.image('alpine'))"
                raise TypeError(f"LayerStack shows images, {what}")
        self.images = (image,) if other is None else (image, other)
        self._hidden = [tree.hidden(one) for one in self.images]
        self.comparison = tree.compare(image, other) if other is not None else None
        self._listing = lru_cache(8)(self._list)
        self._shown = Shown()
        self._merged = lru_cache(2)(lambda which, layer: tree.tree_at(self.images[which], layer))
        last = self.images[-1].layers
        self._focus = (len(self.images) - 1, len(last) - 1)
        self._view = "compare" if self.comparison else "layer"
        self._folder, self._find, self._first = "", "", 0
        self._path: str | None = None
        self._content = ""
        self.refresh()

    def hear(self, message: Mapping[str, Any]) -> None:
        """Choose a layer, a view, a folder or a file; turn the page."""
        focus, view = message.get("focus"), message.get("view")
        if isinstance(focus, list) and self._is_layer(focus):
            self._focus, self._first = (focus[0], focus[1]), 0
            self._view = "layer" if self._view == "compare" else self._view
            if self._folder and self._folder not in self._tree():
                self._folder = ""
        if view in ("layer", "merged") or (view == "compare" and self.comparison):
            self._view, self._first, self._folder = view, 0, ""
        if isinstance(message.get("find"), str):
            self._find, self._first = message["find"][:200], 0
        if isinstance(message.get("page"), int):
            self._first = max(0, min(message["page"], len(self._rows()) - 1)) // PAGE * PAGE
        row = self._shown.row(message.get("listing"), message.get("file"))
        if row is not None:
            self._choose(row)
        if message.get("up"):
            self._folder, self._first = self._folder.rpartition("/")[0], 0
        if isinstance(message.get("content"), int):
            self._read(message["content"])

    def _is_layer(self, focus: list[Any]) -> bool:
        which = focus[0] if len(focus) == 2 and all(isinstance(one, int) for one in focus) else -1
        return 0 <= which < len(self.images) and 0 <= focus[1] < len(self.images[which].layers)

    def _choose(self, row: tuple[str, str, int]) -> None:
        path, kind, _ = row
        if kind != "folder":
            self._path, self._content = path, ""
        elif self._view == "merged" and path in self._tree():
            self._folder, self._first, self._find = path, 0, ""

    def _read(self, layer: int) -> None:
        image = self.images[self._focus[0]]
        if image.content is None or self._path is None or not 0 <= layer < len(image.layers):
            self._content = "Where this image was read, the contents of its files cannot be asked for."
            return
        try:
            data = image.content(layer, self._path)
        except Exception as problem:  # the daemon may be gone, or the image
            self._content = f"The content cannot be read any more: {safe(problem, 300)}"
            return
        text = data[: 4 * SHOWN].decode("utf-8", "replace")[:SHOWN]
        kept = "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)
        self._content = kept + ("\n…" if len(data) > len(text.encode()) else "") if data else "(empty)"

    def _tree(self) -> tree.Tree:
        return self._merged(*self._focus)

    def _rows(self) -> tuple[tuple[str, str, int], ...]:
        found: tuple[tuple[str, str, int], ...] = self._listing(self._focus, self._view, self._folder)
        return tuple(row for row in found if self._find in row[0]) if self._find else found

    def _list(self, focus: tuple[int, int], view: str, folder: str) -> tuple[tuple[str, str, int], ...]:
        """Return path, kind and bytes, the heaviest first."""
        image = self.images[focus[0]]
        if view == "compare" and self.comparison:
            rows = [(c.path, c.kind, max(c.size, c.before)) for c in self.comparison.files]
        elif focus[1] < 0:
            rows = []
        elif view == "layer":
            rows = [(c.path, c.kind, max(c.size, c.before)) for c in tree.changes(image, focus[1])]
        else:
            merged = self._tree()
            kids = [(kid, merged.nodes.get(kid)) for kid in merged.children(folder)]
            rows = [
                (kid, "folder" if node is None or node.entry.kind == "directory" else node.entry.kind, merged.size(kid))
                for kid, node in kids
            ]
        return tuple(sorted(rows, key=lambda row: (-row[2], row[0])))

    def sentence(self) -> str:
        """Return what the stack says in one sentence."""
        if self.comparison:
            c = self.comparison
            above = len(c.common) - c.shared
            higher = f", and {counted(above, 'layer')} with equal files higher up" if above > 0 else ""
            return (
                f"They share {counted(c.shared, 'layer')} ({human(c.shared_size)}), stored once{higher}. "
                f"Only in the first: {human(c.only_a)}; only in the second: {human(c.only_b)}."
            )
        image, lost = self.images[0], sum(self._hidden[0])
        head = f"{counted(len(image.layers), 'layer')}, {human(image.size)}."
        if not lost:
            return f"{head} Nothing in them is hidden by a later layer."
        share = f"{human(lost)} ({100 * lost / image.size:.0f} %)"
        return f"{head} {share} are hidden by later layers and shipped all the same; efficiency {self.efficiency:.0%}."

    @cached_property
    def efficiency(self) -> float:
        """The part of the stored bytes that was needed, as dive counts it."""
        return tree.efficiency(self.images[0])

    def _stack(self, which: int) -> list[dict[str, Any]]:
        image = self.images[which]
        biggest = max((layer.size for one in self.images for layer in one.layers), default=0) or 1
        bars = []
        for row in image.history:
            bar: dict[str, Any] = {"text": " ".join(row.instruction.split()) or "(not said)", "layer": row.layer}
            if row.layer is not None:
                layer, lost = image.layers[row.layer], self._hidden[which][row.layer]
                shared = bool(self.comparison and layer.diff_id in self.comparison.common)
                bar |= {"size": human(layer.size), "width": round((layer.size / biggest) ** 0.5, 4), "shared": shared,
                        "lost": round(lost / layer.size, 4) if layer.size else 0, "id": fingerprint(layer.diff_id),
                        "hidden": human(lost) if lost else ""}  # fmt: skip
            bars.append(bar)
        return bars

    def snapshot(self) -> dict[str, Any]:
        """Return the stacks and one page of files; texts are cut as short as it takes to stay within 20 kB."""
        rows = self._rows()
        listing = self._shown.name(rows)
        page = [(n, *row) for n, row in enumerate(rows)][self._first : self._first + PAGE]
        for limit in (160, 80, 40, 20):
            files = [{"n": n, "path": safe(path, limit), "kind": kind, "glyph": GLYPHS.get(kind, "·"),
                      "size": human(size)}
                     for n, path, kind, size in page]  # fmt: skip
            whole = {"sentence": self.sentence(), "focus": list(self._focus), "view": self._view, "files": files,
                     "stacks": [self._side(which, limit) for which in range(len(self.images))], "first": self._first,
                     "count": len(rows), "page": PAGE, "folder": safe(self._folder, 160), "find": safe(self._find),
                     "listing": listing,
                     "two": self.comparison is not None, "thread": self._thread(limit)}  # fmt: skip
            if len(json.dumps(whole, ensure_ascii=False).encode()) < BUDGET:
                break
        return whole

    def _side(self, which: int, limit: int) -> dict[str, Any]:
        image, bars = self.images[which], self._stack(which)
        kept = [{**bar, "text": safe(bar["text"], limit)} for bar in bars[-MAX_ROWS:]]
        name = ", ".join(image.names) or image.id[:19]
        return {"name": safe(name, 80), "size": human(image.size), "bars": kept, "cut": len(bars) - len(kept)}

    def _thread(self, limit: int) -> dict[str, Any] | None:
        if self._path is None:
            return None
        image = self.images[self._focus[0]]
        rows = [{"layer": a.layer, "kind": a.kind, "glyph": GLYPHS.get(a.kind, "·"), "size": human(a.size),
                 "id": fingerprint(a.digest) if a.digest else "", "mode": f"{a.mode & 0o7777:04o}"}
                for a in tree.thread(image, self._path)[-30:]]  # fmt: skip
        return {"path": safe(self._path, limit + 100), "rows": rows, "content": self._content}

    def still(self) -> tuple[str, str, list[Any], list[str], list[list[Any]]]:
        """Return the stacks for paper, the top layer first."""
        marks, cells = [], []
        for which, image in enumerate(self.images):
            name = ", ".join(image.names) or image.id[:19]
            if self.comparison:
                marks.append(Mark("", name, note=human(image.size)))
            for bar in reversed(self._stack(which)):
                has = bar["layer"] is not None
                state = f"layer {bar['layer']}" if has else "config"
                note = f"{bar['size']}{' shared' if bar['shared'] else ''}" if has else "no files"
                marks.append(Mark(state, Code(bar["text"]), bar.get("width", 0), note, bool(bar.get("hidden"))))
                cells.append([name, state, Code(bar["text"]), note, bar.get("hidden", ""), bar.get("id", "")])
        head = ["Image", "Layer", "Instruction", "Size", "Hidden by later layers", "Diff ID"]
        return self.sentence(), "The stack of layers, base at the bottom", marks, head, cells

    def picture(self) -> str:
        """Return the stacks as text, base first."""
        shown = [self.sentence(), *(one.picture() for one in self.images)]
        return "\n".join(shown)
