"""The journal of a run: what an ordinary user may not do to files, and therefore what the sandbox only wrote down.

An unprivileged process cannot give a file away, make a device or set a capability. The sandbox answers "done", and
remembers: as the extended attribute OWNER on the file itself where the file system takes one (it then travels with
renames and copies up, as a real owner would), else here, by path.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

OWNER = "user.drydock.owner"  # b"UID:GID"; never written to a layer


@dataclass
class Journal:
    """What was asked for and not done, by path from the container's root, without a leading slash."""

    user: tuple[int, int] = (0, 0)  # who owns what the program makes itself
    owners: dict[str, tuple[int, int]] = field(default_factory=dict)
    devices: dict[str, tuple[str, int, int, int]] = field(default_factory=dict)  # kind, mode, major, minor
    xattrs: dict[str, dict[str, bytes]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock, repr=False, compare=False)

    def chown(self, path: str, uid: int, gid: int) -> None:
        """Note a new owner; -1 keeps what was, as in chown(2).

        >>> journal = Journal()
        >>> journal.chown("a", 5, 6); journal.chown("/a", -1, 7); journal.owners
        {'a': (5, 7)}
        """
        path = path.strip("/")
        with self._lock:
            old = self.owners.get(path, (-1, -1))
            self.owners[path] = (uid if uid >= 0 else old[0], gid if gid >= 0 else old[1])

    def mknod(self, path: str, kind: str, mode: int, major: int, minor: int) -> None:
        """Note a device that could not be made; `kind` is "character device" or "block device"."""
        with self._lock:
            self.devices[path.strip("/")] = (kind, mode, major, minor)

    def setxattr(self, path: str, name: str, value: bytes) -> None:
        """Note an extended attribute, such as security.capability."""
        with self._lock:
            self.xattrs.setdefault(path.strip("/"), {})[name] = value

    def removexattr(self, path: str, name: str) -> None:
        """Forget an extended attribute."""
        with self._lock:
            self.xattrs.get(path.strip("/"), {}).pop(name, None)

    def renamed(self, old: str, new: str) -> None:
        """Let what is noted of a path, and of all below it, follow a rename.

        >>> journal = Journal(owners={"a/x": (1, 1)})
        >>> journal.renamed("a", "b"); journal.owners
        {'b/x': (1, 1)}
        """
        old, new = old.strip("/"), new.strip("/")
        with self._lock:
            for notes in (self.owners, self.devices, self.xattrs):
                _move(notes, old, new)

    def to_json(self) -> dict[str, Any]:
        """Return the journal as JSON can keep it: a stopped container is still there after a restart of the engine."""
        xattrs = {path: {k: v.hex() for k, v in one.items()} for path, one in self.xattrs.items()}
        return {"user": self.user, "owners": self.owners, "devices": self.devices, "xattrs": xattrs}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Journal:
        """Return the journal that `to_json` kept.

        >>> Journal.from_json(Journal(owners={"a": (1, 2)}).to_json()).owners
        {'a': (1, 2)}
        """
        return cls(
            (int(saved["user"][0]), int(saved["user"][1])),
            {path: (int(own[0]), int(own[1])) for path, own in saved["owners"].items()},
            {path: (str(d[0]), int(d[1]), int(d[2]), int(d[3])) for path, d in saved["devices"].items()},
            {path: {k: bytes.fromhex(v) for k, v in one.items()} for path, one in saved["xattrs"].items()},
        )


def _move(notes: dict[str, Any], old: str, new: str) -> None:
    for path in [path for path in notes if path == old or path.startswith(old + "/")]:
        notes[new + path[len(old) :]] = notes.pop(path)
