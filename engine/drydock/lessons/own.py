"""The kit's own images: drydock/base, and drydock/python on top of it. Equal programs make equal image IDs."""

from __future__ import annotations

import platform

from drydock.lessons import machine, pack
from drydock.lessons.pack import EXPECTED, Content, Packed

LAB = "org.drydock.lab"
RECIPE = "org.drydock.recipe"  # what the kit itself puts in: an image of another recipe is made anew
BASE = "drydock/base"
PYTHON = "drydock/python"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def base(name: str = BASE) -> tuple[Packed, str]:
    """Return the base image and in words what it was made from."""
    files, source = machine.base()
    layers = {f"drydock: {source}, packed in one layer": _bottom(files)}
    settings = {"Env": [f"PATH={PATH}"], "Labels": {LAB: "base", RECIPE: recipe()}}
    return pack.image(f"{name}:latest", layers, settings, architecture(), ["sh"]), source


def python(name: str = PYTHON) -> tuple[Packed, str]:
    """Return the base image with this machine's Python in a layer of its own, and in words what it was made from."""
    below, source = machine.base()
    files, version = machine.python()
    layers = {
        f"drydock: {source}, packed in one layer": _bottom(below),
        f"drydock: {version}, its library and what they need": pack.layer(files, [*below, *EXPECTED]),
    }
    # Bytecode written while a step runs would land in the step's layer, and differ each time.
    env = [f"PATH={PATH}", "PYTHONDONTWRITEBYTECODE=1"]
    settings = {"Env": env, "Labels": {LAB: "base", RECIPE: recipe()}}
    return pack.image(f"{name}:latest", layers, settings, architecture(), ["python3"]), version


MAKERS = {BASE: base, PYTHON: python}


def _bottom(files: dict[str, Content]) -> bytes:
    return pack.layer(dict.fromkeys(EXPECTED) | files)


def recipe() -> str:
    """Return the digest of what the kit puts into its base besides the machine's programs."""
    kit = sorted(machine.OWN.items()), [p.read_bytes() for p in sorted(machine.PROGRAMS.iterdir())]
    return pack.digest(repr(kit).encode())[7:19]


def architecture() -> str:
    """Return this machine's architecture in Docker's words, or its own word where Docker has none."""
    mine = platform.machine().lower()
    return ARCHITECTURES.get(mine, mine)
