"""COPY and ADD: files of the context, of another stage or image, of an archive or a web server, become a layer.

Source: moby builder/dockerfile (dispatchers.go, copy.go: getCopyInfosForSourcePaths, internals.go: performCopy).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

from drydock.engine.build import download, sources
from drydock.engine.build.context import Unpacked, unpack
from drydock.engine.build.copying import Draft, Job, account, lay
from drydock.engine.build.messages import Message, say
from drydock.engine.build.sources import CopyFailed, Piece
from drydock.engine.build.step import BUILDKIT, Step
from drydock.engine.errors import EngineError
from drydock.engine.images import Record
from drydock.engine.snapshots import New, View
from drydock.model.context import select
from drydock.model.dockerfile import Instruction
from drydock.model.resolve import Resolved
from drydock.read.tarstream import BadArchive


def copy(at: Step, i: Instruction, resolved: Resolved) -> Iterator[Message]:
    """COPY and ADD: files of the context, of another stage or image, of an archive or a web server."""
    if i.flag("chmod") is not None:
        raise EngineError(f"the --chmod option requires BuildKit. {BUILDKIT}")
    *names, target = [word if i.json and "$" not in word else at.settings.scope.expand(word) for word in i.words]
    origin = i.flag("from")
    keep = False
    if origin:
        image = yield from _origin(at, origin)
        pieces = _from_image(at, image, names, i.keyword)
        keep = i.flag("chown") is None
    else:
        pieces = []
        for source in names:
            pieces += yield from _from_here(at, source, target, i.keyword)
    if not pieces:
        raise CopyFailed(f"{i.keyword} failed: no source files were specified")
    if len(pieces) > 1 and not target.endswith("/"):
        advice = "the destination must be a directory and end with a /"
        raise CopyFailed(f"When using {i.keyword} with more than one source file, {advice}")
    comment = resolved.comment.replace("{hash}", sources.source_hash([piece.named() for piece in pieces]))
    before = " ".join(at.settings.shell) + " "
    config = at.configured([*at.settings.shell, comment[len(before) :]])
    if at.hit(config):
        yield say(" ---> Using cache\n")
        return
    owner = at.settings.scope.expand(i.flag("chown") or "")
    changes = _copied(at, [piece.real() for piece in pieces], target, owner, keep, i.keyword == "ADD")
    at.commit(config, at.site.layers.write(changes))


def _copied(at: Step, pieces: Sequence[Piece], target: str, owner: str, keep: bool, extract: bool) -> tuple[New, ...]:
    """Return what a COPY changes."""
    view = at.site.layers.view(at.chain())
    who = account(owner, view) if owner else None if keep else (0, 0)
    workdir = at.settings.config["WorkingDir"]
    absolute = target if target.startswith("/") else f"/{workdir}/{target}"

    def held(content: BinaryIO) -> Unpacked | None:
        spool = at.site.tmp / secrets.token_hex(8)
        with suppress(BadArchive):
            found = unpack(content.read, spool, "the archive", sums=False)
            return found if found.entries else None
        return None

    draft = Draft(view)
    job = Job(absolute, who, held if extract else None)
    for piece in pieces:
        try:
            lay(draft, piece, job)
        except CopyFailed as error:
            raise CopyFailed(f"failed to copy files: {error}") from None
    return draft.done()


@dataclass(frozen=True)
class Found:
    """A source of a COPY whose name in the cache is known; the files themselves are looked at when they are copied."""

    hash: str
    path: str
    view: Callable[[], View]
    downloaded: bool = False

    def named(self) -> str:
        """Return the name in the cache."""
        return self.hash

    def real(self) -> Piece:
        """Return the files."""
        return Piece(self.view(), self.path, self.hash, self.downloaded)


def _from_here(at: Step, source: str, target: str, keyword: str) -> Generator[Message, None, list[Found]]:
    """Return what a source brings from the context, or for ADD from a web server (whose progress is told)."""
    if source.lower().startswith(("http://", "https://")):
        if keyword == "COPY":
            raise CopyFailed("COPY failed: source can't be a URL for COPY")
        try:
            got = yield from download.fetch(source, target, at.site.tmp / secrets.token_hex(8))
        except CopyFailed as error:
            raise CopyFailed(f"ADD failed: {error}") from None
        view = got.view()
        (path,) = got.entries
        return [Found(sources.digest_name(view, path), path, lambda: view, downloaded=True)]
    try:
        found = sources.selected(at.site.sent.context, source)
    except CopyFailed as error:
        raise CopyFailed(f"{keyword} failed: {error}") from None
    return [Found(one.hash, one.path, lambda: at.site.sent.view) for one in found]


def _origin(at: Step, name: str) -> Generator[Message, None, Record | None]:
    """Return the image that `--from` names: an earlier stage's by name or number, or any other."""
    site = at.site
    try:
        if name.lower() in site.names:
            return site.ends[site.names[name.lower()]]
        if name.lstrip("+-").isdecimal():
            number = int(name)
            if number == len(site.ends):
                raise EngineError("refers to current build stage")
            if not 0 <= number < len(site.ends):
                raise EngineError("index out of bounds")
            return site.ends[number]
        return (yield from site.image(name))
    except EngineError as error:
        raise EngineError(f"invalid from flag value {name}: {error}") from None


def _from_image(at: Step, image: Record | None, names: Sequence[str], keyword: str) -> list[Found]:
    """Return what the sources bring from an image; what was found in it once is remembered, since it never changes."""
    chain = tuple(image.layers) if image else ()
    found: list[Found] = []
    for source in names:
        key = (image.id if image else "", source)
        if key not in at.site.known:
            try:
                context = sources.look_at(at.site.layers.view(chain), source)
            except CopyFailed as error:
                raise CopyFailed(f"{keyword} failed: {error}") from None
            at.site.known[key] = tuple((one.hash, one.path) for one in select(context, [source]))
        found += [Found(name, path, lambda: at.site.layers.view(chain)) for name, path in at.site.known[key]]
    return found
