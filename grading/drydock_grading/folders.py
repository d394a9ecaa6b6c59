"""A submission's folder: whether it is newer than what was graded, and made complete where a notebook is missing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

RENAMED = " (its notebook was called {name})"
EMPTY = " (it came without a notebook: the artifact alone was graded)"


def newer(submitted: Path, graded: Path) -> bool:
    """Return True where something of a submission changed after it was graded, or it never was."""
    return not graded.is_dir() or _newest(submitted) > _newest(graded)


def _newest(folder: Path) -> float:
    times = [folder.lstat().st_mtime]
    for place, _, files in os.walk(folder):
        times += [os.lstat(Path(place, name)).st_mtime for name in files]
    return max(times)


def complete(submitted: Path, released: Path) -> str:
    """Give a submission the notebook it lacks, and return a note of it, or nothing.

    nbgrader passes over a folder without the assignment's notebook: nothing in it would be graded. One notebook under
    another name is taken for the missing one; where there is none, the artifact is graded with an empty one.
    """
    for wanted in released.glob("*.ipynb"):
        if (submitted / wanted.name).is_file():
            continue
        others = [one for one in sorted(submitted.glob("*.ipynb")) if one.is_file() and not one.is_symlink()]
        source, note = (others[0], RENAMED.format(name=others[0].name)) if len(others) == 1 else (wanted, EMPTY)
        shutil.rmtree(submitted / wanted.name, ignore_errors=True)
        shutil.copyfile(source, submitted / wanted.name)
        return note
    return ""
