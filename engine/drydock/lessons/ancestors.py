"""Who started a container's process: its parents up to the first, as the host's own process table has them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from drydock.model.layer import shown
from drydock.serving.waiting import waited

ELSEWHERE = (
    "Process {pid} is not in this machine's process table: the engine runs in a virtual machine of its own "
    "(Docker Desktop, WSL), or on another computer. There it stands below containerd-shim."
)

BEFORE = ("runc:", "prooted-")
PARTS = {b"drydock.engine.run.launcher": ": the kit's launcher", b"-m\0drydock.engine\0": ": the kit's engine"}


def ancestors(container: Any, proc: Path = Path("/proc")) -> str:
    """Return a running container's process and its parents, one a line, the container's own at the bottom."""
    container.reload()
    pid = int(container.attrs["State"]["Pid"])
    if not pid:
        return f"{container.name} does not run, so there is no process."
    waited(lambda: not _becoming(pid, proc))
    program = Path(container.attrs["Path"]).name
    if program.encode() not in _words(pid, proc):  # that number is another process here, or none
        return ELSEWHERE.format(pid=pid)
    line: list[tuple[int, str]] = []
    while pid > 0 and (found := _read(pid, proc)):
        line.append((pid, found[0]))
        pid = found[1]
    return "\n".join(f"{'  ' * depth}{name}  (process {pid})" for depth, (pid, name) in enumerate(reversed(line)))


def _becoming(pid: int, proc: Path) -> bool:
    """Return True in the moment before a new process has become the program: it still is a copy of its parent."""
    found = _read(pid, proc)
    above = _read(found[1], proc) if found else None
    return bool(found and (found[0].startswith(BEFORE) or (above and above[0] == found[0])))


def _read(pid: int, proc: Path) -> tuple[str, int] | None:
    """Return a process's name and its parent's number, or None where it cannot be seen.

    A name may hold anything, parentheses too: what follows the last one is fixed (man 5 proc_pid_stat).
    """
    try:
        text = (proc / str(pid) / "stat").read_text("utf-8", "replace")
    except OSError:
        return None
    name, _, rest = text.partition("(")[2].rpartition(")")
    return f"{shown(name)}{_part(pid, proc)}", int(rest.split()[1])


def _part(pid: int, proc: Path) -> str:
    """Say which part of the kit's own engine a process is: by their names all are Python."""
    words = _words(pid, proc)
    return next((said for sign, said in PARTS.items() if sign in words), "")


def _words(pid: int, proc: Path) -> bytes:
    """Return a process's command line, as far as it can be seen."""
    with suppress(OSError):
        return (proc / str(pid) / "cmdline").read_bytes()
    return b""
