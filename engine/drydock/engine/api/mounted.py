"""`docker cp` where a volume or a folder of the host is mounted: the files are there, not in the container's own.

Links are followed within the mount only: one that leads out of it leads nowhere, whatever the image says.
Source: moby v20.10 daemon/archive.go (mountVolumes), container/archive.go (ResolvePath).
"""

from __future__ import annotations

import os
import posixpath
import stat
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from drydock.engine.errors import BadParameter, EngineError, NotFound

PIECE = 1 << 20
IN_MEMORY = 8 << 20  # bytes of an archive that wait in memory; more go to a file


@dataclass(frozen=True)
class Place:
    """A path in a container that lies in a mount: the folder mounted, and where on the host the path is."""

    root: Path
    path: Path
    writable: bool

    @classmethod
    def of(cls, mounts: Sequence[dict[str, Any]], path: str) -> Place | None:
        """Return the place of a path, or None where no mount has it; the innermost mount counts."""
        plain = posixpath.normpath("/" + path)
        for mount in sorted(mounts, key=lambda m: len(m["Destination"]), reverse=True):
            inside = posixpath.relpath(plain, mount["Destination"])
            if inside == "." or not inside.startswith(".."):
                root = Path(os.path.realpath(mount["Source"]))
                return cls(root, root if inside == "." else root / inside, bool(mount["RW"]))
        return None

    def found(self, follow: bool, told: str) -> Path:
        """Return where the path really is.

        Raises: NotFound with the text `told`.
        """
        follow = follow or self.path == self.root
        real = Path(os.path.realpath(self.path if follow else self.path.parent))
        real = real if follow else real / self.path.name
        if self.root not in (real, *real.parents) or not (real.exists() or real.is_symlink()):
            raise NotFound(told)
        return real


def status(path: Path) -> tuple[int, int, float, str]:
    """Return size, Unix mode with its kind, time, and where a link leads."""
    found = path.lstat()
    link = os.readlink(path) if stat.S_ISLNK(found.st_mode) else ""  # noqa: PTH115 - as text, not as a path
    return found.st_size, found.st_mode, found.st_mtime, link


def packed(path: Path, name: str) -> Iterator[bytes]:
    """Yield a tar of a path and all below it; owners are root's: on the host it is this user's."""
    with tempfile.SpooledTemporaryFile(IN_MEMORY) as kept:
        with tarfile.open(fileobj=kept, mode="w", format=tarfile.PAX_FORMAT) as tar:
            tar.add(path, name, filter=_roots)
        kept.seek(0)
        while data := kept.read(PIECE):
            yield data


def _roots(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid, entry.gid, entry.uname, entry.gname = 0, 0, "", ""
    return entry


def _checked(entry: tarfile.TarInfo, folder: Path) -> tarfile.TarInfo:
    """Refuse what would lead out of the folder, or is a device; else keep it as it is, mode included.

    Python's own filters do this from 3.11.4 on; Debian 12 has 3.11.2.
    """
    entry.name = entry.name.lstrip("/")
    real = Path(os.path.realpath(folder / entry.name if not entry.issym() else (folder / entry.name).parent))
    link = folder / entry.name
    target = link.parent / entry.linkname if entry.issym() else folder / entry.linkname
    leads = Path(os.path.realpath(target)) if entry.issym() or entry.islnk() else real
    if any(folder not in (one, *one.parents) for one in (real, leads)) or entry.isdev():
        raise tarfile.TarError(f"{entry.name} leads out of the folder, or is a device")
    return entry


def unpack(place: Place, stream: BinaryIO, told: str) -> None:
    """Unpack a tar into a folder of a mount; what would leave the folder is refused.

    Raises: NotFound, BadParameter, EngineError.
    """
    folder = place.found(True, told)
    if not folder.is_dir():
        raise EngineError("extraction point is not a directory")
    if not place.writable:
        raise BadParameter("mounted volume is marked read-only")
    try:
        with tarfile.open(fileobj=stream, mode="r|*") as tar:
            for entry in tar:
                tar.extract(_checked(entry, folder), folder, set_attrs=not entry.issym())
    except (tarfile.TarError, OSError) as error:
        raise BadParameter(f"Error processing tar file: {error}") from None
