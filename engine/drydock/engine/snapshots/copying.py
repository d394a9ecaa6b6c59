"""`docker cp` and `docker export`: files into a snapshot and out of one, as tars.

Source: moby v20.10 daemon/archive.go, pkg/archive (Unpack): members go where links of the container lead, never out.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from drydock.engine.errors import BadParameter, NotFound
from drydock.engine.snapshots import tarwriter
from drydock.engine.snapshots.change import New
from drydock.engine.snapshots.layers import Readable
from drydock.engine.snapshots.view import View
from drydock.model.layer import Entry
from drydock.read.layer import opened
from drydock.read.tarstream import CHUNK, Content, Stream, clean, members

WHERE = "the archive"
SMALL = 1 << 16  # bytes of a file kept in memory rather than in the folder


class CopyIn:
    """One tar on its way into a directory of a snapshot."""

    def __init__(self, view: View, path: str, folder: Path, guard: bool = False) -> None:
        self.view, self.folder, self.guard = view, folder, guard
        self.into = view.resolve(path)
        target = view.lookup(path)
        if target is None:
            raise NotFound(f"Could not find the file {path} in container")
        if target.kind != "directory":
            raise BadParameter("extraction point is not a directory")

    def changes(self, stream: Readable, owner: tuple[int, int] | None = None) -> list[New]:
        """Return the tar's members as changes; larger files wait in the folder."""
        found = []
        plain, _ = opened(stream.read, WHERE)
        for number, (header, content) in enumerate(members(Stream(plain, WHERE))):
            path = self._place(clean(header.name, WHERE))
            if path == self.into:
                continue
            if self.guard:
                self._refuse(path, header.kind)
            uid, gid = owner or (header.uid, header.gid)
            link = self._place(clean(header.link, WHERE)) if header.kind == "hardlink" else header.link
            entry = Entry(
                *(path, header.kind, header.size, header.mode, uid, gid, header.mtime),
                *(link, "", header.xattrs, header.device),
            )
            found.append(New(entry, self._kept(content, number) if header.kind == "file" else None))
        return found

    def _place(self, name: str) -> str:
        """Return where a member goes: the directories it lies in may be links."""
        folder, _, last = name.rpartition("/")
        return f"{self.view.resolve(f'{self.into}/{folder}')}/{last}".strip("/")

    def _refuse(self, path: str, kind: str) -> None:
        there = self.view.lookup(path, follow=False)
        if there and (there.kind == "directory") != (kind == "directory"):
            what = ("directory", "non-directory") if there.kind == "directory" else ("non-directory", "directory")
            quoted = json.dumps(f"/{path}"), json.dumps(f"/{self.into}")
            raise BadParameter(f"cannot overwrite {what[0]} {quoted[0]} with {what[1]} {quoted[1]}")

    def _kept(self, content: Content, number: int) -> bytes | Path:
        if content.size <= SMALL:
            return b"".join(content.all())
        path = self.folder / str(number)
        with path.open("wb") as file:
            file.writelines(content.all())
        return path


def copy_out(view: View, path: str, name: str | None = None) -> Iterator[bytes]:
    """Return a path and all below it as a tar; the path's own member is called `name`, by default its last part.

    An empty name leaves it out: all below it then stands at the top, as in `docker export`.
    """
    top = view.resolve(path, follow=False)
    if view.lookup(top, follow=False) is None:
        raise NotFound(f"Could not find the file {path} in container")
    called = posixpath.basename(top) if name is None else name
    return _members(view, top, called)


def _members(view: View, top: str, called: str) -> Iterator[bytes]:
    for entry in view.walk(top):
        below = entry.path[len(top) :].strip("/")
        member = f"{called}/{below}".strip("/")
        if not member:
            continue
        size = entry.size if entry.kind == "file" else 0
        name = member + "/" if entry.kind == "directory" else member
        if entry.kind == "file":
            yield from _file(view, name, entry, size)
        else:
            yield tarwriter.header(tarwriter.Member(name, replace(entry, path=member), 0))
    yield tarwriter.END


def _file(view: View, name: str, entry: Entry, size: int) -> Iterator[bytes]:
    with view.open(entry.path) as file:
        yield tarwriter.header(tarwriter.Member(name, entry, size))
        left = size
        while left and (piece := file.read(min(left, CHUNK))):
            left -= len(piece)
            yield piece
        yield bytes(left) + tarwriter.padding(size)  # a file that shrinks while it is read does not break the rest
