"""Who a program runs as: names and numbers of users, looked up in the image's own /etc/passwd and /etc/group.

Source: moby/sys/user (GetExecUser), as runc and dockerd use it; its error texts are what the CLI shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO, Protocol

from drydock.engine.errors import BadParameter, EngineError

LONGEST = 1 << 20  # bytes of a passwd file that are read


class Files(Protocol):
    """What is needed of a file tree."""

    def open(self, path: str) -> BinaryIO:
        """Open a file's content."""


@dataclass(frozen=True)
class User:
    """A user as a program gets it."""

    uid: int = 0
    gid: int = 0
    home: str = "/"
    groups: tuple[int, ...] = ()  # all it belongs to, its own included


def find(user: str, passwd: str, group: str) -> User:
    """Return who `user` means: nothing (root), a name, a number, or either with a group behind a colon.

    >>> passwd = "root:x:0:0::/root:/bin/sh\\napp:x:1000:50::/home/app:/bin/sh\\n"
    >>> group = "staff:x:50:\\nweb:x:7:app\\n"
    >>> find("app", passwd, group)
    User(uid=1000, gid=50, home='/home/app', groups=(7, 50))
    >>> find("1234:web", passwd, group)
    User(uid=1234, gid=7, home='/', groups=(7,))
    >>> find("", passwd, group).home
    '/root'
    """
    name, _, group_name = user.partition(":")
    name = name or "0"
    found: User | None = None
    for fields in _rows(passwd, 6):
        if name == fields[0] or (name.isdecimal() and int(name) == _number(fields[2])):
            found = User(_number(fields[2]), _number(fields[3]), fields[5] or "/")
            name = fields[0]
            break
    if found is None:
        if not name.isdecimal():
            raise BadParameter(f"unable to find user {name}: no matching entries in passwd file")
        found = User(int(name))
    if not group_name:
        members = {_number(row[2]) for row in _rows(group, 4) if name in row[3].split(",")}
        return replace(found, groups=tuple(sorted({found.gid, *members})))
    gid = _group(group_name, group)
    return replace(found, gid=gid, groups=(gid,))


def with_groups(user: User, added: Iterable[str], files: Files) -> User:
    """Return the user as a member of more groups, as `--group-add` names them."""
    group = _text(files, "etc/group") if added else ""
    return replace(user, groups=tuple(sorted({*user.groups, *(_group(one, group) for one in added)})))


def _group(group_name: str, group: str) -> int:
    for fields in _rows(group, 3):
        if group_name == fields[0] or (group_name.isdecimal() and int(group_name) == _number(fields[2])):
            return _number(fields[2])
    if not group_name.isdecimal():
        raise BadParameter(f"unable to find group {group_name}: no matching entries in group file")
    return int(group_name)


def find_in(files: Files, user: str) -> User:
    """Return who `user` means in a file tree."""
    return find(user, _text(files, "etc/passwd"), _text(files, "etc/group"))


def _rows(text: str, least: int) -> Iterator[list[str]]:
    for line in text.splitlines():
        fields = line.strip().split(":")
        if len(fields) >= least and not line.startswith("#"):
            yield fields


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _text(files: Files, path: str) -> str:
    try:
        with files.open(path) as source:
            return source.read(LONGEST).decode(errors="replace")
    except (OSError, LookupError, EngineError):
        return ""
