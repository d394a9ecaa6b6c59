"""Removing images: what stands in the way, what goes with them, in dockerd's words.

Source: moby v20.10 daemon/images/image_delete.go. A conflict is hard (a child, a running container) or soft (a name, a
stopped container); force overrides the soft ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from drydock.engine.errors import Conflict, NotFound
from drydock.model.reference import Reference

if TYPE_CHECKING:
    from drydock.engine.images.catalogue import Catalogue
    from drydock.engine.images.record import Record

Users = Callable[[str], Sequence[tuple[str, bool]]]  # image ID -> (container ID, whether it runs)
Rows = list[dict[str, str]]


class InUse(Conflict):
    """An image cannot be removed while something needs it."""


def nobody(image_id: str) -> Sequence[tuple[str, bool]]:
    """Return no container."""
    return ()


def prune(images: Catalogue, wanted: Callable[[Record], bool], dangling: bool, in_use: Users) -> tuple[Rows, int]:
    """Remove images that nobody needs: nameless ones, or all that have no container; return what went."""
    sizes = {chain_id(record.layers[: n + 1]): size for record in images.all() for n, size in enumerate(record.sizes)}
    rows: Rows = []
    for record in images.all():
        names = [*images.tags(record.id), *images.digests(record.id)]
        step = images.children(record.id) and not names
        if not images.has(record.id) or step or not wanted(record) or (dangling and images.tags(record.id)):
            continue
        for name in names or [record.id]:
            try:
                rows += Removal(images, in_use).run(name, force=False, prune=True)
            except (Conflict, NotFound):
                continue  # a container needs it
    return rows, sum(sizes.get(row.get("Deleted", ""), 0) for row in rows)


class Removal:
    """One `docker rmi`."""

    def __init__(self, images: Catalogue, in_use: Users) -> None:
        self.images, self.in_use = images, in_use
        self.rows: Rows = []

    def run(self, name: str, force: bool, prune: bool) -> Rows:
        """Remove by name (only the name, while others are left) or by ID (all of it)."""
        record = self.images.get(name)
        names = self._names(record)
        by_id = record.id.startswith(name) or record.id.removeprefix("sha256:").startswith(name)
        if not by_id:
            if not force and single(names):
                self._refuse_used_name(name, record)
            self._untag(name)
            self._untag_digests(name, record)
            if self._names(record):
                return self.rows
        elif single(names):
            self._check(record, force, named=False)
            for one in names:
                self._untag(one)
        self._delete(record, force, prune, quiet=not by_id)
        return self.rows

    def _names(self, record: Record) -> list[str]:
        return [*self.images.tags(record.id), *self.images.digests(record.id)]

    def _untag(self, name: str) -> None:
        self.rows.append({"Untagged": self.images.untag(name)})

    def _untag_digests(self, name: str, record: Record) -> None:
        """Take digests away with the last tag of their repository."""
        names = self._names(record)
        repository = Reference.parse(name).name
        ours = [one for one in names if Reference.parse(one).name == repository]
        if ours and all("@" in one for one in ours):
            for one in ours:
                self._untag(one)

    def _refuse_used_name(self, name: str, record: Record) -> None:
        for container, _ in self.in_use(record.id):
            raise InUse(
                f'conflict: unable to remove repository reference "{name}" (must force) - container '
                f"{container[:12]} is using its referenced image {short(record.id)}"
            )

    def _delete(self, record: Record, force: bool, prune: bool, quiet: bool) -> None:
        try:
            self._check(record, force)
        except InUse:
            dangling = not self._names(record) and not self.images.children(record.id)
            used = bool(self.in_use(record.id)) and not self.images.children(record.id)
            if quiet and (not dangling or used):
                return  # what was asked for is done: the name is gone
            raise
        for one in self._names(record):
            self._untag(one)
        gone = self.images.forget(record.id)
        self.rows.append({"Deleted": record.id})
        self.rows += [{"Deleted": chain} for chain in self._unneeded(gone)]
        if prune and record.parent and self.images.has(record.parent):
            self._delete(self.images.get(record.parent), False, True, quiet=True)

    def _check(self, record: Record, force: bool, named: bool = True) -> None:
        """Refuse where something needs the image."""
        containers = self.in_use(record.id)
        running = next((container for container, runs in containers if runs), "")
        if self.images.children(record.id):
            self._conflict(record, "cannot be forced", "image has dependent child images")
        if running:
            self._conflict(record, "cannot be forced", f"image is being used by running container {running[:12]}")
        if not force and named and self._names(record):
            self._conflict(record, "must be forced", "image is referenced in multiple repositories")
        if not force and containers:
            used = f"image is being used by stopped container {containers[0][0][:12]}"
            self._conflict(record, "must be forced", used)

    def _conflict(self, record: Record, how: str, why: str) -> None:
        raise InUse(f"conflict: unable to delete {short(record.id)} ({how}) - {why}")

    def _unneeded(self, gone: Record) -> list[str]:
        """Return the chain IDs that no image has any more, the top one first."""
        needed = {record.layers[: n + 1] for record in self.images.all() for n in range(len(record.layers))}
        chains = [gone.layers[: n + 1] for n in range(len(gone.layers))]
        return [chain_id(chain) for chain in reversed(chains) if chain not in needed]


def single(names: Sequence[str]) -> bool:
    """Return whether all names are one: one tag, and perhaps digests of the same repository.

    >>> single(["a:1"]), single(["a:1", "a:2"]), single(["a:1", "a@sha256:" + "0" * 64]), single([])
    (True, False, True, False)
    """
    tags = [one for one in names if "@" not in one]
    repositories = {Reference.parse(one).name for one in names}
    return len(names) >= 1 and len(tags) <= 1 and len(repositories) == 1


def chain_id(chain: Sequence[str]) -> str:
    """Return the identity of layers on top of each other (OCI image-spec config.md).

    >>> chain_id(["sha256:" + "0" * 64])[:12]
    'sha256:00000'
    """
    first, *rest = chain
    for diff_id in rest:
        first = "sha256:" + hashlib.sha256(f"{first} {diff_id}".encode()).hexdigest()
    return first


def short(image_id: str) -> str:
    """Return an ID as people write it.

    >>> short("sha256:" + "ab" * 32)
    'abababababab'
    """
    return image_id.removeprefix("sha256:")[:12]
