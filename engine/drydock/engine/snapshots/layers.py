"""Layers on disk: the tar as it came, uncompressed, under its digest; its files unpacked; what only we know of them.

    engine/layers/HEX/root/          the files, as overlayfs can take them
    engine/layers/HEX/entries.json   owners, true modes, devices, digests: `kept`
    engine/layers/HEX/packed.json    the layer as registries have it, once one has: `packed`
    blobs/blobs/sha256/HEX           the tar: hashing it again gives the diff ID, and `save` has nothing to compute

A layer is made in `engine/tmp` and renamed when it is whole. Its name is its content: two who make the same layer at
the same time make the same thing, and the second finds it done.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Lock, RLock
from typing import Protocol

from drydock.blobs import Blobs, Writer
from drydock.blobs.store import DIGEST, hex_of
from drydock.engine.errors import NotFound
from drydock.engine.snapshots import kept, packed, tarwriter
from drydock.engine.snapshots.beneath import Beneath
from drydock.engine.snapshots.change import New, content, walked
from drydock.engine.snapshots.disk import discard, remove_tree, scratch, writing
from drydock.engine.snapshots.guard import guarded
from drydock.engine.snapshots.nursery import Nursery
from drydock.engine.snapshots.packed import Packed
from drydock.engine.snapshots.unpack import Root, fill
from drydock.engine.snapshots.view import Level, View
from drydock.model.layer import Layer
from drydock.read.ahead import Ahead
from drydock.read.layer import LIMITS, Limits
from drydock.read.tarstream import CHUNK, Stream

EMPTY = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"  # of 1024 zero bytes: an empty tar
CACHED_ENTRIES = 60_000  # of layers in memory; a Debian base has 7,000, each some 500 bytes here
CACHED_NODES = 60_000  # of merged trees in memory


class Readable(Protocol):
    """Anything bytes can be read from."""

    def read(self, count: int, /) -> bytes:
        """Return up to `count` bytes, none at the end."""


class Layers:
    """All layers of one home."""

    def __init__(self, home: Path, blobs: Blobs, limits: Limits = LIMITS) -> None:
        self.blobs, self.limits = blobs, limits
        self.folder, self.scratch = home / "engine" / "layers", home / "engine" / "tmp"
        with writing(home):
            for folder in (self.folder, self.scratch):
                folder.mkdir(parents=True, exist_ok=True)
            # Images hold setuid programs, here owned by the user: nobody else may come near them.
            (home / "engine").chmod(0o700)
        self.nursery = Nursery(home / "engine" / "trees", self.scratch)
        self.holders: list[Callable[[], set[str]]] = []  # who needs which layers: images, snapshots
        self._pins: list[set[str]] = []
        self._layers: OrderedDict[str, tuple[Layer, bool]] = OrderedDict()
        self._views: OrderedDict[tuple[str, ...], View] = OrderedDict()
        self._lock, self._removing = RLock(), Lock()

    def add(self, stream: Readable, where: str = "the layer", seldom_new: bool = False, on_disk: bool = False) -> Layer:
        """Take in a layer: a tar, plain or packed, unpacked and hashed in one pass.

        A `seldom_new` layer is hashed first and unpacked only if it is unknown: `docker load` of an image that shares
        its base with another. What is `on_disk` never keeps its reader waiting: it is unpacked in a thread of its own,
        which a client that stops sending would hold. Raises BadArchive where the layer is damaged or made to do harm.
        """
        with self._making(where) as (root, writer, folder):
            plain = guarded(stream.read, where, self.limits)
            if seldom_new:
                return self._hashed_first(plain, root, writer, folder)
            if on_disk:
                with Ahead(plain) as unpacked:
                    return self._filled(unpacked.read, root, writer, folder)
            return self._filled(plain, root, writer, folder)

    def _filled(self, plain: Callable[[int], bytes], root: Root, writer: Writer, folder: Path) -> Layer:
        def read(count: int) -> bytes:
            chunk = plain(count)
            writer.write(chunk)
            return chunk

        tar = Stream(read, root.where)
        fill(root, tar, self.limits)
        tar.drain()
        return self._keep(root, writer, folder)

    def _hashed_first(self, plain: Callable[[int], bytes], root: Root, writer: Writer, folder: Path) -> Layer:
        while chunk := plain(CHUNK):
            writer.write(chunk)
        if self.has(writer.digest):
            return self.get(writer.digest)
        with writer.reader() as file:
            fill(root, Stream(file.read, root.where), self.limits)
        return self._keep(root, writer, folder)

    def write(self, changes: Iterable[New]) -> Layer:
        """Make a layer of changes, as dockerd would write it; no change gives the empty layer."""
        with self._making("the layer") as (root, writer, folder):
            for change in walked(changes):
                _take(change, root, writer)
            writer.write(tarwriter.END)
            return self._keep(root, writer, folder)

    def get(self, diff_id: str) -> Layer:
        """Return a layer's entries."""
        return self._load(diff_id)[0]

    def has(self, diff_id: str) -> bool:
        """Return whether the layer is here."""
        if not (self._place(diff_id) / "entries.json").is_file():
            return False
        self._pin(diff_id)
        return True

    def root(self, diff_id: str) -> Path:
        """Return the folder of the layer's files."""
        return self._place(diff_id) / "root"

    def mountable(self, diff_id: str) -> bool:
        """Return whether overlayfs can take the folder: false where the file system refused to hold a whiteout."""
        return self._load(diff_id)[1]

    def all(self) -> Iterator[str]:
        """Go through the diff IDs of all layers."""
        for path in sorted(self.folder.iterdir()):
            if DIGEST.fullmatch(f"sha256:{path.name}"):
                yield f"sha256:{path.name}"

    def view(self, chain: Sequence[str]) -> View:
        """Return the file system that these layers make, base first."""
        chain = tuple(chain)
        with self._lock:
            view = self._views.get(chain)
            if view is None:
                known = next((n for n in range(len(chain), 0, -1) if chain[:n] in self._views), 0)
                below = self._views[chain[:known]] if known else View(())
                view = self._views[chain] = below.on_top(*map(self.level, chain[known:]))
            self._views.move_to_end(chain)
            count = sum(len(one.tree.nodes) for one in self._views.values())
            while count > CACHED_NODES and len(self._views) > 1:
                count -= len(self._views.popitem(last=False)[1].tree.nodes)
            return view

    def relax(self) -> None:
        """Forget what is only remembered to be fast: an engine that has nothing to do should take little memory."""
        with self._lock:
            self._layers.clear()
            self._views.clear()

    def level(self, diff_id: str) -> Level:
        """Return a layer as a level of a view."""
        root = self.root(diff_id)
        return Level(self.get(diff_id), lambda path: Beneath(root, path).open())

    def tmp(self) -> AbstractContextManager[Path]:
        """Give a private folder on the layers' disk, gone afterwards."""
        return scratch(self.scratch)

    @contextmanager
    def pinned(self) -> Iterator[None]:
        """Keep every layer that is added or found while this lasts: it is about to become part of an image."""
        pins: set[str] = set()
        self._pins.append(pins)
        try:
            yield
        finally:
            with self._removing:
                self._pins = [one for one in self._pins if one is not pins]

    def collect(self, diff_ids: Iterable[str]) -> list[str]:
        """Remove those of the layers that nobody needs any more, and return them."""
        with self._removing:
            held = set().union(*self._pins, *(holder() for holder in self.holders))
            gone = [one for one in dict.fromkeys(diff_ids) if one not in held]
            for one in gone:
                self.remove(one)
        return gone

    def remove(self, diff_id: str) -> None:
        """Remove a layer, whoever needs it; `collect` asks first."""
        with self._lock:
            self._layers.pop(diff_id, None)
            for chain in [chain for chain in self._views if diff_id in chain]:
                del self._views[chain]
        as_sent = self.packed(diff_id)
        discard(self._place(diff_id), self.scratch)
        self.blobs.remove(diff_id)
        if as_sent:
            self.blobs.remove(as_sent.digest)

    def packed(self, diff_id: str) -> Packed | None:
        """Return the layer's form in registries, if it ever came from one or went to one."""
        return packed.read(self._place(diff_id))

    def note_packed(self, diff_id: str, found: Packed) -> None:
        """Remember a form of the layer that was verified to unpack to it; do this before its blob is kept."""
        old = self.packed(diff_id)
        packed.write(self._place(diff_id), found, self.scratch)
        if old and old.digest not in (found.digest, diff_id):
            self.blobs.remove(old.digest)

    def recover(self) -> None:
        """Remove what was half made when the engine was killed; call it at the start, before anything else runs."""
        for left in self.scratch.iterdir():
            if left.is_dir() and not left.is_symlink():
                remove_tree(left)
            else:
                left.unlink()
        for folder in self.folder.iterdir():
            if not (folder / "entries.json").is_file() or not self.blobs.has(f"sha256:{folder.name}"):
                discard(folder, self.scratch)

    def _place(self, diff_id: str) -> Path:
        return self.folder / hex_of(diff_id)

    def _pin(self, diff_id: str) -> None:
        for pins in self._pins:
            pins.add(diff_id)

    def _load(self, diff_id: str) -> tuple[Layer, bool]:
        with self._lock:
            found = self._layers.get(diff_id)
            if found is None:
                try:
                    found = kept.from_json((self._place(diff_id) / "entries.json").read_bytes())
                except FileNotFoundError:
                    raise NotFound(f"layer does not exist: {diff_id}") from None
            self._remember(diff_id, found)
            return found

    def _remember(self, diff_id: str, found: tuple[Layer, bool]) -> None:
        with self._lock:
            self._layers[diff_id] = found
            self._layers.move_to_end(diff_id)
            count = sum(len(layer.entries) for layer, _ in self._layers.values())
            while count > CACHED_ENTRIES and len(self._layers) > 1:
                count -= len(self._layers.popitem(last=False)[1][0].entries)

    @contextmanager
    def _making(self, where: str) -> Iterator[tuple[Root, Writer, Path]]:
        """Give what a new layer is made in: its root, the writer of its tar, and the folder that becomes its own."""
        with writing(self.scratch), self.tmp() as folder, self.blobs.writer() as writer:
            made = folder / "layer"
            made.mkdir()
            root = Root(made / "root", where)
            try:
                yield root, writer, made
            finally:
                root.close()

    def _keep(self, root: Root, writer: Writer, made: Path) -> Layer:
        """Finish a layer and give it its name; where it is known already, what was made anew is dropped."""
        root.finish()
        diff_id = writer.commit()
        self._pin(diff_id)
        entries = tuple(root.entries.values())
        size = sum(entry.size for entry in entries)
        layer = Layer(diff_id, diff_id, size, entries, tuple(root.whiteouts), tuple(root.opaque), writer.size)
        (made / "entries.json").write_bytes(kept.to_json(layer, root.ready))
        try:
            made.rename(self._place(diff_id))
        except OSError:
            if not self.has(diff_id):
                raise
        self._remember(diff_id, (layer, root.ready))
        return layer


def _take(change: New, root: Root, writer: Writer) -> None:
    """Write one change into the tar and into the folder."""
    entry = change.entry
    if entry.kind in ("whiteout", "opaque"):
        writer.write(tarwriter.header(tarwriter.Member(change.name, entry, 0)))
        root.hide(entry.path) if entry.kind == "whiteout" else root.cover(entry.path)
    elif entry.kind == "file":
        with content(change) as (size, pieces):
            writer.write(tarwriter.header(tarwriter.Member(change.name, entry, size)))
            root.put(entry, _copied(pieces, writer))
            writer.write(tarwriter.padding(size))
    else:
        writer.write(tarwriter.header(tarwriter.Member(change.name, entry, 0)))
        root.put(entry)


def _copied(pieces: Iterator[bytes], writer: Writer) -> Iterator[bytes]:
    for piece in pieces:
        writer.write(piece)
        yield piece
