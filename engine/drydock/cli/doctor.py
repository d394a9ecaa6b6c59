"""`drydock doctor`: which engine answers, what it builds with, and what of the course works here."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException
from requests.exceptions import RequestException

from drydock.badge import executes
from drydock.client import EngineUnavailable, connect, embedded
from drydock.docker_host import DOCKER_HOST, address, export, variables
from drydock.model.layer import human, shown

TIGHT = 2_000_000_000  # the whole course with its images stays below this many bytes
ENGINE = "Docker {version} answers at {where} (API {api}, {os}/{arch}, {system})"
BUILDKIT = "BuildKit, the builder that `docker build` uses today; the classic builder answers docker-py"
CLASSIC = "the classic builder: one step after the other. BuildKit has been the default since Docker 23"
BUILDX = "{said}: a BuildKit build can be watched step by step"
NO_BUILDX = "not installed: builds are watched with the classic builder. Docker's own packages bring it (docker-buildx)"
COMMAND = "{said}, at {path}"
NO_COMMAND = "not installed. The notebooks need none; to type `docker` in a terminal: {how}"
HOW = {
    "Linux": "apt install docker.io (Debian, Ubuntu)",
    "Darwin": "brew install docker",
    "Windows": "it comes with Docker Desktop",
}
FINDS = "`docker` finds this engine by itself"
CONTAINERD = "the containerd image store ({driver}): an image's ID is its manifest's digest"
OWN = "the kit's own store, an OCI layout: an image's ID is the digest of its configuration, as Docker's"
GRAPH = "Docker's own store ({driver}): an image's ID is the digest of its configuration"
EMBEDDED = "{name}, the kit's own, answers at {where} (API {api}, {os}/{arch}, {system})"
RUNG = {
    "A": "A: programs run in a user name space, layers are mounted on each other",
    "B": "B: programs run in a user name space, in a copy of the image's files",
    "C": "C: programs run traced (PRoot), in a copy of the image's files. This is no security boundary",
    "D": "D: nothing is executed here: images are loaded, inspected, and built from the lessons' cache",
}
WORKS = "What works: builds, hits and misses as they happen, layers and their files, containers."
WITHOUT_RUNS = (
    "What works: images, layers and their files, and builds whose RUN steps are in the lessons' cache. No container "
    "starts.\nTry: install proot (Debian, Ubuntu: apt install proot), then `drydock engine stop`: the next start "
    "looks anew"
)


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


def run(as_json: bool = False) -> int:
    """Print the diagnosis; the exit code is 0 where the course works."""
    found = doctor()
    print(json.dumps(asdict(found) | {"findings": dict(found.findings)}, indent=2) if as_json else found.picture())
    return 0 if found.healthy else 1


def doctor() -> Diagnosis:
    """Say in plain words which engine answers, what it builds with, and what of the course works here."""
    here = f"{version('drydock')}, Python {platform.python_version()}, {platform.system()} on {platform.machine()}"
    kit = [("Drydock", here), ("Drawings", _drawings())]
    try:
        with closing(connect(timeout=20)) as client:
            findings, works = _engine(client), WORKS if executes(client) else WITHOUT_RUNS
    except EngineUnavailable as error:
        return Diagnosis(False, (*kit, ("Engine", "none answers")), str(error))
    except (DockerException, RequestException) as error:
        verdict = f"The engine answered once, then failed: {_line(error)}\nIt may be starting or overloaded.\n"
        return Diagnosis(False, (*kit, ("Engine", "stopped answering")), f"{verdict}Try: drydock doctor")
    return Diagnosis(True, (*findings, *kit), works)


def _engine(client: docker.DockerClient) -> list[tuple[str, str]]:
    """Return what the engine says about itself, in the words the course uses."""
    said, info = client.version(), client.info()
    name = (said.get("Platform") or {}).get("Name") or ""
    engine = (EMBEDDED if embedded(said) else ENGINE).format(
        name=name,
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
        *(_rung(info) if embedded(said) else []),
        ("Builder", BUILDKIT if newest_builder(client) else CLASSIC),
        ("buildx", BUILDX.format(said=buildx) if buildx else NO_BUILDX),
        ("docker", command()),
        ("Other shells", _line_to_paste(embedded(said))),
        ("Images", _store(info)),
        ("Disk", _disk(info)),
    ]


def _rung(info: dict[str, Any]) -> list[tuple[str, str]]:
    """Return which rung of the sandbox ladder the kit's engine stands on, and why on none above."""
    about = dict(pair for pair in info.get("DriverStatus") or [] if len(pair) == 2)
    letter = about.get("rung", "?")
    higher = [(key.removeprefix("no "), text) for key, text in about.items() if key.startswith("no rung")]
    found = [("Rung", RUNG.get(letter, str(letter)))]
    return found + [(name.capitalize(), f"does not work: {why}") for name, why in higher]


def newest_builder(client: docker.DockerClient) -> bool:
    """Return True where the engine offers BuildKit by default: it says so in the header of each answer to a ping."""
    answer = client.api.get(f"{client.api.base_url}/_ping", timeout=20)
    return bool(answer.headers.get("Builder-Version") == "2")


def command() -> str:
    """Return what `docker --version` prints, and where that program lies; where there is none, how to get it."""
    path = shutil.which("docker")
    if path is None:
        return NO_COMMAND.format(how=HOW.get(platform.system(), HOW["Linux"]))
    return COMMAND.format(said=_printed("docker", "--version") or "it does not run", path=path)


def _line_to_paste(own: bool) -> str:
    """Return what a shell that JupyterLab did not open needs, so that `docker` there reaches the engine at work."""
    if own:
        return export(variables(address()))
    chosen = os.environ.get(DOCKER_HOST)
    return export({DOCKER_HOST: chosen}) if chosen else FINDS


def buildx_version() -> str | None:
    """Return what `docker buildx version` prints, or None where there is no docker command with buildx."""
    words = (_printed("docker", "buildx", "version") or "").split()
    return f"buildx {words[1]}" if len(words) > 1 else None


def _printed(*words: str) -> str | None:
    """Return what a command prints, or None where it is not there or fails."""
    if shutil.which(words[0]) is None:
        return None
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _store(info: dict[str, Any]) -> str:
    """Return how the engine keeps images: it decides what an image ID means."""
    status = dict(pair for pair in info.get("DriverStatus") or [] if len(pair) == 2)
    driver = info.get("Driver", "?")
    text = CONTAINERD if "containerd" in status.get("driver-type", "") else GRAPH
    return text.format(driver=driver) if driver != "drydock" else OWN


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
