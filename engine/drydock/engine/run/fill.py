"""A new volume begins with what the image has in its place.

Source: moby/volume/mounts, moby/daemon/create_unix.go (populateVolumes).
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from drydock.engine.snapshots import OWNER, View
from drydock.model.layer import Entry


def fill(view: View, path: str, folder: Path) -> None:
    """Copy what the image has at a path into an empty folder, owners noted."""
    top = view.resolve(path)
    found = view.lookup(top)
    if found is None or found.kind != "directory" or any(folder.iterdir()):
        return
    later: list[tuple[Path, Entry]] = []
    for entry in view.walk(top):
        inner = entry.path[len(top) :].strip("/")
        place = folder / inner if inner else folder
        if entry.kind == "directory":
            place.mkdir(exist_ok=True)
            later.append((place, entry))
        elif entry.kind == "symlink":
            place.symlink_to(entry.link)
        elif entry.kind == "file":
            with view.open(entry.path) as source, place.open("xb") as target:
                shutil.copyfileobj(source, target)
            _finish(place, entry)
    for place, entry in reversed(later):
        _finish(place, entry)


def _finish(place: Path, entry: Entry) -> None:
    """Give a file its owner (noted, as everywhere), mode and time."""
    with suppress(OSError):
        if (entry.uid, entry.gid) != (0, 0):
            os.setxattr(place, OWNER, f"{entry.uid}:{entry.gid}".encode())
    place.chmod(entry.mode & 0o7777 | (0o700 if entry.kind == "directory" else 0o600))
    os.utime(place, (entry.mtime, entry.mtime))
