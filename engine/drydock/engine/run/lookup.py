"""Which file a command means, in the words runc uses when there is none.

Source: Go os/exec lp_unix.go (LookPath), as runc libcontainer/standard_init_linux.go calls it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

from drydock.engine.run.spec import CannotStart

PREFIX = (
    "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: "
)
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

Stat = Callable[[str], os.stat_result]


def find(command: str, env: Sequence[str], cwd: str, look: Stat = os.stat) -> str:
    """Return the path of the program that `command` names; raise CannotStart as runc says it.

    >>> find("sh", ["PATH=/nowhere:/bin"], "/")
    '/bin/sh'
    """
    if "/" in command:
        full = str(Path(cwd, command))
        try:
            found = look(full)
        except OSError as error:
            raise failed(f'exec: "{command}": stat {command}: {(error.strerror or "").lower()}', 127) from None
        if not _executable(found):
            raise failed(f'exec: "{command}": permission denied', 126)
        return full
    path = next((one[5:] for one in reversed(env) if one.startswith("PATH=")), DEFAULT_PATH)
    for folder in path.split(":"):
        full = str(Path(cwd, folder, command))
        try:
            if _executable(look(full)):
                return full
        except OSError:
            continue
    raise failed(f'exec: "{command}": executable file not found in $PATH', 127)


def failed(what: str, code: int) -> CannotStart:
    """Return the error that dockerd passes on from runc."""
    return CannotStart(f"{PREFIX}{what}: unknown", code)


def _executable(found: os.stat_result) -> bool:
    return not stat.S_ISDIR(found.st_mode) and bool(found.st_mode & 0o111)
