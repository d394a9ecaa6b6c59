"""One engine as the scenarios see it: an address, a docker CLI, a docker-py client; what they make can be removed."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import tempfile
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.auth import AuthConfig
from docker.errors import APIError, DockerException
from registries import ACCOUNT, registry

from suite import bases
from suite.normal import normal
from suite.published import Published
from suite.scenario import Scenario, Step
from suite.verbs import VERBS

VERSION = "1.41"  # what Docker 20.10 speaks: a newer one would show the versions' differences and not the engines'
PATIENCE = 40  # seconds for one step
SOON = """soon() { for _ in $(seq 200); do "$@" >/dev/null 2>&1 && return; sleep .04; done; echo "not soon: $*"; }
"""  # a shell function for what takes a moment; how long, no transcript shows


@dataclass
class Engine:
    """An engine that answers at an address."""

    name: str
    host: str

    def __post_init__(self) -> None:
        self.client: Any = docker.DockerClient(base_url=self.host, version=VERSION, timeout=PATIENCE)
        self._home = tempfile.TemporaryDirectory(prefix="conf-home-")
        self.client.images.load(bases.archive())
        status = dict(self.client.info().get("DriverStatus") or ())
        self.rung = status.get("rung", "")  # of the embedded engine's ladder; dockerd has none
        self.base = self.client.api.inspect_image(bases.NAME)["Id"]

    def close(self) -> None:
        """Take away all that the suite brought, and close the connections."""
        self.clear()
        self.client.api.remove_image(bases.NAME, force=True)
        self.client.close()
        self._home.cleanup()

    def perform(self, scenario: Scenario, kind: str = "debian") -> str:
        """Run a scenario and return its transcript, without what is chance; `kind` is of the registries."""
        with tempfile.TemporaryDirectory(prefix="conf-") as folder, contextlib.ExitStack() as stack:
            root = Path(folder)
            root.chmod(0o755)
            write(root / "work", scenario)
            places = {}  # each scenario has registries of its own: engines remember what a registry has
            for word in scenario.registries:
                places[word] = stack.enter_context(registry(password=word == "$CLOSED", kind=kind))
            try:
                names = {"client": self.client, "api": self.client.api, "folder": root / "work"}
                names["registry"] = Published(places.get("$REG", ""))
                said = [self._step(step, root / "work", names, places) for step in scenario.steps]
            finally:
                self.clear()
            hidden = {str(root / "work"): "<folder>", self.host: "<host>", self._home.name: "<home>"}
            hidden |= {place: f"<{word.strip('$').lower()}>" for word, place in places.items()}
            return normal("\n".join(said) + "\n", hidden)

    def _step(self, step: Step, folder: Path, names: dict[str, Any], places: dict[str, str]) -> str:
        if step.mark == "$":
            return self._shell(step, folder, places)
        out = io.StringIO()
        try:
            if step.mark == "%":
                verb, _, argument = put(step.text, places).partition(" ")
                out.writelines(f"{line}\n" for line in VERBS[verb](self.client, argument))
            else:
                self._python(put(step.text, places), names, out)
        except (APIError, DockerException) as error:
            out.write(f"! {type(error).__name__} {said(error)}\n")
        except Exception as error:  # what a snippet raises is part of the transcript
            out.write(f"! {''.join(traceback.format_exception_only(error)).strip()}\n")
        return f"{step}\n{out.getvalue()}".rstrip("\n")

    def _python(self, text: str, names: dict[str, Any], out: io.StringIO) -> None:
        def show(*values: object, **more: Any) -> None:
            print(*values, file=out, **more)

        names.update(print=show)
        exec(text, names)

    def _shell(self, step: Step, folder: Path, places: dict[str, str]) -> str:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": self._home.name,
            "DOCKER_CONFIG": self._home.name,
            "DOCKER_HOST": self.host,
            "DOCKER_BUILDKIT": "0",
            "DOCKER_API_VERSION": VERSION,
            "DOCKER_CLI_HINTS": "false",
            "LC_ALL": "C.UTF-8",
            "ACCOUNT": ACCOUNT[0],
            "PASSWORD": ACCOUNT[1],
            **{word.strip("$"): place for word, place in places.items()},
        }
        command = ["sh", "-c", SOON + step.text]
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            try:
                code: object = subprocess.run(
                    command,
                    cwd=folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    timeout=PATIENCE,
                ).returncode
            except subprocess.TimeoutExpired:
                code = f"none within {PATIENCE} seconds"
            lines = [str(step)]
            for file, lead in ((out, ""), (err, "! ")):
                file.seek(0)
                text = file.read().decode("utf-8", "backslashreplace")
                lines += [lead + line for line in text.split("\n") if line.strip() or not lead]
                while lines[-1] == "":
                    lines.pop()
        return "\n".join([*lines, f"[exit {code}]"] if code else lines)

    def clear(self) -> None:
        """Remove what the suite made, found by label and by name; nobody else's things are touched."""
        api = self.client.api
        ours = {"label": bases.LABEL}
        for container in api.containers(all=True, filters=ours):
            gone(api.remove_container, container["Id"], v=True, force=True)
        for volume in api.volumes()["Volumes"] or ():
            if volume["Name"].startswith("conf-"):
                gone(api.remove_volume, volume["Name"], force=True)
        for network in api.networks():
            if network["Name"].startswith("conf-"):
                gone(api.remove_network, network["Id"])
        self._clear_images(api)
        (Path(self._home.name) / "config.json").unlink(missing_ok=True)  # where `docker login` left its account
        api._auth_configs = AuthConfig({})

    def _clear_images(self, api: Any) -> None:
        """Remove the suite's images, children before parents: one of the same second may need another turn."""
        for _ in range(6):
            images = [image for image in api.images(all=True) if self._ours(image)]
            if not images:
                return
            for image in sorted(images, key=lambda one: -one["Created"]):
                if image["Id"] != self.base:
                    gone(api.remove_image, image["Id"], force=True)
                for name in called(image):
                    gone(api.remove_image, name, force=True)

    def _ours(self, image: dict[str, Any]) -> bool:
        if image["Id"] == self.base:
            return bool(called(image))
        return bases.LABEL in (image["Labels"] or {}) or any(name.startswith("conf-") for name in called(image))


def called(image: dict[str, Any]) -> list[str]:
    """Return the names of an image in a list, digests among them, without the suite's own."""
    names = [*(image["RepoTags"] or ()), *(image["RepoDigests"] or ())]
    return [name for name in names if name != bases.NAME and not name.startswith("<none>")]


def put(text: str, places: dict[str, str]) -> str:
    """Return a step's text with the registries' addresses in their places."""
    for word, place in places.items():
        text = text.replace(word, place)
    return text


def gone(remove: Any, *what: object, **how: object) -> None:
    """Remove a thing; one that went with another is as good."""
    with contextlib.suppress(APIError):
        remove(*what, **how)


def said(error: Exception) -> str:
    """Return what the engine said in an error, and its status."""
    if isinstance(error, APIError) and error.response is not None:
        return f"{error.response.status_code} {error.explanation}"
    return str(error)


def write(folder: Path, scenario: Scenario) -> None:
    """Write a scenario's files: readable for all, and of one day, so that layers hold the same times everywhere."""
    folder.mkdir()
    for name, body in scenario.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body if isinstance(body, bytes) else body.encode())
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    for path in sorted(folder.rglob("*"), reverse=True):
        os.utime(path, (bases.DAY, bases.DAY))
