"""Which images an exercise may be built on, known by the diff IDs of their layers, which nobody can make up.

The course's own bases are made from the programs of a machine: of another release's programs comes another image.
One that is not on the list is accepted when all of it lies in the archive, and is what the kit makes and no more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from drydock.lessons import machine, own
from drydock.model.image import Image
from drydock.model.layer import Layer

LIST = Path(__file__).with_name("bases.json")
MARK = "drydock: this machine's "
DIFF_ID = re.compile(r"sha256:[0-9a-f]{64}")
PROGRAMS = re.compile(r"(usr/)?(bin|sbin)/[\w\[.+-]+|(usr/)?lib[\w-]*(/[\w.+-]+)*/[\w.+-]*\.so[\w.+-]*")
# drydock/python: the program, its library, and the shared libraries that they load
PYTHON = re.compile(rf"usr/local(/bin(/python[\d.]*)?|/lib(/python3\.\d+(/.*)?)?)?|{PROGRAMS.pattern}")


@dataclass(frozen=True)
class KnownBase:
    """One accepted base: its name, and its layers from the bottom up."""

    name: str
    diff_ids: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True)
class Bases:
    """The accepted bases of a course."""

    known: tuple[KnownBase, ...] = ()

    def under(self, diff_ids: Sequence[str], names: Iterable[str] | None = None) -> KnownBase | None:
        """Return the accepted base whose layers these begin with, the longest where several fit.

        >>> Bases((KnownBase("a", ("1",)), KnownBase("b", ("1", "2")))).under(["1", "2", "3"]).name
        'b'
        """
        allowed = None if names is None else set(names)
        fitting = [b for b in self.known if allowed is None or b.name in allowed]
        fitting = [b for b in fitting if b.diff_ids and tuple(diff_ids[: len(b.diff_ids)]) == b.diff_ids]
        return max(fitting, key=lambda b: len(b.diff_ids), default=None)


def load(path: Path = LIST) -> Bases:
    """Return the course's list of accepted bases."""
    rows = json.loads(path.read_text(encoding="utf-8"))["bases"]
    return Bases(tuple(KnownBase(r["name"], tuple(r["diff_ids"]), r.get("note", "")) for r in rows))


def add(base: KnownBase, path: Path = LIST) -> bool:
    """Put one more base on the list, and return False where it was there. Raises: ValueError for what is no base."""
    if not base.diff_ids or not all(DIFF_ID.fullmatch(one) for one in base.diff_ids):
        raise ValueError(f"{base.name!r} has no layers to know it by.\nTry: the name of an image that has some")
    before = load(path).known
    if any(b.diff_ids == base.diff_ids for b in before):
        return False
    rows = [{"name": b.name, "diff_ids": list(b.diff_ids), "note": b.note} for b in (*before, base)]
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"schema": 1, "bases": rows}, indent=1) + "\n", encoding="utf-8")
    new.replace(path)
    return True


def made_by_kit(image: Image, carried: int) -> KnownBase | None:
    """Return the kit's own base at the bottom of an image that was made on a machine not on the list, or None.

    Its mark in the history is a claim; the layers below the mark must be in the archive (`carried` is the first that
    is) and hold the kit's own files and a machine's programs, and nothing beside them.
    """
    labels = dict(image.config.labels)
    marked = [r.layer for r in image.history if r.created_by.startswith(MARK) and r.layer is not None]
    if carried or labels.get(own.RECIPE) != own.recipe() or marked not in ([0], [0, 1]):
        return None
    if not _is_bottom(image.layers[0]) or (len(marked) == 2 and not _is_python(image.layers[1])):
        return None
    name = own.PYTHON if len(marked) == 2 else own.BASE
    ids = tuple(layer.diff_id for layer in image.layers[: len(marked)])
    return KnownBase(name, ids, image.history[marked[-1]].created_by.removeprefix("drydock: "))


def _is_bottom(layer: Layer) -> bool:
    """Return True where a layer is drydock/base: the kit's files unchanged, a machine's programs, empty folders."""
    kit = {name: text for name, text in machine.OWN.items() if isinstance(text, bytes)}
    kit |= {f"usr/bin/{machine.PROGRAMS.joinpath('pkg').name}": (machine.PROGRAMS / "pkg").read_bytes()}
    kit |= {"srv/packages/portscan": (machine.PROGRAMS / "portscan").read_bytes()}
    for name, text in kit.items():
        entry = layer.by_path.get(name)
        if entry is None or entry.digest != "sha256:" + sha256(text).hexdigest():
            return False
    return all(e.kind == "directory" or e.path in kit or PROGRAMS.fullmatch(e.path) for e in layer.entries)


def _is_python(layer: Layer) -> bool:
    """Return True where a layer holds a Python with its library, and nothing beside it."""
    program = any(re.fullmatch(r"usr/local/bin/python3\.\d+", e.path) and e.size > 1000 for e in layer.entries)
    library = any(re.fullmatch(r"usr/local/lib/python3\.\d+/os\.py", e.path) for e in layer.entries)
    odd = [e for e in layer.entries if e.kind != "directory" and not PYTHON.fullmatch(e.path)]
    return program and library and not odd and not layer.whiteouts and not layer.opaque
