"""The file tree that layers make together: who wrote what, what hides what, and what hiding costs.

Source: OCI image-spec layer.md (applying changesets); efficiency as wagoodman/dive counts it (filetree/efficiency.go).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from drydock.model.image import Image
from drydock.model.layer import Entry, Layer, counted, human, shown


@dataclass(frozen=True, slots=True)
class Node:
    """One path of a merged tree: what stands there, and which layer wrote it."""

    entry: Entry
    layer: int


@dataclass(frozen=True)
class FileChange:
    """What one layer did to one path; for a removed directory `before` is all that was in it."""

    path: str
    kind: str  # added, changed, removed
    size: int
    before: int = 0


@dataclass(frozen=True)
class Appearance:
    """One layer's say on one path."""

    layer: int
    kind: str  # added, changed, same (written again, no different), removed
    size: int = 0
    digest: str = ""
    mode: int = 0


@dataclass(frozen=True)
class Comparison:
    """Two images side by side: the layers they share from the base up, and the files in which they differ."""

    shared: int  # layers, from the base up, that are one and the same
    common: tuple[str, ...]  # diff IDs of all layers that both have, wherever they stand
    shared_size: int
    only_a: int  # bytes of a's own layers
    only_b: int
    files: tuple[FileChange, ...]  # from a's merged tree to b's

    def picture(self) -> str:
        """Draw what is shared and what is not."""
        rows = [f"shared: {counted(self.shared, 'layer')}, {human(self.shared_size)}"]
        rows.append(f"only in the first: {human(self.only_a)}; only in the second: {human(self.only_b)}")
        rows += [f"{MARKS[change.kind]} {shown(change.path)}" for change in self.files]
        return "\n".join(rows)


MARKS = {"added": "+", "changed": "~", "removed": "-"}


class Tree:
    """A file system as a container would see it after some layers."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self._kids: dict[str, dict[str, None]] = {}

    def __contains__(self, path: str) -> bool:
        return path in self.nodes or path in self._kids

    def copy(self) -> Tree:
        """Return a tree of its own that begins as this one: the next layer goes on top of the copy.

        >>> tree = Tree()
        >>> top = tree.copy()
        >>> top.apply(Layer("", "", 0, (Entry("a", "file"),)), 0)
        >>> "a" in tree, "a" in top
        (False, True)
        """
        twin = Tree()
        twin.nodes = dict(self.nodes)
        twin._kids = {path: dict(kids) for path, kids in self._kids.items()}
        return twin

    def children(self, path: str = "") -> tuple[str, ...]:
        """Return the paths directly inside a directory, sorted."""
        return tuple(sorted(self._kids.get(path, ())))

    def below(self, path: str) -> Iterator[str]:
        """Go through the path and everything inside it."""
        waiting = [path]
        while waiting:
            one = waiting.pop()
            if one in self.nodes:
                yield one
            waiting += self._kids.get(one, ())

    def size(self, path: str = "") -> int:
        """Return the bytes of a file, or of all files in a directory."""
        return sum(self.nodes[one].entry.size for one in self.below(path))

    def apply(self, layer: Layer, number: int) -> None:
        """Put one more layer on top: first what it hides, then what it writes."""
        for path in layer.opaque:
            for kid in self.children(path):
                self._remove(kid)
        for path in layer.whiteouts:
            self._remove(path)
        for entry in layer.entries:
            if entry.kind != "directory" and entry.path in self._kids:
                self._remove(entry.path)  # a file takes the place of a directory
            self._put(entry.path)
            self.nodes[entry.path] = Node(entry, number)

    def picture(self, path: str = "", depth: int = 3) -> str:
        """Draw the tree, with sizes and the layer that wrote each file.

        >>> tree = Tree()
        >>> tree.apply(Layer("", "", 0, (Entry("etc/hosts", "file", 12),)), 0)
        >>> print(tree.picture())
        /
        └── etc/
            └── hosts  12B  layer 0
        """
        return "\n".join([f"/{shown(path)}", *self._rows(path, "", depth)])

    def _rows(self, path: str, indent: str, depth: int) -> Iterator[str]:
        kids = self.children(path)
        for kid in kids:
            last = kid is kids[-1]
            node = self.nodes.get(kid)
            name = shown(kid.rpartition("/")[2])
            if node is None or node.entry.kind == "directory":
                yield f"{indent}{'└── ' if last else '├── '}{name}/"
            else:
                arrow = f" -> {shown(node.entry.link)}" if node.entry.link else ""
                size = f"{human(node.entry.size)}  layer {node.layer}"
                yield f"{indent}{'└── ' if last else '├── '}{name}{arrow}  {size}"
            if depth > 1:
                yield from self._rows(kid, indent + ("    " if last else "│   "), depth - 1)

    def _put(self, path: str) -> None:
        while path:
            parent = path.rpartition("/")[0]
            kids = self._kids.setdefault(parent, {})
            if path in kids:
                return
            kids[path] = None
            if parent in self.nodes and self.nodes[parent].entry.kind != "directory":
                del self.nodes[parent]  # what lies inside needs a directory here
            path = parent

    def _remove(self, path: str) -> None:
        waiting = [path]
        while waiting:
            one = waiting.pop()
            self.nodes.pop(one, None)
            waiting += self._kids.pop(one, ())
        if path:
            self._kids.get(path.rpartition("/")[0], {}).pop(path, None)


def tree_at(image: Image, n: int | None = None) -> Tree:
    """Return the merged file tree as of layer `n` (counted from 0), or of the whole image."""
    tree = Tree()
    for number, layer in enumerate(image.layers[: None if n is None else n + 1]):
        tree.apply(layer, number)
    return tree


def changes(image: Image, n: int) -> tuple[FileChange, ...]:
    """Return what layer `n` added, changed and removed; a directory written again unchanged is no change."""
    before = tree_at(image, n - 1) if n else Tree()
    layer = image.layers[n]
    written = {parent for path in layer.by_path for parent in _up(path)}
    gone = [path for path in layer.whiteouts if path in before and path not in written]
    for top in layer.opaque:
        gone += [kid for kid in before.children(top) if kid not in written]
    found = [FileChange(path, "removed", 0, before.size(path)) for path in dict.fromkeys(gone)]
    for path, entry in layer.by_path.items():
        old = before.nodes.get(path)
        if old is None:
            found.append(FileChange(path, "added", entry.size))
        elif entry.kind != "directory" or not entry.same(old.entry):
            found.append(FileChange(path, "changed", entry.size, before.size(path)))
    return tuple(sorted(found, key=lambda change: change.path))


def thread(image: Image, path: str) -> tuple[Appearance, ...]:
    """Return every layer's say on one path, base first: the thread through the stack."""
    path = path.strip("/")
    above = list(_up(path))
    found: list[Appearance] = []
    now: Entry | None = None
    for number, layer in enumerate(image.layers):
        hidden = any(one in layer.whiteouts for one in above) or any(one in layer.opaque for one in [*above[1:], ""])
        hidden = hidden or any(_hides(layer.by_path.get(one)) for one in above[1:])
        entry = layer.by_path.get(path)
        if entry:
            kind = "added" if now is None else "same" if entry.same(now) else "changed"
            found.append(Appearance(number, kind, entry.size, entry.digest, entry.mode))
            now = entry
        elif hidden and now:
            found.append(Appearance(number, "removed"))
            now = None
    return tuple(found)


def hidden(image: Image) -> tuple[int, ...]:
    """Return for each layer its bytes that no container sees, since a later layer hides or replaces them.

    They are stored, pushed and pulled all the same.
    """
    final = tree_at(image)
    lost = []
    for number, layer in enumerate(image.layers):
        seen: set[str] = set()
        for path, entry in layer.by_path.items():
            node = final.nodes.get(path)
            if node and node.layer == number:
                seen.add(_first_name(layer, entry))
        lost.append(sum(one.size for one in layer.by_path.values() if one.path not in seen))
    return tuple(lost)


def efficiency(image: Image) -> float:
    """Return dive's figure: bytes needed (each path at its smallest) by bytes stored; 1.0 is no waste.

    A removed directory counts with all that was in it, a removed file with 0, as dive counts them.
    """
    least: dict[str, int] = {}
    total: dict[str, int] = {}
    below = Tree()
    for number, layer in enumerate(image.layers):
        for path, size in _leaves(layer, below):
            least[path] = min(size, least.get(path, size))
            total[path] = total.get(path, 0) + size
        below.apply(layer, number)
    stored = sum(total.values())
    return sum(least.values()) / stored if stored else 1.0


def compare(a: Image, b: Image) -> Comparison:
    """Return what two images share, and in what their file trees differ."""
    ids_a, ids_b = [one.diff_id for one in a.layers], [one.diff_id for one in b.layers]
    shared = next((n for n, pair in enumerate(zip(ids_a, ids_b, strict=False)) if pair[0] != pair[1]), None)
    shared = min(len(ids_a), len(ids_b)) if shared is None else shared
    old, new = tree_at(a).nodes, tree_at(b).nodes
    files = []
    for path in sorted(old.keys() | new.keys()):
        if path not in new:
            files.append(FileChange(path, "removed", 0, old[path].entry.size))
        elif path not in old:
            files.append(FileChange(path, "added", new[path].entry.size))
        elif not new[path].entry.same(old[path].entry):
            files.append(FileChange(path, "changed", new[path].entry.size, old[path].entry.size))
    common = tuple(one for one in dict.fromkeys(ids_a) if one in set(ids_b))
    return Comparison(
        shared,
        common,
        sum(one.size for one in a.layers[:shared]),
        sum(one.size for one in a.layers if one.diff_id not in common),
        sum(one.size for one in b.layers if one.diff_id not in common),
        tuple(files),
    )


def _leaves(layer: Layer, below: Tree) -> Iterator[tuple[str, int]]:
    """Go through what has nothing inside it in this layer, with the size dive gives it."""
    paths = [*layer.by_path, *layer.whiteouts]
    inner = {parent for path in paths for parent in list(_up(path))[1:]}
    for path, entry in layer.by_path.items():
        if path not in inner:
            yield path, entry.size
    for path in layer.whiteouts:
        node = below.nodes.get(path)
        folder = below.children(path) or (node and node.entry.kind == "directory")
        yield path, below.size(path) if folder else 0


def _hides(entry: Entry | None) -> bool:
    """Return whether a layer's entry above a path leaves no room for it: anything but a directory does."""
    return entry is not None and entry.kind != "directory"


def _first_name(layer: Layer, entry: Entry) -> str:
    """Return the path that holds the content of a file with several names (hard links)."""
    seen = {entry.path}
    while entry.kind == "hardlink" and entry.link in layer.by_path and entry.link not in seen:
        entry = layer.by_path[entry.link]
        seen.add(entry.path)
    return entry.path


def _up(path: str) -> Iterator[str]:
    """Go from a path up to the top, the path itself first."""
    while path:
        yield path
        path = path.rpartition("/")[0]
