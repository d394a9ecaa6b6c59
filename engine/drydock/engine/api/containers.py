"""Containers: create, list, start, stop and all else that changes one.

Source: moby/api/server/router/container/container_routes.go, moby/daemon/{create,list,start,stop,rename,update}.go
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from drydock.engine import linked
from drydock.engine.api import hostconfig
from drydock.engine.api.inspection import inspect, summary
from drydock.engine.api.mounts import mounts
from drydock.engine.api.times import moment
from drydock.engine.api.wire import Json, Plain, Reply, Request, matches_labels
from drydock.engine.errors import BadParameter, Conflict, EngineError, NotFound
from drydock.engine.images import platforms

if TYPE_CHECKING:
    from drydock.engine.daemon import Daemon
    from drydock.engine.run import Container

LIST_FILTERS = (
    *("ancestor", "before", "exited", "expose", "health", "id", "is-task", "isolation"),
    *("label", "name", "network", "publish", "since", "status", "volume"),
)
PLATFORM = (1, 41)  # the first version of the API in which create takes a platform
STATES = ("created", "running", "paused", "restarting", "removing", "exited", "dead")
NOT_ABSOLUTE = "the working directory '{folder}' is invalid, it needs to be an absolute path"
NO_CONFIG = "Config cannot be empty in order to create a container"


def create(request: Request) -> Reply:
    """Answer `docker create`: everything is checked and written down, nothing runs."""
    body = request.json()
    daemon = request.daemon
    host, networking = _part(body, "HostConfig"), _part(body, "NetworkingConfig")
    if not body:
        raise BadParameter(NO_CONFIG)
    for part in (body, host):
        hostconfig.check(part)
    if not (host.get("NetworkMode") or "").startswith("container:"):
        _endpoints(networking)
    image = daemon.images.get(body.get("Image") or "")
    wanted = request.text("platform") if request.version >= PLATFORM else ""
    if wanted and not platforms.parse(wanted).runs(platforms.of(image.config)):
        told = {"name": body["Image"], "wanted": platforms.parse(wanted), "actual": platforms.of(image.config)}
        raise NotFound(platforms.MISMATCH.format(**told))
    folder = body.get("WorkingDir") or ""
    if folder and not folder.startswith("/"):
        raise BadParameter(NOT_ABSOLUTE.format(folder=folder[:200]))
    whole = hostconfig.host(host)
    hostconfig.check_network(body, whole)
    networking["Linked"] = linked.parsed(daemon.containers, whole["Links"] or ())
    whole["Links"] = None  # shown by inspect with the names that the containers have then
    places = mounts(daemon, body, whole, image.config.get("config") or {})
    try:
        made = daemon.containers.create(request.text("name"), body, whole, networking, places, image)
    except EngineError:
        _undo(daemon, places)
        raise
    foreign = platforms.foreign(image.config) if not wanted else ""
    return Json({"Id": made.id, "Warnings": [*hostconfig.warnings(whole), *filter(None, [foreign])]}, 201)


def _part(body: dict[str, Any], key: str) -> dict[str, Any]:
    """Take a part out of the body: an object, or nothing."""
    found = body.pop(key, None)
    if not isinstance(found, dict | None):
        raise BadParameter(f"json: cannot unmarshal into Go struct field .{key}")
    return found or {}


def _endpoints(networking: Mapping[str, Any]) -> None:
    ends = networking.get("EndpointsConfig")
    if ends is not None and not (isinstance(ends, dict) and all(isinstance(e, dict | None) for e in ends.values())):
        raise BadParameter("json: cannot unmarshal into Go struct field NetworkingConfig.EndpointsConfig")


def _undo(daemon: Daemon, places: list[dict[str, Any]]) -> None:
    """Remove the anonymous volumes of a container that did not come to be."""
    for place in places:
        if place["Type"] == "volume" and place.get("Fresh") and len(place["Name"]) == 64:
            with suppress(NotFound):
                daemon.volumes.remove(place["Name"], [])


# What there is


def list_containers(request: Request) -> Reply:
    """Answer `docker ps`."""
    daemon = request.daemon
    filters = request.filters(*LIST_FILTERS)
    for state in filters.get("status", []):
        if state not in STATES:
            raise BadParameter(f"Invalid filter 'status={state[:40]}'")
    limit = request.number("limit") or 0
    everything = request.flag("all") or limit > 0 or bool({"status", "exited"} & set(filters))
    chosen = [c for c in daemon.containers.all() if (everything or c.running) and _passes(daemon, c, filters)]
    size = request.flag("size")
    rows = []
    for container in chosen[: limit if limit > 0 else None]:
        with suppress(NotFound):  # removed while the list was made
            rows.append(summary(daemon, container, size))
    return Json(rows)


def _passes(daemon: Daemon, c: Container, filters: Mapping[str, list[str]]) -> bool:
    """Return True where a container passes every filter."""
    return all(_CHECKS[key](daemon, c, values) for key, values in filters.items() if values and key in _CHECKS)


def _named(daemon: Daemon, c: Container, values: list[str]) -> bool:
    import re

    try:
        return any(re.search(value, c.name) or re.search(value, f"/{c.name}") for value in values)
    except re.error:
        raise BadParameter("Invalid filter 'name': not a regular expression") from None


def _ancestor(daemon: Daemon, c: Container, values: list[str]) -> bool:
    for value in values:
        with suppress(EngineError):
            wanted = daemon.images.get(value)
            chain = daemon.images.get(c.image_id).layers
            if wanted.id == c.image_id or (wanted.layers and chain[: len(wanted.layers)] == wanted.layers):
                return True
    return False


def _beside(daemon: Daemon, c: Container, values: list[str], after: bool) -> bool:
    mine = moment(c.created) or 0
    others = [moment(daemon.containers.get(value).created) or 0 for value in values]
    return any(mine > other if after else mine < other for other in others)


def _health(c: Container) -> str:
    return str((c.state.get("Health") or {}).get("Status") or "none")


def _volume(c: Container, values: list[str]) -> bool:
    return any(value in (m.get("Name"), m["Destination"]) for m in c.mounts for value in values)


def _network(daemon: Daemon, c: Container, values: list[str]) -> bool:
    names = daemon.endpoints.joined(c)
    ids = [n.id for n in daemon.networks.all() if n.name in names]
    return any(value in names or any(id.startswith(value) for id in ids) for value in values)


def _port(c: Container, values: list[str], published: bool) -> bool:
    has = (c.host_config.get("PortBindings") or {}) if published else (c.config.get("ExposedPorts") or {})
    return any((value if "/" in value else f"{value}/tcp") in has for value in values)


_CHECKS: dict[str, Any] = {
    "label": lambda d, c, v: matches_labels(c.config.get("Labels"), v),
    "name": _named,
    "id": lambda d, c, v: any(c.id.startswith(value) for value in v),
    "status": lambda d, c, v: c.state.get("Status") in v,
    "exited": lambda d, c, v: c.state.get("Status") == "exited" and str(c.state.get("ExitCode")) in v,
    "ancestor": _ancestor,
    "before": lambda d, c, v: _beside(d, c, v, after=False),
    "since": lambda d, c, v: _beside(d, c, v, after=True),
    "health": lambda d, c, v: _health(c) in v,
    "volume": lambda d, c, v: _volume(c, v),
    "network": _network,
    "publish": lambda d, c, v: _port(c, v, published=True),
    "expose": lambda d, c, v: _port(c, v, published=False),
    "is-task": lambda d, c, v: "true" not in v,
}


def inspect_container(request: Request) -> Reply:
    """Answer `docker inspect`."""
    found = request.daemon.containers.get(request.names["name"])
    return Json(inspect(request.daemon, found, request.flag("size")))


def top(request: Request) -> Reply:
    """Answer `docker top`."""
    found = _get(request)
    shown = found.top(request.text("ps_args") or "-ef")
    found.tell("top")
    return Json(shown)


def _get(request: Request) -> Container:
    return request.daemon.containers.get(request.names["name"])


# Life


def start(request: Request) -> Reply:
    """Answer `docker start`."""
    _get(request).start()
    return Plain()


def stop(request: Request) -> Reply:
    """Answer `docker stop`."""
    _get(request).stop(request.number("t"))
    return Plain()


def restart(request: Request) -> Reply:
    """Answer `docker restart`."""
    _get(request).restart(request.number("t"))
    return Plain()


def kill(request: Request) -> Reply:
    """Answer `docker kill`."""
    try:
        container = _get(request)
    except NotFound as error:
        raise NotFound(f"Cannot kill container: {request.names['name']}: {error}") from None
    container.kill(request.text("signal") or "KILL")
    return Plain()


def pause(request: Request) -> Reply:
    """Answer `docker pause`."""
    _get(request).pause()
    return Plain()


def unpause(request: Request) -> Reply:
    """Answer `docker unpause`."""
    _get(request).unpause()
    return Plain()


def resize(request: Request) -> Reply:
    """Answer a terminal whose window has changed."""
    _get(request).resize(*window(request))
    return Plain(status=200)


def window(request: Request) -> tuple[int, int]:
    """Return height and width of a terminal's window."""
    height, width = request.number("h"), request.number("w")
    if height is None or width is None or not (0 <= height < 65536 and 0 <= width < 65536):
        raise BadParameter('strconv.Atoi: parsing "": invalid syntax')
    return height, width


def rename(request: Request) -> Reply:
    """Answer `docker rename`."""
    if not request.text("name"):
        raise BadParameter("Neither old nor new names may be empty")
    _get(request).rename(request.text("name").lstrip("/"))
    return Plain()


def update(request: Request) -> Reply:
    """Answer `docker update`."""
    body = request.json()
    hostconfig.check(body)
    warned = _get(request).update(body)
    return Json({"Warnings": [*warned, *hostconfig.warnings(body)] or None})


def remove(request: Request) -> Reply:
    """Answer `docker rm`."""
    daemon = request.daemon
    if request.flag("link"):
        raise Conflict("links are no longer containers' names of their own: there is no link to remove")
    found = _get(request)
    unused = found.remove(request.flag("force"), request.flag("v"))
    _forget(daemon, unused)
    return Plain()


def _forget(daemon: Daemon, names: list[str]) -> None:
    """Remove anonymous volumes whose container is gone, unless another one took them over."""
    from drydock.engine.api.volumes import users

    for name in names:
        with suppress(NotFound, Conflict):
            daemon.volumes.remove(name, users(daemon, name))
            daemon.events.emit("volume", "destroy", name, {"driver": "local"})


def prune(request: Request) -> Reply:
    """Answer `docker container prune`."""
    filters = request.filters("label", "label!", "until")

    def kept(c: Container) -> bool:
        labels = c.config.get("Labels")
        old = all((moment(c.created) or 0) < (moment(text) or 0) for text in filters.get("until", []))
        unwanted = any(matches_labels(labels, [each]) for each in filters.get("label!", []))
        return not (matches_labels(labels, filters.get("label", [])) and old and not unwanted)

    removed, freed = request.daemon.containers.prune(kept)
    return Json({"ContainersDeleted": removed or None, "SpaceReclaimed": freed})


ROUTES = [
    ("POST", "/containers/create", create),
    ("GET", "/containers/json", list_containers),
    ("POST", "/containers/prune", prune),
    ("GET", "/containers/{name}/json", inspect_container),
    ("GET", "/containers/{name}/top", top),
    ("POST", "/containers/{name}/start", start),
    ("POST", "/containers/{name}/stop", stop),
    ("POST", "/containers/{name}/restart", restart),
    ("POST", "/containers/{name}/kill", kill),
    ("POST", "/containers/{name}/pause", pause),
    ("POST", "/containers/{name}/unpause", unpause),
    ("POST", "/containers/{name}/resize", resize),
    ("POST", "/containers/{name}/rename", rename),
    ("POST", "/containers/{name}/update", update),
    ("DELETE", "/containers/{name}", remove),
]
