"""A container's settings as `docker inspect` shows them: what the client left out has Docker's own default.

Source: moby/api/types/container/hostconfig.go, config.go
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from drydock.engine.errors import BadParameter
from drydock.engine.run.arranged import LEAST_DATA

LISTS = (
    *("Binds", "PortBindings", "VolumesFrom", "CapAdd", "CapDrop", "Dns", "DnsOptions", "DnsSearch", "ExtraHosts"),
    *("GroupAdd", "Links", "SecurityOpt", "BlkioWeightDevice", "BlkioDeviceReadBps", "BlkioDeviceWriteBps"),
    *("BlkioDeviceReadIOps", "BlkioDeviceWriteIOps", "Devices", "DeviceCgroupRules", "DeviceRequests"),
    *("MemorySwappiness", "PidsLimit", "Ulimits"),
)
TEXTS = (
    *("ContainerIDFile", "VolumeDriver", "Cgroup", "PidMode", "UTSMode", "UsernsMode", "Isolation"),
    *("CgroupParent", "CpusetCpus", "CpusetMems"),
)
NUMBERS = (
    *("OomScoreAdj", "CpuShares", "Memory", "NanoCpus", "BlkioWeight", "CpuPeriod", "CpuQuota", "CpuRealtimePeriod"),
    *("CpuRealtimeRuntime", "MemoryReservation", "MemorySwap", "CpuCount", "CpuPercent"),
    *("IOMaximumIOps", "IOMaximumBandwidth"),
)
SWITCHES = ("AutoRemove", "Privileged", "PublishAllPorts", "ReadonlyRootfs", "OomKillDisable")
DEFAULTS: dict[str, Any] = {
    **dict.fromkeys(LISTS),
    **dict.fromkeys(TEXTS, ""),
    **dict.fromkeys(NUMBERS, 0),
    **dict.fromkeys(SWITCHES, False),
    "LogConfig": {"Type": "json-file", "Config": {}},  # docker-py's run() reads a container's output only then
    "NetworkMode": "default",
    "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
    "CgroupnsMode": "host",
    "IpcMode": "private",
    "ShmSize": 64 << 20,
    "ConsoleSize": [0, 0],
    "KernelMemory": 0,
    "KernelMemoryTCP": 0,
    "Runtime": "drydock",
    "MaskedPaths": [
        *("/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list"),
        *("/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"),
    ],
    "ReadonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
}
CONFIG: dict[str, Any] = {
    **dict.fromkeys(("Domainname", "User", "WorkingDir"), ""),
    **dict.fromkeys(("AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce"), False),
    **dict.fromkeys(("Cmd", "Entrypoint", "OnBuild", "Volumes")),
    "Env": [],
    "Labels": {},
}
MISSING = "Your kernel does not support {what}"
NO_CFS = "CPU CFS scheduler. CPU period/quota discarded."
# What needs cgroups, which an ordinary user seldom has: dockerd's words where the kernel has none. `--cpus`, which it
# refuses there, runs without the limit here; `--cpuset-cpus` is kept, by the scheduler's affinity; of `--memory` what
# RLIMIT_DATA can keep.
LIMITS = {
    "MemoryReservation": "memory soft limit capabilities or the cgroup is not mounted. Limitation discarded.",
    "PidsLimit": "PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.",
    "NanoCpus": NO_CFS,
    "CpuShares": "CPU shares or the cgroup is not mounted. Shares discarded.",
    "CpuPeriod": NO_CFS,
    "CpuQuota": NO_CFS,
    "CpusetMems": "cpuset or the cgroup is not mounted. Cpuset discarded.",
    "BlkioWeight": "Block I/O weight or the cgroup is not mounted. Weight discarded.",
}
MEMORY = (
    "No cgroup here: {size} MB is what each process may hold of its own, and a request for more fails (RLIMIT_DATA); "
    "Docker counts all of a container's, and kills. Where a program asks for more than it uses: --ulimit data=-1"
)
CPUS = "Range of CPUs is from 0.01 to {n}.00, as there are only {n} CPUs available"
LINKS = "conflicting options: {kind} can't be used with links. This would result in undefined behavior"
LEAST_MEMORY = 6 << 20
POLICIES = ("no", "always", "on-failure", "unless-stopped")
LOG_DRIVERS = ("", "json-file", "local", "none")
SHAPES: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("Binds", "VolumesFrom", "ExtraHosts", "Dns", "Links", "Mounts", "CapAdd", "CapDrop"), list),
    **dict.fromkeys(("PortBindings", "LogConfig", "RestartPolicy", "Tmpfs", "Sysctls"), dict),
    **dict.fromkeys((*TEXTS, "NetworkMode", "IpcMode"), str),
    **dict.fromkeys(NUMBERS, int),
    **dict.fromkeys(SWITCHES, bool),
    **dict.fromkeys(("Env", "OnBuild"), list),
    **dict.fromkeys(("Labels", "Volumes", "ExposedPorts", "Healthcheck"), dict),
    **dict.fromkeys(("User", "WorkingDir", "Hostname", "Image", "Domainname", "StopSignal"), str),
    **dict.fromkeys(("Tty", "OpenStdin", "StdinOnce", "AttachStdin", "AttachStdout", "AttachStderr"), bool),
    **dict.fromkeys(("Cmd", "Entrypoint", "Shell"), (list, str)),
    "ShmSize": int,
}


def host(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the whole HostConfig of what a client sent.

    >>> host({"Memory": 0, "LogConfig": {"Type": ""}})["LogConfig"]
    {'Type': 'json-file', 'Config': {}}
    """
    found = {**DEFAULTS, **{key: value for key, value in given.items() if value is not None}}
    log = found["LogConfig"]
    if log.get("Type", "") not in LOG_DRIVERS:
        raise BadParameter(f'logger: no log driver named "{str(log.get("Type"))[:80]}" is registered')
    found["LogConfig"] = {"Type": log.get("Type") or "json-file", "Config": log.get("Config") or {}}
    policy = found["RestartPolicy"]
    found["RestartPolicy"] = {
        "Name": policy.get("Name") or "no",
        "MaximumRetryCount": policy.get("MaximumRetryCount") or 0,
    }
    if found["RestartPolicy"]["Name"] not in POLICIES:
        raise BadParameter(f"invalid restart policy '{str(found['RestartPolicy']['Name'])[:40]}'")
    for key in ("NetworkMode", "ShmSize", "CgroupnsMode", "IpcMode", "Runtime"):
        found[key] = found[key] or DEFAULTS[key]
    if found["MemorySwappiness"] == -1:
        found["MemorySwappiness"] = None
    if 0 < found["Memory"] < LEAST_MEMORY:
        raise BadParameter("Minimum memory limit allowed is 6MB")
    if not 0 <= found["NanoCpus"] <= (have := len(os.sched_getaffinity(0))) * 10**9:
        raise BadParameter(CPUS.format(n=have))
    return found


def check(config: Mapping[str, Any]) -> None:
    """Refuse a config whose values are of another kind than Docker's, as Go's decoder does.

    Raises: BadParameter.
    """
    for key, value in config.items():
        kind = SHAPES.get(key)
        if kind and value is not None and not isinstance(value, kind):
            raise BadParameter(f"json: cannot unmarshal {type(value).__name__} into Go struct field .{key}")
    for key in ("Binds", "Env", "VolumesFrom", "ExtraHosts", "Dns", "Cmd", "Entrypoint", "Links"):
        value = config.get(key)
        if isinstance(value, list) and not all(isinstance(each, str) for each in value):
            raise BadParameter(f"json: cannot unmarshal a list of other than strings into Go struct field .{key}")
    for key in ("Mounts",):
        if not all(isinstance(each, dict) for each in config.get(key) or []):
            raise BadParameter(f"json: cannot unmarshal a list of other than objects into Go struct field .{key}")


def check_network(config: Mapping[str, Any], host_config: Mapping[str, Any]) -> None:
    """Refuse what makes no sense together: whoever shares another's network has its name and ports, too.

    Source: moby v20.10 runconfig/hostconfig_unix.go, errors.go. Raises: BadParameter.
    """
    mode = host_config["NetworkMode"]
    if host_config["UTSMode"] == "host" and config.get("Hostname"):
        raise BadParameter("conflicting options: hostname and the UTS mode")
    if mode == "host" and host_config["Links"]:
        raise BadParameter(LINKS.format(kind="host type networking"))
    if not mode.startswith("container:"):
        return
    if not mode.removeprefix("container:"):
        raise BadParameter("Invalid network mode: invalid container format container:<name|id>")
    if host_config["Links"]:
        raise BadParameter(LINKS.format(kind="container type network"))
    given = {
        "hostname and the network mode": config.get("Hostname"),
        "dns and the network mode": host_config["Dns"],
        "custom host-to-IP mapping and the network mode": host_config["ExtraHosts"],
        "port publishing and the container type network mode": host_config["PortBindings"]
        or host_config["PublishAllPorts"],
        "port exposing and the container type network mode": config.get("ExposedPorts"),
    }
    for what, wanted in given.items():
        if wanted:
            raise BadParameter(f"conflicting options: {what}")


def warnings(host_config: Mapping[str, Any]) -> list[str]:
    """Return what a client must know: limits that this engine only writes down, or keeps in another way.

    >>> warnings({"PidsLimit": 9})
    ['Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.']
    >>> warnings({"Memory": 100 << 20})[0][:68]
    'No cgroup here: 100 MB is what each process may hold of its own, and'
    """
    wanted = [words for key, words in LIMITS.items() if host_config.get(key) and host_config[key] != -1]
    found = [MISSING.format(what=words) for words in dict.fromkeys(wanted)]
    if (memory := host_config.get("Memory") or 0) > 0:
        found.insert(0, MEMORY.format(size=max(memory, LEAST_DATA) >> 20))
    if host_config.get("Privileged"):
        found.append("This engine has no privileges to give: --privileged changes nothing.")
    return found
