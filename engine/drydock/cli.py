"""The command line: `drydock doctor` says what works here, `drydock clean` removes what the kit made."""

from __future__ import annotations

import argparse
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, DockerException
from requests.exceptions import RequestException

from drydock.client import EngineUnavailable, address, connect
from drydock.lessons import command
from drydock.model.layer import human, shown

LAB = "org.drydock.lab"
KINDS = ("container", "image", "network", "volume")  # in the order in which one no longer needs the next
TIGHT = 2_000_000_000  # the whole course with its images stays below this many bytes

ENGINE = "Docker {version} answers at {where} (API {api}, {os}/{arch}, {system})"
BUILDKIT = "BuildKit, the builder that `docker build` uses today; the classic builder answers docker-py"
CLASSIC = "the classic builder: one step after the other. BuildKit has been the default since Docker 23"
BUILDX = "{said}: a BuildKit build can be watched step by step"
NO_BUILDX = "not installed: builds are watched with the classic builder. Docker's own packages bring it (docker-buildx)"
CONTAINERD = "the containerd image store ({driver}): an image's ID is its manifest's digest"
GRAPH = "Docker's own store ({driver}): an image's ID is the digest of its configuration"
WORKS = "builds, hits and misses as they happen, layers and their files, containers."
NOTHING = "Nothing to remove: no container, image, network or volume here has the label {label}."
KEPT = "BuildKit's cache carries no labels, so it stays. `docker builder prune` empties it, for all projects."
UNASKED = "Nothing was removed: there is nobody here to ask.\nTry: drydock clean --yes"


# Doctor


@dataclass(frozen=True)
class Diagnosis:
    """What of the course works on this machine: one (name, finding) for each thing looked at, and a verdict."""

    healthy: bool
    findings: tuple[tuple[str, str], ...]
    verdict: str

    def picture(self) -> str:
        """Return the findings as a table, the verdict below it."""
        width = max(len(name) for name, _ in self.findings)
        rows = [f"{name:<{width}}  {_line(found)}" for name, found in self.findings]
        return "\n".join([*rows, "", self.verdict])

    def __repr__(self) -> str:
        return self.picture()


def doctor() -> Diagnosis:
    """Say in plain words which engine answers, what it builds with, and what of the course works here."""
    here = f"{version('drydock')}, Python {platform.python_version()}, {platform.system()} on {platform.machine()}"
    kit = [("Drydock", here), ("Drawings", _drawings())]
    try:
        with closing(connect(timeout=20)) as client:
            findings = _engine(client)
    except EngineUnavailable as error:
        return Diagnosis(False, (*kit, ("Engine", "none answers")), str(error))
    except (DockerException, RequestException) as error:
        verdict = f"The engine answered once, then failed: {_line(error)}\nIt may be starting or overloaded.\n"
        return Diagnosis(False, (*kit, ("Engine", "stopped answering")), f"{verdict}Try: drydock doctor")
    return Diagnosis(True, (*findings, *kit), f"What works: {WORKS}")


def _engine(client: docker.DockerClient) -> list[tuple[str, str]]:
    """Return what the engine says about itself, in the words the course uses."""
    said, info = client.version(), client.info()
    engine = ENGINE.format(
        version=said.get("Version", "?"),
        where=address(),
        api=said.get("ApiVersion", "?"),
        os=said.get("Os", "?"),
        arch=said.get("Arch", "?"),
        system=info.get("OperatingSystem", "?"),
    )
    buildx = buildx_version()
    return [
        ("Engine", engine),
        ("Builder", BUILDKIT if newest_builder(client) else CLASSIC),
        ("buildx", BUILDX.format(said=buildx) if buildx else NO_BUILDX),
        ("Images", _store(info)),
        ("Disk", _disk(info)),
    ]


def newest_builder(client: docker.DockerClient) -> bool:
    """Return True where the engine offers BuildKit by default: it says so in the header of each answer to a ping."""
    answer = client.api.get(f"{client.api.base_url}/_ping", timeout=20)
    return bool(answer.headers.get("Builder-Version") == "2")


def buildx_version() -> str | None:
    """Return what `docker buildx version` prints, or None where there is no docker command with buildx."""
    if shutil.which("docker") is None:
        return None
    try:
        done = subprocess.run(["docker", "buildx", "version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    words = done.stdout.split()
    return f"buildx {words[1]}" if done.returncode == 0 and len(words) > 1 else None


def _store(info: dict[str, Any]) -> str:
    """Return how the engine keeps images: it decides what an image ID means."""
    status = dict(pair for pair in info.get("DriverStatus") or [] if len(pair) == 2)
    driver = info.get("Driver", "?")
    text = CONTAINERD if "containerd" in status.get("driver-type", "") else GRAPH
    return text.format(driver=driver)


def _disk(info: dict[str, Any]) -> str:
    """Return the free space where the engine keeps its images, or here where that place cannot be seen."""
    root = Path(info.get("DockerRootDir") or "/nowhere")
    mine = info.get("Name") == platform.node() and root.exists()
    free = shutil.disk_usage(root if mine else Path.home()).free
    where = "where the engine keeps its images" if mine else "in your home; the engine keeps its images elsewhere"
    tight = ": tight, the course needs about 2 GB. Try: drydock clean" if free < TIGHT else ""
    return f"{human(free)} free {where}{tight}"


def _line(text: object) -> str:
    """Return text from outside as one line of a bearable length that cannot move the cursor."""
    return shown(str(text))[:200]


def _drawings() -> str:
    if shutil.which("dot"):
        return "Graphviz is here: graphs are drawn"
    return "no Graphviz: graphs are shown as text (apt install graphviz, or conda install graphviz)"


# Clean


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
    return "\n".join(f"  {f.kind:<9}  {_line(f.name)}" for f in found)


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
            return f"  kept {thing.kind} {_line(thing.name)}: {_line(error.explanation or error)}"
    return ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 all is well, 1 something is not."""
    parser = argparse.ArgumentParser(prog="drydock", description=__doc__)
    parser.add_argument("--version", action="version", version=f"drydock {version('drydock')}")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("doctor", help="say which engine answers and what of the course works here")
    cleaning = commands.add_parser("clean", help=f"list, then remove, what carries the label {LAB}")
    cleaning.add_argument("--yes", action="store_true", help="remove without asking")
    command.add(commands)
    asked = parser.parse_args(arguments)
    if asked.command == "images":
        return command.run(asked)
    if asked.command == "doctor":
        found = doctor()
        print(found.picture())
        return 0 if found.healthy else 1
    try:
        with closing(connect()) as client:
            return clean(client, asked.yes)
    except (EngineUnavailable, DockerException, RequestException) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
