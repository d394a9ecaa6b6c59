"""Rung C: how the program itself ended, which PRoot does not tell.

PRoot 5.1 exits as the last program that it traced, and with 255 after a signal; and it stays as long as anything is
left to trace. So the sandbox watches the program behind it: the filter tells of `exit_group` (its argument is the exit
code), and a pidfd of the end.

Source: man 2 pidfd_open; include/uapi/linux/pidfd.h (PIDFD_GET_INFO, since Linux 6.13, exit code since 6.15).
"""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from drydock.engine.run import processes

_GET_INFO, _WITH_EXIT = 0xC040FF0B, 1 << 3
_EXIT_CODE = 50  # where /proc/PID/stat has it, counted from the state


@dataclass
class Tracee:
    """A program that PRoot traces."""

    pid: int
    watch: int  # a pidfd: readable when the program has ended
    code: int | None = None  # what it passed to exit_group
    signal: int = signal.SIGKILL  # the last one that the engine sent it

    @classmethod
    def of(cls, tracer: int, meanwhile: Callable[[], None]) -> Tracee | None:
        """Wait for PRoot's first child, the program; None when PRoot ends without one."""
        while os.waitid(os.P_PID, tracer, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            with suppress(OSError, IndexError):  # not there yet, or gone already
                pid = int(Path(f"/proc/{tracer}/task/{tracer}/children").read_text().split()[0])
                return cls(pid, os.pidfd_open(pid))
            meanwhile()
            time.sleep(0.0003)
        return None

    def hears(self, number: int) -> bool:
        """Return whether process 1 of a container would get a signal: it has to ask for it, but SIGKILL and SIGSTOP."""
        if number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT):
            return True
        with suppress(OSError), Path(f"/proc/{self.pid}/status").open(encoding="ascii", errors="replace") as lines:
            caught = next((int(line.split()[1], 16) for line in lines if line.startswith("SigCgt:")), -1)
            return bool(caught >> (number - 1) & 1)
        return True

    def ended(self) -> int:
        """Return the exit code of a program that has ended, as a shell counts it."""
        if self.code is not None:
            return self.code
        return _waited(_status(self) or self.signal)


def _status(one: Tracee) -> int:
    """Return what wait(2) would tell, 0 where the kernel does not say."""
    info = bytearray(struct.pack("=QQ12I", _WITH_EXIT, 0, *[0] * 12))
    try:
        fcntl.ioctl(one.watch, _GET_INFO, info)
        if struct.unpack_from("=Q", info)[0] & _WITH_EXIT:
            return int(struct.unpack_from("=i", info, 60)[0])
    except OSError:
        pass
    fields = processes.stat(one.pid)  # PRoot has mostly collected it by now
    return int(fields[_EXIT_CODE - 1]) if len(fields) >= _EXIT_CODE else 0


def _waited(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
