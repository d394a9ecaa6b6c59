"""Files in and out of a container: `docker cp` both ways, `diff`, `export`.

Source: moby/api/server/router/container/copy.go, moby/daemon/archive.go, export.go
"""

from __future__ import annotations

import base64
import json
import posixpath
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drydock.engine.api import mounted
from drydock.engine.api.mounted import Place
from drydock.engine.api.times import moment
from drydock.engine.api.wire import Json, Plain, Reply, Request, Stream
from drydock.engine.errors import BadParameter, EngineError, NotFound
from drydock.engine.run import names
from drydock.engine.snapshots import stubs

if TYPE_CHECKING:
    from drydock.engine.run import Container
    from drydock.engine.snapshots import View

TAR = "application/x-tar"
NO_PATH = "Could not find the file {path} in container {name}"
GO_MODES = {  # os.FileMode of Go: its own bits above the nine of Unix (io/fs/fs.go)
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
}
KINDS = {
    "directory": stat.S_IFDIR,
    "symlink": stat.S_IFLNK,
    "block device": stat.S_IFBLK,
    "character device": stat.S_IFCHR,
    "fifo": stat.S_IFIFO,
}


def look(request: Request) -> Reply:
    """Answer `HEAD /archive`: what is at a path."""
    found = request.daemon.containers.get(request.names["name"])
    return Plain(b"", 200, _about(found, _path(request), _nothing_there(request)))


def get(request: Request) -> Reply:
    """Answer `docker cp container:path -`: the path and all below it as a tar."""
    found = request.daemon.containers.get(request.names["name"])
    path, told = _path(request), _nothing_there(request)
    headers = _about(found, path, told)
    if place := Place.of(found.mounts, path):
        name = "." if path.endswith("/.") else posixpath.basename(posixpath.normpath(path))
        chunks = mounted.packed(place.found(_follows(path), told), name)
    else:
        chunks = _packed(_seen(found), path)
    found.tell("archive-path")
    return Stream(chunks, TAR, headers=headers)


def put(request: Request) -> Reply:
    """Answer `docker cp - container:path`: a tar, unpacked below a folder."""
    found = request.daemon.containers.get(request.names["name"])
    path, told = _path(request), _nothing_there(request)
    if place := Place.of(found.mounts, path):
        mounted.unpack(place, request.body, told)
    else:
        _unpack(found, path, request, told)
    found.tell("extract-to-dir")
    return Plain(status=200)


def _unpack(found: Container, path: str, request: Request, told: str) -> None:
    entry = _seen(found).lookup(path)
    if entry is None:
        raise NotFound(told)
    if entry.kind != "directory":
        raise EngineError("extraction point is not a directory")
    strict = request.flag("noOverwriteDirNonDir")
    # An overlay's upper directory must not be changed behind the kernel's back: go in through the running process.
    live = Path(f"/proc/{found.pid}/root") if found.running and found.snapshot.kind == "overlay" else None
    found.snapshot.put(path, request.body, no_overwrite_dir_non_dir=strict, journal=found.journal, live=live)


def changes(request: Request) -> Reply:
    """Answer `docker diff`."""
    return Json(request.daemon.containers.get(request.names["name"]).diff() or None)


def export(request: Request) -> Reply:
    """Answer `docker export`: the whole file system as a tar."""
    found = request.daemon.containers.get(request.names["name"])
    return Stream(_packed(stubs.view(found.snapshot, found.journal, moment(found.created) or 0), "/"), TAR)


def _path(request: Request) -> str:
    path = request.text("path")
    if not path:
        raise BadParameter("bad parameter: path cannot be empty")
    return path


def _seen(found: Container) -> View:
    """Return the files as `docker cp` sees them: with the files that are mounted in /etc, once it has been started."""
    taken = {place["Destination"] for place in found.mounts}
    mounted = {path.lstrip("/"): body for path, body in names.contents(found.private).items() if path not in taken}
    shown: View = stubs.view(found.snapshot, found.journal, moment(found.created) or 0, mounted)
    return shown


def _nothing_there(request: Request) -> str:
    return NO_PATH.format(path=_path(request), name=request.names["name"])


def _follows(path: str) -> bool:
    """Return True where a path means what a link leads to, not the link."""
    return path.endswith(("/", "/."))


def _about(found: Container, path: str, told: str) -> dict[str, str]:
    """Return the header in which the API tells about a path, in the container's own files or in a mount."""
    name = posixpath.basename(posixpath.normpath(path)) or "/"
    if place := Place.of(found.mounts, path):
        size, mode, mtime, link = mounted.status(place.found(_follows(path), told))
        kind = next((word for word, bits in KINDS.items() if stat.S_IFMT(mode) == bits), "file")
        return _header(name, size, go_mode(mode & 0o7777, kind), mtime, link)
    view = _seen(found)
    entry = view.lookup(path, follow=_follows(path))
    if entry is None or (path.endswith("/") and entry.kind != "directory"):
        raise NotFound(told)
    link = f"/{view.resolve(path)}" if entry.kind == "symlink" else ""
    size = entry.size if entry.kind != "directory" else 4096
    return _header(name, size, go_mode(entry.mode, entry.kind), entry.mtime, link)


def _header(name: str, size: int, mode: int, mtime: float, link: str) -> dict[str, str]:
    when = datetime.fromtimestamp(mtime, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    told = {"name": name, "size": size, "mode": mode, "mtime": when, "linkTarget": link}
    return {"X-Docker-Container-Path-Stat": base64.b64encode(json.dumps(told).encode()).decode()}


def go_mode(mode: int, kind: str) -> int:
    """Return a file's mode as Go writes it: kind and setuid have bits of their own.

    >>> go_mode(0o755, "directory") == 1 << 31 | 0o755
    True
    """
    found = mode & 0o777 | GO_MODES.get(KINDS.get(kind, 0), 0)
    special = ((stat.S_ISUID, 1 << 23), (stat.S_ISGID, 1 << 22), (stat.S_ISVTX, 1 << 20))
    for bit, theirs in special:
        found |= theirs if mode & bit else 0
    return found


def _packed(view: View, path: str) -> Iterator[bytes]:
    """Yield a tar of a path; names in it begin with the path's last part, as docker cp wants."""
    from drydock.engine.snapshots.copying import copy_out

    inside = view.resolve(path, follow=_follows(path))
    name = "" if not inside else posixpath.basename(posixpath.normpath(path))
    return copy_out(view, inside, "." if path.endswith("/.") else name)


ROUTES: list[tuple[str, str, Any]] = [
    ("HEAD", "/containers/{name}/archive", look),
    ("GET", "/containers/{name}/archive", get),
    ("PUT", "/containers/{name}/archive", put),
    ("GET", "/containers/{name}/changes", changes),
    ("GET", "/containers/{name}/export", export),
]
