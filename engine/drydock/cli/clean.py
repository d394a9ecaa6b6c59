"""`drydock clean`: list, then remove, what the kit made in the engine, and nothing else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import docker
from docker.errors import APIError

from drydock.model.layer import shown

LAB = "org.drydock.lab"
KINDS = ("container", "image", "network", "volume")  # in the order in which one no longer needs the next
NOTHING = "Nothing to remove: no container, image, network or volume here has the label {label}."
KEPT = "BuildKit's cache carries no labels, so it stays. `docker builder prune` empties it, for all projects."
UNASKED = "Nothing was removed: there is nobody here to ask.\nTry: drydock clean --yes"


@dataclass(frozen=True)
class Found:
    """One thing in the engine that carries the kit's label: its kind, its names, and what calls remove it."""

    kind: str
    name: str
    remove: Callable[[], None]


def labelled(client: docker.DockerClient) -> list[Found]:
    """Return all that carries the label `org.drydock.lab`, in an order in which it can be removed."""
    wanted: dict[str, Any] = {"label": LAB}
    found = [Found("container", str(c.name), _container(c)) for c in client.containers.list(True, filters=wanted)]
    images = client.images.list(filters=wanted)
    for image in sorted(images, key=lambda i: str(i.attrs.get("Created")), reverse=True):
        names = image.tags or [str(image.id)]
        found.append(Found("image", ", ".join(names), _image(client, names)))
    found += [Found("network", str(n.name), n.remove) for n in client.networks.list(filters=wanted)]
    found += [Found("volume", v.name, v.remove) for v in client.volumes.list(filters=wanted)]
    return sorted(found, key=lambda f: KINDS.index(f.kind))


def _container(container: Any) -> Callable[[], None]:
    return lambda: container.remove(force=True)


def _image(client: docker.DockerClient, names: Sequence[str]) -> Callable[[], None]:
    """Return what removes an image name by name: without force, so one that a container needs stays."""

    def remove() -> None:
        for name in names:
            client.images.remove(name)

    return remove


def listing(found: Iterable[Found]) -> str:
    """Return what would be removed, one thing a line."""
    return "\n".join(f"  {f.kind:<9}  {one_line(f.name)}" for f in found)


def clean(client: docker.DockerClient, yes: bool = False) -> int:
    """List what the kit made in the engine, ask, and remove just that; return the exit code."""
    found = labelled(client)
    if not found:
        print(NOTHING.format(label=LAB))
        return 0
    print(f"This removes what carries the label {LAB}, and nothing else:\n{listing(found)}\n{KEPT}", flush=True)
    if not yes and not sys.stdin.isatty():
        print(UNASKED)
        return 1
    if not yes and input("Remove? [y/N] ").strip().lower() not in ("y", "yes"):
        print("Nothing was removed.")
        return 1
    failed = [line for thing in found if (line := _remove(thing))]
    print("\n".join([f"Removed {len(found) - len(failed)} of {len(found)}.", *failed]))
    return 1 if failed else 0


def _remove(thing: Found) -> str:
    """Remove one thing; return why it stayed, or nothing."""
    try:
        thing.remove()
    except APIError as error:
        if error.status_code != 404:  # gone already is what was wanted
            return f"  kept {thing.kind} {one_line(thing.name)}: {one_line(error.explanation or error)}"
    return ""


def one_line(text: object) -> str:
    """Return text from outside as one line of a bearable length that cannot move the cursor."""
    return shown(str(text))[:200]
