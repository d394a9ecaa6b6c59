"""Cleaning: blobs that no manifest of their repository names any more are removed, also while the registry serves."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

from drydock.model.layer import human
from drydock.registry.server.manifest import parse
from drydock.registry.server.refusals import Refusal
from drydock.registry.server.repository import Repository
from drydock.registry.server.store import Store
from drydock.registry.server.upload import KEPT

GRACE = float(KEPT)  # s; a push asks for a blob, or sends it, and names it in a manifest within this time


@dataclass(frozen=True)
class Cleaned:
    """What cleaning removed: how many blobs, and their bytes on the disk."""

    blobs: int
    size: int

    def picture(self) -> str:
        """Return it as one line."""
        return f"Removed {self.blobs} blobs that no image needs, {human(self.size)}."


def clean(store: Store, grace: float = GRACE) -> Cleaned:
    """Remove the blobs that nothing names, unless somebody asked for them in the last `grace` seconds.

    A push in two steps is safe: it first learns that a blob is here (which marks the time), then names it.
    """
    with store.turn(alone=True):
        wanted = {digest for name in store.names() for digest in store.repository(name).manifests()}
        for name in store.names("_blobs"):
            repository = store.repository(name)
            named = set(_named(store, repository))
            for digest, asked in list(repository.blobs()):
                if digest in named or asked > time.time() - grace:
                    wanted.add(digest)
                else:
                    repository.remove_blob(digest)
        unwanted = [digest for digest in store.blobs.all() if digest not in wanted]
        size = sum(store.blobs.size(digest) for digest in unwanted)
        for digest in unwanted:
            store.blobs.remove(digest)
        return Cleaned(len(unwanted), size)


def _named(store: Store, repository: Repository) -> Iterator[str]:
    """Go through the digests of the blobs that a repository's manifests name."""
    for digest in repository.manifests():
        with contextlib.suppress(Refusal):  # damaged, and by now forgotten
            data, media_type = store.manifest(repository, digest)
            yield from (blob.digest for blob in parse(data, media_type).blobs)
