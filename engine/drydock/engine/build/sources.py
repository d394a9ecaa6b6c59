"""What a source of COPY or ADD selects, and its name in the cache.

Sources: moby builder/dockerfile/copy.go (calcCopyInfo, copyWithWildcards), builder/remotecontext/lazycontext.go.
"""

from __future__ import annotations

import grp
import posixpath
import pwd
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

from drydock.engine.errors import EngineError
from drydock.engine.snapshots import View
from drydock.model.context import Context, ContextFile, Selection, classic_hash, follow, select, start_tarsum
from drydock.model.layer import Entry

GO_TYPE_BITS = {"file": 0o100000, "directory": 0o040000, "symlink": 0o120000, "fifo": 0o010000}


class CopyFailed(EngineError):
    """A COPY or ADD that cannot be done, in dockerd's words."""


@dataclass(frozen=True)
class Piece:
    """One source of a COPY: a file or a folder somewhere, and its name in the cache."""

    view: View
    path: str
    hash: str
    downloaded: bool = False  # what ADD fetched from a URL stays packed


def wild(source: str) -> bool:
    """Return whether a source is a pattern.

    >>> wild("*.py"), wild("a\\\\*")
    (True, False)
    """
    skip = False
    for char in source:
        if skip:
            skip = False
        elif char == "\\":
            skip = True
        elif char in "*?[":
            return True
    return False


def selected(context: Context, source: str) -> tuple[Selection, ...]:
    """Return what a source selects from the context.

    Raises: CopyFailed with dockerd's words.
    """
    path = source.removeprefix("/").removeprefix("./")
    if not wild(path) and posixpath.normpath(path).startswith(".."):
        raise CopyFailed(f"forbidden path outside the build context: {path} ()")
    found = select(context, [path])
    if not found and not wild(path):
        raise CopyFailed(f"{MISSING}: stat {path}: file does not exist")
    for one in found:
        if one.path in context.by_path and follow(context.by_path, one.path) is None:  # a link to nothing
            raise CopyFailed(f"{MISSING}: stat {one.path}: file does not exist")
    return found


MISSING = "file not found in build context or excluded by .dockerignore"


def look_at(view: View, source: str) -> Context:
    """Return the part of an image's file system that a source of `COPY --from` may select, with the cache's sums.

    Only these files are read: an image has many thousands.
    """
    path = source.removeprefix("/").removeprefix("./").rstrip("/")
    wanted = list(_matching(view, path)) if wild(path) else [path]
    found: dict[str, ContextFile] = {}
    for one in wanted:
        if view.lookup(one) is None:  # a link to nothing
            raise CopyFailed(f"stat {one}: file does not exist")
        _seen(view, one, found)
    return Context(tuple(found.values()))


def _matching(view: View, pattern: str) -> Iterator[str]:
    """Go through the paths that may match: everything as deep as the pattern, below its first plain parts."""
    parts = pattern.split("/")
    plain = next(n for n, part in enumerate(parts) if wild(part))
    todo = [("/".join(parts[:plain]), plain)]
    while todo:
        folder, depth = todo.pop()
        for path in view.tree.children(folder):
            if depth + 1 == len(parts):
                yield path
            else:
                todo.append((path, depth + 1))


def _seen(view: View, top: str, found: dict[str, ContextFile]) -> None:
    """Note a path, all below it, and where links lead."""
    todo = [top]
    while todo:
        path = todo.pop()
        for entry in view.walk(path):
            if entry.path in found or not entry.path:
                continue
            found[entry.path] = _summed(view, entry)
            if entry.kind == "symlink" and (target := view.lookup(entry.path)) is not None:
                todo += [target.path] if entry.path == top or target.kind != "directory" else []
                if target.path not in found and target.kind == "directory" and entry.path != top:
                    found[target.path] = _summed(view, target)


def _summed(view: View, entry: Entry) -> ContextFile:
    """Return a file with its sum, its owner and all the mode's bits in it (builder/remotecontext/filehash.go)."""
    mode = entry.mode | GO_TYPE_BITS.get(entry.kind, 0)
    security = [(name, value) for name, value in entry.xattrs if name == "security.capability"]
    size = entry.size if entry.kind == "file" else 0
    owner = (entry.uid, entry.gid)
    running = start_tarsum(
        *(entry.path, entry.kind, size, mode, entry.link, owner), names=host_names(owner), xattrs=security
    )
    if entry.kind == "file":
        with view.open(entry.path) as content:
            while chunk := content.read(1 << 20):
                running.update(chunk)
    return ContextFile(entry.path, entry.kind, size, entry.mode, "", entry.link, running.hexdigest())


@lru_cache(1024)
def host_names(owner: tuple[int, int]) -> tuple[str, str]:
    """Return what this machine calls the owner: Go's tar.FileInfoHeader asks /etc/passwd, so a sum depends on it."""
    user, group = "", ""
    with suppress(KeyError):
        user = pwd.getpwuid(owner[0]).pw_name
    with suppress(KeyError):
        group = grp.getgrgid(owner[1]).gr_name
    return user, group


def source_hash(names: Sequence[str]) -> str:
    """Return the name in the cache of all that a COPY brings, from those of its sources."""
    return classic_hash(tuple(Selection(name, ()) for name in names))


def digest_name(view: View, path: str) -> str:
    """Return the cache's name of a downloaded file, which has no `file:` before it."""
    entry = view.lookup(path)
    assert entry is not None
    return _summed(view, entry).tarsum
