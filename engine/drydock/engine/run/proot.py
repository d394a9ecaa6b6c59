"""Rung C: PRoot, which changes the paths in a program's system calls while the kernel holds the program still.

No name space and no privilege is needed, so it works where a container's own rules forbid both, as in a Binder pod. The
price is time, and that nothing but the file system is apart: processes, network and host name are the host's.

Source: proot(1); engine.md 2.3 (what Debian's 5.1.0 leaves out).
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from drydock.engine.run import linux, lookup
from drydock.engine.run.mounts import DEVICES, LINKS, MTAB
from drydock.engine.run.spec import Process, Spec


@cache
def installed() -> tuple[str, ...]:
    """Return how to call this machine's PRoot (`$DRYDOCK_PROOT`, or the first on PATH); nothing where none is."""
    path = os.environ.get("DRYDOCK_PROOT") or shutil.which("proot")
    if path is None:
        return ()
    quiet = ("-v", "-1")  # or it tells of every program that a signal ends
    return (path, *quiet, "--kill-on-exit") if version(path) >= (5, 2) else (path, *quiet)


def version(path: str) -> tuple[int, int]:
    """Return PRoot's version; those before 5.2 know no --kill-on-exit."""
    shown = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"(\d+)\.(\d+)\.\d+", shown)
    return (int(found[1]), int(found[2])) if found else (5, 1)


def prepare(spec: Spec) -> None:
    """Make what the container needs beside its tree: a folder that stands for /dev, and every mount point."""
    private = Path(spec.private)
    dev = private / "dev"
    for folder in (dev, dev / "pts", private / "shm", private / "tmp"):
        folder.mkdir(parents=True, exist_ok=True)
    for name, target in LINKS.items():
        link = dev / name
        if not link.is_symlink() and (name != "core" or Path(target).exists()):
            link.symlink_to(target if name != "ptmx" else "/dev/ptmx")
    for name in ("shm", "mqueue"):
        (dev / name).mkdir(exist_ok=True)
    for name in DEVICES:
        (dev / name).touch()
    for number, one in enumerate(spec.mounts):
        if not one.source:
            folder = private / f"tmpfs{number}"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            folder.chmod(tmpfs_mode(one.options))


def tmpfs_mode(options: str) -> int:
    """Return the mode of a tmpfs's root, of its options the only one that a plain folder can have.

    >>> oct(tmpfs_mode("size=64k,mode=700")), oct(tmpfs_mode(""))
    ('0o700', '0o1777')
    """
    asked = dict(one.partition("=")[::2] for one in options.split(","))
    return int(asked.get("mode", "1777"), 8) & 0o7777


def mount_points(spec: Spec) -> list[str]:
    """Make the places in the tree where something is bound, symlinks followed inside the tree; return the new ones."""
    root = os.open(spec.root.tree, linux.O_PATH)
    try:
        own = [("/proc", True), ("/sys", True), ("/dev", True), ("/.dockerenv", False)]
        own += [(one.target, Path(one.source).is_dir()) for one in spec.mounts if one.own]
        made = [made for path, folder in own for made in _make(root, path, folder)]
        made += _link(root, *MTAB)
        for one in spec.mounts:
            _make(root, one.target, not one.source or Path(one.source).is_dir())
        _make(root, spec.process.cwd, True)
        return made
    finally:
        os.close(root)


def _link(root: int, path: str, target: str) -> list[str]:
    folder, _, name = path.strip("/").rpartition("/")
    made = _make(root, folder, True)
    try:
        at = linux.open_in_root(root, folder)
    except OSError:
        return made  # no folder, whatever it is
    try:
        os.symlink(target, name, dir_fd=at)
        made.append(f"{folder}/{name}")
    except OSError:
        pass  # the image has one
    finally:
        os.close(at)
    return made


def _make(root: int, path: str, folder: bool) -> list[str]:
    made: list[str] = []
    parts = [part for part in path.split("/") if part]
    here = os.dup(root)
    for number, part in enumerate(parts):
        so_far = "/".join(parts[: number + 1])
        last = number == len(parts) - 1
        try:
            there = linux.open_in_root(root, so_far)
        except FileNotFoundError:
            if os.path.lexists(f"/proc/self/fd/{here}/{part}"):
                break  # a symlink to nothing: PRoot makes do
            if last and not folder:
                os.close(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_EXCL, 0o755, dir_fd=here))
            else:
                os.mkdir(part, 0o755, dir_fd=here)
            made.append(so_far)
            there = linux.open_in_root(root, so_far)
        os.close(here)
        here = there
    os.close(here)
    return made


def command(spec: Spec, process: Process) -> list[str]:
    """Return PRoot's path and arguments for a program: the path to execute, then argv.

    The program is looked up here, inside the tree, since PRoot's own message is not Docker's.
    """
    found = _find(spec, process)
    # By its own name where PRoot finds the same by PATH: a program may look at how it was called.
    program = process.args[0] if found.endswith(f"/{process.args[0]}") and _has_path(process) else found
    user = ["-0"] if (process.uid, process.gid) == (0, 0) else ["-i", f"{process.uid}:{process.gid}"]
    binds = [part for one in _binds(spec) for part in ("-b", one)]
    front = [spec.proot[0], *spec.proot]
    return [*front, *user, "-r", spec.root.tree, "-w", process.cwd, *binds, program, *process.args[1:]]


def _has_path(process: Process) -> bool:
    return any(one.startswith("PATH=/") for one in process.env)


def environment(process: Process, spec: Spec) -> Sequence[str]:
    """Return the program's environment; a PRoot that can be told so keeps its loader in the container's own folder."""
    return [*process.env, f"PROOT_TMP_DIR={spec.private}/tmp"] if is_new(spec) else process.env


def is_new(spec: Spec) -> bool:
    """Return whether it is PRoot 5.2 or later; Debian's 5.1 has its loader in /tmp and nowhere else."""
    return "--kill-on-exit" in spec.proot


def reach(spec: Spec) -> tuple[list[str], list[str]]:
    """Return the folders that the container, and PRoot under it, may read, and those they may write."""
    path = os.path.realpath(spec.proot[0])
    readable = ["/proc", "/sys", path, *("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache"), "/nix"]
    readable += [str(Path(path).parent.parent / "lib"), "/usr/local/lib"]
    writable = ["/dev", "/proc", spec.private]
    writable += [] if is_new(spec) else ["/tmp"]
    (readable if spec.readonly else writable).append(spec.root.tree)
    for one in spec.mounts:
        (readable if one.readonly else writable).append(one.source or spec.private)
    return readable, writable


def _binds(spec: Spec) -> list[str]:
    private = spec.private
    binds = ["/proc", "/sys", f"{private}/dev:/dev", f"{private}/shm:/dev/shm", "/dev/pts:/dev/pts"]
    binds += [f"/dev/{name}" for name in DEVICES if Path(f"/dev/{name}").exists()]
    for number, one in enumerate(spec.mounts):
        binds.append(f"{one.source or f'{private}/tmpfs{number}'}:{one.target}")
    return binds


def _find(spec: Spec, process: Process) -> str:
    root = os.open(spec.root.tree, linux.O_PATH)

    def look(path: str) -> os.stat_result:
        for one in spec.mounts:
            if one.source and f"{path}/".startswith(f"{one.target.rstrip('/')}/"):
                return Path(one.source + path[len(one.target.rstrip("/")) :]).stat()
        fd = linux.open_in_root(root, path)
        try:
            return os.fstat(fd)
        finally:
            os.close(fd)

    try:
        try:
            folder = stat.S_ISDIR(look(process.cwd).st_mode)
            why = "not a directory"
        except OSError as error:
            folder, why = False, (error.strerror or "").lower()
        if not folder:
            raise lookup.failed(f'chdir to cwd ("{process.cwd}") set in config.json failed: {why}', 126)
        return lookup.find(process.args[0], process.env, process.cwd, look)
    finally:
        os.close(root)
