"""A file that a layer shares with a tree was written to in place: each gets its own, and the layer its content back."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drydock.engine.snapshots.beneath import Beneath
from drydock.engine.snapshots.describe import Found
from drydock.engine.snapshots.disk import write_beside
from drydock.engine.snapshots.farm import Print
from drydock.engine.snapshots.journal import OWNER
from drydock.engine.snapshots.layers import Layers
from drydock.engine.snapshots.unpack import mark_owner
from drydock.model.layer import Layer
from drydock.read.tarstream import Stream, clean, members

if TYPE_CHECKING:
    from drydock.engine.snapshots.tree import TreeSnapshot


def mend(snapshot: TreeSnapshot, hurt: Mapping[str, Found], now: Mapping[str, Print]) -> None:
    """Give the snapshot copies of its own of these files, and the layers and all other trees the old content.

    The other trees come first, then the layer: a kill in between leaves what another scan of this snapshot finds again.
    """
    layers = snapshot.layers
    with snapshot.nursery.still, layers.tmp() as folder:
        others = [*snapshot.folder.parent.iterdir(), *snapshot.nursery.all()]
        for path, found in hurt.items():
            diff_id = snapshot.chain[snapshot.below.tree.nodes[path].layer]
            root, inode = layers.root(diff_id), found.stat.st_ino
            if (root / path).lstat().st_ino != inode:
                continue  # mended with another name of the same file
            names, new = _names(layers.get(diff_id), path), folder / "file"
            _write_anew(layers, diff_id, names[0], new)
            for other in others:
                if other != snapshot.folder:
                    _relink(other, names, inode, new)
            _instead(new, [root / name for name in names])
            new.unlink()
            _own_copy(snapshot.tree, path, found, [name for name, one in now.items() if one.inode == inode])


def _own_copy(tree: Path, path: str, found: Found, names: list[str]) -> None:
    """Put a copy in the place of a shared file, under all the names that the tree has for it."""
    new = tree.parent / secrets.token_hex(8)
    with Beneath(tree, path).open() as old, new.open("xb") as file:
        shutil.copyfileobj(old, file)
    if found.owner:
        os.setxattr(new, OWNER, b"%d:%d" % found.owner)
    os.utime(new, ns=(found.stat.st_atime_ns, found.stat.st_mtime_ns))
    new.chmod(stat.S_IMODE(found.stat.st_mode))
    inode = new.stat().st_ino
    _instead(new, [tree / name for name in names])
    new.unlink()
    with _prints(tree.parent) as prints:  # it is still the layer's file to whoever asks, only not on disk
        for name in names:
            if name in prints:
                prints[name] = Print(*prints[name])._replace(inode=inode, ctime=0)


def _names(layer: Layer, path: str) -> list[str]:
    """Return all names of a layer's file, the one that has the content first."""
    first = _first(layer, path)
    return [first, *(one.path for one in layer.entries if one.kind == "hardlink" and _first(layer, one.path) == first)]


def _write_anew(layers: Layers, diff_id: str, path: str, new: Path) -> None:
    """Write a layer's file anew from its tar."""
    said = layers.get(diff_id).by_path[path]
    with layers.blobs.open(diff_id) as blob:
        for header, content in members(Stream(blob.read, diff_id)):
            if header.kind == "file" and clean(header.name, diff_id) == path:
                with new.open("wb") as file:
                    file.writelines(content.all())
    with new.open("rb+") as file:
        mark_owner(file.fileno(), said)
    new.chmod(said.mode | 0o400)
    os.utime(new, (said.mtime, said.mtime))


def _first(layer: Layer, path: str) -> str:
    seen = {path}
    while layer.by_path[path].kind == "hardlink" and layer.by_path[path].link not in seen:
        path = layer.by_path[path].link
        seen.add(path)
    return path


def _instead(new: Path, names: list[Path]) -> None:
    """Put a file in the place of others; the directories' times stay."""
    for name in names:
        with _timeless(name.parent):
            beside = new.with_name(secrets.token_hex(8))  # not in the tree, where a kill would leave one file more
            beside.hardlink_to(new)
            beside.rename(name)
            beside.unlink(missing_ok=True)  # where both were one file, rename does nothing


@contextmanager
def _timeless(folder: Path) -> Iterator[None]:
    info = folder.lstat()
    yield
    os.utime(folder, ns=(info.st_atime_ns, info.st_mtime_ns))


def _relink(other: Path, names: Sequence[str], inode: int, new: Path) -> None:
    """Let another tree that shared the damaged file share the mended one."""
    places = {name: other / "tree" / name for name in names}
    shared = [name for name, place in places.items() if _inode(place) == inode]
    if shared:
        with _prints(other) as prints:  # first: after a kill in between the file is not what is written, and is mended
            prints.update(dict.fromkeys(shared, Print.of(new.lstat())))
        _instead(new, [places[name] for name in shared])


def _inode(place: Path) -> int:
    try:
        return place.lstat().st_ino
    except OSError:
        return 0  # no tree, or it lacks the file


@contextmanager
def _prints(folder: Path) -> Iterator[dict[str, Any]]:
    """Give what a tree's files looked like when it was planted, to be corrected."""
    prints = json.loads((folder / "base.json").read_bytes())
    yield prints
    write_beside(folder / "base.json", json.dumps(prints).encode(), folder)
