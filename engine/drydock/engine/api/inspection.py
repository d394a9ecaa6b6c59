"""One container as `docker ps` and `docker inspect` show it.

Source: moby/daemon/inspect.go, moby/container/view.go
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from drydock.engine import linked
from drydock.engine.api.hostconfig import CONFIG
from drydock.engine.api.times import moment
from drydock.engine.endpoints import network_mode

if TYPE_CHECKING:
    from drydock.engine.daemon import Daemon
    from drydock.engine.run import Container

NO_ADDRESS = {
    "EndpointID": "",
    "Gateway": "",
    "IPAddress": "",
    "IPPrefixLen": 0,
    "IPv6Gateway": "",
    "GlobalIPv6Address": "",
    "GlobalIPv6PrefixLen": 0,
    "MacAddress": "",
}


def inspect(daemon: Daemon, c: Container, size: bool = False) -> dict[str, Any]:
    """Return all that is known of a container."""
    found = {
        "Id": c.id,
        "Created": c.created,
        "Path": c.path,
        "Args": list(c.args),
        "State": c.state,
        "Image": c.image_id,
        **dict.fromkeys(("ResolvConfPath", "HostnamePath", "HostsPath", "LogPath"), ""),
        "Name": f"/{c.name}",
        "RestartCount": c.restart_count,
        "Driver": "drydock",
        "Platform": "linux",
        **dict.fromkeys(("MountLabel", "ProcessLabel", "AppArmorProfile"), ""),
        "ExecIDs": list(getattr(c, "exec_ids", [])) or None,
        "HostConfig": {**c.host_config, "Links": linked.shown(daemon.containers, c)},
        "GraphDriver": {"Data": None, "Name": "drydock"},
        "Mounts": places(c),
        "Config": {"Hostname": c.id[:12], **CONFIG, **c.config},
        "NetworkSettings": network_settings(daemon, c),
    }
    return found | (sizes(daemon, c) if size else {})


def sizes(daemon: Daemon, c: Container) -> dict[str, int]:
    """Return the bytes of the writable layer, and of the whole file system."""
    written = c.snapshot.size()
    return {"SizeRw": written, "SizeRootFs": written + daemon.images.get(c.image_id).size}


def places(c: Container) -> list[dict[str, Any]]:
    """Return the mounts without what only the engine needs to know."""
    return [{key: value for key, value in m.items() if key not in ("Fresh", "Inherited")} for m in c.mounts]


def network_settings(daemon: Daemon, c: Container) -> dict[str, Any]:
    """Return addresses and ports: of a running container the real ones, else empty."""
    networks = endpoints(daemon, c)
    default = networks.get("bridge", {**NO_ADDRESS})
    own = {key: default.get(key, value) for key, value in NO_ADDRESS.items()}
    return {
        "Bridge": "",
        "SandboxID": "",
        "SandboxKey": "",
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        "Ports": daemon.ports.shown(c.id) if c.running else {},
        **own,
        "Networks": networks,
    }


def endpoints(daemon: Daemon, c: Container) -> dict[str, dict[str, Any]]:
    """Return the container's place in each of its networks."""
    found = {}
    for name, asked in daemon.endpoints.joined(c).items():
        found[name] = {
            "IPAMConfig": asked.get("IPAMConfig"),
            "Links": asked.get("Links"),
            "Aliases": [*(asked.get("Aliases") or []), c.id[:12]] if name not in ("bridge", "host", "none") else None,
            "NetworkID": "",
            **NO_ADDRESS,
            "DriverOpts": asked.get("DriverOpts"),
        }
        known = next((n for n in daemon.networks.all() if n.name == name), None)
        address = daemon.networks.endpoints(known).get(c.id, "") if known else ""
        if known and c.running:
            found[name] |= {"NetworkID": known.id, "EndpointID": endpoint_id(known.id, c.id)}
        if known and c.running and address:
            found[name] |= {"Gateway": known.gateway, "IPAddress": address, "IPPrefixLen": known.prefix}
    return found


def endpoint_id(network: str, container: str) -> str:
    """Return an ID for a container's place in a network."""
    import hashlib

    return hashlib.sha256(f"{network}{container}".encode()).hexdigest()


def summary(daemon: Daemon, c: Container, size: bool = False) -> dict[str, Any]:
    """Return one row of `docker ps`."""
    row: dict[str, Any] = {
        "Id": c.id,
        "Names": [f"/{c.name}"],
        "Image": shown_image(daemon, c),
        "ImageID": c.image_id,
        "Command": " ".join([c.path, *(f"'{one}'" if " " in one else one for one in c.args)]),
        "Created": int(moment(c.created) or 0),
        "Ports": ports(daemon, c),
        "Labels": c.config.get("Labels") or {},
        "State": c.state.get("Status"),
        "Status": c.status_text,
        "HostConfig": {"NetworkMode": network_name(c.host_config)},
        "NetworkSettings": {"Networks": endpoints(daemon, c)},
        "Mounts": places(c),
    }
    return row | (sizes(daemon, c) if size else {})


def network_name(host_config: Mapping[str, Any]) -> str:
    """Return the network's name as it was asked for: `default` where nothing was."""
    return str(host_config.get("NetworkMode") or network_mode(host_config))


def shown_image(daemon: Daemon, c: Container) -> str:
    """Return the image as it was named, or its ID where that name means another image by now."""
    from drydock.engine.errors import EngineError

    try:
        same = bool(daemon.images.get(c.image_name).id == c.image_id)
    except EngineError:
        same = False
    return str(c.image_name if same else c.image_id)


def ports(daemon: Daemon, c: Container) -> list[dict[str, Any]]:
    """Return the ports as `docker ps` lists them: exposed ones, and where they can be reached."""
    exposed = dict.fromkeys([*(c.config.get("ExposedPorts") or {}), *(c.host_config.get("PortBindings") or {})])
    bound = daemon.ports.shown(c.id)
    rows: list[dict[str, Any]] = []
    for port in exposed if c.running else ():
        number, _, protocol = port.partition("/")
        row = {"PrivatePort": int(number.partition("-")[0]), "Type": protocol or "tcp"}
        places = bound.get(port) or []
        rows += [{"IP": p["HostIp"], **row, "PublicPort": int(p["HostPort"])} for p in places] or [row]
    return rows
