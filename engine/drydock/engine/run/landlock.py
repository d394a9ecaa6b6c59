"""Landlock: on rung C, what keeps a program that goes round PRoot from the rest of the machine.

PRoot changes paths, it forbids nothing. Landlock lets any process give up, for itself and its children, all files but
those below named folders. So a container reads and writes its own tree and its volumes, and a read-only volume is one.
Where the kernel has none (before 5.19), or a container's rules refuse it, rung C runs without, as PRoot always has.

Source: Linux Documentation/userspace-api/landlock.rst; include/uapi/linux/landlock.h.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterable

CREATE, ADD_RULE, RESTRICT = 444, 445, 446  # the same number on every architecture
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
REFER, TRUNCATE = 1 << 13, 1 << 14
CHANGE = sum(1 << bit for bit in range(4, 13))  # make and remove names of every kind
READ = EXECUTE | READ_FILE | READ_DIR
OF_A_FILE = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE
FIRST_USEFUL = 2  # version 1 lets no file be moved to another folder: dpkg could not work

_libc = ctypes.CDLL(None, use_errno=True)


class _Ruleset(ctypes.Structure):
    _fields_ = [("handled", ctypes.c_uint64)]


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32)]


def version() -> int:
    """Return which Landlock this kernel has; 0 for none."""
    return max(0, int(_libc.syscall(CREATE, None, 0, 1)))


def confine(readable: Iterable[str], writable: Iterable[str]) -> bool:
    """Give up all files but those below these folders, for good; False where the kernel cannot."""
    known = version()
    if known < FIRST_USEFUL:
        return False
    change = WRITE_FILE | CHANGE | REFER | (TRUNCATE if known >= 3 else 0)
    ruleset = _Ruleset(READ | change)
    fd = int(_libc.syscall(CREATE, ctypes.byref(ruleset), ctypes.sizeof(ruleset), 0))
    if fd < 0:
        return False
    for paths, allowed in ((readable, READ), (writable, READ | change)):
        for path in paths:
            _allow(fd, path, allowed)
    done = int(_libc.syscall(RESTRICT, fd, 0)) == 0
    os.close(fd)
    return done


def _allow(ruleset: int, path: str, allowed: int) -> None:
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there needs no rule
    if not stat.S_ISDIR(os.fstat(parent).st_mode):
        allowed &= OF_A_FILE
    rule = _Beneath(allowed, parent)
    _libc.syscall(ADD_RULE, ruleset, 1, ctypes.byref(rule), 0)
    os.close(parent)
