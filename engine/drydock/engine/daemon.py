"""The engine as a whole: its rooms wired together, its home locked, what a kill left behind put right."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from drydock.engine.errors import Conflict, EngineError
from drydock.engine.events import Events
from drydock.engine.networks import Network, Networks
from drydock.engine.ports import Ports
from drydock.engine.process import Found, found
from drydock.engine.volumes import Volumes, clear
from drydock.serving import resident

if TYPE_CHECKING:
    from drydock.engine.run import Container, Rung

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
        self.lock = self._locked()
        self.wanted = rung
        self.events = Events()
        self.volumes = Volumes(self.folder / "volumes")
        self.networks = Networks(self.folder / "networks.json")
        self.ports = Ports()
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
            networks=self.plan,
        )
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

    def emit(self, kind: str, action: str, id: str, attributes: Mapping[str, str] | None = None) -> None:
        """Tell what happened; a container that has ended gives its addresses and ports back first."""
        ended = kind == "container" and action in ("die", "destroy")
        if ended:
            self.ports.release(id)
            left = self.networks.release(id)
        if not (attributes or {}).get("quiet"):  # what never started has not died, but it gives back what it had
            self.events.emit(kind, action, id, attributes)
        for network in left if ended else ():
            self.tell_network("disconnect", network, id)
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

    def tell_network(self, action: str, network: Network, container: str) -> None:
        """Tell that a container has come into a network, or left it."""
        attributes = {"container": container, "name": network.name, "type": network.driver}
        self.events.emit("network", action, network.id, attributes)

    # Networks of a container

    def plan(self, container: Container) -> dict[str, Any]:
        """Return what a container that starts gets of the network: its mode, its address, the names it can reach."""
        self._tell_volumes("mount", container)
        mode = network_mode(container.host_config)
        if mode in ("none", "host"):
            self._enter(self.networks.get(mode), container)
            return {"mode": mode, "hosts": [], "address": ""}
        if mode.startswith("container:"):
            other = self.containers.get(mode.partition(":")[2])
            if not other.running:
                raise Conflict(f"cannot join network of a non running container: {other.id}")
            return {"mode": "host", "hosts": [], "address": other.address}
        hosts: list[tuple[str, str]] = []
        mine = ""
        for name, endpoint in self.joined(container).items():
            network = self.networks.get(name)
            wanted = (endpoint.get("IPAMConfig") or {}).get("IPv4Address", "")
            address = self._enter(network, container, wanted)
            mine = mine or address
            hosts += [(ip, n) for ip, names in self._names(network).items() for n in names]
        self._publish(container, mine)
        return {"mode": "shared", "hosts": hosts, "address": mine}

    def _enter(self, network: Network, container: Container, wanted: str = "") -> str:
        """Give a container that starts its address in a network, and tell."""
        address = self.networks.address(network, container.id, wanted)
        self.tell_network("connect", network, container.id)
        return address

    def _publish(self, container: Container, address: str) -> None:
        """Open the container's published ports; where one is taken, the container does not start."""
        bindings = dict(container.host_config.get("PortBindings") or {})
        exposed = dict.fromkeys([*bindings, *(container.config.get("ExposedPorts") or {})])
        if container.host_config.get("PublishAllPorts"):
            bindings |= {port: [{}] for port in exposed if not bindings.get(port)}
        try:
            self.ports.publish(container.id, address, bindings, exposed, container.name)
        except EngineError:
            self.networks.release(container.id)
            raise

    def join(self, container: Container, network: Network, endpoint: Mapping[str, Any]) -> None:
        """Write down that a container belongs to a network; a running one is told its new names at its next start."""
        ends = {**self.joined(container), network.name: dict(endpoint)}
        container.networking = {**(container.networking or {}), "EndpointsConfig": ends}
        container.save()
        if container.running:
            wanted = (endpoint.get("IPAMConfig") or {}).get("IPv4Address", "")
            self.networks.address(network, container.id, wanted)

    def leave(self, container: Container, network: Network) -> None:
        """Write down that a container has left a network."""
        ends = {name: end for name, end in self.joined(container).items() if name != network.name}
        container.networking = {**(container.networking or {}), "EndpointsConfig": ends, "Left": [network.name]}
        container.save()
        self.networks.release(container.id, network)

    def joined(self, container: Container) -> dict[str, dict[str, Any]]:
        """Return the networks that a container belongs to, with what it asked of each."""
        mode = network_mode(container.host_config)
        asked = (container.networking or {}).get("EndpointsConfig") or {}
        asked = {("bridge" if name == "default" else name): end for name, end in asked.items()}
        left = (container.networking or {}).get("Left") or []
        names = dict.fromkeys([*([] if mode in left else [mode]), *asked]) if not mode.startswith("container:") else {}
        return {name: dict(asked.get(name) or {}) for name in names}

    def _names(self, network: Any) -> dict[str, list[str]]:
        """Return which names an address has in a network: the default bridge knows addresses only, as Docker's."""
        names: dict[str, list[str]] = {}
        if network.name == "bridge":
            return names
        for owner, address in self.networks.endpoints(network).items():
            other = self.containers.get(owner)
            aliases = self.joined(other).get(network.name, {}).get("Aliases") or []
            names[address] = list(dict.fromkeys([other.name, *aliases, owner[:12]]))
        return names

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


def network_mode(host_config: Mapping[str, Any]) -> str:
    """Return the network that a container was started on, `bridge` where nothing was said.

    >>> network_mode({"NetworkMode": "default"}), network_mode({}), network_mode({"NetworkMode": "web"})
    ('bridge', 'bridge', 'web')
    """
    mode = str(host_config.get("NetworkMode") or "default")
    return "bridge" if mode == "default" else mode
