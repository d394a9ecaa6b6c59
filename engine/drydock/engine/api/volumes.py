"""Volumes: create, list, inspect, remove, prune.

Source: moby/api/server/router/volume/volume_routes.go
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drydock.engine.api.wire import Json, Plain, Reply, Request, matches_labels, truth
from drydock.engine.errors import BadParameter, Conflict
from drydock.engine.volumes import ANONYMOUS, Volume

if TYPE_CHECKING:
    from drydock.engine.daemon import Daemon


def create(request: Request) -> Reply:
    """Answer `docker volume create`."""
    body = request.json()
    labels = body.get("Labels")
    name = body.get("Name") or ""
    if not isinstance(name, str) or not isinstance(labels, dict | None):
        raise BadParameter("json: cannot unmarshal into Go struct field VolumeCreateBody")
    there = {v.name for v in request.daemon.volumes.all()}
    options = {"driver": body.get("Driver"), "options": body.get("DriverOpts")}
    made = request.daemon.volumes.create(name, labels if body.get("Name") else {**(labels or {})}, **options)
    if made.name not in there:
        request.daemon.events.emit("volume", "create", made.name, {"driver": "local"})
    return Json(made.json(), 201)


def list_volumes(request: Request) -> Reply:
    """Answer `docker volume ls`."""
    filters = request.filters("dangling", "driver", "label", "name")
    found = [v for v in request.daemon.volumes.all() if _passes(request.daemon, v, filters)]
    return Json({"Volumes": [v.json() for v in found], "Warnings": None})


def _passes(daemon: Daemon, volume: Volume, filters: dict[str, list[str]]) -> bool:
    if "dangling" in filters and truth(filters["dangling"][0]) == bool(users(daemon, volume.name)):
        return False
    if not matches_labels(volume.labels, filters.get("label", [])):
        return False
    if filters.get("driver") and "local" not in filters["driver"]:
        return False
    return not filters.get("name") or any(each in volume.name for each in filters["name"])


def inspect(request: Request) -> Reply:
    """Answer `docker volume inspect`."""
    return Json(request.daemon.volumes.get(request.names["name"]).json())


def remove(request: Request) -> Reply:
    """Answer `docker volume rm`."""
    name = request.names["name"]
    request.daemon.volumes.remove(name, users(request.daemon, name), request.flag("force"))
    request.daemon.events.emit("volume", "destroy", name, {"driver": "local"})
    return Plain()


def prune(request: Request) -> Reply:
    """Answer `docker volume prune`: since API 1.42 only volumes that nobody named, unless `all` is asked."""
    filters = request.filters("label", "label!", "all")
    everything = request.version < (1, 42) or truth(filters.get("all", ["0"])[0])
    removed, freed = [], 0
    for volume in request.daemon.volumes.all():
        labels = volume.labels or {}
        unwanted = any(matches_labels(labels, [each]) for each in filters.get("label!", []))
        if not matches_labels(labels, filters.get("label", [])) or unwanted:
            continue
        if users(request.daemon, volume.name) or not (everything or ANONYMOUS in labels):
            continue
        size = volume.size()
        try:
            request.daemon.volumes.remove(volume.name, users(request.daemon, volume.name))
        except Conflict:
            continue
        removed.append(volume.name)
        freed += size
    return Json({"VolumesDeleted": removed or None, "SpaceReclaimed": freed})


def users(daemon: Daemon, name: str) -> list[str]:
    """Return the containers that use a volume."""
    return [c.id for c in daemon.containers.all() if any(m.get("Name") == name for m in c.mounts)]


def measured(daemon: Daemon) -> list[dict[str, Any]]:
    """Return every volume with its size and how many containers use it."""
    return [
        {**v.json(), "UsageData": {"Size": v.size(), "RefCount": len(users(daemon, v.name))}}
        for v in daemon.volumes.all()
    ]


ROUTES = [
    ("GET", "/volumes", list_volumes),
    ("POST", "/volumes/create", create),
    ("POST", "/volumes/prune", prune),
    ("GET", "/volumes/{name}", inspect),
    ("DELETE", "/volumes/{name}", remove),
]
