"""Progress in one file, to be carried: from Binder home, from one machine to another, or kept before a reset.

The file is JSON Lines. Its first line says what it is (`{"schema": 1, "kind": "drydock-progress", "answers": 12}`), and
each further line is one answer: notebook, question, answer, truth, right, time. There is no name in it: who takes it in
makes it theirs. It comes from outside, so it is read as a stranger's: bounded, and checked whole before it is kept.
"""

from __future__ import annotations

import json
import math
import os
import re
import time
from pathlib import Path
from typing import Any

from drydock.record import answers, lines
from drydock.record.learners import learner
from drydock.record.lines import SCHEMA, Row, home

KIND = "drydock-progress"
FIELDS = ("notebook", "question", "answer", "truth", "right", "time")
LARGEST = 10_000_000  # bytes of a file: the whole course, answered a hundred times over, is a tenth of that
MOST = 20_000  # answers, in a file and in all
NAME = re.compile(r"[\w.-]{0,100}")
UNCHANGED = "Nothing was changed; what is here is still here."
NO_FILE = "There is no file {path}.\nTry: ls, or drydock progress export {path} where your answers are"
NOT_OURS = "{path} is no progress of Drydock ({why}). {unchanged}\nTry: a file that `drydock progress export` wrote"
OTHER = (
    "{path} was written by another version of Drydock (schema {schema}; this one reads {mine}). {unchanged}\n"
    "Try: bring the course on this machine up to date (git pull), then import it again"
)
DAMAGED = "{path} is damaged: {why}. {unchanged}\nTry: export it anew, or download it once more"
TOO_MANY = "{path} would make more than {most} answers. {unchanged}\nTry: drydock progress reset, which keeps a copy"
OTHERS = "{path} is there already and {why}, so it was not written over.\nTry: another name"
UNSEEN = "has answers that are not here yet (import it first)"
TOOK = "New in {path}: {new} of {all} answers; they were added. {rest}"
THERE = "The others were here already."
WROTE = "{path} has your answers, {count} in all. To go on elsewhere: drydock progress import {path}"
RESET = "Your answers, {count} in all, are set back to none. {path} is a copy.\nTo undo: drydock progress import {path}"
NOTHING = "There is nothing to reset: no question has been answered here."


class BadProgress(ValueError):
    """A file from which no progress can be taken, or which must not be written over; the message says why."""


def export(path: str | Path) -> str:
    """Write this learner's answers to one file, and return a sentence that says so. Raises: BadProgress, OSError."""
    path, mine = Path(path), [row for kept in answers.read() if (row := _sound(kept))]
    if path.exists():
        try:
            unseen = {_key(row) for row in load(path)} - {_key(row) for row in mine}
        except BadProgress:
            raise BadProgress(OTHERS.format(path=path, why="is not your progress as it was exported")) from None
        if unseen:
            raise BadProgress(OTHERS.format(path=path, why=UNSEEN))
    _write(path, mine)
    return WROTE.format(count=len(mine), path=path)


def _write(path: Path, rows: list[Row]) -> None:
    """Write the file beside its place, then put it there: it is never there by half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{os.getpid()}.new")
    head = {"schema": SCHEMA, "kind": KIND, "answers": len(rows)}
    beside.write_text("".join(json.dumps(row) + "\n" for row in (head, *rows)), encoding="utf-8")
    beside.replace(path)


def take_in(path: str | Path) -> str:
    """Add the answers of an exported file to this learner's, and return a sentence that says how many were new.

    What is here stays: an answer is never replaced, and one that is here already is not added again.
    Raises: BadProgress, and then nothing was changed.
    """
    path = Path(path)
    come, me = load(path), learner()
    new: list[Row] = []

    def merge(rows: list[Row]) -> list[Row]:
        mine = [row for row in rows if row.get("learner") == me]
        have = {_key(row) for row in mine}
        new.extend({"learner": me, **row} for row in come if _key(row) not in have)
        if len(rows) + len(new) > MOST:
            raise BadProgress(TOO_MANY.format(path=path, most=MOST, unchanged=UNCHANGED))
        return sorted(rows + new, key=_when)

    lines.change("predictions", merge)
    return TOOK.format(new=len(new), all=len(come), path=path, rest=THERE if len(new) < len(come) else "").strip()


def reset() -> str:
    """Forget this learner's answers, keep a copy of them beside the record, and return a sentence that says where."""
    me, mine = learner(), [row for kept in answers.read() if (row := _sound(kept))]
    if not mine:
        return NOTHING
    path = home() / "record" / f"progress-before-reset-{time.strftime('%Y%m%d-%H%M%S')}-{time.time_ns() % 10**9}.jsonl"
    _write(path, mine)
    saved = {_key(row) for row in mine}
    lines.change("predictions", lambda rows: [r for r in rows if r.get("learner") != me or _key(_bare(r)) not in saved])
    return RESET.format(count=len(mine), path=path)


def load(path: Path) -> list[Row]:
    """Return the answers of an exported file, each once, oldest first, after all of it was found to be sound.

    Raises: BadProgress.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise BadProgress(NO_FILE.format(path=path)) from None
        raise BadProgress(_not_ours(path, error.strerror or "it cannot be read")) from None
    if len(data) > LARGEST:
        raise BadProgress(_not_ours(path, f"it is larger than {LARGEST} bytes"))
    head, *rest = data.splitlines() or [b""]
    promised = _promised(path, _parse(head))
    if promised != len(rest) or (data and not data.endswith(b"\n")):
        raise BadProgress(_damaged(path, f"it should hold {promised} answers, and holds {len(rest)}"))
    rows = {}
    for number, line in enumerate(rest, 2):
        row = _sound(_parse(line))
        if row is None:
            raise BadProgress(_damaged(path, f"line {number} is no answer"))
        rows[_key(row)] = row
    return sorted(rows.values(), key=_when)


def _promised(path: Path, head: Any) -> int:
    """Return how many answers the file's first line promises. Raises: BadProgress."""
    if not isinstance(head, dict) or head.get("kind") != KIND:
        raise BadProgress(_not_ours(path, "its first line does not say so"))
    if head.get("schema") != SCHEMA:
        schema = str(head.get("schema"))[:20]
        raise BadProgress(OTHER.format(path=path, schema=schema, mine=SCHEMA, unchanged=UNCHANGED))
    count = head.get("answers")
    if type(count) is not int or not 0 <= count <= MOST:
        raise BadProgress(_damaged(path, "its first line says no number of answers"))
    return count


def _parse(line: bytes) -> Any:
    """Return what a line of JSON says, or None: for a program's eyes, all that is wrong with one is the same."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _sound(row: Any) -> Row | None:
    """Return an answer with the known fields alone, or None where one of them is not what it should be."""
    if not isinstance(row, dict):
        return None
    found = _bare(row)
    named = all(isinstance(found[n], str) and NAME.fullmatch(found[n]) for n in ("notebook", "question"))
    told = _plain(found["answer"]) and _plain(found["truth"]) and isinstance(found["right"], bool | None)
    timed = _finite(found["time"]) and found["time"] >= 0
    return found if named and told and timed else None


def _plain(value: Any) -> bool:
    """Return True for what an answer can be: a short text, a number, or a list of such."""
    if isinstance(value, list):
        return len(value) <= 50 and not any(isinstance(one, list) for one in value) and all(map(_plain, value))
    return isinstance(value, bool | None) or _finite(value) or (isinstance(value, str) and len(value) <= 2000)


def _finite(value: Any) -> bool:
    """Return True for a number, of those that JSON can carry everywhere."""
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**63 and math.isfinite(value)
    )


def _bare(row: Row) -> Row:
    return {name: row.get(name) for name in FIELDS}


def _key(row: Row) -> str:
    """Return what makes an answer this one: all of it but the verdict, which is reckoned from it."""
    return json.dumps([row.get(name) for name in FIELDS if name != "right"])


def _when(row: Row) -> float:
    return row["time"] if _finite(row.get("time")) else 0.0


def _not_ours(path: Path, why: str) -> str:
    return NOT_OURS.format(path=path, why=why, unchanged=UNCHANGED)


def _damaged(path: Path, why: str) -> str:
    return DAMAGED.format(path=path, why=why, unchanged=UNCHANGED)
