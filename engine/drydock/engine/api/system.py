"""`docker version`, `info`, `events`, `system df`, `login`: the engine about itself.

Source: moby/api/server/router/system/system_routes.go, moby/daemon/info.go
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drydock.engine import VERSION
from drydock.engine.api import API, OLDEST
from drydock.engine.api.streams import line
from drydock.engine.api.times import moment
from drydock.engine.api.wire import Json, Plain, Reply, Request, Stream

if TYPE_CHECKING:
    from drydock.engine.daemon import Daemon

KEEP_AWAY = {"Cache-Control": "no-cache, no-store, must-revalidate", "Pragma": "no-cache"}
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}  # Go's words for uname's
NO_LIMITS = (
    "There is no cgroup, since that needs privileges: --memory bounds what each process asks for (RLIMIT_DATA), "
    "CPU limits are written down, not enforced"
)
NOT_THERE = tuple(  # as dockerd says it, for those who look for its words
    f"WARNING: No {what} support"
    for what in ("memory limit", "swap limit", "cpu cfs quota", "cpu cfs period", "cpu shares")
)
NO_WALL = "Rung {letter}: containers see the machine's network; this is no security boundary"
NOTHING_RUNS = "Rung D: nothing can be executed here. Images can be loaded, inspected, built from the cache"
EVENT_FILTERS = ("container", "daemon", "event", "image", "label", "network", "scope", "type", "volume")


def ping(request: Request) -> Reply:
    """Answer `GET /_ping`: the headers tell a client what it talks to."""
    text = b"" if request.method == "HEAD" else b"OK"
    return Plain(text, 200, KEEP_AWAY)


def title(daemon: Daemon) -> str:
    """Return what the engine is called where a student sees it: `Drydock engine 0.1, rung A`."""
    return f"Drydock engine {VERSION.rpartition('.')[0]}, rung {daemon.rung.letter}"


def version(request: Request) -> Reply:
    """Answer `docker version`."""
    api, oldest = (".".join(map(str, each)) for each in (API, OLDEST))
    about = {"Os": "linux", "Arch": architecture(), "KernelVersion": platform.release()}
    details = {"ApiVersion": api, "MinAPIVersion": oldest, "Experimental": "false", **about}
    return Json(
        {
            "Platform": {"Name": title(request.daemon)},
            "Components": [{"Name": "Engine", "Version": VERSION, "Details": details}],
            "Version": VERSION,
            "ApiVersion": api,
            "MinAPIVersion": oldest,
            "GitCommit": "",
            "GoVersion": f"none: Python {platform.python_version()}",
            "BuildTime": "",
            **about,
        }
    )


def info(request: Request) -> Reply:
    """Answer `docker info`."""
    daemon = request.daemon
    states = [str(c.state.get("Status")) for c in daemon.containers.all()]
    letter = daemon.rung.letter
    return Json(
        {
            "ID": identity(daemon),
            "Containers": len(states),
            "ContainersRunning": sum(s in ("running", "paused", "restarting") for s in states) - states.count("paused"),
            "ContainersPaused": states.count("paused"),
            "ContainersStopped": sum(s in ("created", "exited", "dead") for s in states),
            "Images": len(daemon.images.all()),
            "Driver": "drydock",
            "DriverStatus": driver_status(daemon),
            "Plugins": {
                "Volume": ["local"],
                "Network": ["bridge", "host", "null"],
                "Authorization": None,
                "Log": ["json-file"],
            },
            **dict.fromkeys(("MemoryLimit", "SwapLimit", "CpuCfsPeriod", "CpuCfsQuota", "CPUShares"), False),
            "CPUSet": True,
            **dict.fromkeys(("KernelMemory", "KernelMemoryTCP"), False),
            **dict.fromkeys(("PidsLimit", "OomKillDisable", "Debug", "ExperimentalBuild", "LiveRestoreEnabled"), False),
            **dict.fromkeys(("IPv4Forwarding", "BridgeNfIptables", "BridgeNfIp6tables"), True),
            "NFd": sum(1 for _ in Path("/proc/self/fd").iterdir()),
            "NGoroutines": _threads(),
            "SystemTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z"),
            "LoggingDriver": "json-file",
            "CgroupDriver": "none",
            "CgroupVersion": "2" if Path("/sys/fs/cgroup/cgroup.controllers").exists() else "1",
            "NEventsListener": len(daemon.events.listeners),
            "KernelVersion": platform.release(),
            "OperatingSystem": release().get("PRETTY_NAME", "Linux"),
            "OSVersion": release().get("VERSION_ID", ""),
            "OSType": "linux",
            "Architecture": platform.machine(),
            "IndexServerAddress": "https://index.docker.io/v1/",
            "RegistryConfig": registry_config(daemon),
            "NCPU": len(os.sched_getaffinity(0)),
            "MemTotal": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "GenericResources": None,
            "DockerRootDir": str(daemon.folder),
            "HttpProxy": "",
            "HttpsProxy": "",
            "NoProxy": "",
            "Name": platform.node(),
            "Labels": [],
            "ServerVersion": VERSION,
            "Runtimes": {"drydock": {"path": "drydock"}},
            "DefaultRuntime": "drydock",
            "Swarm": {"NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": False},
            "Isolation": "",
            "InitBinary": "",
            "ContainerdCommit": {"ID": "", "Expected": ""},
            "RuncCommit": {"ID": "", "Expected": ""},
            "InitCommit": {"ID": "", "Expected": ""},
            "SecurityOptions": security(letter),
            "Warnings": [NOTHING_RUNS if letter == "D" else NO_WALL.format(letter=letter), NO_LIMITS, *NOT_THERE],
        }
    )


def driver_status(daemon: Daemon) -> list[list[str]]:
    """Return how programs run: which rung, and why none above it."""
    letter = daemon.rung.letter
    proof = daemon.sandbox.proofs[letter]
    runs = letter != "D" and proof.works
    rows = {
        "engine": title(daemon),
        "rung": letter,
        "executes": "true" if runs else "false",
        **{f"no rung {above}": one.why for above, one in sorted(daemon.sandbox.proofs.items()) if not one.works},
    }
    return [[key, text] for key, text in rows.items() if text]


def registry_config(daemon: Daemon) -> dict[str, Any]:
    """Return which registries have mirrors, and which may speak plain HTTP."""
    from drydock.registry import RegistryError, Settings

    try:
        settings = daemon.distribution.settings()
    except RegistryError:  # a pull says what is wrong with them
        settings = Settings()
    networks = ["127.0.0.0/8", *(one for one in settings.insecure if "/" in one)]
    index = {"Name": "docker.io", "Mirrors": list(settings.mirrors), "Secure": True, "Official": True}
    plain = {"Mirrors": [], "Secure": False, "Official": False}
    others = {one: {"Name": one, **plain} for one in settings.insecure if "/" not in one}
    configs = {"docker.io": index, **others}
    return {"InsecureRegistryCIDRs": networks, "IndexConfigs": configs, "Mirrors": list(settings.mirrors)}


def security(letter: str) -> list[str]:
    """Return what keeps containers apart, in Docker's form: the rung first."""
    options = [f"name=drydock,rung={letter}"]
    return options + (["name=rootless", "name=seccomp,profile=drydock"] if letter in "AB" else [])


def identity(daemon: Daemon) -> str:
    """Return an ID for this engine: that of its home, so that it stays over a restart."""
    found = hashlib.sha256(str(daemon.home).encode() + platform.node().encode()).hexdigest().upper()[:48]
    return ":".join(found[i : i + 4] for i in range(0, 48, 4))


@functools.cache
def architecture() -> str:
    """Return the machine's architecture in Go's words, which images use too."""
    return ARCHITECTURES.get(platform.machine(), platform.machine())


@functools.cache
def release() -> dict[str, str]:
    """Return what /etc/os-release says about this machine."""
    try:
        return dict(platform.freedesktop_os_release())
    except OSError:
        return {}


def _threads() -> int:
    import threading

    return threading.active_count()


def events(request: Request) -> Reply:
    """Answer `docker events`: what happened since, and what happens until."""
    filters = request.filters(*EVENT_FILTERS)
    since, until = moment(request.text("since")), moment(request.text("until"))
    heard = request.daemon.events.listen(since, until, filters, request.gone)
    return Stream((line(event.json()) for event in heard), at_once=True)


def disk(request: Request) -> Reply:
    """Answer `docker system df`."""
    from drydock.engine.api import images, inspection, volumes

    daemon = request.daemon
    asked = request.all("type") if request.version >= (1, 42) else []
    found: dict[str, Any] = {}
    if not asked or "image" in asked:
        found |= {"LayersSize": images.layers_size(daemon), "Images": images.summaries(daemon)}
    if not asked or "container" in asked:
        found["Containers"] = [inspection.summary(daemon, c, size=True) for c in daemon.containers.all()]
    if not asked or "volume" in asked:
        found["Volumes"] = volumes.measured(daemon)
    if not asked or "build-cache" in asked:
        found["BuildCache"] = []  # the classic builder's cache is its images
    return Json(found | ({"BuilderSize": 0} if request.version < (1, 42) else {}))


def build_prune(request: Request) -> Reply:
    """Answer `docker builder prune`: the classic builder's cache is its images, so there is nothing of its own."""
    return Json({"CachesDeleted": None, "SpaceReclaimed": 0})


def no_swarm(request: Request) -> Reply:
    """Say what dockerd says where there is no swarm: clients know these words."""
    from drydock.engine.errors import Unavailable

    raise Unavailable("This node is not a swarm manager. This engine has no swarm mode.")


def nothing(request: Request) -> Reply:
    """Answer a listing of what this engine never has, such as plugins."""
    return Json([])


def no_such(request: Request) -> Iterator[bytes]:
    """Say that there is no such thing: `docker inspect` asks for every kind in turn."""
    from drydock.engine.errors import NotFound

    raise NotFound(f'plugin "{request.names.get("name", "")[:128]}" not found')


ROUTES = [
    ("GET", "/_ping", ping),
    ("HEAD", "/_ping", ping),
    ("GET", "/version", version),
    ("GET", "/info", info),
    ("GET", "/events", events),
    ("GET", "/system/df", disk),
    ("POST", "/build/prune", build_prune),
    ("GET", "/plugins", nothing),
    ("GET", "/plugins/{name}/json", no_such),
    ("GET", "/swarm", no_swarm),
    *(
        ("GET", f"/{noun}{end}", no_swarm)
        for noun in ("nodes", "services", "secrets", "configs", "tasks")
        for end in ("", "/{name}")
    ),
]
