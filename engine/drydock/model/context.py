"""The build context: the files that travel to the builder before a build begins, and what of them counts for the cache.

Sources: moby pkg/tarsum (versioning.go, tarsum.go) and builder/dockerfile/copy.go, tag v20.10.24.
"""

from __future__ import annotations

import fnmatch
import posixpath
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from typing import Protocol

from drydock.model.layer import counted

TYPEFLAG = {"file": "0", "hardlink": "1", "directory": "5", "symlink": "2", "fifo": "6"}


class Hash(Protocol):
    """What hashlib's objects can do."""

    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


@dataclass(frozen=True)
class ContextFile:
    """One file of the context as the builder sees it: owner 0:0, and a time that counts for nothing."""

    path: str  # relative to the context, with / between its parts
    kind: str  # file, directory, symlink
    size: int  # bytes
    mode: int
    sha256: str = ""  # of a file's content
    link: str = ""  # where a symlink points
    tarsum: str = ""  # the classic builder's hash: header and content, without the time
    mtime: int = 0
    ignored: bool = False  # sent because the builder needs it (Dockerfile), but no COPY can see it


@dataclass(frozen=True)
class Context:
    """All that a COPY or ADD can reach."""

    files: tuple[ContextFile, ...] = ()

    @cached_property
    def by_path(self) -> dict[str, ContextFile]:
        """Return the visible files by their path."""
        return {file.path: file for file in self.files if not file.ignored}

    def edited(self, files: Mapping[str, bytes | None]) -> Context:
        """Return the context as it would be with these contents (None: without that file); nothing is written."""
        known = {file.path: file for file in self.files}
        for path, content in files.items():
            old = known.pop(path, None)
            if content is not None:
                made = regular(path, content, old.mode if old else 0o644)
                known[path] = replace(made, ignored=old.ignored if old else False)
        return Context(tuple(known[path] for path in sorted(known)))

    def picture(self) -> str:
        """Return a drawing in text: one line per file with its size.

        >>> print(Context((regular("a/b", b"hello"),)).picture())
        a/b  5 bytes
        """
        return "\n".join(f"{f.path}  {counted(f.size, 'byte')}" for f in self.files if f.kind == "file") or "no file"


def start_tarsum(
    path: str,
    kind: str,
    size: int,
    mode: int,
    link: str = "",
    owner: tuple[int, int] = (0, 0),
    names: tuple[str, str] = ("", ""),
    xattrs: Iterable[tuple[str, str]] = (),
) -> Hash:
    """Return the running hash of a file's header, to be fed with the content: the classic builder's identity of it.

    The modification time is not in it: touching a file does not make a step run again. The owner is: a client that
    sends the owners along (docker-py does, the docker CLI sends 0) has cache entries of its own. Their `names` count
    in COPY --from only.

    >>> start_tarsum("a", "file", 0, 0o644).hexdigest() == start_tarsum("a", "file", 0, 0o644, owner=(1, 1)).hexdigest()
    False
    """
    name = path + "/" if kind == "directory" else path
    uid, gid = owner
    fields = [("name", name), ("mode", str(mode)), ("uid", str(uid)), ("gid", str(gid)), ("size", str(size))]
    fields += [("typeflag", TYPEFLAG.get(kind, "0")), ("linkname", link), ("uname", names[0]), ("gname", names[1])]
    fields += [("devmajor", "0"), ("devminor", "0"), *sorted(xattrs)]
    return sha256("".join(key + value for key, value in fields).encode("utf-8", "surrogateescape"))


def regular(path: str, content: bytes, mode: int = 0o644) -> ContextFile:
    """Return an ordinary file with this content."""
    running = start_tarsum(path, "file", len(content), mode)
    running.update(content)
    return ContextFile(path, "file", len(content), mode, sha256(content).hexdigest(), "", running.hexdigest())


@dataclass(frozen=True)
class Selection:
    """What one source of a COPY selects: files, and the hash that the classic builder gives them."""

    hash: str
    files: tuple[ContextFile, ...]
    path: str = ""  # as the source names it, links not followed


def select(context: Context, sources: Iterable[str]) -> tuple[Selection, ...]:
    """Return what the sources of a COPY or ADD select; a source that matches nothing is left out.

    >>> context = Context((regular("a.py", b"1"), regular("b.py", b"2"), regular("c.txt", b"3")))
    >>> [[f.path for f in s.files] for s in select(context, ["*.py"])]
    [['a.py'], ['b.py']]
    """
    known = context.by_path
    found: list[Selection] = []
    for source in sources:
        path = posixpath.normpath("/" + source).lstrip("/")
        if any(char in path for char in "*?["):
            matches = [p for p in sorted(known, key=lambda one: one.split("/")) if _match(p, path)]  # as a walk goes
        else:
            matches = [path] if path in known or not path else []
        found += [_selection(known, match) for match in matches]
    return tuple(found)


def _match(path: str, pattern: str) -> bool:
    """Match as Go's filepath.Match does: a star never crosses a slash, [^a] is any letter but a."""
    parts, wanted = path.split("/"), pattern.replace("[^", "[!").split("/")
    return len(parts) == len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted))


def _selection(known: Mapping[str, ContextFile], path: str) -> Selection:
    file = follow(known, path)
    if path and file is not None and file.kind != "directory":
        return Selection(f"file:{file.tarsum}", (replace(file, path=path),), path)
    top = file.path if file is not None else path
    inside = [f for f in known.values() if not top or f.path.startswith(top + "/")]
    own = [file] if file is not None else []
    sums = sorted(_sum(known, f.path) for f in [*own, *inside])
    # The folder's own mode counts for the classic builder only, not for BuildKit (tried on 20.10 and 26.1).
    return Selection(f"dir:{sha256(','.join(sums).encode()).hexdigest()}", tuple(inside), path)


def _sum(known: Mapping[str, ContextFile], path: str) -> str:
    file = follow(known, path)
    return file.tarsum if file is not None else path


def follow(known: Mapping[str, ContextFile], path: str) -> ContextFile | None:
    """Return the file that a path leads to, through symbolic links, never out of the context."""
    for _ in range(40):  # Linux gives up after 40 links too
        file = known.get(path)
        if file is None or file.kind != "symlink":
            return file
        path = posixpath.normpath(posixpath.join("/", posixpath.dirname(path), file.link)).lstrip("/")
    return None


def classic_hash(selections: tuple[Selection, ...]) -> str:
    """Return what the classic builder writes into a COPY step's name: `file:...`, `dir:...` or `multi:...`."""
    if len(selections) == 1:
        return selections[0].hash
    return f"multi:{sha256(','.join(s.hash for s in selections).encode()).hexdigest()}"


def content_key(selections: tuple[Selection, ...]) -> str:
    """Return one hash over names, modes and contents: what BuildKit compares, whatever the files' times say."""
    rows = [f"{f.path}\0{f.kind}\0{f.mode}\0{f.sha256}\0{f.link}" for s in selections for f in s.files]
    return sha256("\n".join(sorted(rows)).encode("utf-8", "surrogateescape")).hexdigest()


Reader = Callable[[str], bytes]
