"""A container's /etc/passwd and /etc/group as they are now, without looking at all else that it changed.

The merged view of a snapshot goes through everything the container wrote: 40 to 200 ms after one `apt-get install`,
more than starting a program takes. Two files can be had for less.
"""

from __future__ import annotations

import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from drydock.engine.run import linux
from drydock.engine.snapshots.snapshot import Snapshot

OPAQUE = "user.overlay.opaque"


@dataclass(frozen=True)
class Accounts:
    """Opens a few files of a snapshot."""

    snapshot: Snapshot

    def open(self, path: str) -> BinaryIO:
        """Open a file of the snapshot, links inside its root followed. Raises OSError."""
        if tree := getattr(self.snapshot, "tree", None):
            return _inside(tree, path)
        upper = Path(getattr(self.snapshot, "upper"))  # noqa: B009 (a snapshot of the other kind has none)
        folder = upper / "etc"
        if not folder.is_symlink() and folder.is_dir() and OPAQUE not in os.listxattr(folder):
            written = upper / path
            if written.is_file() and not written.is_symlink():
                return _inside(upper, path)
            if not os.path.lexists(written):
                return self._below(path)
        elif not os.path.lexists(folder):
            return self._below(path)
        view = self.snapshot.view()
        return view.open(path) if view.lookup(path) else io.BytesIO()

    def _below(self, path: str) -> BinaryIO:
        """Open what the layers have."""
        view = self.snapshot.layers.view(self.snapshot.chain)
        entry = view.lookup(path, follow=False)
        if entry is None:
            raise FileNotFoundError(path)
        return view.open(path) if entry.kind in ("file", "hardlink") else self.snapshot.view().open(path)


def _inside(top: Path, path: str) -> BinaryIO:
    root = os.open(top, linux.O_PATH | os.O_CLOEXEC)
    try:
        fd = linux.open_in_root(root, path, os.O_RDONLY | os.O_NONBLOCK)
    finally:
        os.close(root)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise FileNotFoundError(path)
    return os.fdopen(fd, "rb")
