"""What `docker diff` shows of a snapshot's changes.

Source: moby pkg/archive/changes.go (ChangesDirs, addChanges), changes_unix.go (statDifferent): two trees are compared,
and of a directory neither size nor time counts, since both change with what is in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from drydock.engine.snapshots.change import New
from drydock.engine.snapshots.view import View

CHANGED, ADDED, REMOVED = 0, 1, 2


def rows(changes: Sequence[New], below: View) -> list[dict[str, object]]:
    """Return one row for each path that was changed, added or removed, in the order of a walk."""
    now = {one.entry.path for one in changes if one.entry.kind not in ("whiteout", "opaque")}
    found: list[tuple[str, int]] = []
    touched: set[str] = set()  # directories that are there, perhaps, only because of what lies in them
    for change in changes:
        path, kind = change.entry.path, change.entry.kind
        before = below.lookup(path, follow=False)
        if kind == "opaque":
            found += [(gone, REMOVED) for gone in _covered(path, now, below)]
        elif kind == "whiteout":
            found.append((path, REMOVED))
        else:
            found.append((path, ADDED if before is None else CHANGED))
            mine = (kind, change.entry.mode, change.entry.uid, change.entry.gid)
            if before and kind == "directory" and mine == (before.kind, before.mode, before.uid, before.gid):
                touched.add(path)
    around = _around([path for path, _ in found if path not in touched])
    found = [(path, kind) for path, kind in found if path not in touched or path in around]
    return [{"Path": f"/{path}", "Kind": kind} for path, kind in sorted(found, key=lambda row: row[0].split("/"))]


def _covered(folder: str, now: set[str], below: View) -> Iterator[str]:
    """Go through what a directory made anew no longer has."""
    for name in below.children(folder):
        path = f"{folder}/{name}"
        if path not in now:
            yield path
        else:
            yield from _covered(path, now, below)


def _around(paths: Sequence[str]) -> set[str]:
    """Return all directories above some paths."""
    found: set[str] = set()
    for path in paths:
        while (path := path.rpartition("/")[0]) and path not in found:
            found.add(path)
    return found
