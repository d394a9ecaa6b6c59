"""The stubs of every container: what dockerd puts between the image and the container's own layer.

Empty files on which /etc/hosts and the like are mounted, folders for /proc and /sys, and a link that shows the mounts.
`docker export` has them, `docker diff` and `docker commit` have not: they are neither the image's nor the program's.

Source: moby v20.10 daemon/initlayer/setup_unix.go
"""

from __future__ import annotations

from collections.abc import Mapping

from drydock.engine.snapshots.change import New
from drydock.engine.snapshots.journal import Journal
from drydock.engine.snapshots.snapshot import Snapshot, level
from drydock.engine.snapshots.view import View
from drydock.model.layer import Entry

FOLDERS = ("dev/pts", "dev/shm", "proc", "sys")
FILES = (".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/resolv.conf")
MTAB = Entry("etc/mtab", "symlink", mode=0o777, link="/proc/mounts")


def view(snapshot: Snapshot, journal: Journal, made: float, mounted: Mapping[str, bytes] | None = None) -> View:
    """Return a container's file system with its stubs, made at some time; `mounted` are files that lie on them now."""
    image = snapshot.layers.view(snapshot.chain)
    stubs = [Entry(path, "file", mode=0o755, mtime=made) for path in FILES]
    stubs += [Entry(path, "directory", mode=0o755, mtime=made) for path in FOLDERS]
    stubs.append(Entry(MTAB.path, MTAB.kind, mode=MTAB.mode, link=MTAB.link, mtime=made))
    below = image.on_top(level(_fresh(image, stubs, made)))
    shown = below.on_top(level(snapshot.changes(journal)))
    lying = [New(Entry(path, "file", len(body), 0o644, mtime=made), body) for path, body in (mounted or {}).items()]
    return shown.on_top(level(lying)) if lying else shown


def _fresh(image: View, stubs: list[Entry], made: float) -> list[New]:
    """Return the stubs that the image has no directory for, and the directories above them that it has not."""
    found: dict[str, New] = {}
    for stub in stubs:
        parts = stub.path.split("/")
        for depth in range(1, len(parts)):
            path = "/".join(parts[:depth])
            if not _is_folder(image, path):
                found[path] = New(Entry(path, "directory", mode=0o755, mtime=made))
        if not _is_folder(image, stub.path):
            found[stub.path] = New(stub, b"" if stub.kind == "file" else None)
    return list(found.values())


def _is_folder(image: View, path: str) -> bool:
    entry = image.lookup(path, follow=False)
    return entry is not None and entry.kind == "directory"
