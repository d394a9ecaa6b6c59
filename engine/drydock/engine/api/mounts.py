"""What is mounted into a container: `-v`, `--mount`, the image's VOLUMEs and `--volumes-from`.

Source: moby/volume/mounts/linux_parser.go, moby/daemon/volumes.go
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drydock.engine.errors import BadParameter, NotFound

if TYPE_CHECKING:
    from drydock.engine.daemon import Daemon

MODES = {
    "ro",
    "rw",
    "z",
    "Z",
    "nocopy",
    "consistent",
    "cached",
    "delegated",
    "private",
    "rprivate",
    "shared",
    "rshared",
}
MODES |= {"slave", "rslave"}
RELATIVE = "invalid mount config for type \"bind\": invalid mount path: '{path}' mount path must be absolute"
NOT_ABSOLUTE = (
    "invalid volume specification: '{text}': invalid mount config for type \"{kind}\": "
    "invalid mount path: '{path}' mount path must be absolute"
)
NO_ROOT = "invalid volume specification: '{text}': invalid specification: destination can't be '/'"
NO_SOURCE = 'invalid mount config for type "bind": bind source path does not exist: {path}'
Mount = dict[str, Any]


def mounts(daemon: Daemon, config: Mapping[str, Any], host: Mapping[str, Any], image: Mapping[str, Any]) -> list[Mount]:
    """Return all mounts of a container, made where they must be; a later kind wins where two want one place."""
    found: dict[str, Mount] = {}
    for text in host.get("VolumesFrom") or []:
        found |= _from(daemon, text)
    for text in host.get("Binds") or []:
        mount = bind(daemon, text)
        _place(found, mount, text)
    for given in host.get("Mounts") or []:
        if given.get("Type") != "tmpfs":
            mount = _mount(daemon, given)
            _place(found, mount, mount["Destination"])
    tmpfs = {
        *(host.get("Tmpfs") or {}),
        *(m.get("Target") for m in host.get("Mounts") or [] if m.get("Type") == "tmpfs"),
    }
    for place in {**(image.get("Volumes") or {}), **(config.get("Volumes") or {})}:
        destination = _absolute(place, place)
        if destination not in found and destination not in tmpfs:
            found[destination] = volume(daemon, "", destination)
    return list(found.values())


def _place(found: dict[str, Mount], mount: Mount, text: str) -> None:
    if mount["Destination"] in found and not found[mount["Destination"]].pop("Inherited", False):
        raise BadParameter(f"Duplicate mount point: {mount['Destination']}")
    found[mount["Destination"]] = mount


def bind(daemon: Daemon, text: str) -> Mount:
    """Return the mount that `-v` means: `/host:/in:ro`, `name:/in`, or `/in` alone.

    Raises: BadParameter.
    """
    parts = text.split(":")
    if len(parts) > 3 or not all(parts):
        raise BadParameter(f'invalid volume specification: "{text[:200]}"')
    if len(parts) == 1:
        return volume(daemon, "", _absolute(parts[0], text))
    source, place, mode = (*parts, "")[:3]
    options = set(mode.split(",")) - {""}
    if options - MODES or {"ro", "rw"} <= options:
        raise BadParameter(f"invalid mode: {mode[:80]}")
    destination, writable = _absolute(place, text), "ro" not in options
    if not source.startswith("/"):
        return volume(daemon, source, destination, writable, mode or "z", copies="nocopy" not in options)
    folder = Path(source)
    if not folder.exists():
        _make(folder)
    return _bound(source, destination, writable, mode)


def _make(folder: Path) -> None:
    """Make a missing folder for `-v`, as dockerd does; where this user may not, say so."""
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise BadParameter(f"error while creating mount source path '{folder}': mkdir: {error.strerror}") from None


def _bound(source: str, destination: str, writable: bool, mode: str = "", propagation: str = "rprivate") -> Mount:
    return {
        "Type": "bind",
        "Source": posixpath.normpath(source),
        "Destination": destination,
        "Mode": mode,
        "RW": writable,
        "Propagation": propagation or "rprivate",
    }


def volume(
    daemon: Daemon,
    name: str,
    destination: str,
    writable: bool = True,
    mode: str = "",
    copies: bool = True,
    labels: Mapping[str, str] | None = None,
) -> Mount:
    """Return the mount of a volume, made now where it is not there; without a name it is an anonymous one."""
    existed = name and any(v.name == name for v in daemon.volumes.all())
    found = daemon.volumes.create(name, labels)
    if not existed:
        daemon.events.emit("volume", "create", found.name, {"driver": "local"})
    return {
        "Type": "volume",
        "Name": found.name,
        "Source": str(found.mountpoint),
        "Destination": destination,
        "Driver": "local",
        "Mode": mode,
        "RW": writable,
        "Propagation": "",
        "Fresh": found.fresh and copies,
    }


def _mount(daemon: Daemon, given: Mapping[str, Any]) -> Mount:
    """Return the mount that `--mount` means; unlike -v it makes no folder on the host."""
    kind, source = str(given.get("Type") or "volume"), str(given.get("Source") or "")
    destination = _absolute(str(given.get("Target") or ""), str(given.get("Target") or ""))
    writable = not given.get("ReadOnly")
    if kind == "bind":
        if not source:
            raise BadParameter('invalid mount config for type "bind": field Source must not be empty')
        if not source.startswith("/"):
            raise BadParameter(RELATIVE.format(path=source[:200]))
        if not Path(source).exists():
            raise BadParameter(NO_SOURCE.format(path=source[:200]))
        return _bound(source, destination, writable, "", (given.get("BindOptions") or {}).get("Propagation", ""))
    if kind != "volume":
        raise BadParameter(f'invalid mount config for type "{kind[:40]}": mount type unknown')
    options = given.get("VolumeOptions") or {}
    mode = "z" if source else ""
    return volume(daemon, source, destination, writable, mode, not options.get("NoCopy"), options.get("Labels"))


def _from(daemon: Daemon, text: str) -> dict[str, Mount]:
    """Return the mounts of another container, for `--volumes-from name[:ro]`."""
    name, _, mode = text.partition(":")
    if mode not in ("", "ro", "rw"):
        raise BadParameter(f"invalid mode: {mode[:40]}")
    try:
        theirs = daemon.containers.get(name).mounts
    except NotFound as error:
        raise BadParameter(str(error)) from None  # a 404 would make the client pull the image
    return {m["Destination"]: {**m, "Fresh": False, "Inherited": True, "RW": m["RW"] and mode != "ro"} for m in theirs}


def _absolute(place: str, text: str) -> str:
    """Return where a mount goes, without what `..` and `//` add.

    >>> _absolute("/data/", "x"), _absolute("/a/../b", "x")
    ('/data', '/b')
    """
    if not place.startswith("/"):
        raise BadParameter(
            NOT_ABSOLUTE.format(text=text[:200], path=place[:200], kind="bind" if text.startswith("/") else "volume")
        )
    found = posixpath.normpath(place).replace("//", "/", 1)
    if found == "/":
        raise BadParameter(NO_ROOT.format(text=text[:200]))
    return found
