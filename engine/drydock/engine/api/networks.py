"""Networks: create, list, inspect, connect, disconnect, remove, prune.

Source: moby/api/server/router/network/network_routes.go, moby/daemon/network.go
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drydock.engine.api.inspection import endpoint_id
from drydock.engine.api.times import moment
from drydock.engine.api.wire import Json, Plain, Reply, Request, matches_labels, truth
from drydock.engine.errors import BadParameter, Forbidden
from drydock.engine.networks import PREDEFINED, Network

if TYPE_CHECKING:
    from drydock.engine.daemon import Daemon

LIST_FILTERS = ("dangling", "driver", "id", "label", "name", "scope", "type")


def list_networks(request: Request) -> Reply:
    """Answer `docker network ls`."""
    filters = request.filters(*LIST_FILTERS)
    return Json([n.json() for n in request.daemon.networks.all() if _passes(request.daemon, n, filters)])


def _passes(daemon: Daemon, n: Network, filters: dict[str, list[str]]) -> bool:
    if "dangling" in filters:
        unused = n.name not in PREDEFINED and not _members(daemon, n)
        if truth(filters["dangling"][0]) != unused:
            return False
    kind = "builtin" if n.name in PREDEFINED else "custom"
    checks = {"name": n.name, "id": n.id, "driver": n.driver, "scope": "local", "type": kind}
    for key, value in checks.items():
        wanted = filters.get(key)
        same = str.__contains__ if key in ("name", "id") else str.__eq__
        if wanted and not any(same(value, each) for each in wanted):
            return False
    return matches_labels(n.labels, filters.get("label", []))


def _members(daemon: Daemon, n: Network) -> list[Any]:
    return [c for c in daemon.containers.all() if c.running and n.name in daemon.endpoints.joined(c)]


def inspect(request: Request) -> Reply:
    """Answer `docker network inspect`: with the containers that run in it."""
    daemon = request.daemon
    found = daemon.networks.get(request.names["name"])
    addresses = daemon.networks.endpoints(found)
    members = {
        c.id: {
            "Name": c.name,
            "EndpointID": endpoint_id(found.id, c.id),
            "MacAddress": "",
            "IPv4Address": f"{addresses[c.id]}/{found.prefix}" if c.id in addresses else "",
            "IPv6Address": "",
        }
        for c in _members(daemon, found)
    }
    return Json(found.json(members))


def create(request: Request) -> Reply:
    """Answer `docker network create`."""
    body = request.json()
    name = body.get("Name") or ""
    if not isinstance(name, str) or not all(
        isinstance(body.get(k), dict | None) for k in ("Labels", "Options", "IPAM")
    ):
        raise BadParameter("json: cannot unmarshal into Go struct field NetworkCreateRequest")
    ipam = body.get("IPAM") or {}
    why = request.daemon.sandbox.no_network_apart() if body.get("Internal") else ""
    made = request.daemon.networks.create(
        name,
        driver=str(body.get("Driver") or ""),
        ipam=ipam.get("Config"),
        ipv6=body.get("EnableIPv6"),
        labels=body.get("Labels") or {},
        options=body.get("Options") or {},
        internal=bool(body.get("Internal")),
        apart=bool(body.get("Internal")) and not why,
        attachable=bool(body.get("Attachable")),
    )
    request.daemon.events.emit("network", "create", made.id, {"name": made.name, "type": made.driver})
    warning = f"This engine cannot cut a network off, so --internal changes nothing: {why}" if why else ""
    return Json({"Id": made.id, "Warning": warning}, 201)


def connect(request: Request) -> Reply:
    """Answer `docker network connect`."""
    daemon, body = request.daemon, request.json()
    network = daemon.networks.get(request.names["name"])
    container = daemon.containers.get(str(body.get("Container") or ""))
    endpoint = body.get("EndpointConfig") or {}
    if not isinstance(endpoint, dict):
        raise BadParameter("json: cannot unmarshal into Go struct field NetworkConnect.EndpointConfig")
    if network.name in daemon.endpoints.joined(container):
        raise Forbidden(f"endpoint with name {container.name} already exists in network {network.name}")
    if network.name == "host" or any(name in ("host", "none") for name in daemon.endpoints.joined(container)):
        raise BadParameter(
            "container cannot be connected to multiple networks with one of the networks in private (none) mode"
            if network.name != "host"
            else "container cannot be connected to host network"
        )
    daemon.endpoints.connect(container, network, endpoint)
    return Plain(status=200)


def disconnect(request: Request) -> Reply:
    """Answer `docker network disconnect`."""
    daemon, body = request.daemon, request.json()
    network = daemon.networks.get(request.names["name"])
    container = daemon.containers.get(str(body.get("Container") or ""))
    if network.name not in daemon.endpoints.joined(container):
        raise Forbidden(f"container {container.id} is not connected to the network {network.name}")
    daemon.endpoints.disconnect(container, network)
    return Plain(status=200)


def remove(request: Request) -> Reply:
    """Answer `docker network rm`."""
    found = request.daemon.networks.get(request.names["name"])
    request.daemon.networks.remove(found, len(_members(request.daemon, found)))
    request.daemon.endpoints.removed(found)
    request.daemon.events.emit("network", "destroy", found.id, {"name": found.name, "type": found.driver})
    return Plain()


def prune(request: Request) -> Reply:
    """Answer `docker network prune`."""
    daemon = request.daemon
    filters = request.filters("label", "label!", "until")
    removed = []
    for n in daemon.networks.all():
        unwanted = any(matches_labels(n.labels, [each]) for each in filters.get("label!", []))
        young = any((moment(n.created) or 0) >= (moment(text) or 0) for text in filters.get("until", []))
        used = any(n.name in daemon.endpoints.joined(c) for c in daemon.containers.all())
        if n.name in PREDEFINED or used or unwanted or young or not matches_labels(n.labels, filters.get("label", [])):
            continue
        daemon.networks.remove(n)
        daemon.endpoints.removed(n)
        removed.append(n.name)
    return Json({"NetworksDeleted": removed or None})


ROUTES = [
    ("GET", "/networks", list_networks),
    ("POST", "/networks/create", create),
    ("POST", "/networks/prune", prune),
    ("POST", "/networks/{name}/connect", connect),
    ("POST", "/networks/{name}/disconnect", disconnect),
    ("GET", "/networks/{name}", inspect),
    ("DELETE", "/networks/{name}", remove),
]
