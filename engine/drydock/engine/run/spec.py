"""What a process in a container is given: its root file system, its command, its user, and what it may see.

Source: OCI runtime-spec config.md, reduced to what an ordinary user can arrange.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from drydock.engine.errors import EngineError, Unavailable


class CannotStart(EngineError):
    """The program could not be started: there is no such file, or it may not be executed."""

    def __init__(self, message: str, exit_code: int = 128) -> None:
        super().__init__(message)
        self.status = 400 if exit_code in (126, 127) else 500  # moby daemon/errors.go translateContainerdStartErr
        self.exit_code = exit_code  # what `docker run` exits with: 127 not found, 126 not executable


class NoSandbox(Unavailable):
    """Nothing can be executed on this machine (rung D)."""


@dataclass(frozen=True)
class Mount:
    """A file or folder of the host that appears in the container, or a new tmpfs."""

    target: str  # absolute, in the container
    source: str = ""  # absolute, on the host; "" for a tmpfs
    readonly: bool = False
    options: str = ""  # of a tmpfs, as `docker run --tmpfs` takes them: "size=64m,mode=1777"
    own: bool = False  # the engine's, such as /etc/hosts: dockerd's layers do not show where it is mounted


@dataclass(frozen=True)
class Root:
    """The container's root file system: a stack of folders for overlay (rung A), or one ready tree (B, C)."""

    lower: tuple[str, ...] = ()  # top layer first
    upper: str = ""
    work: str = ""
    tree: str = ""


@dataclass(frozen=True)
class Process:
    """One program to start in a container: its main one, or one of `docker exec`."""

    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    cwd: str = "/"
    uid: int = 0
    gid: int = 0
    tty: bool = False
    size: tuple[int, int] = (0, 0)  # rows and columns of the terminal
    groups: tuple[int, ...] = ()  # what getgroups(2) answers

    @classmethod
    def of(cls, wire: Mapping[str, Any]) -> Self:
        """Return the process that `asdict` made JSON of."""
        known = {one.name for one in fields(cls)}
        return cls(**_tuples({key: value for key, value in wire.items() if key in known}))


@dataclass(frozen=True)
class Plug:
    """One cable into a network apart from the machine's: the bridge it leads to, and the container's interface."""

    bridge: str
    gateway: str  # the bridge's own address
    prefix: int
    cable: str  # the name of the bridge's end
    interface: str
    address: str


@dataclass(frozen=True)
class Spec:
    """A container as the sandbox sees it."""

    id: str
    root: Root
    process: Process
    rung: str = "A"
    hostname: str = ""
    domainname: str = ""
    mounts: tuple[Mount, ...] = ()
    network: str = "host"  # "none": one of its own with nothing but loopback; "apart": with `plugs`; else the host's
    plugs: tuple[Plug, ...] = ()
    switch: int = 0  # the process that holds what the plugs lead to
    shares: int = 0  # the main process of the container whose network, apart from the host's, it shares
    shares_as: tuple[int, int] = (0, 0)  # that container's user and group
    pid: str = ""  # "host": sees and may signal the host's processes
    uts: str = ""  # "host": the host's name
    ipc: str = ""  # "host"
    readonly: bool = False
    shm_size: int = 64 << 20
    init: bool = False  # a first process that collects orphans, as `docker run --init`
    capabilities: int = 0xA80425FB  # Docker's fourteen
    rlimits: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    cpus: tuple[int, ...] = ()  # the processors it may run on; none named: all
    proot: tuple[str, ...] = ()  # rung C: how to call PRoot on this machine
    private: str = ""  # a folder of this container's own: generated files, and on rung C what stands for /dev
    fresh_proc: bool = (
        True  # False where the kernel refuses a new /proc: the host's is shown, and its processes with it
    )

    def wire(self) -> dict[str, Any]:
        """Return the spec as JSON takes it."""
        return asdict(self)

    @classmethod
    def of(cls, wire: Mapping[str, Any]) -> Self:
        """Return the spec that `wire` made JSON of.

        >>> spec = Spec("c1", Root(tree="/t"), Process(("true",)), mounts=(Mount("/data", "/d"),))
        >>> import json
        >>> Spec.of(json.loads(json.dumps(spec.wire()))) == spec
        True
        """
        rest = _tuples(wire)
        rest["rlimits"] = {name: (soft, hard) for name, (soft, hard) in wire["rlimits"].items()}
        rest["mounts"] = tuple(Mount(**one) for one in wire["mounts"])
        rest["plugs"] = tuple(Plug(**one) for one in wire["plugs"])
        return cls(**{**rest, "root": Root(**_tuples(wire["root"])), "process": Process.of(wire["process"])})

    @property
    def apart(self) -> bool:
        """Return whether the container's network is not the host's."""
        return self.network in ("none", "apart")

    @property
    def mapped(self) -> tuple[int, int]:
        """Return the user and group that the container's user name space knows."""
        return self.shares_as if self.shares else (self.process.uid, self.process.gid)

    @property
    def isolated(self) -> bool:
        """Return whether the container has process numbers of its own: the kernel ends all with the first."""
        return self.rung != "C" and self.pid != "host" and self.fresh_proc


def _tuples(wire: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in wire.items()}
