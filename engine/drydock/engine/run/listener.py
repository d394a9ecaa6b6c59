"""The ownership journal: what programs in a container ask about owners, devices and capabilities, written down.

An ordinary user cannot give a file away. A program that installs software does it all the time, and the layer must say
so. So the kernel stops the program at each such system call (seccomp's USER_NOTIF) and asks this listener, which notes
who should own what and lets the program hear "done". The note sits on the file itself, as the extended attribute
`user.drydock.owner`: it travels with renames and hard links (dpkg chowns `x.dpkg-new` and then renames it), and
setting it makes overlay copy the file up, exactly as a real chown would.

Source: man 2 seccomp_unotify; samples/seccomp/user-trap.c.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import stat
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drydock.engine.run import filters, linux
from drydock.engine.run.tracee import Tracee

OWNER = "user.drydock.owner"

_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_CONTINUE = 1
_CWD, _NOFOLLOW, _EMPTY = -100, 0x100, 0x1000  # AT_FDCWD, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH
_PATH_MAX = 4096


class PassOn(Exception):
    """The kernel shall answer this call itself."""


@dataclass
class Notes:
    """What cannot be noted on the file itself, by path from the container's root."""

    owners: dict[str, tuple[int, int]] = field(default_factory=dict)
    devices: dict[str, tuple[str, int, int, int]] = field(default_factory=dict)  # kind, mode, major, minor
    xattrs: dict[str, dict[str, str]] = field(default_factory=dict)  # value in hexadecimal
    count: int = 0  # calls answered

    def wire(self) -> dict[str, Any]:
        """Return the notes as JSON takes them."""
        return {"owners": self.owners, "devices": self.devices, "xattrs": self.xattrs, "count": self.count}


@dataclass(frozen=True)
class Call:
    """One system call of a process that waits for the answer."""

    pid: int
    name: str
    args: tuple[int, ...]

    def text(self, number: int) -> bytes:
        """Return the string that an argument points to."""
        with Path(f"/proc/{self.pid}/mem").open("rb", buffering=0) as memory:
            return os.pread(memory.fileno(), _PATH_MAX, self.args[number]).split(b"\0", 1)[0]

    def umask(self) -> int:
        """Return the permissions that the process takes from every new file (Linux 4.7 tells it)."""
        with Path(f"/proc/{self.pid}/status").open(encoding="ascii", errors="replace") as lines:
            return next((int(line.split()[1], 8) for line in lines if line.startswith("Umask:")), 0o022)

    def signed(self, number: int) -> int:
        """Return an argument as a C int: -1 says "leave as it is"."""
        return int.from_bytes((self.args[number] & 0xFFFFFFFF).to_bytes(4, "little"), "little", signed=True)


class Listener:
    """Answers the notifications of one filter."""

    def __init__(
        self, fd: int, notes: Notes, tree: str = "", groups: Sequence[int] = (), names: tuple[str, str] = ("", "")
    ) -> None:
        self.fd, self.notes, self.groups = fd, notes, groups
        self.names = names  # host and domain
        self.root_is_swapped = False  # by an old PRoot, before the call comes here
        self.tree = tree  # rung C: the container's root as the host sees it
        self.tracees: list[Tracee] = []  # rung C: whose exit code is wanted
        self.column = list(filters.AUDIT_ARCH).index(os.uname().machine)

    def serve_pending(self) -> None:
        """Answer all calls that wait already."""
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        while poll.poll(0) == [(self.fd, select.POLLIN)] and self.serve():
            pass

    def serve(self) -> bool:
        """Answer one call; False when nobody is left to ask."""
        buffer = bytearray(80)
        try:
            fcntl.ioctl(self.fd, _RECEIVE, buffer)
        except OSError as error:
            return error.errno in (errno.EINTR, errno.ENOENT)  # ENOENT: who asked was killed meanwhile
        number, pid, _, call, _, _, *args = struct.unpack("=QIIiIQ6Q", buffer)
        flags, code = 0, 0
        try:
            code = self._answer(Call(pid, filters.NAMES[self.column].get(call, ""), tuple(args)))
        except PassOn:
            flags = _CONTINUE
        except OSError as error:
            code = -(error.errno or errno.EIO)
        self.notes.count += 1
        try:
            fcntl.ioctl(self.fd, _SEND, struct.pack("=QqiI", number, 0, code, flags))
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
        return True

    def _answer(self, call: Call) -> int:
        if call.name == "exit_group":
            for one in self.tracees:
                if one.pid == call.pid or Path(f"/proc/{one.pid}/task/{call.pid}").exists():
                    one.code = call.args[0] & 0xFF
            raise PassOn
        if call.name == "getgroups":
            return self._groups(call)
        if call.name == "uname":
            return self._uname(call)
        if call.name.startswith("mknod"):
            return self._device(call)
        fd = self._target(call)
        try:
            if "xattr" in call.name:
                return self._attribute(call, fd)
            shift = {"fchownat": 2}.get(call.name, 1)
            return self._owner(fd, *self._meant(call.signed(shift), call.signed(shift + 1)))
        finally:
            os.close(fd)

    def _groups(self, call: Call) -> int:
        if call.args[0]:
            if call.args[0] < len(self.groups):
                return -errno.EINVAL
            with Path(f"/proc/{call.pid}/mem").open("r+b", buffering=0) as memory:
                os.pwrite(memory.fileno(), struct.pack(f"={len(self.groups)}I", *self.groups), call.args[1])
        return len(self.groups)

    def _uname(self, call: Call) -> int:
        """Tell what machine this is: all as it is, but the container's host name and domain (struct new_utsname)."""
        real = os.uname()
        told = (real.sysname, self.names[0], real.release, real.version, real.machine, self.names[1] or "(none)")
        with Path(f"/proc/{call.pid}/mem").open("r+b", buffering=0) as memory:
            os.pwrite(memory.fileno(), b"".join(one.encode()[:64].ljust(65, b"\0") for one in told), call.args[0])
        return 0

    def _meant(self, uid: int, gid: int) -> tuple[int, int]:
        """Return the owner that the program asked for: PRoot before 5.2 puts its own user in the place of root.

        Who asks for just that user and another group than PRoot's means it; both at once cannot be told from root.
        """
        mine = (os.getuid(), os.getgid())
        if not self.root_is_swapped or (uid == mine[0] == gid != mine[1]):
            return uid, gid
        return (0 if uid == mine[0] else uid), (0 if gid == mine[1] else gid)

    def _owner(self, fd: int, uid: int, gid: int) -> int:
        path = self._inside(fd)
        if path is None or (uid, gid) == (-1, -1):
            return 0
        place, found = f"/proc/self/fd/{fd}", os.fstat(fd)
        if stat.S_ISREG(found.st_mode):
            self._take_privileges(place, path, found.st_mode)
        noted = self._noted(place, path)
        owner = tuple(old if new == -1 else new for old, new in zip(noted, (uid, gid), strict=True))
        # On rung C a file with a second name may be another container's as well; what is noted on it shows there.
        shared = bool(self.tree) and found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode)
        if shared or not _note_on_file(place, found.st_mode, f"{owner[0]}:{owner[1]}"):
            self.notes.owners[path] = (owner[0], owner[1])
            os.utime(place, ns=(found.st_atime_ns, found.st_mtime_ns))  # has overlay copy it up
        return 0

    def _take_privileges(self, place: str, path: str, mode: int) -> None:
        """Clear setuid, setgid and capabilities, as the kernel does for whoever gives a program away."""
        left = mode & ~stat.S_ISUID
        if mode & stat.S_IXGRP:
            left &= ~stat.S_ISGID
        if left != mode:
            Path(place).chmod(stat.S_IMODE(left))
        self.notes.xattrs.pop(path, None)

    def _noted(self, place: str, path: str) -> tuple[int, int]:
        try:
            uid, gid = os.getxattr(place, OWNER).decode().split(":")
            return int(uid), int(gid)
        except (OSError, ValueError):
            return self.notes.owners.get(path, (-1, -1))

    def _attribute(self, call: Call, fd: int) -> int:
        name = os.fsdecode(call.text(1))
        path = self._inside(fd)
        if not name.startswith("security."):
            if not self.tree:
                raise PassOn
            value = self._bytes(call)
            os.setxattr(f"/proc/self/fd/{fd}", name, value, call.signed(4))
            return 0
        if name != "security.capability":
            return -errno.EOPNOTSUPP
        if path is not None:
            self.notes.xattrs.setdefault(path, {})[name] = self._bytes(call).hex()
            found = os.fstat(fd)
            os.utime(f"/proc/self/fd/{fd}", ns=(found.st_atime_ns, found.st_mtime_ns))
        return 0

    def _bytes(self, call: Call) -> bytes:
        size = min(call.args[3], 1 << 16)
        with Path(f"/proc/{call.pid}/mem").open("rb", buffering=0) as memory:
            return os.pread(memory.fileno(), size, call.args[2])

    def _device(self, call: Call) -> int:
        shift = 1 if call.name == "mknodat" else 0
        mode, device = call.args[shift + 1] & 0xFFFF & ~call.umask(), call.args[shift + 2]
        parent, _, name = call.text(shift).rstrip(b"/").rpartition(b"/")
        above = parent or (b"/" if call.text(shift).startswith(b"/") else b"")
        folder = self._open(call.pid, call.signed(0) if shift else _CWD, above, follow=True)
        try:
            place = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, mode & 0o777, dir_fd=folder)
            path = self._inside(place)
            os.close(place)
        finally:
            os.close(folder)
        if path is not None:
            kind = "character device" if stat.S_ISCHR(mode) else "block device"
            self.notes.devices[path] = (kind, mode & 0o7777, os.major(device), os.minor(device))
        return 0

    def _target(self, call: Call) -> int:
        """Open the file that a call is about, without reading or following more than the call would."""
        if call.name in ("fchown", "fsetxattr"):
            return os.open(f"/proc/{call.pid}/fd/{call.signed(0)}", linux.O_PATH)
        if call.name == "fchownat":
            path, flags = call.text(1), call.signed(4)
            if not path and flags & _EMPTY:
                return os.open(f"/proc/{call.pid}/fd/{call.signed(0)}", linux.O_PATH)
            return self._open(call.pid, call.signed(0), path, follow=not flags & _NOFOLLOW)
        return self._open(call.pid, _CWD, call.text(0), follow=not call.name.startswith("l"))

    def _open(self, pid: int, folder: int, path: bytes, follow: bool) -> int:
        flags = linux.O_PATH | (0 if follow else os.O_NOFOLLOW)
        tree = os.fsencode(self.tree)
        if tree and (path == tree or path.startswith(tree + b"/")):
            return os.open(path, flags)  # PRoot before 5.3 has translated it already
        if not path.startswith(b"/"):
            start = f"/proc/{pid}/cwd" if folder == _CWD else f"/proc/{pid}/fd/{folder}"
            above = os.fsencode(Path(start).readlink())
            if tree and not (above == tree or above.startswith(tree + b"/")):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            path = above[len(tree) :] + b"/" + path
        root = os.open(self.tree or f"/proc/{pid}/root", linux.O_PATH)
        try:
            return linux.open_in_root(root, path, flags)
        finally:
            os.close(root)

    def _inside(self, fd: int) -> str | None:
        """Return the path from the container's root; None for what is mounted there, which no layer takes up."""
        path = str(Path(f"/proc/self/fd/{fd}").readlink())
        if self.tree:
            return path[len(self.tree) + 1 :] if path.startswith(f"{self.tree}/") else None
        return path.lstrip("/") if _mount_of(fd) == self.root_mount else None

    root_mount = ""  # of the container's root file system, as soon as it is known

    def know_root(self, pid: int) -> None:
        """Learn which mount is the container's root, from its main process."""
        if not self.tree:
            root = os.open(f"/proc/{pid}/root", linux.O_PATH)
            self.root_mount = _mount_of(root)
            os.close(root)


def _mount_of(fd: int) -> str:
    with Path(f"/proc/self/fdinfo/{fd}").open(encoding="ascii") as lines:
        return next((line for line in lines if line.startswith("mnt_id:")), "")


def _note_on_file(place: str, mode: int, owner: str) -> bool:
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return False  # the kernel allows user attributes on these two only
    try:
        os.setxattr(place, OWNER, owner.encode())
    except PermissionError:
        Path(place).chmod(stat.S_IMODE(mode) | stat.S_IWUSR)
        try:
            os.setxattr(place, OWNER, owner.encode())
        finally:
            Path(place).chmod(stat.S_IMODE(mode))
    except OSError as error:
        if error.errno == errno.EROFS:
            raise
        return False
    return True
