"""Links: tiny files, each of which says one thing, such as the digest that a tag means now.

They are written beside and renamed: whoever reads one sees the old text or the new, never half of it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path


def write(path: Path, text: str) -> None:
    """Write a link so that even a power cut leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.parent / f".{secrets.token_hex(8)}"
    try:
        with new.open("x") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def read(path: Path) -> str | None:
    """Return what a link says, or None where there is none."""
    try:
        return path.read_text()
    except (FileNotFoundError, NotADirectoryError):
        return None


def names(folder: Path) -> list[str]:
    """Return the names of the links in a folder, sorted; one that is just being written is not among them."""
    try:
        return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return []


def sweep(folder: Path) -> None:
    """Remove what a killed process was just writing, and folders with nothing in them; call it while nobody writes."""
    for path in folder.rglob(".*"):
        path.unlink(missing_ok=True)
    for path in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
        with contextlib.suppress(OSError):
            path.rmdir()
