"""The engine as a whole: its rooms wired together, its home locked, what a kill left behind put right."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING

from drydock.engine.endpoints import Endpoints
from drydock.engine.errors import NotFound
from drydock.engine.events import Events
from drydock.engine.networks import Networks
from drydock.engine.ports import Ports
from drydock.engine.process import Found, found
from drydock.engine.volumes import Volumes, clear
from drydock.serving import resident

if TYPE_CHECKING:
    from drydock.engine.run import Container, Rung
    from drydock.engine.run.names import Place

BUILT_BY = "20.10.24"  # `docker_version` in the images' configs: dockerd's, whose builder's rules are followed


class Taken(RuntimeError):
    """Another engine lives in this home; `.found` says where it answers, where it says so."""

    def __init__(self, found: Found | None) -> None:
        super().__init__(f"An engine already lives here{f', process {found.pid}' if found else ''}.")
        self.found = found


class Daemon:
    """One engine: images, containers, volumes, networks and events, in one home."""

    def __init__(self, home: Path, rung: str | None = None, socket: Path | None = None) -> None:
        """Lock the home and put right what a killed engine left.

        Raises: Taken, OSError where the home cannot be written.
        """
        self.home = home.resolve()
        self.folder = self.home / "engine"
        self.socket = socket or self.folder / "docker.sock"
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder.chmod(0o700)  # images hold setuid programs: nobody else may come near them
        killed = (self.folder / "engine.json").exists()  # the one before: else it would have taken that away
        self.lock = self._locked()
        if killed:
            self._end_leftovers()
        self.wanted = rung
        self.events = Events()
        self.volumes = Volumes(self.folder / "volumes")
        self.networks = Networks(self.folder / "networks.json")
        self.ports = Ports()
        self.endpoints = Endpoints(self.networks, self.ports, self.events)
        self._wire(rung)
        self._recover()

    def _locked(self) -> IO[bytes]:
        try:
            return resident.claim(self.folder, "engine")
        except resident.Taken:
            raise Taken(found(self.home)) from None

    def _wire(self, rung: str | None) -> None:
        """Give each room the rooms below it."""
        from drydock.blobs import Blobs
        from drydock.engine.build import Builder
        from drydock.engine.distribution import Distribution
        from drydock.engine.images import Catalogue
        from drydock.engine.run import Containers, Sandbox, Steps
        from drydock.engine.snapshots import Layers, Snapshots

        scratch = self.folder / "tmp"
        clear(scratch)
        scratch.mkdir(exist_ok=True)
        self.blobs = Blobs(self.home / "blobs")
        self.layers = Layers(self.home, self.blobs)
        self.snapshots = Snapshots(self.home, self.layers)
        self.images = Catalogue(self.home, self.blobs, self.layers, self.emit)
        self.distribution = Distribution(self.home, self.images)
        self.sandbox = Sandbox(scratch, rung)
        self.containers = Containers(
            *(self.home, self.images, self.snapshots, self.sandbox),
            emit=self.emit,
            volumes=self.volumes,
            networks=self._plan,
        )
        self.endpoints.containers, self.endpoints.sandbox = self.containers, self.sandbox
        steps = Steps(self.sandbox)
        self.builder = Builder(
            *(self.images, self.layers, self.snapshots, steps.run, scratch),
            kind=lambda: self.rung.kind,
            version=BUILT_BY,
            pull=self.distribution.base,
        )

    @property
    def rung(self) -> Rung:
        """The rung of the sandbox ladder: found out when it is first asked for, not at start."""
        return self.sandbox.rung

    def _recover(self) -> None:
        self.blobs.recover()
        self.layers.recover()
        self.snapshots.recover({c.id for c in self.containers.all()})
        self.images.recover()
        self.volumes.recover()
        self.containers.recover()

    def _end_leftovers(self) -> None:
        """Kill what still runs in a container: where all went at once, PRoot 5.1 leaves the programs that it traced."""
        from drydock.engine.run import processes

        for pid in processes.running_from(self.folder / "snapshots"):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def emit(self, kind: str, action: str, id: str, attributes: Mapping[str, str] | None = None) -> None:
        """Tell what happened; a container that has ended gives its addresses and ports back first."""
        ended = kind == "container" and action in ("die", "destroy")
        left = self.endpoints.leave(id) if ended else []
        if not (attributes or {}).get("quiet"):  # what never started has not died, but it gives back what it had
            self.events.emit(kind, action, id, attributes)
        for network in left:
            self.endpoints.tell("disconnect", network, id)
        if kind == "container" and action in ("start", "rename"):
            with suppress(NotFound):  # it has ended and is gone already
                self.endpoints.refresh(self.endpoints.joined(self.containers.get(id)))
        if kind == "container" and action == "die":
            self._tell_volumes("unmount", self.containers.get(id))

    def _tell_volumes(self, action: str, container: Container) -> None:
        """Tell that a container's volumes are mounted, or no longer."""
        for mount in container.mounts:
            if mount["Type"] == "volume":
                known = {"container": container.id, "driver": "local"}
                if action == "mount":
                    writable = str(mount["RW"]).lower()
                    known |= {"destination": mount["Destination"], "read/write": writable, "propagation": ""}
                self.events.emit("volume", action, mount["Name"], known)

    def _plan(self, container: Container) -> Place:
        """Return what a container that starts gets of the network."""
        self._tell_volumes("mount", container)
        return self.endpoints.enter(container)

    # Life

    def announce(self) -> None:
        """Write down where this engine answers, for a second start to find."""
        me = Found(os.getpid(), str(self.socket), self.wanted or "")
        resident.tell(self.folder, "engine", asdict(me))

    def log(self, text: str) -> None:
        """Note what went wrong inside; never what a client sent."""
        resident.note(self.folder / "log", text)

    def close(self) -> None:
        """Stop what runs, and leave the home to the next engine."""
        self.containers.close()
        self.snapshots.settle()
        self.sandbox.close()
        (self.folder / "engine.json").unlink(missing_ok=True)
        self.lock.close()
