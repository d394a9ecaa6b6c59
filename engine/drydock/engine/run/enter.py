"""From a process of the engine to a program in a container: the steps between fork and exec, in the child.

Nothing here returns: the child becomes the program, or reports why not and ends. Every module it needs is loaded
before the fork, since once the root has changed there is no Python to import from.

Source: runc libcontainer/nsenter/README.md (why two forks), standard_init_linux.go; man 7 user_namespaces.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import signal
import socket
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from drydock.engine.run import filters, frames, landlock, linux, lookup, mounts, proot, switch, terminal
from drydock.engine.run.spec import CannotStart, Process, Spec

KINDS = {"mnt": linux.CLONE_NEWNS, "uts": linux.CLONE_NEWUTS, "ipc": linux.CLONE_NEWIPC}
KINDS |= {"net": linux.CLONE_NEWNET, "pid": linux.CLONE_NEWPID}


@dataclass(frozen=True)
class Child:
    """What a child process has from its parent: its report, and the files it shall read and write."""

    report: socket.socket
    stdio: tuple[int, ...]


def fork(start: Callable[[Child], NoReturn], stdio: Sequence[int]) -> tuple[int, socket.socket]:
    """Start a child that runs `start` and never comes back; return its process ID and the socket of its report."""
    mine, report = socket.socketpair()
    pid = os.fork()
    if pid:
        report.close()
        return pid, mine
    code = 127
    try:
        mine.close()
        start(Child(report, tuple(stdio)))
    except CannotStart as error:
        frames.send(report, {"error": str(error), "code": error.exit_code})
    except OSError as error:
        message = f"{lookup.PREFIX}{error.filename or 'start'}: {(error.strerror or str(error)).lower()}: unknown"
        frames.send(report, {"error": message, "code": 128})
    except BaseException as error:  # whatever it is, this copy of the engine must not go on
        frames.send(report, {"error": f"{type(error).__name__}: {error}", "code": 128})
    finally:
        os._exit(code)


def first(spec: Spec, stage: str) -> Callable[[Child], NoReturn]:
    """Return what the first process of a container does on its way to its program."""
    if spec.rung == "C":
        return lambda child: _traced(spec, spec.process, child)

    def start(child: Child) -> NoReturn:
        cables = switch.plugger(spec.switch, spec.plugs) if spec.plugs else None
        _new_namespaces(spec)
        if cables:
            switch.plugged(cables)
        if spec.apart and not spec.shares:
            _set_up_network(spec.process.gid)
        _second_fork(child)
        made = mounts.enter(spec, stage)
        if spec.hostname and spec.uts != "host":
            socket.sethostname(spec.hostname)
        frames.send(child.report, {"made": made})
        if spec.init:
            _stay_as_init(child)
        _change_user(spec, spec.process)
        _become(spec, spec.process, child)

    return start


def another(spec: Spec, process: Process, main_pid: int) -> Callable[[Child], NoReturn]:
    """Return what a process of `docker exec` does on its way to its program: it enters the container that is there."""
    if spec.rung == "C":
        return lambda child: _traced(spec, process, child)

    def start(child: Child) -> NoReturn:
        spaces = {kind: os.open(f"/proc/{main_pid}/ns/{kind}", os.O_RDONLY) for kind in KINDS}
        mine = {kind: Path("/proc/self/ns", kind).stat().st_ino for kind in KINDS}
        # From here on programs of the container can see this process, and through /proc/PID/exe the host's Python
        # (CVE-2019-5736 in runc): the kernel keeps them off whatever is not dumpable.
        linux.prctl(linux.PR_SET_DUMPABLE, 0)
        for kind, fd in spaces.items():
            if os.fstat(fd).st_ino != mine[kind]:
                linux.setns(fd, KINDS[kind])
        _second_fork(child)
        _change_user(spec, process)
        _become(spec, process, child)

    return start


def _change_user(spec: Spec, process: Process) -> None:
    """Become the user that a program asks for, where the container's user name space knows another one."""
    if (process.uid, process.gid) != spec.mapped:
        linux.unshare(linux.CLONE_NEWUSER)
        linux.prctl(linux.PR_SET_DUMPABLE, 1)  # who is not may not write its own map
        linux.map_user((process.uid, process.gid), spec.mapped)
        linux.prctl(linux.PR_SET_DUMPABLE, 0)


def _new_namespaces(spec: Spec) -> None:
    flags = linux.CLONE_NEWNS
    flags |= linux.CLONE_NEWPID if spec.isolated else 0
    flags |= linux.CLONE_NEWUTS if spec.uts != "host" else 0
    flags |= linux.CLONE_NEWIPC if spec.ipc != "host" else 0
    if spec.shares:  # the owner of a network is the user name space it was made in: there one may join it
        spaces = [(f"/proc/{spec.shares}/ns/{kind}", kind) for kind in ("user", "net")]
        files = [(os.open(path, os.O_RDONLY), kind) for path, kind in spaces]
        for fd, kind in files:
            linux.setns(fd, linux.CLONE_NEWUSER if kind == "user" else linux.CLONE_NEWNET)
        linux.unshare(flags)
        linux.prctl(linux.PR_SET_DUMPABLE, 1)
        return
    flags |= linux.CLONE_NEWUSER
    flags |= linux.CLONE_NEWNET if spec.apart else 0
    caller = (os.geteuid(), os.getegid())
    linux.unshare(flags)
    linux.prctl(linux.PR_SET_DUMPABLE, 1)  # in the switch's user name space it was lost
    linux.map_user((spec.process.uid, spec.process.gid), caller)


def _second_fork(child: Child) -> None:
    """Go on in a child: a new process name space holds the children of who asked for it, never itself."""
    pid = os.fork()
    if pid:
        frames.send(child.report, {"pid": pid})
        os._exit(0)
    # Dying with the parent would be too early while the parent is the process between, which ends now.
    frames.receive(child.report)
    linux.die_with_parent()


def _set_up_network(group: int) -> None:
    """Switch the loopback interface on, and let every user take low ports and send pings, as dockerd does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        fcntl.ioctl(probe, 0x8914, struct.pack("16sH14x", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS, IFF_UP | IFF_RUNNING
    for name, value in {"ip_unprivileged_port_start": "0", "ping_group_range": f"{group} {group}"}.items():
        with suppress(OSError):  # where /proc is read-only; then root alone may
            Path("/proc/sys/net/ipv4", name).write_text(value)


def _traced(spec: Spec, process: Process, child: Child) -> NoReturn:
    """Become PRoot, which then starts the program and stands between it and the kernel (rung C)."""
    linux.die_with_parent()
    frames.send(child.report, {"pid": os.getpid()})
    frames.receive(child.report)
    command = proot.command(spec, process)
    _stdio(process, child, "/dev/ptmx")
    _limits(spec, keep=0)
    landlock.confine(*proot.reach(spec))
    rules = filters.HIDDEN + filters.DENIED + filters.UNTRANSLATED
    rules += filters.GROUPS + filters.EXITS
    if process.uid == 0:
        rules += filters.OWNERSHIP
    if spec.hostname and spec.uts != "host":
        rules += filters.HOST_NAME
    if spec.network == "none":
        rules += filters.NO_NETWORK
    _exec(command, proot.environment(process, spec), rules, child)


def _become(spec: Spec, process: Process, child: Child) -> NoReturn:
    if process == REHEARSAL:
        _rehearse(spec, child)
    env = list(process.env)
    if process.uid == 0 and Path("/etc/apt").is_dir() and not any(one.startswith("APT_CONFIG=") for one in env):
        env.append(f"APT_CONFIG={mounts.APT_CONF}")
    path = lookup.find(process.args[0], env, process.cwd)
    _stdio(process, child, "/dev/pts/ptmx")
    try:
        os.chdir(process.cwd)
    except OSError as error:
        why = (error.strerror or "").lower()
        raise lookup.failed(f'chdir to cwd ("{process.cwd}") set in config.json failed: {why}', 126) from None
    _limits(spec, keep=spec.capabilities)
    rules = filters.HIDDEN + filters.DENIED + filters.GROUPS
    if process.uid == 0:  # who is not root may become nobody and give nothing away: the kernel's own answers are right
        rules += filters.ONE_USER + filters.OWNERSHIP
    _exec([path, *process.args], env, rules, child)


REHEARSAL = Process(("(rehearsal)",))  # everything but the program: what a probe starts


def _rehearse(spec: Spec, child: Child) -> NoReturn:
    _limits(spec, keep=spec.capabilities)
    listener = filters.install(filters.HIDDEN + filters.DENIED + filters.ONE_USER + filters.OWNERSHIP)
    frames.send(child.report, {"listener": True}, [listener])
    child.report.close()
    os.close(listener)
    os.setgroups([])  # refused by the kernel, faked by the filter
    os.chown("/probe", 12, 34)
    os._exit(0)


def _stdio(process: Process, child: Child, multiplexer: str) -> None:
    """Arrange standard input, output and error; with a terminal, all three are the terminal."""
    os.setsid()
    files = child.stdio
    if process.tty:
        master, slave = terminal.open_pair(multiplexer) if multiplexer != "/dev/ptmx" else os.openpty()
        terminal.take(slave)
        if any(process.size):
            terminal.resize(slave, *process.size)
        frames.send(child.report, {"terminal": True}, [master])
        files = (slave, slave, slave)
    for number, fd in enumerate(files):
        os.dup2(fd, number)


def _limits(spec: Spec, keep: int) -> None:
    os.umask(0o022)
    for name, (soft, hard) in spec.rlimits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name.upper()}"), (soft, hard))
    if spec.cpus:
        os.sched_setaffinity(0, spec.cpus)
    linux.drop_capabilities(keep)
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)  # Python ignores the first two, and a program would inherit that


def _exec(command: Sequence[str], env: Sequence[str], rules: Sequence[filters.Rule], child: Child) -> NoReturn:
    path, *args = command
    report = child.report.fileno()
    os.closerange(3, report)
    os.closerange(report + 1, 1 << 20)
    listener = filters.install(rules)
    if listener >= 0:
        frames.send(child.report, {"listener": True}, [listener])
        os.close(listener)
    environment = dict(one.split("=", 1) for one in env if "=" in one)
    try:
        os.execve(path, args, environment)
    except OSError as error:
        if error.errno in (errno.E2BIG, errno.ENOMEM):
            raise
        # As runc: the container has started, and its first process says why it cannot go on.
        os.write(2, f"exec {path}: {(error.strerror or '').lower()}\n".encode())
        os._exit(1)


def _stay_as_init(child: Child) -> None:
    """Go on in a child, and stay as the first process: pass signals on, collect orphans, end as the child ends."""
    pid = os.fork()
    if pid == 0:
        return
    child.report.close()
    os.closerange(0, 1 << 20)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT):
        signal.signal(number, lambda got, frame: os.kill(pid, got))
    while True:
        ended, status = os.wait()
        if ended == pid:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)
