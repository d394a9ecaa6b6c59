"""The artifact: what a student hands in, and all that a grade is drawn from.

Two files beside the notebook. `artifact.oci.tar` is an OCI image layout (image-spec 1.1) with the manifest, the
configuration and the layers above an accepted base, which the grader has; `artifact.json` says the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from html import escape
from typing import Any

from drydock.model.context import Context
from drydock.model.image import Image
from drydock.model.layer import counted, human, shown
from drydock.model.tree import Tree

ARCHIVE, ABOUT = "artifact.oci.tar", "artifact.json"
SCHEMA = 1
LARGEST = 50_000_000  # bytes of the archive
NOTHING = "nothing was handed in"


@dataclass(frozen=True)
class Recipe:
    """A Dockerfile with the listing of the folder that it was built in."""

    text: str
    context: Context = field(default_factory=Context)


@dataclass(frozen=True)
class Pushed:
    """What a registry said of the image when it was packed: a reference, the manifest's digest, the manifest."""

    reference: str
    digest: str
    manifest: str  # the bytes as text: their digest is `digest`, or reading refuses them
    config: str  # the digest of the configuration that the manifest names


@dataclass(frozen=True)
class About:
    """What artifact.json says; only what the archive bears out counts."""

    learner: str = ""
    assignment: str = ""
    image: str = ""
    engine: str = ""
    manifest: str = ""
    config: str = ""
    diff_ids: tuple[str, ...] = ()
    base: str = ""
    recipes: Mapping[str, Recipe] = field(default_factory=dict)
    pushed: Pushed | None = None
    others: Mapping[str, str] = field(default_factory=dict)  # the names of the images that are other parts of the work
    notes: Mapping[str, str] = field(default_factory=dict)  # texts beside the notebook, by path


@dataclass(frozen=True)
class Artifact:
    """One piece of work as it was handed in; where a part cannot be read, the reason stands in its place."""

    about: About = About()
    image: Image | None = None  # layers that did not travel are there by their diff ID, and empty
    carried: int = 0  # the first layer that travelled, counted from 0 at the base
    config: str = ""  # digest of the configuration: with the diff IDs it says which image this is
    manifest: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict)  # the configuration's JSON
    no_image: str = NOTHING  # why there is no image
    no_about: str = NOTHING
    contents: Callable[[int], Iterator[tuple[str, bytes]]] | None = field(default=None, compare=False, repr=False)
    others: Mapping[str, Artifact] = field(default_factory=dict)  # further images, where the work has several parts

    @property
    def diff_ids(self) -> tuple[str, ...]:
        """Return the image's layers by the digests of their tars, base first."""
        return tuple(layer.diff_id for layer in self.image.layers) if self.image else ()

    def same(self, other: Artifact) -> bool:
        """Return True where two artifacts hold the same image: same configuration, same layers.

        >>> Artifact(config="sha256:1").same(Artifact(config="sha256:1"))
        True
        """
        return (self.config, self.diff_ids) == (other.config, other.diff_ids)

    def tree(self, below: int | None = None) -> Tree:
        """Return the files that a container sees, as far as their layers travelled; `below` leaves upper layers out."""
        tree = Tree()
        for number, layer in enumerate(self.image.layers[:below] if self.image else ()):
            tree.apply(layer, number)
        return tree

    def text(self, path: str, tree: Tree | None = None) -> str | None:
        """Return a file's text as a container would read it, or None where it sees no such file."""
        node = (tree or self.tree()).nodes.get(path.strip("/"))
        if node is None or self.image is None or self.image.content is None:
            return None
        try:
            return self.image.content(node.layer, path.strip("/")).decode("utf-8", "replace")
        except FileNotFoundError:
            return None

    def picture(self) -> str:
        """Return what will be graded, as text: this and nothing else.

        >>> print(Artifact().picture())
        This is what will be graded:
          image      none: nothing was handed in
        """
        rows = ["This is what will be graded:", *(f"  {name:<10} {text}" for name, text in self._rows())]
        return "\n".join(rows)

    def _rows(self) -> Iterator[tuple[str, str]]:
        about = self.about
        if not self.no_about:
            yield "learner", shown(about.learner)
            yield "exercise", shown(about.assignment)
        if self.image is None:
            yield "image", f"none: {self.no_image}"
        else:
            yield "image", f"{shown(about.image)}  {self.config[:19]}"
            yield "base", shown(about.base) or "none that the course knows"
            yield "starts", shown(" ".join([*self.image.config.entrypoint, *self.image.config.cmd])) or "nothing"
            yield from self._layers(self.image)
        for part, other in sorted(self.others.items()):
            yield part, f"{shown(about.others.get(part, 'an image'))}  {other.config[:19]}"
        for path, text in sorted(about.notes.items()):
            yield "note", f"{shown(path)}, {counted(len(text.splitlines()), 'line')}"
        for path, recipe in sorted(about.recipes.items()):
            yield "Dockerfile", f"{shown(path)}, with {counted(len(recipe.context.files), 'file')} in its folder"
        if about.pushed:
            yield "pushed to", f"{shown(about.pushed.reference)}@{about.pushed.digest[:19]}"

    def _layers(self, image: Image) -> Iterator[tuple[str, str]]:
        made = {row.layer: row.instruction for row in image.history if row.layer is not None}
        for number, layer in enumerate(image.layers[self.carried :], self.carried):
            said = shown(" ".join(made.get(number, "").split()))[:60]
            yield f"layer {number}", f"{counted(len(layer.entries), 'file')}, {human(layer.size)}  {said}".rstrip()

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        rows = "".join(f"<tr><th scope='row'>{k}</th><td>{escape(v)}</td></tr>" for k, v in self._rows())
        html = f"<table><caption>This is what will be graded</caption>{rows}</table>"
        return {"text/plain": self.picture(), "text/html": html}


def nonce(assignment: str, learner: str) -> str:
    """Return the code that makes one learner's work theirs: 12 hex digits, no password.

    >>> nonce("ex1", "ada")
    '885767fd78a9'
    """
    return sha256(f"drydock:{assignment}:{learner}".encode()).hexdigest()[:12]
