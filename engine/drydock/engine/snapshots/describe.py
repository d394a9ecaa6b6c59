"""From what lies on disk to what a layer says: the true owner, mode and attributes of a file that a program left.

An ordinary user's files all belong to that user. The owner a container would see is, first to last: what the sandbox
marked on the file (OWNER), what the journal has for the path, the older layer's owner if the file is still that file,
else the user the program ran as.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass

from drydock.engine.snapshots.beneath import attribute
from drydock.engine.snapshots.journal import OWNER, Journal
from drydock.model.layer import Entry

FLOORS = {"directory": 0o700, "file": 0o400, "fifo": 0o400}  # what we need on disk to read and to clean up
KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}


@dataclass(frozen=True)
class Found:
    """One name on disk that is new or changed."""

    path: str
    stat: os.stat_result
    kind: str
    base: Entry | None = None  # what the layers below have there
    same: bool = False  # it is still that file, perhaps written to; not another of the same name
    owner: tuple[int, int] | None = None  # as marked on the file
    moved: bool = False  # it is a file of the layers below, under another name
    link: str = ""


def kind_of(info: os.stat_result) -> str:
    """Return the kind of a file; a socket has none, since no layer holds one."""
    return KINDS.get(stat.S_IFMT(info.st_mode), "")


def is_whiteout(info: os.stat_result) -> bool:
    """Return whether overlayfs hides a name of the layers below with this file."""
    return stat.S_ISCHR(info.st_mode) and info.st_rdev == 0


def marked(itself: str) -> tuple[int, int] | None:
    """Return the owner that the sandbox marked on a file, if any."""
    raw = attribute(itself, OWNER)
    match = re.fullmatch(rb"(-1|\d{1,10}):(-1|\d{1,10})", raw or b"")  # a program may have written there too
    return (int(match[1]), int(match[2])) if match else None


def entry(found: Found, journal: Journal) -> Entry:
    """Return the entry that a layer has for it."""
    uid, gid = _owner(found, journal)
    info = found.stat
    if found.kind == "file" and not info.st_size and found.path in journal.devices:  # an empty file stands for it
        kind, mode, major, minor = journal.devices[found.path]
        return Entry(found.path, kind, 0, mode, uid, gid, info.st_mtime_ns // 10**9, device=(major, minor))
    device = (os.major(info.st_rdev), os.minor(info.st_rdev)) if "device" in found.kind else (0, 0)
    return Entry(
        path=found.path,
        kind=found.kind,
        size=info.st_size if found.kind == "file" else 0,
        mode=_mode(found),
        uid=uid,
        gid=gid,
        mtime=info.st_mtime_ns // 10**9,  # whole seconds: dockerd's layers have no more
        link=found.link,
        xattrs=_xattrs(found, journal),
        device=device,
    )


def _owner(found: Found, journal: Journal) -> tuple[int, int]:
    """Return the owner; layers mark the files of all but root, so that a file keeps its owner when it is moved."""
    before = (found.base.uid, found.base.gid) if found.base and found.same else journal.user
    before = (0, 0) if found.moved else before
    mark = found.owner or (-1, -1)
    if mark in ((-1, -1), before):
        mark = journal.owners.get(found.path, mark)
    return (mark[0] if mark[0] >= 0 else before[0], mark[1] if mark[1] >= 0 else before[1])


def _mode(found: Found) -> int:
    mode = stat.S_IMODE(found.stat.st_mode)
    base = found.base
    if base and found.same and mode == base.mode | FLOORS.get(found.kind, 0):
        return base.mode  # ours only by the permissions that we need
    return mode


def _xattrs(found: Found, journal: Journal) -> tuple[tuple[str, str], ...]:
    """Return the capabilities; the kernel takes them away from a file that is written to, and so do we."""
    noted = journal.xattrs.get(found.path)
    if noted is not None:
        return tuple(sorted((name, os.fsdecode(value)) for name, value in noted.items()))
    base = found.base
    if not base or not found.same or found.kind != "file":
        return ()
    unwritten = (found.stat.st_size, found.stat.st_mtime_ns // 10**9) == (base.size, int(base.mtime // 1))
    return tuple(pair for pair in base.xattrs if pair[0] == "security.capability") if unwritten else ()
