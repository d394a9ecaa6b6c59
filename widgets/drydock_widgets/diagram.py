"""Drawings for the page: a Dockerfile's stages, which images grew from which, whose containers, what an engine is.

Graphviz draws them where its `dot` is installed; the text below the drawing says the same where it is not.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import graphviz
from drydock.model.change import Writable
from drydock.model.dockerfile import Dockerfile, Stage, parse
from drydock.model.image import Image
from drydock.model.layer import counted, human, shown

NO_DOT = "(To see this drawn, install Graphviz: `apt install graphviz` or `conda install graphviz`.)"
# The drawing is shown as an image, which cannot see the page's theme: it brings its own light card.
CARD = "background:#fff;border:1px solid #bbb;border-radius:6px;padding:8px;max-width:100%"
LOOK = {
    "graph": {"rankdir": "LR", "bgcolor": "white", "nodesep": "0.25", "ranksep": "0.5"},
    "node": {"shape": "box", "style": "rounded", "fontname": "Helvetica,Arial,sans-serif", "fontsize": "12"},
    "edge": {"fontname": "Helvetica,Arial,sans-serif", "fontsize": "10", "arrowsize": "0.7"},
}
WIDEST = 48
Source = tuple[int | str, int, str]  # a stage's index or an image's name, the stage it feeds, how


@dataclass(frozen=True)
class Drawing:
    """One drawing and the same in words: what it claims, the graph in DOT, and the text twin."""

    claim: str
    dot: str
    text: str

    def picture(self) -> str:
        """Return the drawing as text."""
        return f"{self.claim}\n{self.text}"

    @cached_property
    def svg(self) -> bytes | None:
        """The graph as SVG, or None where there is no `dot` to draw it."""
        try:
            return graphviz.Source(self.dot).pipe(format="svg", quiet=True)
        except (graphviz.ExecutableNotFound, graphviz.CalledProcessError):
            return None

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        """Return what a notebook shows: an image with its words as alternative, and the words alone."""
        if self.svg is None:
            return {"text/plain": f"{self.picture()}\n{NO_DOT}"}
        source = f"data:image/svg+xml;base64,{base64.b64encode(self.svg).decode()}"
        html = (
            f'<figure><img alt="{escape(self.text)}" src="{source}" style="{CARD}">'
            f"<figcaption>{escape(self.claim)}</figcaption></figure>"
            f"<details><summary>The same in words</summary><pre>{escape(self.text)}</pre></details>"
        )
        return {"text/html": html, "text/plain": self.picture()}


def plain(text: str) -> str:
    """Return a name as one short line without control characters: names come from outside.

    >>> plain("a\\x1b[31mb\\nc")
    'a\\\\x1b[31mb\\\\nc'
    """
    clean = shown(text)
    return clean if len(clean) <= WIDEST else f"{clean[: WIDEST - 1]}…"


def graph() -> graphviz.Digraph:
    """Return an empty drawing in the house's look."""
    return graphviz.Digraph(graph_attr=LOOK["graph"], node_attr=LOOK["node"], edge_attr=LOOK["edge"])


# Stages


def stages(dockerfile: Dockerfile | str | Path, target: str | None = None, verdict: bool = True) -> Drawing:
    """Draw a Dockerfile's stages: what each starts from, what it copies from others, and which are needed.

    Without the verdict it is left open which are needed: for whoever shall say so first.
    """
    if isinstance(dockerfile, Path):
        dockerfile = dockerfile.read_bytes()
    read = dockerfile if isinstance(dockerfile, Dockerfile) else parse(dockerfile)
    goal = read.needed(target)[-1].index
    needed = {stage.index for stage in (read.needed(target) if verdict else read.stages)}
    edges = [edge for stage in read.stages for edge in sources(read, stage)]
    drawn = graph()
    for stage in read.stages:
        _draw_stage(drawn, stage, stage.index in needed)
    for start, end, how in edges:
        if isinstance(start, str):
            drawn.node(f"base {start}", graphviz.escape(plain(start)), style="filled", fillcolor="#eef3f8")
        drawn.edge(
            f"stage {start}" if isinstance(start, int) else f"base {start}",
            f"stage {end}",
            label="" if how == "FROM" else graphviz.escape(plain(how)),
            style="solid" if how == "FROM" else "dashed",
        )
    return Drawing(_claim(read, goal, needed), drawn.source, _stages_text(read, needed, edges))


def sources(dockerfile: Dockerfile, stage: Stage) -> list[Source]:
    """Return where a stage's files come from: (a stage's index or an image's name, this stage, how)."""
    found: list[tuple[int | str, int, str]] = [(_resolve(dockerfile, stage.base, stage.index), stage.index, "FROM")]
    for instruction in stage.instructions[1:]:
        for flag, value in instruction.flags:
            options = dict(part.split("=", 1) for part in value.split(",") if "=" in part)
            name = {"from": value, "mount": options.get("from")}.get(flag)
            if name:
                found.append(
                    (
                        _resolve(dockerfile, name, stage.index, True),
                        stage.index,
                        f"{instruction.keyword} --from",
                    )
                )
    return list(dict.fromkeys(found))


def _resolve(dockerfile: Dockerfile, name: str, before: int, numbers: bool = False) -> int | str:
    """Return the index of the earlier stage that a name means, or the name itself where it is an image."""
    for stage in reversed(dockerfile.stages[:before]):
        if stage.name and stage.name.lower() == name.lower():
            return stage.index
    return int(name) if numbers and name.isdigit() and int(name) < before else name


def _draw_stage(drawn: graphviz.Digraph, stage: Stage, needed: bool) -> None:
    words = f"stage {stage.index}: {plain(stage.name)}" if stage.name else f"stage {stage.index}"
    words += f"\n{counted(len(stage.instructions), 'instruction')}" + ("" if needed else "\nnot needed")
    drawn.node(
        f"stage {stage.index}",
        graphviz.escape(words).replace("\n", "\\n"),
        style="rounded" if needed else "rounded,dashed",
        fontcolor="#000000" if needed else "#666666",
    )


def _claim(dockerfile: Dockerfile, goal: int, needed: set[int]) -> str:
    """Return the one sentence the drawing is there for."""
    count = len(dockerfile.stages)
    said = f"{counted(count, 'stage')}; the image is what stage {goal} holds at its end."
    spare = [str(stage.index) for stage in dockerfile.stages if stage.index not in needed]
    if not spare:
        return said
    return f"{said} BuildKit leaves out stage {', '.join(spare)}: nothing needs it."


def _stages_text(dockerfile: Dockerfile, needed: set[int], edges: Sequence[Source]) -> str:
    lines = []
    for stage in dockerfile.stages:
        name = f" {plain(stage.name)}" if stage.name else ""
        lines.append(f"stage {stage.index}{name}{'' if stage.index in needed else ' (not needed)'}")
        for start, end, how in edges:
            if end == stage.index:
                lines.append(f"  {how} {f'stage {start}' if isinstance(start, int) else plain(start)}")
    return "\n".join(lines)


# Ancestry


@dataclass(frozen=True)
class Branch:
    """Layers that some images share and no others have, the images that end there, and what grows on them."""

    layers: int
    size: int
    names: tuple[str, ...]
    children: tuple["Branch", ...]


def branches(images: Sequence[Image], depth: int = 0) -> tuple[Branch, ...]:
    """Return the family tree of images: those that begin with the same layers hang on one branch."""
    groups: dict[str, list[Image]] = {}
    for image in images:
        if len(image.layers) > depth:  # an image without layers (only configuration) hangs nowhere
            groups.setdefault(image.layers[depth].diff_id, []).append(image)
    return tuple(_branch(group, depth) for group in groups.values())


def _branch(group: list[Image], depth: int) -> Branch:
    """Follow the layers of a group until one of its images ends or they part."""
    end = depth + 1
    while all(len(i.layers) > end for i in group) and len({i.layers[end].diff_id for i in group}) == 1:
        end += 1
    names = tuple(_name(i) for i in group if len(i.layers) == end)
    layers = group[0].layers[depth:end]
    return Branch(len(layers), sum(layer.size for layer in layers), names, branches(group, end))


def _name(image: Image) -> str:
    return plain(", ".join(image.names)) if image.names else plain(image.id.removeprefix("sha256:")[:12])


def ancestry(images: Iterable[Image]) -> Drawing:
    """Draw which images grew from which: layers that several of them share are drawn, and stored, once."""
    images = list(images)
    roots = branches(images)
    drawn, lines = graph(), []
    for number, root in enumerate(roots):
        _draw_branch(drawn, root, f"{number}", None)
        lines += _branch_text(root)
    alone = sum(layer.size for image in images for layer in image.layers)
    stored = sum(_total(root) for root in roots)
    saved = f"{human(alone)} if each stood alone, {human(stored)} with layers shared"
    return Drawing(f"{counted(len(images), 'image')}: {saved}.", drawn.source, "\n".join(lines))


def _total(branch: Branch) -> int:
    return branch.size + sum(_total(child) for child in branch.children)


def _label(branch: Branch) -> str:
    names = ", ".join(branch.names) or "shared"
    return f"{names}: {counted(branch.layers, 'layer')}, {human(branch.size)}"


def _draw_branch(drawn: graphviz.Digraph, branch: Branch, key: str, parent: str | None) -> None:
    name, numbers = _label(branch).rsplit(": ", 1)
    label = f"{graphviz.escape(name)}\\n{numbers}"
    drawn.node(key, label, style="rounded,filled", fillcolor="#eef3f8" if branch.children else "white")
    if parent is not None:
        drawn.edge(parent, key)
    for number, child in enumerate(branch.children):
        _draw_branch(drawn, child, f"{key}.{number}", key)


def _branch_text(branch: Branch) -> list[str]:
    lines = [_label(branch)]
    for child in branch.children:
        last = child is branch.children[-1]
        first, *rest = _branch_text(child)
        lines.append(f"{'└─ ' if last else '├─ '}{first}")
        lines += [f"{'   ' if last else '│  '}{line}" for line in rest]
    return lines


# Instances


def instances(containers: Iterable[Writable]) -> Drawing:
    """Draw which containers were made from which image, how each of them is, and what each has written of its own."""
    groups: dict[str, list[Writable]] = {}
    for one in containers:
        groups.setdefault(one.image.id, []).append(one)
    drawn, lines = graph(), []
    for number, group in enumerate(groups.values()):
        about = f"{counted(len(group[0].image.layers), 'layer')}, {human(group[0].image.size)}"
        name = _name(group[0].image)
        drawn.node(f"{number}", f"{graphviz.escape(name)}\\n{about}", style="rounded,filled", fillcolor="#eef3f8")
        lines.append(f"image {name}: {about}")
        for place, one in enumerate(group):
            own = f"{human(one.size)} of its own"
            label = f"{graphviz.escape(plain(one.name))}\\n{graphviz.escape(plain(one.state))}, {own}"
            running = one.state == "running"
            drawn.node(
                f"{number}.{place}", label, style="solid" if running else "dashed", penwidth="2" if running else "1"
            )
            drawn.edge(f"{number}", f"{number}.{place}")
            lines.append(f"{'└─' if one is group[-1] else '├─'} {plain(one.name):12}  {plain(one.state):8}  {own}")
    states = [plain(one.state) for group in groups.values() for one in group]
    told = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states)) or "none"
    head = f"{counted(len(groups), 'image')}, {counted(len(states), 'container')}"
    return Drawing(f"{head}: {told}.", drawn.source, "\n".join(lines))


# The engine


def engine(version: Mapping[str, Any]) -> Drawing:
    """Draw who talks to whom from your command to the container's process; `version` is what `client.version()` says.

    >>> kit = {"Platform": {"Name": "Drydock engine 0.1, rung A"}, "Components": [{"Name": "Engine", "Version": "0.1"}]}
    >>> print(engine(kit).picture())
    2 talk before a container's process runs: a client that asks, and Drydock engine 0.1, rung A, which does it all.
    client (docker, docker-py) -- HTTP: the Docker Engine API --> Drydock engine 0.1, rung A
    Drydock engine 0.1, rung A -- starts --> your container's process
    Drydock engine 0.1, rung A -- HTTP: push, pull --> registry
    """
    found = {str(part.get("Name")): plain(str(part.get("Version"))) for part in version.get("Components") or ()}
    kit = str((version.get("Platform") or {}).get("Name") or "")
    client, process = "client (docker, docker-py)", "your container's process"
    daemon = f"dockerd {found.get('Engine', '')}".strip()
    if kit.startswith("Drydock"):
        daemon = plain(kit)
    chain = [(client, "HTTP: the Docker Engine API", daemon)]
    helpers = [f"{name} {found[name]}" for name in ("containerd", "runc") if name in found]
    for name, how in zip(helpers, ("gRPC", "runs it once per start"), strict=False):
        chain.append((chain[-1][2], how, name))
    chain += [(chain[-1][2], "starts", process), (daemon, "HTTP: push, pull", "registry")]
    claim = f"{1 + len(chain) - 2} talk before a container's process runs: a client that asks, and "
    claim += f"{', '.join((daemon, *helpers))}." if helpers else f"{daemon}, which does it all."
    drawn, lines = graph(), []
    drawn.node(process, style="filled", fillcolor="#eef3f8")
    drawn.node("registry", style="rounded,dashed")
    for start, how, end in chain:
        drawn.edge(start, end, label=graphviz.escape(how))
        lines.append(f"{start} -- {how} --> {end}")
    return Drawing(claim, drawn.source, "\n".join(lines))
