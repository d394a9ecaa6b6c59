"""Files of one JSON object per line, shared by several processes: locked, written beside, renamed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from platformdirs import user_data_dir

SCHEMA = 1
Row = dict[str, Any]


def home() -> Path:
    """Return the folder where the kit keeps its state: `$DRYDOCK_HOME`, else the platform's place for data."""
    return Path(os.environ.get("DRYDOCK_HOME") or user_data_dir("drydock", appauthor=False))


def path(name: str) -> Path:
    """Return the file of that name in the record."""
    return home() / "record" / f"{name}.jsonl"


def read(name: str) -> list[Row]:
    """Return the rows of a record; lines that are cut off or of another schema are passed over, not lost."""
    return [row for line in _lines(path(name)) if (row := _row(line)) is not None]


def _lines(target: Path) -> list[str]:
    try:
        return target.read_text(encoding="utf-8", errors="replace").split("\n")
    except FileNotFoundError:
        return []


def _row(line: str) -> Row | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and row.get("schema") == SCHEMA else None


def change(name: str, how: Callable[[list[Row]], list[Row]]) -> None:
    """Replace a record's rows by `how(rows)`, as one step that no other process can see half of."""
    target = path(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target):
        unread = [line for line in _lines(target) if line.strip() and _row(line) is None]
        rows = how(read(name))
        written = [*unread, *(json.dumps({"schema": SCHEMA, **row}) for row in rows)]
        beside = target.with_suffix(f".{os.getpid()}.new")
        beside.write_text("".join(f"{line}\n" for line in written), encoding="utf-8")
        beside.replace(target)


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    with target.with_suffix(".lock").open("a") as lock:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(lock.fileno(), msvcrt.LK_LOCK, 1)
        else:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
