"""The processes below a process, and what /proc tells of them.

Source: man 5 proc (stat, status, io, net/dev).
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

# Reading it costs a tenth of a look at every process of the machine; some kernels are built without.
HAS_CHILDREN = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").exists()


def parents() -> dict[int, int]:
    """Return the parent of every process of this machine that is in sight."""
    found: dict[int, int] = {}
    for one in Path("/proc").iterdir():
        if one.name.isdigit():
            fields = stat(int(one.name))
            if fields:
                found[int(one.name)] = int(fields[1])
    return found


def below(top: int) -> list[int]:
    """Return all descendants of a process, parents first.

    >>> import os
    >>> os.getpid() in below(os.getppid())
    True
    """
    found, waiting = [], [top]
    while waiting:
        kids = children(waiting.pop(0))
        found += kids
        waiting += kids
    return found


def children(pid: int) -> list[int]:
    """Return the children of a process, whichever of its threads started them."""
    if not HAS_CHILDREN:
        return [kid for kid, parent in parents().items() if parent == pid]
    found: list[int] = []
    with suppress(OSError):  # it has ended
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                found += map(int, (thread / "children").read_text().split())
    return found


def running_from(folder: Path) -> list[int]:
    """Return the processes of this user whose program, or a library of it, is a file below a folder."""
    inside, found = f" {folder}/", []
    for one in Path("/proc").iterdir():
        with suppress(OSError):  # it has ended, or is somebody else's
            if one.name.isdigit() and one.stat().st_uid == os.geteuid() and inside in (one / "maps").read_text():
                found.append(int(one.name))
    return found


def stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the third on (state, parent, …); nothing once it has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()  # the name before it may hold spaces and brackets
