"""Endpoints: a container's place in its networks, the names it knows there, and what it publishes.

Docker answers names by a DNS server in each network. An ordinary user's container has none, so the names are in its
/etc/hosts, which is changed while it runs whenever another one comes, goes, or gets a new name.

Source: moby v20.10 daemon/container_operations.go (updateContainerNetworkSettings, initializeNetworking),
container_operations_unix.go (setupLinkedContainers), links/links.go.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from drydock.engine import linked, listening
from drydock.engine.errors import BadParameter, Conflict, EngineError, NotPossible
from drydock.engine.networks import PREDEFINED, Network, Networks
from drydock.engine.ports import Ports, Where
from drydock.engine.run import names
from drydock.engine.run.names import Line, Place
from drydock.engine.run.spec import Plug

if TYPE_CHECKING:
    from drydock.engine.events import Events
    from drydock.engine.run import Container, Containers, Sandbox

NOT_RUNNING = "cannot join network of a non running container: {id}"
NO_ALIAS = "network-scoped alias is supported only for containers in user defined networks"
APART = (
    "network {apart} is apart from the machine's network, and {other} is not: here a container is in networks of one "
    "kind only. Try: docker network disconnect {other} CONTAINER, before the container is started"
)
GONE = (
    "network {name} was made apart from the machine's network, and this engine cannot do that any more ({why}). "
    "Try: docker network rm {name}, then make it again"
)
NO_ADDRESS = "user specified IP address is supported on user defined networks only"


class Endpoints:
    """Which container is in which network, and whom each of them knows."""

    def __init__(self, networks: Networks, ports: Ports, events: Events) -> None:
        self.networks, self.ports, self.events = networks, ports, events
        self.containers: Containers
        self.sandbox: Sandbox
        self.interfaces: dict[str, dict[str, int]] = {}  # container -> network -> the number of its eth
        self.told: dict[str, tuple[Line, ...]] = {}  # by container: the lines of /etc/hosts that are the engine's
        self.lock = threading.RLock()

    def enter(self, container: Container) -> Place:
        """Return what a container that starts gets of the network; from now on the others know it.

        Raises: Conflict, BadParameter, EngineError where a port or an address is taken.
        """
        mode = network_mode(container.host_config)
        if mode.startswith("container:"):
            return self._beside(mode.partition(":")[2])
        if mode in ("none", "host"):
            self._come(self.networks.get(mode), container)
            return Place("none" if mode == "none" else "host", machine=mode == "host")
        env = linked.environment(container.name, linked.targets(self.containers, container))
        joined = {name: self.networks.get(name) for name in self.joined(container)}
        self._together(joined.values())
        found = [self._come(joined[name], container, end) for name, end in self.joined(container).items()]
        address = next(filter(None, found), "")
        plugs = tuple(self._plug(container, network) for network in joined.values() if network.apart)
        if not plugs:  # a network that is apart has no way out, and none in
            self._publish(container, address)
        with self.lock:
            known = self.told[container.id] = self._known(container)
        self.refresh(joined)
        if not plugs:
            return Place(address=address, known=known, env=env)
        return Place("apart", address, known, env, plugs=plugs, switch=self.sandbox.switch.start())

    def _together(self, networks: Iterable[Network]) -> None:
        """Refuse networks that one container cannot be in at once.

        Raises: NotPossible, also where what was possible when the network was made is not any more.
        """
        kinds = {network.apart: network.name for network in networks}
        if len(kinds) > 1:
            raise NotPossible(APART.format(apart=kinds[True], other=kinds[False]))
        if kinds.get(True) and (why := self.sandbox.no_network_apart()):
            raise NotPossible(GONE.format(name=kinds[True], why=why))

    def _plug(self, container: Container, network: Network) -> Plug:
        """Return the cable from a network to a container: in the first interface that is free."""
        with self.lock:
            used = self.interfaces.setdefault(container.id, {})
            if network.id not in used:
                used[network.id] = next(n for n in range(len(used) + 1) if n not in used.values())
            number = used[network.id]
        cable = f"v{container.id[:7]}{network.id[:7]}"
        address = self.networks.address(network, container.id)
        return Plug(network.bridge, network.gateway, network.prefix, cable, f"eth{number}", address)

    def removed(self, network: Network) -> None:
        """Take a network's bridge away."""
        if network.apart:
            self.sandbox.switch.unplug(network.bridge)

    def _beside(self, name: str) -> Place:
        """Return the place of a container that shares another one's network, its names and its host name."""
        other = self.containers.get(name)
        if not other.running:
            raise Conflict(NOT_RUNNING.format(id=other.id))
        place = other.place
        hostname = place.hostname or other.config.get("Hostname") or other.id[:12]
        shared = Place(place.mode, place.address, folder=place.folder or other.private, hostname=hostname)
        running = other.running_now
        if place.mode == "host" or running is None or running.spec.rung == "C":
            return shared
        shares = running.spec.shares or other.pid
        return replace(shared, shares=shares, shares_as=running.spec.mapped)

    def _come(self, network: Network, container: Container, endpoint: Mapping[str, Any] | None = None) -> str:
        """Give a container its address in a network, and tell."""
        wanted = ((endpoint or {}).get("IPAMConfig") or {}).get("IPv4Address") or ""
        if network.name in PREDEFINED and (endpoint or {}).get("Aliases"):
            raise BadParameter(NO_ALIAS)
        if network.name in PREDEFINED and wanted:
            raise BadParameter(NO_ADDRESS)
        address = self.networks.address(network, container.id, wanted)
        self.tell("connect", network, container.id)
        return address

    def _publish(self, container: Container, address: str) -> None:
        """Open the container's published ports; where one is taken, the container does not start."""
        bindings = dict(container.host_config.get("PortBindings") or {})
        exposed = dict.fromkeys([*bindings, *(container.config.get("ExposedPorts") or {})])
        if container.host_config.get("PublishAllPorts"):
            bindings |= {port: [{}] for port in exposed if not bindings.get(port)}
        try:
            self.ports.publish(container.id, self._where(container, address), bindings, exposed, container.name)
        except EngineError:
            self.networks.release(container.id)
            raise

    def _where(self, container: Container, address: str) -> Where:
        """Return what finds out where a container's programs listen, and those of who shares its network."""

        def where(protocol: str, port: int) -> str | None:
            sharing = [one for one in self.containers.all() if one.place.folder == container.private]
            running = [one.running_now for one in (container, *sharing) if one.running_now]
            found = listening.at([pid for one in running for pid in one.everyone()], protocol, port)
            return (address or "127.0.0.1") if found in listening.ANY else found

        return where

    def leave(self, id: str) -> list[Network]:
        """Take back a container's addresses and ports: it has ended. Return the networks that it was in."""
        self.ports.release(id)
        left = self.networks.release(id)
        with self.lock:
            self.told.pop(id, None)
            self.interfaces.pop(id, None)
        self.refresh([network.name for network in left])
        return left

    def connect(self, container: Container, network: Network, endpoint: Mapping[str, Any]) -> None:
        """Put a container into one more network, also while it runs."""
        if network.name in PREDEFINED and endpoint.get("Aliases"):
            raise BadParameter(NO_ALIAS)
        self._together([network, *(self.networks.get(name) for name in self.joined(container))])
        ends = {**self.joined(container), network.name: dict(endpoint)}
        left = [name for name in (container.networking or {}).get("Left") or [] if name != network.name]
        container.networking = {**(container.networking or {}), "EndpointsConfig": ends, "Left": left}
        container.save()
        if container.running:
            wanted = (endpoint.get("IPAMConfig") or {}).get("IPv4Address") or ""
            self.networks.address(network, container.id, wanted)
            if network.apart:
                self.sandbox.switch.plug(container.pid, self._plug(container, network))
            self.refresh([network.name])
        self.tell("connect", network, container.id)

    def disconnect(self, container: Container, network: Network) -> None:
        """Take a container out of a network, also while it runs."""
        ends = {name: end for name, end in self.joined(container).items() if name != network.name}
        left = [*((container.networking or {}).get("Left") or []), network.name]
        container.networking = {**(container.networking or {}), "EndpointsConfig": ends, "Left": left}
        container.save()
        if network.apart and container.running:
            self.sandbox.switch.unplug(self._plug(container, network).cable)
            self.interfaces[container.id].pop(network.id)
        self.networks.release(container.id, network)
        self.refresh([network.name], container)
        self.tell("disconnect", network, container.id)

    def joined(self, container: Container) -> dict[str, dict[str, Any]]:
        """Return the networks that a container belongs to, with what it asked of each."""
        mode = network_mode(container.host_config)
        asked = (container.networking or {}).get("EndpointsConfig") or {}
        asked = {("bridge" if name == "default" else name): end for name, end in asked.items()}
        left = (container.networking or {}).get("Left") or []
        names = dict.fromkeys([*([] if mode in left else [mode]), *asked]) if not mode.startswith("container:") else {}
        return {name: dict(asked.get(name) or {}) for name in names}

    def tell(self, action: str, network: Network, container: str) -> None:
        """Tell that a container has come into a network, or left it."""
        attributes = {"container": container, "name": network.name, "type": network.driver}
        self.events.emit("network", action, network.id, attributes)

    # Names

    def refresh(self, networks: Iterable[str], *more: Container) -> None:
        """Bring the names up to date in every running container of some networks, and in `more`."""
        touched = set(networks)
        with self.lock:
            for one in self.containers.all():
                if one.running and (one in more or touched & set(self.joined(one))):
                    self._learn(one)

    def _learn(self, container: Container) -> None:
        before, now = self.told.get(container.id, ()), self._known(container)
        if before == now:
            return
        self.told[container.id] = now
        with suppress(OSError):  # a program put something else in its place: then it knows better
            names.rewrite(
                container.private / "hosts", set(before) - set(now), [one for one in now if one not in before]
            )

    def _known(self, container: Container) -> tuple[Line, ...]:
        """Return whom a container knows: its links, and in networks of one's own everybody."""
        found = self._links(container)
        for name, endpoint in self.joined(container).items():
            if name not in PREDEFINED:
                found += self._members(self.networks.get(name), container, endpoint)
        return tuple(dict.fromkeys(found))

    def _links(self, container: Container) -> list[Line]:
        addresses = self.networks.endpoints(self.networks.get("bridge"))
        return [
            (addresses[one.id], " ".join(dict.fromkeys([alias, one.config.get("Hostname") or one.id[:12], one.name])))
            for alias, one in linked.targets(self.containers, container, running=False)
            if one.id in addresses
        ]

    def _members(self, network: Network, container: Container, endpoint: Mapping[str, Any]) -> list[Line]:
        aliases = [link.partition(":")[::2] for link in endpoint.get("Links") or ()]
        found = []
        for id, address in self.networks.endpoints(network).items():
            with suppress(EngineError):  # it is being removed
                other = self.containers.get(id)
                own = [alias or name for name, alias in aliases if name in (other.name, other.id, other.id[:12])]
                known = self.joined(other).get(network.name, {}).get("Aliases") or []
                found.append((address, " ".join(dict.fromkeys([other.name, *known, *own, id[:12]]))))
        return found


def network_mode(host_config: Mapping[str, Any]) -> str:
    """Return the network that a container was started on, `bridge` where nothing was said.

    >>> network_mode({"NetworkMode": "default"}), network_mode({}), network_mode({"NetworkMode": "web"})
    ('bridge', 'bridge', 'web')
    """
    mode = str(host_config.get("NetworkMode") or "default")
    return "bridge" if mode == "default" else mode
