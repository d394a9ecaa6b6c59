"""A container looked at from outside: its processes (`docker top`) and what they use (`docker stats`).

Source: moby/daemon/top_unix.go, moby/api/types/stats.go; man 5 proc.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from drydock.engine.errors import EngineError
from drydock.engine.run import processes
from drydock.engine.run.output import now

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
TITLES = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]


def top(pids: Sequence[int], arguments: str) -> dict[str, Any]:
    """Return the processes as `ps` lists them; where there is no `ps`, what /proc says."""
    if not shutil.which("ps"):
        return {"Titles": TITLES, "Processes": [_row(pid) for pid in pids if processes.stat(pid)]}
    done = subprocess.run(["ps", *arguments.split()], capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        raise EngineError(f"ps: {done.stderr.strip()[:200]}")
    titles = lines[0].split()
    if "PID" not in titles:
        raise EngineError("Couldn't find PID field in ps output")
    place, wanted = titles.index("PID"), {str(pid) for pid in pids}
    rows = [line.split(None, len(titles) - 1) for line in lines[1:]]
    return {"Titles": titles, "Processes": [row for row in rows if len(row) > place and row[place] in wanted]}


def _row(pid: int) -> list[str]:
    fields = processes.stat(pid)
    words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    with suppress(KeyError):
        owner = pwd.getpwuid(Path(f"/proc/{pid}").stat().st_uid).pw_name
        spent = time.strftime("%H:%M:%S", time.gmtime((int(fields[11]) + int(fields[12])) // TICK))
        return [owner, str(pid), fields[1], "0", "", "?", spent, words]
    return ["?", str(pid), "", "0", "", "?", "", words]


def _nanoseconds(pid: int) -> int:
    """Return the time that a process has had on a processor, more exactly than in ticks."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0


def stats(id: str, name: str, pids: Sequence[int], before: dict[str, Any] | None) -> dict[str, Any]:
    """Return what a container uses, now and (for the share of the CPU) a moment before."""
    cpu, memory = 0, 0
    for pid in pids:
        fields = processes.stat(pid)
        if fields:
            cpu += _nanoseconds(pid)
            memory += int(fields[21]) * PAGE
    number = len(os.sched_getaffinity(0))
    first = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    spent = {
        "cpu_usage": {"total_usage": cpu, "usage_in_kernelmode": 0, "usage_in_usermode": cpu},
        "system_cpu_usage": sum(map(int, first[:8])) * 10**9 // TICK,
        "online_cpus": number,
        "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
    }
    total = os.sysconf("SC_PHYS_PAGES") * PAGE
    nothing = {"cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0}}
    earlier = before or {}
    return {
        "read": now(),
        "preread": earlier.get("read", "0001-01-01T00:00:00Z"),
        "pids_stats": {"current": len(pids)},
        "blkio_stats": {"io_service_bytes_recursive": None},
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": spent,
        "precpu_stats": earlier.get("cpu_stats", {**nothing, "throttling_data": spent["throttling_data"]}),
        "memory_stats": {"usage": memory, "stats": {}, "limit": total} if pids else {},
        "name": f"/{name}",
        "id": id,
        "networks": {},
    }
