"""Files laid down in an image by COPY and ADD: where, whose, and what they take the place of.

Sources: moby builder/dockerfile (copy.go: performCopyForInfo, copy_unix.go: fixPermissions, internals_linux.go:
parseChownFlag), pkg/archive (Untar), tag v20.10.24.
"""

from __future__ import annotations

import posixpath
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import BinaryIO

from drydock.engine.build.context import Unpacked
from drydock.engine.build.sources import CopyFailed, Piece
from drydock.engine.snapshots import New, View, with_parents
from drydock.engine.snapshots.change import Source
from drydock.model.layer import Entry, Layer
from drydock.model.tree import Tree

Owner = tuple[int, int]


@dataclass(frozen=True)
class Content:
    """A file's content, to be read from where it is."""

    view: View
    path: str

    def open(self) -> BinaryIO:
        """Open it."""
        return self.view.open(self.path)


class Draft:
    """The image's file system with the changes that are being made to it."""

    def __init__(self, view: View) -> None:
        self.before = view
        tree: Tree = view.tree.copy()
        self.view = View(view.levels, tree)
        self.changes: dict[str, New] = {}
        self.opaque: set[str] = set()
        self.now = time.time()

    def put(self, entry: Entry, source: Source | None = None) -> None:
        """Put an entry in place of what stands there; two directories become one."""
        old = self.view.lookup(entry.path, follow=False)
        if old is not None and old.kind != "directory" and entry.kind == "directory":
            if self.before.lookup(entry.path, follow=False) is not None:
                self.opaque.add(entry.path)  # a whiteout lay there: overlayfs makes such a directory opaque
        elif old is not None and old.kind == "directory" and entry.kind != "directory":
            for path in [p for p in self.changes if p.startswith(entry.path + "/")]:
                del self.changes[path]
            self.opaque.discard(entry.path)
        if entry.kind == "symlink":
            entry = replace(entry, mode=0o777)  # Linux gives a link no other
        self.changes[entry.path] = New(entry, source)
        if old is not None and old.kind == "directory" and entry.kind != "directory":
            self.view.tree.apply(Layer("", "", 0, whiteouts=(entry.path,)), len(self.view.levels))
        self.view.tree.apply(Layer("", "", 0, (entry,)), len(self.view.levels))

    def folder(self, path: str, owner: Owner) -> None:
        """Make a directory and those above it where they are missing."""
        parts = path.split("/") if path else []
        for n in range(len(parts)):
            one = self.view.resolve("/".join(parts[: n + 1]))
            there = self.view.lookup(one)
            if there is None:
                self.put(Entry(one, "directory", mode=0o755, uid=owner[0], gid=owner[1], mtime=self.now))
            elif there.kind != "directory":
                raise CopyFailed(f"failed to create new directory: mkdir /{one}: not a directory")

    def done(self) -> tuple[New, ...]:
        """Return all changes, with the directories they lie in; a directory in which a name came has a new time."""
        self._first_names()
        touched = {path.rpartition("/")[0] for path, change in self.changes.items() if self._is_new(path, change)}
        changes = [*self.changes.values(), *(New.opaque(path) for path in sorted(self.opaque))]
        complete = with_parents(changes, self.before)
        return tuple(
            replace(change, entry=replace(change.entry, mtime=self.now))
            if change.entry.kind == "directory" and change.entry.path in touched - self.changes.keys()
            else change
            for change in complete
        )

    def _first_names(self) -> None:
        """Let the first name of a file, in the order of the layer, be the file, and its other names links to it."""
        groups: dict[str, list[str]] = {}
        for path, change in self.changes.items():
            target = path
            while self.changes[target].entry.kind == "hardlink" and self.changes[target].entry.link in self.changes:
                target = self.changes[target].entry.link
            if change.entry.kind == "hardlink":
                groups.setdefault(target, [target]).append(path)
        for target, names in groups.items():
            file = self.changes[target]
            first, *others = sorted(names, key=lambda path: path.split("/"))
            self.changes[first] = New(replace(file.entry, path=first), file.source)
            link = replace(file.entry, kind="hardlink", size=0, digest="", link=first)
            self.changes |= {path: New(replace(link, path=path)) for path in others}

    def _is_new(self, path: str, change: New) -> bool:
        old = self.before.lookup(path, follow=False)
        return old is None or change.entry.kind != "directory"


Extract = Callable[[BinaryIO], Unpacked | None]


@dataclass(frozen=True)
class Job:
    """How the pieces are laid down."""

    target: str  # absolute; a slash at its end says it is a folder
    owner: Owner | None  # None: as they are in their source (COPY --from)
    extract: Extract | None = None  # ADD: returns what an archive holds, None for any other file


def lay(draft: Draft, piece: Piece, job: Job) -> None:
    """Copy one piece, as dockerd would.

    Raises: CopyFailed.
    """
    path = piece.view.resolve(piece.path)
    source = piece.view.lookup(path)
    if source is None:
        raise CopyFailed(f"source path not found: stat /{path}: no such file or directory")
    target = draft.view.resolve(job.target)
    if source.kind == "directory":
        _folder(draft, piece.view, path, target, job.owner)
        return
    if job.extract and not piece.downloaded and source.kind == "file":
        with piece.view.open(path) as content:
            held = job.extract(content)
        if held is not None:
            _archive(draft, held, target)
            return
    there = draft.view.lookup(target)
    if job.target.endswith("/") or (there is not None and there.kind == "directory"):
        target = f"{target}/{posixpath.basename(piece.path)}".lstrip("/")
    draft.folder(target.rpartition("/")[0], job.owner or (0, 0))
    draft.put(owned(replace(source, path=target), job.owner), source=_content(piece.view, source))


def _folder(draft: Draft, view: View, top: str, target: str, owner: Owner | None) -> None:
    there = draft.view.lookup(target)
    if there is not None and there.kind != "directory":
        raise CopyFailed(f"failed to copy directory: mkdir /{target}: not a directory")
    if there is None:
        draft.folder(target, (0, 0))
        if owner and target:
            made = draft.changes[target].entry
            draft.changes[target] = New(owned(made, owner))
    names: dict[tuple[int, str], str] = {}
    for entry in view.walk(top):
        if entry.path == top:
            continue
        path = f"{target}/{entry.path[len(top) :].lstrip('/')}".lstrip("/")
        first = names.setdefault(_file_of(view, entry.path), path)
        if entry.kind == "file" and first != path:
            draft.put(owned(replace(entry, path=path, kind="hardlink", size=0, digest="", link=first), owner))
        else:
            draft.put(owned(replace(entry, path=path), owner), source=_content(view, entry))


def _file_of(view: View, path: str) -> tuple[int, str]:
    """Return what tells two names of one file from two files."""
    node = view.tree.nodes.get(path)
    seen = {path}
    while node is not None and node.entry.kind == "hardlink" and node.entry.link not in seen:
        path = node.entry.link
        seen.add(path)
        if node.layer >= len(view.levels):
            break
        first = view.levels[node.layer].layer.by_path.get(path)
        if first is None or first.kind != "hardlink":
            break
        node = replace(node, entry=first)
    return (node.layer if node else -1, path)


def _archive(draft: Draft, held: Unpacked, target: str) -> None:
    """Unpack an archive below the target: owners, modes and times as they are in it."""
    draft.folder(target, (0, 0))
    for path, entry in held.entries.items():
        folder, _, name = path.rpartition("/")
        folder = draft.view.resolve(f"{target}/{folder}")
        draft.folder(folder, (0, 0))
        link = f"{target}/{entry.link}".lstrip("/") if entry.kind == "hardlink" else entry.link
        there = draft.view.lookup(link, follow=False) if entry.kind == "hardlink" else None
        if entry.kind == "hardlink" and there is None:
            raise CopyFailed(f"link /{link}: no such file or directory")
        if link in draft.changes and entry.kind == "hardlink":  # what the tar says of one name goes for all
            first = draft.changes[link]
            told = replace(first.entry, mode=entry.mode, uid=entry.uid, gid=entry.gid, mtime=entry.mtime)
            draft.changes[link] = New(told, first.source)
        draft.put(replace(entry, path=f"{folder}/{name}".lstrip("/"), link=link), source=held.slices.get(path))


def owned(entry: Entry, owner: Owner | None) -> Entry:
    """Return the entry after a chown, which takes setuid, setgid and capabilities of a file with it (chown(2)).

    >>> su = Entry("su", "file", mode=0o4755)
    >>> oct(owned(su, (0, 0)).mode), oct(owned(su, None).mode)
    ('0o755', '0o4755')
    """
    if owner is None:
        return entry
    mode, xattrs = entry.mode, entry.xattrs
    if entry.kind in ("file", "hardlink"):
        mode &= ~stat.S_ISUID
        mode &= ~stat.S_ISGID if mode & stat.S_IXGRP else ~0
        xattrs = tuple(pair for pair in xattrs if pair[0] != "security.capability")
    return replace(entry, uid=owner[0], gid=owner[1], mode=mode, xattrs=xattrs)


def _content(view: View, entry: Entry) -> Content | None:
    return Content(view, entry.path) if entry.kind == "file" else None


def account(text: str, view: View) -> Owner:
    """Return the owner that `--chown` names, looked up in the image's own accounts.

    Raises: CopyFailed with dockerd's words.
    """
    parts = text.split(":")
    failed = "unable to convert uid/gid chown string to host mapping: "
    if len(parts) > 2:
        raise CopyFailed(f"{failed}invalid chown string format: {text}")
    user, group = parts[0], parts[-1]
    return (
        _number(view, "user", user, "etc/passwd", f"{failed}can't find uid for user {user}: "),
        _number(view, "group", group, "etc/group", f"{failed}can't find gid for group {group}: "),
    )


def _number(view: View, what: str, name: str, path: str, failed: str) -> int:
    if name.lstrip("+-").isdecimal():
        return int(name)
    entry = view.lookup(path)
    if entry is None or entry.kind != "file":
        raise CopyFailed(f"{failed}open /{path}: no such file or directory")
    for line in view.read(path).decode("utf-8", "replace").splitlines():
        fields = line.split(":")
        if len(fields) > 2 and fields[0] == name and fields[2].isdecimal():
            return int(fields[2])
    raise CopyFailed(f"{failed}no such {what}: {name}")
