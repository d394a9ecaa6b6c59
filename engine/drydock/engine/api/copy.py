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

from drydock.engine.api.wire import Json, Plain, Reply, Request, Stream
from drydock.engine.errors import BadParameter, NotFound

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
    return Plain(b"", 200, _told(_view(found), _path(request), found))


def get(request: Request) -> Reply:
    """Answer `docker cp container:path -`: the path and all below it as a tar."""
    found = request.daemon.containers.get(request.names["name"])
    path, view = _path(request), _view(found)
    headers = _told(view, path, found)
    return Stream(_packed(view, path), TAR, headers=headers)


def put(request: Request) -> Reply:
    """Answer `docker cp - container:path`: a tar, unpacked below a folder."""
    found = request.daemon.containers.get(request.names["name"])
    path = _path(request)
    entry = _view(found).lookup(path)
    if entry is None:
        raise NotFound(NO_PATH.format(path=path, name=request.names["name"]))
    if entry.kind != "directory":
        raise BadParameter("extraction point is not a directory")
    strict = request.flag("noOverwriteDirNonDir")
    # An overlay's upper directory must not be changed behind the kernel's back: go in through the running process.
    live = Path(f"/proc/{found.pid}/root") if found.running and found.snapshot.kind == "overlay" else None
    found.snapshot.put(path, request.body, no_overwrite_dir_non_dir=strict, journal=found.journal, live=live)
    return Plain(status=200)


def changes(request: Request) -> Reply:
    """Answer `docker diff`."""
    return Json(request.daemon.containers.get(request.names["name"]).diff() or None)


def export(request: Request) -> Reply:
    """Answer `docker export`: the whole file system as a tar."""
    found = request.daemon.containers.get(request.names["name"])
    return Stream(_packed(_view(found), "/"), TAR)


def _path(request: Request) -> str:
    path = request.text("path")
    if not path:
        raise BadParameter("bad parameter: path cannot be empty")
    return path


def _view(found: Container) -> View:
    shown: View = found.snapshot.view(found.journal)
    return shown


def _told(view: View, path: str, found: Container) -> dict[str, str]:
    """Return the header in which the API tells about a path: the thing itself, not what a link points to."""
    follow = path.endswith(("/", "/."))
    entry = view.lookup(path, follow=follow)
    if entry is None:
        raise NotFound(NO_PATH.format(path=path, name=found.name))
    told = {
        "name": posixpath.basename(posixpath.normpath(path)) or "/",
        "size": entry.size if entry.kind != "directory" else 4096,
        "mode": go_mode(entry.mode, entry.kind),
        "mtime": datetime.fromtimestamp(entry.mtime, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "linkTarget": f"/{view.resolve(path)}" if entry.kind == "symlink" else "",
    }
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

    follow = path.endswith(("/", "/."))
    inside = view.resolve(path, follow=follow)
    name = "" if not inside else posixpath.basename(posixpath.normpath(path))
    return copy_out(view, inside, "." if path.endswith("/.") else name)


ROUTES: list[tuple[str, str, Any]] = [
    ("HEAD", "/containers/{name}/archive", look),
    ("GET", "/containers/{name}/archive", get),
    ("PUT", "/containers/{name}/archive", put),
    ("GET", "/containers/{name}/changes", changes),
    ("GET", "/containers/{name}/export", export),
]
