"""Seccomp filters: which system calls of a container are answered by the engine instead of the kernel, and how.

A filter is a table, and the table becomes a tiny program that the kernel runs before every system call. It does three
things. It FAKES what a user name space of one user cannot do and a program only wants to hear "yes" to (`setgroups`).
It NOTIFIES the engine of a change of owner, which the engine writes down for the layer (listener.py). It DENIES what
Docker's own profile denies, and hides what PRoot does not translate.

Source: Linux Documentation/userspace-api/seccomp_filter.rst; moby profiles/seccomp/default_linux.go; charliecloud
bin/ch_core.c (FAKE_SYSCALL_NRS); numbers from the kernel's asm/unistd_64.h and asm-generic/unistd.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

ALLOW = 0x7FFF0000
NOTIFY = 0x7FC00000
ERRNO = 0x00050000
FAKE = ERRNO  # error 0: nothing was done, and the program hears that it was

AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# name: (x86-64, arm64); None where the architecture has no such call. A test compares them with the kernel's headers.
NUMBERS: dict[str, tuple[int | None, int | None]] = {
    "add_key": (248, 217),
    "bpf": (321, 280),
    "chown": (92, None),
    "clone": (56, 220),
    "clone3": (435, 435),
    "execveat": (322, 281),
    "exit_group": (231, 94),
    "faccessat2": (439, 439),
    "fchmodat2": (452, 452),
    "fchown": (93, 55),
    "fchownat": (260, 54),
    "fsetxattr": (190, 7),
    "getgroups": (115, 158),
    "getxattrat": (464, 464),
    "io_uring_setup": (425, 425),
    "keyctl": (250, 219),
    "lchown": (94, None),
    "listxattrat": (465, 465),
    "lsetxattr": (189, 6),
    "mknod": (133, None),
    "mknodat": (259, 33),
    "open_by_handle_at": (304, 265),
    "openat2": (437, 437),
    "perf_event_open": (298, 241),
    "removexattrat": (466, 466),
    "renameat2": (316, 276),
    "request_key": (249, 218),
    "setfsgid": (123, 152),
    "setfsuid": (122, 151),
    "setgid": (106, 144),
    "setgroups": (116, 159),
    "setns": (308, 268),
    "setregid": (114, 143),
    "setresgid": (119, 149),
    "setresuid": (117, 147),
    "setreuid": (113, 145),
    "setuid": (105, 146),
    "setxattr": (188, 5),
    "setxattrat": (463, 463),
    "socket": (41, 198),
    "statx": (332, 291),
    "uname": (63, 160),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
}
NAMES = [{row[column]: name for name, row in NUMBERS.items() if row[column] is not None} for column in (0, 1)]


@dataclass(frozen=True)
class Rule:
    """What one system call is answered; with `values`, only where `argument` & `mask` is one of them."""

    call: str
    answer: int
    argument: int = 0
    mask: int = 0xFFFFFFFF
    values: tuple[int, ...] = ()
    unless: bool = False  # turn the condition round


def _each(answer: int, *calls: str) -> tuple[Rule, ...]:
    return tuple(Rule(call, answer) for call in calls)


DEVICES = (0o020000, 0o060000)  # S_IFCHR, S_IFBLK: pipes, sockets and files anyone may make
NAMESPACES = 0x7E020000  # every CLONE_NEW*, as in moby's profile

# A kernel without these, as a program sees it: it then uses the older call of the same purpose, which is looked at.
HIDDEN = _each(ERRNO | errno.ENOSYS, "clone3", "io_uring_setup", "setxattrat", "removexattrat")

# What moby's default profile refuses to a container without CAP_SYS_ADMIN.
DENIED = (
    *_each(ERRNO | errno.EPERM, "unshare", "setns", "add_key", "keyctl", "request_key", "open_by_handle_at"),
    *_each(ERRNO | errno.EPERM, "bpf", "perf_event_open", "userfaultfd"),
    Rule("clone", ERRNO | errno.EPERM, 0, NAMESPACES, (0,), unless=True),
)

# A name space with one user in it knows no second one to become (engine.md 2.3: plain apt fails at `setgroups`).
ONE_USER = _each(
    FAKE,
    *("setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setgroups", "setfsuid", "setfsgid"),
)

# The engine answers with the image's groups of the user: the kernel would show the caller's own, as "nogroup".
GROUPS = _each(NOTIFY, "getgroups")

OWNERSHIP = (
    *_each(NOTIFY, "chown", "lchown", "fchown", "fchownat", "setxattr", "lsetxattr", "fsetxattr"),
    Rule("mknod", NOTIFY, 1, 0o170000, DEVICES),
    Rule("mknodat", NOTIFY, 2, 0o170000, DEVICES),
)

# PRoot 5.1, which Debian and Ubuntu ship, is older than these calls and lets them through with the path as it stands:
# `ls -la /` would show the host's root (engine.md 2.3).
UNTRANSLATED = _each(
    ERRNO | errno.ENOSYS,
    *("statx", "openat2", "faccessat2", "fchmodat2", "renameat2", "execveat", "getxattrat", "listxattrat"),
)

EXITS = _each(NOTIFY, "exit_group")  # rung C: with what code a program ends (tracee.py)

HOST_NAME = _each(NOTIFY, "uname")  # rung C has no UTS name space: the engine answers, with the container's name

INTERNET = (2, 10, 17)  # AF_INET, AF_INET6, AF_PACKET
NO_NETWORK = (Rule("socket", ERRNO | errno.EAFNOSUPPORT, 0, 0xFFFFFFFF, INTERNET),)

_LOAD, _EQUAL, _AND, _RETURN = 0x20, 0x15, 0x54, 0x06
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data


def assemble(rules: Iterable[Rule], machine: str) -> list[tuple[int, int, int, int]]:
    """Turn a table into the kernel's filter program: instructions (code, jump if true, jump if false, value).

    >>> program = assemble([Rule("setgroups", FAKE)], "x86_64")
    >>> len(program), program[-1] == (0x06, 0, 0, ALLOW)
    (9, True)
    """
    column = list(AUDIT_ARCH).index(machine)
    program = [(_LOAD, 0, 0, _ARCH), (_EQUAL, 1, 0, AUDIT_ARCH[machine])]
    # A program of another architecture (32 bit) has other numbers: it could go round every rule.
    program.append((_RETURN, 0, 0, ERRNO | errno.ENOSYS))
    program.append((_LOAD, 0, 0, _NUMBER))
    for rule in rules:
        number = NUMBERS[rule.call][column]
        if number is not None:
            body = _body(rule)
            program += [(_EQUAL, 0, len(body), number), *body]
    return [*program, *_others(machine), (_RETURN, 0, 0, ALLOW)]


def _body(rule: Rule) -> list[tuple[int, int, int, int]]:
    if not rule.values:
        return [(_RETURN, 0, 0, rule.answer)]
    yes, no = (ALLOW, rule.answer) if rule.unless else (rule.answer, ALLOW)
    body = [(_LOAD, 0, 0, _ARGUMENTS + 8 * rule.argument), (_AND, 0, 0, rule.mask)]
    for value in rule.values:
        body += [(_EQUAL, 0, 1, value), (_RETURN, 0, 0, yes)]
    return [*body, (_RETURN, 0, 0, no)]


def _others(machine: str) -> list[tuple[int, int, int, int]]:
    """Refuse the x32 numbers, which x86-64 accepts beside its own under the same architecture."""
    at_least = 0x35
    return [(at_least, 0, 1, 0x40000000), (_RETURN, 0, 0, ERRNO | errno.ENOSYS)] if machine == "x86_64" else []


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_char_p)]


_SECCOMP = {"x86_64": 317, "aarch64": 277}
_NEW_LISTENER = 8
_libc = ctypes.CDLL(None, use_errno=True)


def install(rules: Sequence[Rule]) -> int:
    """Put this process and all that it will start under the filter, for good; return the listener's file, or -1.

    The caller must have set no_new_privs.
    """
    machine = os.uname().machine
    code = b"".join(struct.pack("=HBBI", *one) for one in assemble(rules, machine))
    program = _Program(len(code) // 8, code)
    listens = any(rule.answer == NOTIFY for rule in rules)
    flags = _NEW_LISTENER if listens else 0
    result: int = _libc.syscall(_SECCOMP[machine], 1, flags, ctypes.byref(program))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "seccomp")
    return result if listens else -1
