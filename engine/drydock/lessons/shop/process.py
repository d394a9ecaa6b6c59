"""One process of the store: its container, how it is started and watched, and how it is spoken to."""

from __future__ import annotations

import http.client
import json
import socket
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import docker
from docker.errors import APIError, ImageNotFound, NotFound

from drydock.lessons.own import LAB
from drydock.model.layer import shown
from drydock.model.shop import PATHS

PORT = 8295  # inside the container, where nobody chose another
DEADLINE = 60  # seconds until a started process must answer
REST = 20  # seconds at most that a process may take for what customers left behind
LOOK = 0.02  # seconds between two looks whether it does
SAID = 300  # characters of a process's last line
NO_IMAGE = "There is no image {image} here: it was removed since the store was opened.\nTry: shop.open(...) once more"
DIED = (
    "{name} ended before it answered. Its last line: {said}\n"
    "The file that it names is probably yours, and has a mistake.\n"
    "Try: docker logs {name}"
)
SILENT = (
    "{name} runs, but does not answer at {url} after {seconds} s.\n"
    "The machine is probably very busy.\nTry: docker logs {name}   and then the cell again"
)
PORT_TAKEN = (
    "Port {port} of this machine is taken by another program.\n"
    "Try: another port, or none (any that is free): shop.open(client, folder)"
)
TAKEN = (
    "There is a container {name} that this course did not make, so it is left alone.\n"
    "Try: docker rename {name} {name}-mine   and run this cell again"
)
GONE = (
    "{name} is gone: `docker rm`, `drydock clean` or another notebook took it away.\n"
    "Try: run the cell again that opens the store"
)
NOT_STARTED = "{name} could not be started: {why}\nTry: drydock doctor"


class NoShop(RuntimeError):
    """The store cannot be built, started or played with; the message says what to try."""


def free_port() -> int:
    """Return a port that is free at every address of this machine.

    Without privileges all engines of a machine share its addresses, so the same port in two stores would be one port.
    """
    with socket.socket() as asked:
        asked.bind(("", 0))
        return int(asked.getsockname()[1])


@dataclass
class Process:
    """One copy of a part: `name` is its container's, `part` what it is in the design: monolith, front, cart ..."""

    client: docker.DockerClient
    name: str
    part: str
    image: str
    version: str = "1.0"
    stack: str = "tornado"
    network: str = "shop"
    lesson: str = "02-shop"
    published: int | None = None  # port on this machine's loopback; None: any that is free
    state: str = "starting"
    fault: str = ""
    memory: int | None = None
    started: float | None = None  # seconds until it answered
    door: int = 0  # the port as published
    port: int = PORT  # inside the container
    address: tuple[str, int] = ("", PORT)  # on the store's network
    container: Any = field(default=None, repr=False)

    def start(self) -> None:
        """Make the container, start it, and wait until it answers.  Raises: NoShop."""
        self.state = "starting"
        try:
            self._create()
            self._begin()
        except APIError as error:
            self.state = "dead"
            raise NoShop(self._why(error)) from None

    def _create(self) -> None:
        try:
            old = self.client.containers.get(self.name)
            if old.labels.get(LAB) != self.lesson:
                raise NoShop(TAKEN.format(name=self.name))
            old.remove(force=True)
        except NotFound:
            pass
        port: Any = ("127.0.0.1", self.published)
        self.container = self.client.containers.create(
            self.image,
            name=self.name,
            labels={LAB: self.lesson},
            network=self.network,
            ports={f"{self.port}/tcp": port},
            environment={"PORT": str(self.port)},
        )

    def _begin(self) -> None:
        begun = time.perf_counter()
        self.container.start()
        self.container.reload()
        found = self.container.attrs["NetworkSettings"]
        self.address = (found["Networks"][self.network]["IPAddress"], self.port)
        # One that ended at once has no port any more: that it died is told below.
        self.door = int(((found["Ports"] or {}).get(f"{self.port}/tcp") or [{"HostPort": 0}])[0]["HostPort"])
        self._answers(begun + DEADLINE)
        self.started, self.state, self.fault = time.perf_counter() - begun, "running", ""

    def _answers(self, deadline: float) -> None:
        """Wait until the process answers.  Raises: NoShop where it ends first, or never does."""
        looked = time.perf_counter()
        while True:
            try:
                self.say("GET", "/-/health")
                return
            except (OSError, http.client.HTTPException):
                pass
            if (now := time.perf_counter()) - looked > 10 * LOOK:
                looked = now
                self.container.reload()
                if self.container.status not in ("running", "created"):
                    self.state = "dead"
                    raise NoShop(DIED.format(name=self.name, said=self.said()))
            if now > deadline:
                raise NoShop(SILENT.format(name=self.name, url=self.url, seconds=DEADLINE))
            time.sleep(LOOK)

    @property
    def url(self) -> str:
        """Return where the process answers on this machine."""
        return f"http://127.0.0.1:{self.door}"

    def say(self, verb: str, path: str, body: object = None, timeout: float = 5.0) -> bytes:
        """Send one HTTP request, and return what came back.  Raises: OSError, HTTPException."""
        if not self.door:
            raise ConnectionRefusedError(f"{self.name} has no port")
        with closing(http.client.HTTPConnection("127.0.0.1", self.door, timeout=timeout)) as connection:
            connection.request(verb, path, None if body is None else json.dumps(body))
            reply = connection.getresponse()
            if reply.status != 200:
                raise http.client.HTTPException(f"{path}: {reply.status}")
            return reply.read()

    def rest(self) -> None:
        """Wait until the process has answered all that was asked of it before: what it is asked now comes last.

        It has then also answered each of its pages once, which the first time takes longer.
        """
        for page in PATHS if self.part in ("monolith", "front") else (self.part,):
            with suppress(OSError, http.client.HTTPException):
                self.say("GET", f"/{page}", timeout=REST)

    def said(self) -> str:
        """Return the last line that the process wrote."""
        try:
            lines = self.container.logs(tail=5).decode("utf-8", "replace").strip().splitlines()
        except APIError:  # the container is gone, and its words with it
            lines = []
        return shown(lines[-1][:SAID]) if lines else "(nothing)"

    def kill(self) -> None:
        """End the process as a crash does: at once, and without a word.  Raises: NoShop."""
        try:
            self.container.kill()
        except NotFound:
            raise NoShop(GONE.format(name=self.name)) from None
        except APIError as error:
            if error.status_code != 409:  # it had ended already
                raise
        self.state = "dead"

    def renewed(self, image: str, version: str, stack: str) -> Process:
        """Return the process, not yet started, that takes this one's place with another image."""
        fresh: dict[str, Any] = {"state": "starting", "fault": "", "memory": None, "started": None, "container": None}
        return replace(self, image=image, version=version, stack=stack, **fresh)

    def remove(self) -> None:
        """Remove the container; one that is gone already is what was wanted."""
        self.state = "stopped"
        try:
            if self.container is not None:
                self.container.remove(force=True)
        except APIError as error:
            if error.status_code not in (404, 409):
                raise

    def measure(self) -> None:
        """Ask the engine how much memory the container holds."""
        try:
            said = self.client.api.stats(self.container.id, stream=False, one_shot=True)
        except (APIError, ValueError):  # it ended meanwhile
            return
        told = said.get("memory_stats") or {}
        inactive = (told.get("stats") or {}).get("inactive_file", 0) or (told.get("stats") or {}).get(
            "total_inactive_file", 0
        )
        if told.get("usage"):
            self.memory = max(0, told["usage"] - inactive)

    def _why(self, error: APIError) -> str:
        text = str(error.explanation or error)
        if isinstance(error, ImageNotFound):
            return NO_IMAGE.format(image=self.image)
        if self.published and any(words in text for words in ("already allocated", "address already in use", "bind")):
            self.remove()
            return PORT_TAKEN.format(port=self.published)
        return NOT_STARTED.format(name=self.name, why=shown(text[:SAID]))
