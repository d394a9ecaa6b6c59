"""Networks: names and addresses for containers, as far as an ordinary user can have them.

A kernel gives an unprivileged user no way from a network of his own into the machine's. So the containers of a network
share the machine's network; each has its own loopback address (on Linux all of 127.0.0.0/8 is there) and finds the
others by name in /etc/hosts. An `--internal` network shall have no way out: where there are name spaces (rungs A and B)
it is apart from the machine's, with a bridge and addresses of its own (run/switch.py). `none` has nothing at all.

Source: moby/daemon/network.go, moby/libnetwork; the subnets follow Docker's 172.17, 172.18, ... with 127 in front.
"""

from __future__ import annotations

import ipaddress
import json
import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drydock.engine.errors import BadParameter, Conflict, Forbidden, NotFound, NotPossible

PREDEFINED = {"bridge": "bridge", "host": "host", "none": "null"}
FIRST, LAST = 17, 250  # 127.17.0.0/16 is bridge's; 127.0 is everybody's
DRIVERS = ("bridge", "host", "null")
NO_DRIVER = "could not find plugin {driver} in v1 plugin registry: plugin not found"
WANTED = (
    "this engine runs without privileges: a network has loopback addresses that it chooses itself, "
    "so {what} is not possible. Leave it out, or use Docker"
)


@dataclass(frozen=True)
class Network:
    """One network: its name, driver and addresses."""

    name: str
    id: str
    created: str
    driver: str = "bridge"
    subnet: str = ""  # 127.18.0.0/16; empty for host and none
    labels: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    internal: bool = False
    attachable: bool = False

    own_subnet: bool = False  # it was chosen by who made the network

    @property
    def gateway(self) -> str:
        """Return the address that stands for the machine itself."""
        return next(_hosts(self.subnet, 1)) if self.subnet else ""

    @property
    def prefix(self) -> int:
        """Return how many bits of an address are the network's."""
        return int(self.subnet.partition("/")[2] or 0)

    @property
    def apart(self) -> bool:
        """Return whether it is not the machine's own network: its containers reach each other and nobody else."""
        return bool(self.subnet) and not self.subnet.startswith("127.")

    @property
    def bridge(self) -> str:
        """Return the name of its bridge in the switch."""
        return f"br-{self.id[:12]}"

    def json(self, containers: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the network as `docker network inspect` shows it."""
        config = [{"Subnet": self.subnet, "Gateway": self.gateway}] if self.subnet else []
        return {
            "Name": self.name,
            "Id": self.id,
            "Created": self.created,
            "Scope": "local",
            "Driver": self.driver,
            "EnableIPv6": False,
            "IPAM": {"Driver": "default", "Options": {} if self.name not in PREDEFINED else None, "Config": config},
            "Internal": self.internal,
            "Attachable": self.attachable,
            "Ingress": False,
            "ConfigFrom": {"Network": ""},
            "ConfigOnly": False,
            "Containers": dict(containers or {}),
            "Options": dict(self.options),
            "Labels": dict(self.labels),
        }


class Networks:
    """All networks of one engine, in one file; who has which address is in memory: only what runs has one."""

    def __init__(self, path: Path) -> None:
        self.path, self.lock = path, threading.RLock()
        self.taken: dict[str, dict[str, str]] = {}  # network id -> address -> container id
        self.networks = self._read()
        for name, driver in PREDEFINED.items():
            if not any(n.name == name for n in self.networks):
                subnet = f"127.{FIRST}.0.0/16" if name == "bridge" else ""
                self.networks.append(Network(name, secrets.token_hex(32), _now(), driver, subnet))
                self._write()

    def create(self, name: str, **wanted: Any) -> Network:
        """Make a network.

        Raises: BadParameter, Conflict, NotFound for another driver, NotPossible for addresses of one's own.
        """
        if not name or "/" in name or name != name.strip():
            raise BadParameter(f"invalid network name: {name[:80]!r}" if name else "network name cannot be empty")
        if name in PREDEFINED:
            raise Forbidden(f'operation is not permitted on predefined {name} network: name "{name}" is reserved')
        driver = wanted.pop("driver", "") or "bridge"
        if driver not in DRIVERS:
            raise NotFound(NO_DRIVER.format(driver=driver[:80]))
        apart = bool(wanted.pop("apart", False))
        asked = wanted.pop("ipam", None) or []
        if asked and not apart:
            raise NotPossible(WANTED.format(what="a subnet of your own"))
        if wanted.pop("ipv6", False):
            raise NotPossible(WANTED.format(what="IPv6"))
        if driver != "bridge":
            raise Forbidden(f'only one instance of "{driver}" network is allowed')
        with self.lock:
            if any(n.name == name for n in self.networks):
                raise Conflict(f"network with name {name} already exists")
            subnet = self._asked(asked) if asked else self._subnet("172." if apart else "127.")
            made = Network(name, secrets.token_hex(32), _now(), driver, subnet, own_subnet=bool(asked), **wanted)
            self.networks.append(made)
            self._write()
            return made

    def get(self, name: str) -> Network:
        """Return a network by its name, ID, or the beginning of its ID."""
        wanted = "bridge" if name == "default" else name
        with self.lock:
            exact = [n for n in self.networks if wanted in (n.name, n.id)]
            found = exact or [n for n in self.networks if wanted and n.id.startswith(wanted)]
        if len(found) > 1:
            raise BadParameter(f"network {name} is ambiguous ({len(found)} matches found on ID prefix)")
        if not found:
            raise NotFound(f"network {name[:128]} not found")
        return found[0]

    def all(self) -> list[Network]:
        """Return every network."""
        with self.lock:
            return list(self.networks)

    def remove(self, network: Network, endpoints: int = 0) -> None:
        """Remove a network that no running container uses."""
        if network.name in PREDEFINED:
            raise Forbidden(f"{network.name} is a pre-defined network and cannot be removed")
        if endpoints:
            raise Forbidden(
                f"error while removing network: network {network.name} id {network.id} has active endpoints"
            )
        with self.lock:
            self.networks = [n for n in self.networks if n.id != network.id]
            self.taken.pop(network.id, None)
            self._write()

    # Addresses

    def address(self, network: Network, container: str, wanted: str = "") -> str:
        """Return the container's address in a network: the one it has, the wanted one, or the next free.

        On the networks `host` and `none` there are no addresses; who is in them is remembered all the same.
        """
        with self.lock:
            taken = self.taken.setdefault(network.id, {})
            mine = next((address for address, owner in taken.items() if owner == container), None)
            if mine is not None:
                return mine if network.subnet else ""
            if not network.subnet:
                taken[container] = container
                return ""
            if wanted:
                _check(wanted, network, taken)
            address = wanted or next((a for a in _hosts(network.subnet) if a not in taken), "")
            if not address:
                raise Conflict("no available IPv4 addresses on this network's address pools")
            taken[address] = container
            return address

    def release(self, container: str, network: Network | None = None) -> list[Network]:
        """Give a container's addresses back: it has stopped, or left the network. Return where it was."""
        left = []
        with self.lock:
            for each in self.networks:
                taken = self.taken.get(each.id, {})
                mine = [address for address, owner in taken.items() if owner == container]
                if mine and network in (None, each):
                    left.append(each)
                    for address in mine:
                        del taken[address]
        return left

    def endpoints(self, network: Network) -> dict[str, str]:
        """Return which container has which address now."""
        with self.lock:
            taken = self.taken.get(network.id, {}) if network.subnet else {}
            return {owner: address for address, owner in taken.items()}

    def _subnet(self, begin: str) -> str:
        used = {n.subnet for n in self.networks}
        free = (f"{begin}{n}.0.0/16" for n in range(FIRST, LAST if begin == "127." else 32))
        found = next((one for one in free if one not in used), "")
        if not found:
            raise Conflict("could not find an available, non-overlapping IPv4 address pool among the defaults")
        return found

    def _asked(self, asked: Sequence[Mapping[str, Any]]) -> str:
        """Return the subnet that was asked for.

        Raises: BadParameter, NotPossible, Forbidden where another network has it.
        """
        subnet, more = str(asked[0].get("Subnet") or ""), set(asked[0]) - {"Subnet", "Gateway"}
        try:
            wanted = ipaddress.IPv4Network(subnet)
        except ValueError:
            raise BadParameter(f"invalid subnet {subnet[:40]} : it should be an IPv4 address and a prefix") from None
        gateway = str(asked[0].get("Gateway") or "")
        if len(asked) > 1 or any(asked[0][key] for key in more) or not 8 <= wanted.prefixlen <= 29:
            raise NotPossible(WANTED.format(what="more than one subnet, of 8 to 29 bits"))
        if gateway not in ("", str(wanted[1])):
            raise NotPossible(WANTED.format(what="a gateway other than the subnet's first address"))
        if wanted.is_loopback or any(
            n.subnet and wanted.overlaps(ipaddress.ip_network(n.subnet)) for n in self.networks
        ):
            raise Forbidden("Pool overlaps with other one on this address space")
        return subnet

    def _read(self) -> list[Network]:
        try:
            return [Network(**each) for each in json.loads(self.path.read_bytes())]
        except FileNotFoundError:
            return []

    def _write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_suffix(".new")
        beside.write_text(json.dumps([asdict(n) for n in self.networks]))
        beside.replace(self.path)


def _hosts(subnet: str, first: int = 2) -> Iterator[str]:
    """Return the addresses of a subnet that a container may have: the first one is the machine's, or the bridge's.

    >>> next(_hosts("127.18.0.0/16")), next(_hosts("10.7.0.0/24", 1))
    ('127.18.0.2', '10.7.0.1')
    """
    whole = ipaddress.IPv4Network(subnet)
    return (str(whole[n]) for n in range(first, whole.num_addresses - 1))


def _check(wanted: str, network: Network, taken: Mapping[str, str]) -> None:
    try:
        inside = ipaddress.ip_address(wanted) in ipaddress.ip_network(network.subnet)
    except ValueError:
        raise BadParameter(f"invalid IPv4 address: {wanted[:40]}") from None
    if not inside:
        raise BadParameter(f"no configured subnet or ip pool contain the IP address {wanted}")
    if wanted in taken:
        raise Conflict("Address already in use")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
