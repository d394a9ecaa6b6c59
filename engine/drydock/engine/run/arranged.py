"""From Docker's configuration to the sandbox's: mounts, limits, name spaces, capabilities.

Source: moby/daemon/oci_linux.go, moby/oci/caps/utils.go.
"""

from __future__ import annotations

import resource
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from drydock.engine.run import names
from drydock.engine.run.names import Place
from drydock.engine.run.spec import Mount, Process, Root, Spec

CAPABILITIES = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP"),
    *("LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER"),
    *("SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE"),
    *("SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP"),
    *("MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF"),
    "CHECKPOINT_RESTORE",
)
DEFAULT = 0xA80425FB
GATEWAY = "127.0.0.1"  # the machine, as a container sees it: they share a network
ALL = (1 << len(CAPABILITIES)) - 1
# RLIMIT_DATA stands in for a memory cgroup: what a process may hold of its own, as it asks for it and not as it uses it
# (getrlimit(2); Linux counts private writable mappings since 4.7). Below this, programs fail that a cgroup of the same
# size would let live: Debian 12's apt-cache asks for 43 MB, node for 48, python3 for 5 and 8 more for each thread.
# RLIMIT_AS would count what is only reserved, too: 401 MB for python3 with eight threads, 712 for node.
LEAST_DATA = 64 << 20  # bytes


Json = Mapping[str, Any]


def spec(
    id: str, root: Root, process: Process, config: Mapping[str, Any], host: Mapping[str, Any], **more: Any
) -> Spec:
    """Return what the sandbox starts."""
    return Spec(
        *(id, root, process),
        hostname=config.get("Hostname") or id[:12],
        domainname=config.get("Domainname") or "",
        pid="host" if host.get("PidMode") == "host" else "",
        uts="host" if host.get("UTSMode") == "host" else "",
        ipc="host" if host.get("IpcMode") == "host" else "",
        readonly=bool(host.get("ReadonlyRootfs")),
        shm_size=host.get("ShmSize") or 64 << 20,
        init=bool(host.get("Init")),
        capabilities=capabilities(host.get("CapAdd") or (), host.get("CapDrop") or ()),
        rlimits=limits(host.get("Ulimits") or (), host.get("Memory") or 0),
        cpus=processors(host.get("CpusetCpus") or ""),
        **more,
    )


def mounts(folder: Path, config: Json, host: Json, places: Sequence[Json], net: Place) -> list[Mount]:
    """Return all that is mounted: what the engine writes in /etc, volumes and folders, tmpfs."""
    found = names.mounted(net.folder) if net.folder else _etc(folder, config, host, net)
    taken = {place["Destination"] for place in places}
    found = [one for one in found if one.target not in taken]
    found += [Mount(place["Destination"], place["Source"], not place["RW"]) for place in places]
    found += [Mount(target, options=options) for target, options in (host.get("Tmpfs") or {}).items()]
    for one in host.get("Mounts") or ():
        if one.get("Type") == "tmpfs":
            options = one.get("TmpfsOptions") or {}
            words = [f"size={options['SizeBytes']}"] if options.get("SizeBytes") else []
            words += [f"mode={options['Mode']:o}"] if options.get("Mode") else []
            found.append(Mount(one["Target"], options=",".join(words)))
    return found


def _etc(folder: Path, config: Json, host: Json, net: Place) -> list[Mount]:
    """Write a container's own /etc/hosts, hostname and resolv.conf."""
    hostname = config.get("Hostname") or folder.parent.name[:12]
    resolv = names.resolv_conf(host.get("Dns") or (), host.get("DnsSearch") or (), host.get("DnsOptions") or ())
    extra = [one.replace("host-gateway", GATEWAY) for one in host.get("ExtraHosts") or ()]
    if net.machine and not extra and names.HOSTS.exists():
        text = names.HOSTS.read_text(errors="replace")
    else:
        me = [(net.address, names.own_names(hostname, config.get("Domainname") or ""))] if net.address else []
        text = names.hosts(extra, [*net.known, *me])
    return names.written(folder, {"hosts": text, "hostname": f"{hostname}\n", "resolv.conf": resolv})


def capabilities(add: Any, drop: Any) -> int:
    """Return Docker's fourteen capabilities with some added and some dropped, as bits.

    >>> capabilities([], ["ALL"]), hex(capabilities([], [])), capabilities(["CAP_CHOWN"], ["all"])
    (0, '0xa80425fb', 1)
    """
    found = DEFAULT
    for words, wanted in ((drop, False), (add, True)):
        for word in words:
            name = str(word).upper().removeprefix("CAP_")
            bits = ALL if name == "ALL" else 1 << CAPABILITIES.index(name) if name in CAPABILITIES else 0
            found = found | bits if wanted else found & ~bits
    return found


def limits(ulimits: Any, memory: int = 0) -> dict[str, tuple[int, int]]:
    """Return the limits that this user may set: a higher hard limit than its own is not possible.

    A limit of memory becomes one of each process's own data, unless an ulimit says what that shall be.

    >>> limits((), 100 << 20), limits([{"Name": "data", "Soft": 5, "Hard": 5}], 100 << 20)
    ({'data': (104857600, 104857600)}, {'data': (5, 5)})
    """
    data = max(memory, LEAST_DATA)
    found = {}
    for one in [*([{"Name": "data", "Soft": data, "Hard": data}] if memory > 0 else []), *ulimits]:
        name = str(one.get("Name", "")).lower()
        number = getattr(resource, f"RLIMIT_{name.upper()}", None)
        if number is None:
            continue
        most = resource.getrlimit(number)[1]
        hard, soft = int(one.get("Hard") or one.get("Soft") or 0), int(one.get("Soft") or 0)
        hard = hard if most == resource.RLIM_INFINITY else min(hard, most) if hard >= 0 else most
        found[name] = (min(soft, hard) if hard >= 0 else soft, hard)
    return found


def processors(text: str) -> tuple[int, ...]:
    """Return the processors of a list as `--cpuset-cpus` takes it.

    >>> processors("0-2,5")
    (0, 1, 2, 5)
    """
    found: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        if first.isdigit() and (not last or last.isdigit()):
            found += range(int(first), int(last or first) + 1)
    return tuple(found)
