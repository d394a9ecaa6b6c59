"""Virtual environments made on the spot, and settings lent to a program: what a lesson compares images with."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LONGEST = 120  # seconds for one program, on a busy machine
NOT_MADE = (
    "The virtual environment {folder} could not be made: {why}\n"
    "On Debian and Ubuntu the part of Python that makes them is a package of its own.\n"
    "Try: sudo apt install python3-venv   and run this cell again; or go on reading, the images do without"
)
NOT_THERE = "There is no virtual environment {folder}.\nTry: run the cell again that makes it"
FAILED = "{script} ended with an error: {why}\nTry: look at {script}, or run the cell again that makes a fresh copy"


class NoEnvironment(RuntimeError):
    """A virtual environment cannot be made, is gone, or a program in it failed; the message says what to try."""


class Environment:
    """A virtual environment: a folder with packages of its own, on top of a Python that is installed already.

    It is what `python3 -m venv FOLDER` makes, anew each time. Raises: NoEnvironment.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        shutil.rmtree(self.folder, ignore_errors=True)
        command = [sys.executable, "-m", "venv", "--without-pip", str(self.folder)]  # pip would come from the network
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, check=False)
        if done.returncode:
            raise NoEnvironment(NOT_MADE.format(folder=self.folder, why=_last(done.stderr or done.stdout)))

    @property
    def python(self) -> Path:
        """Return the environment's python: on Linux and macOS a link to the one that is installed."""
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def install(self, package: str | Path) -> Environment:
        """Copy an unpacked wheel to where this environment's Python looks for packages; pip does so in the end, too."""
        place = Path(self._ask("-c", "import sysconfig; print(sysconfig.get_path('purelib'))"))
        shutil.copytree(package, place, dirs_exist_ok=True)
        return self

    def run(self, script: str | Path) -> str:
        """Run a script with this environment's Python, and return what it printed. Raises: NoEnvironment."""
        return self._ask(str(script))

    def size(self) -> int:
        """Return the bytes of the environment's own files: what is only linked does not count."""
        return sum(p.stat().st_size for p in self.folder.rglob("*") if p.is_file() and not p.is_symlink())

    def _ask(self, *words: str) -> str:
        if not self.python.exists():
            raise NoEnvironment(NOT_THERE.format(folder=self.folder))
        outside = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        run = [str(self.python), *words]
        done = subprocess.run(run, capture_output=True, text=True, timeout=LONGEST, check=False, env=outside)
        if done.returncode:
            raise NoEnvironment(FAILED.format(script=words[0], why=_last(done.stderr)))
        return done.stdout.strip()


@contextmanager
def settings(**variables: str) -> Iterator[None]:
    """Set environment variables, as a machine's owner has set them, and put them back afterwards.

    >>> with settings(TZ="JST-9"):
    ...     os.environ["TZ"]
    'JST-9'
    """
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["it said nothing"])[-1][:300]
