"""The system calls of a container that Python 3.11 has no function for: name spaces, mounts, paths inside a root.

Source: man 2 unshare, setns, mount, pivot_root, prctl, openat2; numbers from include/uapi/linux.
"""

from __future__ import annotations

import ctypes
import os
import signal
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_NOATIME = 1024
MS_NODIRATIME = 2048
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MS_RELATIME = 1 << 21
MNT_DETACH = 2

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4

O_PATH = os.O_PATH
RESOLVE_IN_ROOT = 0x10
AT_RECURSIVE = 0x8000
MOUNT_ATTR_RDONLY = 1

# These five have the same number on x86-64 and arm64: system calls newer than Linux 5.1 do everywhere.
SYS_OPENAT2 = 437
SYS_MOUNT_SETATTR = 442
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p]
_libc.syscall.restype = ctypes.c_long
_libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result


def unshare(flags: int) -> None:
    """Leave the name spaces that `flags` names and enter new ones of the same kinds."""
    _check(_libc.unshare(flags), "unshare")


def setns(fd: int, kind: int = 0) -> None:
    """Enter the name space that an open /proc/PID/ns file stands for."""
    _check(_libc.setns(fd, kind), "setns")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Make `source` appear at `target`."""
    raw = [os.fsencode(one) if one else None for one in (source, target, kind)]
    _check(_libc.mount(raw[0] or b"none", raw[1], raw[2], flags, os.fsencode(data) if data else None), target)


def umount(target: str, flags: int = 0) -> None:
    """Take away what is mounted at `target`."""
    _check(_libc.umount2(os.fsencode(target), flags), target)


def pivot_root(new: str, old: str) -> None:
    """Make `new` the root of this mount name space and put the old root at `old`."""
    _check(_libc.syscall(SYS_PIVOT_ROOT[os.uname().machine], os.fsencode(new), os.fsencode(old)), "pivot_root")


def prctl(what: int, value: int = 0) -> None:
    """Change one attribute of this process."""
    _check(_libc.prctl(what, value, 0, 0, 0), f"prctl {what}")


class _OpenHow(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


def open_in_root(root: int, path: str | bytes, flags: int = O_PATH) -> int:
    """Open a path as a process with that root directory would: no symlink and no `..` leads out of it (Linux 5.6)."""
    how = _OpenHow(flags | os.O_CLOEXEC, 0, RESOLVE_IN_ROOT)
    raw = os.fsencode(path) or b"."
    return _check(_libc.syscall(SYS_OPENAT2, root, raw, ctypes.byref(how), ctypes.sizeof(how)), os.fsdecode(path))


class _MountAttr(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns")]


def make_readonly(target: str) -> None:
    """Make a mount and every mount below it read-only; before Linux 5.12, the one mount alone."""
    attributes = _MountAttr(MOUNT_ATTR_RDONLY, 0, 0, 0)
    raw, size = os.fsencode(target), ctypes.sizeof(attributes)
    if _libc.syscall(SYS_MOUNT_SETATTR, -100, raw, AT_RECURSIVE, ctypes.byref(attributes), size) < 0:
        mount("", target, "", MS_REMOUNT | MS_BIND | MS_RDONLY | locked_flags(target))


def locked_flags(target: str) -> int:
    """Return the flags a mount has already: inside a user name space a remount that leaves one out is refused."""
    has = os.statvfs(target).f_flag
    flags = {os.ST_NOSUID: MS_NOSUID, os.ST_NODEV: MS_NODEV, os.ST_NOEXEC: MS_NOEXEC}
    flags |= {os.ST_NOATIME: MS_NOATIME, os.ST_NODIRATIME: MS_NODIRATIME, os.ST_RELATIME: MS_RELATIME}
    return sum(wanted for bit, wanted in flags.items() if has & bit)


def drop_capabilities(keep: int) -> None:
    """Give up for good every capability whose bit is not in `keep`: no program that is started later gets it back."""
    for number in range(64):
        if not keep >> number & 1 and _libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0) < 0:
            return  # the first number that this kernel does not know
    _libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Ask the kernel to send this process a signal when its parent ends."""
    prctl(PR_SET_PDEATHSIG, number)


def map_user(inside: tuple[int, int], outside: tuple[int, int]) -> None:
    """Let the one user that this process has outside appear inside its new user name space as another."""
    Path("/proc/self/setgroups").write_text("deny")  # the kernel's condition for an ordinary user to map a group
    Path("/proc/self/uid_map").write_text(f"{inside[0]} {outside[0]} 1")
    Path("/proc/self/gid_map").write_text(f"{inside[1]} {outside[1]} 1")
