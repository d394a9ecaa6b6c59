"""What a pull or a push moved, blob by blob: the same words whichever engine did it.

A registry keeps blobs under the digest of their bytes, so what it has need not come again: that is all the saving.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from drydock.model.layer import counted, human, shown

GLYPHS = {
    "waiting": ".",
    "sending": ">",
    "receiving": ">",
    "unpacking": ">",
    "exists": "=",
    "mounted": "@",
    "sent": "+",
    "received": "+",
    "failed": "!",
    "cancelled": "x",
}
MOVED = ("sent", "received", "unpacking")
THERE = ("exists", "mounted")


@dataclass(frozen=True)
class Blob:
    """One piece of an image on its way: a layer, the configuration, or the manifest that lists them.

    What the engine did not say, and was worked out from the registry's manifest, is marked as estimated.
    """

    id: str  # the digest; while only that is known, what the engine calls it: 12 digits of the digest or of a diff ID
    kind: str = "layer"  # layer, config, manifest, index
    state: str = "waiting"  # one of GLYPHS
    size: int | None = None  # bytes in the registry, which keeps layers compressed
    moved: int = 0  # bytes that crossed the network
    share: float = 0.0  # how much of it is done, 0 to 1
    seconds: float | None = None  # on the network; unpacking is not counted
    source: str = ""  # the repository that it was mounted from
    estimated: bool = False
    note: str = ""  # "Retrying in 5 seconds"

    @property
    def done(self) -> bool:
        """True once nothing more can happen to it."""
        return self.state not in ("waiting", "sending", "receiving", "unpacking")

    @property
    def short(self) -> str:
        """The first 12 digits, as engines and `docker images` show them."""
        return self.id.rpartition(":")[2][:12]

    def picture(self) -> str:
        """Return the blob on one line: glyph, word, bytes moved of its size, time, kind, digest.

        >>> Blob("sha256:" + "6deb6191d196" + "0" * 52, "layer", "sent", 1_500_000, 1_500_000, 1.0, 0.31).picture()
        '+ sent        1.5MB of 1.5MB    0.3 s  layer     6deb6191d196'
        >>> Blob("c712f146ef96", "layer", "mounted", 2000, source="me/app").picture()
        '@ mounted        0B of 2kB             layer     c712f146ef96  from me/app'
        """
        seconds = f"{self.seconds:.1f} s" if self.seconds is not None else ""
        moved = ("~" if self.estimated else "") + human(self.moved)
        size = human(self.size) if self.size is not None else "?"
        end = f"from {shown(self.source)}" if self.source else shown(self.note)
        moved = f"{moved:>7} of {size:<6} {seconds:>8}"
        line = f"{GLYPHS[self.state]} {self.state:<9} {moved}  {self.kind:<8}  {self.short}"
        return f"{line}  {end}" if end else line


@dataclass(frozen=True)
class Transfer:
    """One pull or push: under way, or done."""

    direction: str  # "push" or "pull"
    name: str  # localhost:5055/app:1
    engine: str  # "Docker 20.10.24"
    blobs: tuple[Blob, ...] = ()  # layers from the base up; then config and manifest, once they are known
    digest: str = ""  # of the manifest: the image's identity in every registry
    state: str = "running"  # running, done, failed, cancelled
    up_to_date: bool = False  # a pull that found nothing new under the name
    seconds: float | None = None
    error: str | None = None

    @property
    def parts(self) -> tuple[Blob, ...]:
        """What the image is made of: layers and configuration. The manifest only names them, and counts no byte."""
        return tuple(blob for blob in self.blobs if blob.kind in ("layer", "config"))

    @property
    def size(self) -> int | None:
        """How large the image is in the registry; None while the size of a part is not known."""
        sizes = [blob.size for blob in self.parts]
        return sum(size for size in sizes if size is not None) if sizes and None not in sizes else None

    @property
    def moved(self) -> int:
        """How many bytes of it crossed the network.

        >>> there, new = Blob("a", state="exists", size=1000), Blob("b", state="sent", size=10, moved=10)
        >>> Transfer("push", "app", "Docker", (there, new)).moved, Transfer("push", "app", "Docker", (there, new)).size
        (10, 1010)
        """
        return sum(blob.moved for blob in self.parts)

    @property
    def estimated(self) -> bool:
        """True where a number in it is worked out, and not what the engine said."""
        return any(blob.estimated for blob in self.parts)

    def count(self, *states: str) -> int:
        """Return how many of the image's parts are in one of these states."""
        return sum(blob.state in states for blob in self.parts)

    def sentence(self) -> str:
        """Return the transfer in one sentence.

        >>> layers = Blob("a", state="exists", size=1_000_000), Blob("b", state="sent", size=1000, moved=1000)
        >>> Transfer("push", "app", "Docker", layers, state="done", seconds=0.26).sentence()
        '1kB of 1MB sent in 0.3 s; 1 of 2 parts was there already.'
        """
        if self.up_to_date:
            return "Nothing to pull: the image here is what the registry has under this name."
        verb = "sent" if self.direction == "push" else "received"
        moved = ("~" if self.estimated else "") + human(self.moved)
        size = f" of {human(self.size)}" if self.size is not None else ""
        took = f" in {self.seconds:.1f} s" if self.seconds is not None else " so far"
        end = {"failed": " Then it failed.", "cancelled": " Then it was cancelled."}.get(self.state, "")
        return f"{moved}{size} {verb}{took}{self._saved()}.{end}"

    def _saved(self) -> str:
        there, mounted = self.count("exists"), self.count("mounted")
        parts, verb = counted(len(self.parts), "part"), "was" if there == 1 else "were"
        said = [f"{there} of {parts} {verb} there already"] if there else []
        said += [f"{mounted} came from another repository of the registry"] if mounted else []
        return "".join(f"; {one}" for one in said)

    def picture(self) -> str:
        """Return a drawing in text: a sentence on top, a line per blob; ~ marks what is estimated.

        >>> print(Transfer("push", "app:1", "Docker 20.10", (Blob("6deb6191d196", state="exists", size=9),)).picture())
        push of app:1, Docker 20.10: 0B of 9B sent so far; 1 of 1 part was there already.
        = exists         0B of 9B              layer     6deb6191d196
        """
        head = f"{self.direction} of {self.name}, {self.engine}: {self.sentence()}"
        return "\n".join([head, *(blob.picture() for blob in self.blobs), *([self.error] if self.error else [])])


def with_blob(transfer: Transfer, blob: Blob, first: bool = False) -> Transfer:
    """Return the transfer with a blob in the place of the one of the same ID, or with one more, at the end or first."""
    if any(old.id == blob.id for old in transfer.blobs):
        return replace(transfer, blobs=tuple(blob if old.id == blob.id else old for old in transfer.blobs))
    return replace(transfer, blobs=(blob, *transfer.blobs) if first else (*transfer.blobs, blob))


def ended(transfer: Transfer, state: str, error: str | None, seconds: float) -> Transfer:
    """Return the transfer at its end: what was on its way has failed or was cancelled; what waited stays waiting."""
    on_the_way = ("sending", "receiving", "unpacking")
    blobs = (replace(b, state=_final(b, state)) if b.state in on_the_way else b for b in transfer.blobs)
    return replace(transfer, blobs=tuple(blobs), state=state, error=error, seconds=seconds)


def _final(blob: Blob, state: str) -> str:
    if state != "done":
        return state
    return "sent" if blob.state == "sending" else "received"


def joined(
    transfer: Transfer, listed: Sequence[Blob], diff_ids: Sequence[str] = (), config_there: bool | None = None
) -> Transfer:
    """Return a finished transfer with what the registry's manifest lists: whole digests, sizes, config and manifest.

    Engines name a layer by its digest in the registry or by its diff ID (of the uncompressed bytes); `diff_ids`, from
    the base up, lead from one to the other. `config_there` says whether the registry had the configuration before.

    >>> said = Blob("dddddddddddd", state="sent", moved=70, estimated=True)
    >>> layer, config = Blob("sha256:" + "a" * 64, size=50), Blob("sha256:" + "c" * 64, "config", size=5)
    >>> push = Transfer("push", "app", "Docker", (said,), state="done", seconds=0.1)
    >>> print(joined(push, [layer, config], ["sha256:" + "d" * 64]).picture())
    push of app, Docker: ~55B of 55B sent in 0.1 s.
    + sent         ~50B of 50B              layer     aaaaaaaaaaaa
    + sent          ~5B of 5B               config    cccccccccccc
    """
    names = _names(listed, diff_ids)
    said = {blob.short: blob for blob in transfer.blobs}
    rows: list[Blob] = []
    for blob in {blob.id: blob for blob in listed}.values():  # an image may have a layer twice; it moves once
        row = next((said.pop(short) for short in names[blob.id] if short in said), None)
        rows.append(_told(row, blob) if row else blob)
    if transfer.state == "done":
        new = _is_new(transfer) if config_there is None else not config_there
        told = {blob.short for blob in transfer.blobs}
        rows = [r if told & set(names[r.id]) else _untold(r, transfer, new, config_there is not None) for r in rows]
    return replace(transfer, blobs=(*rows, *said.values()))


def _names(listed: Sequence[Blob], diff_ids: Sequence[str]) -> dict[str, list[str]]:
    """Return for each listed blob what an engine may call it."""
    names = {blob.id: [blob.short] for blob in listed}
    layers = [blob for blob in listed if blob.kind == "layer"]
    if len(layers) == len(diff_ids):
        for blob, diff_id in zip(layers, diff_ids, strict=True):
            names[blob.id].append(diff_id.rpartition(":")[2][:12])
    return names


def _is_new(transfer: Transfer) -> bool:
    """Guess whether the configuration moved: a pull asks for no layer, and a push sends none, where it was there."""
    if transfer.direction == "pull":
        return bool(transfer.blobs)
    return any(blob.state in MOVED for blob in transfer.blobs)


def _told(row: Blob, blob: Blob) -> Blob:
    """Return what the engine said of a blob, under its digest and with its size.

    An engine that counts uncompressed bytes while it sends compressed ones sent what the manifest says, no doubt once.
    """
    row = replace(row, id=blob.id, kind=blob.kind, size=blob.size)
    if row.state not in MOVED or blob.size is None:
        return row
    return replace(row, moved=blob.size, estimated=row.moved != blob.size)


def _untold(blob: Blob, transfer: Transfer, new: bool, looked: bool) -> Blob:
    """Return a blob of which the engine said nothing: a layer that was there, the configuration, the manifest."""
    push = transfer.direction == "push"
    moves = not transfer.up_to_date and {"layer": False, "config": new}.get(blob.kind, True)
    sure = transfer.up_to_date or (push and (looked if blob.kind == "config" else blob.kind != "layer"))
    if not moves:
        return replace(blob, state="exists", share=1.0, estimated=not sure)
    return replace(blob, state="sent" if push else "received", moved=blob.size or 0, share=1.0, estimated=not sure)
