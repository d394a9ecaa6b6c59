"""What a container sees: its root, /proc, /dev, /sys, volumes; everything else of the host is gone.

All targets are resolved after the root has changed, so a symlink in an image leads nowhere but into the image. What is
to be mounted is opened before, while the host is still in sight, and reached through /proc/self/fd afterwards.

Source: OCI runtime-spec config-linux.md (default file systems, devices); moby oci/defaults.go (masked and read-only
paths); runc libcontainer/rootfs_linux.go (pivot_root onto itself).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from drydock.engine.run import linux
from drydock.engine.run.linux import MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_PRIVATE, MS_RDONLY, MS_REC, MS_REMOUNT
from drydock.engine.run.spec import Mount, Root, Spec

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
LINKS = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"}
LINKS |= {"ptmx": "pts/ptmx", "core": "/proc/kcore"}
MASKED: tuple[str, ...] = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
)
MASKED += ("/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware")
READONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

MTAB = ("/etc/mtab", "/proc/mounts")  # where programs older than /proc look for what is mounted

APT_CONF = "/dev/.drydock-apt.conf"
# apt downloads as the user _apt and checks that it has become that user: with one user it cannot (engine.md 2.3).
APT_TEXT = 'APT::Sandbox::User "root";\n'


class Targets:
    """The places in the container where something is mounted: found, or made where the image has none.

    `made` holds those of the engine's own mounts: dockerd has them in a layer that nobody sees, while the place of a
    volume is a change of the container like any other.
    """

    def __init__(self) -> None:
        self.made: list[str] = []
        self.own = True

    def folder(self, path: str) -> str:
        """Return the path of a directory, made with its parents where it is missing."""
        real = os.path.realpath(path)
        if not Path(real).is_dir():
            self.folder(str(Path(real).parent))
            Path(real).mkdir(0o755)
            self._note(real)
        return real

    def file(self, path: str) -> str:
        """Return the path of something that is no directory: an empty file where it is missing."""
        real = os.path.realpath(path)
        if not Path(real).exists():
            self.folder(str(Path(real).parent))
            os.close(os.open(real, os.O_CREAT | os.O_WRONLY, 0o755))
            self._note(real)
        return real

    def link(self, path: str, target: str) -> None:
        """Make a symlink where there is nothing."""
        if not os.path.lexists(path):
            folder = self.folder(str(Path(path).parent))
            Path(folder, Path(path).name).symlink_to(target)
            self._note(f"{folder}/{Path(path).name}")

    def _note(self, path: str) -> None:
        if self.own:
            self.made.append(path.lstrip("/"))


def enter(spec: Spec, stage: str) -> list[str]:
    """Change into the container's root and make its mounts; return the mount points the image did not have."""
    linux.mount("", "/", "", MS_REC | MS_PRIVATE)
    devices = {name: os.open(f"/dev/{name}", linux.O_PATH) for name in DEVICES if Path(f"/dev/{name}").exists()}
    sources = {one: os.open(one.source, linux.O_PATH) for one in spec.mounts if one.source}
    system = os.open("/sys", linux.O_PATH)
    mount_root(spec.root, stage)
    targets = Targets()
    if not spec.fresh_proc or spec.pid == "host":
        _show_host_proc(stage, targets)
    _pivot(stage, spec, targets)
    _dev(spec, devices, targets)
    _sys(spec, system, targets)
    targets.file("/.dockerenv")
    targets.link(*MTAB)
    for one in sorted(spec.mounts, key=lambda one: one.target.count("/")):
        _mount(one, sources.get(one), targets)
    targets.own = False
    targets.folder(spec.process.cwd)
    _mask()
    linux.umount(".", linux.MNT_DETACH)  # the old root, where this process still stands
    os.chdir("/")
    if spec.readonly:
        linux.mount("", "/", "", MS_REMOUNT | MS_BIND | MS_RDONLY | linux.locked_flags("/"))
    return targets.made


def mount_root(root: Root, stage: str) -> None:
    """Mount the container's root file system at an empty folder: layers stacked by overlay, or one tree."""
    if root.tree:
        linux.mount(root.tree, stage, "", MS_BIND)
        return
    # Through open files the options stay short (they must fit one page) and the container does not see host paths.
    layers = [f"/proc/self/fd/{os.open(one, linux.O_PATH)}" for one in root.lower]
    upper, work = (f"/proc/self/fd/{os.open(one, linux.O_PATH)}" for one in (root.upper, root.work))
    linux.mount(
        "overlay", stage, "overlay", 0, f"userxattr,lowerdir={':'.join(layers)},upperdir={upper},workdir={work}"
    )


def _show_host_proc(stage: str, targets: Targets) -> None:
    root = os.open(stage, linux.O_PATH)
    with suppress(FileExistsError):
        os.mkdir("proc", 0o755, dir_fd=root)
        targets.made.append("proc")
    proc = linux.open_in_root(root, "proc")
    linux.mount("/proc", f"/proc/self/fd/{proc}", "", MS_BIND | MS_REC)


def _pivot(stage: str, spec: Spec, targets: Targets) -> None:
    old = os.open("/", linux.O_PATH | os.O_DIRECTORY)
    os.chdir(stage)
    linux.pivot_root(".", ".")
    os.fchdir(old)
    if spec.fresh_proc and spec.pid != "host":
        linux.mount("proc", targets.folder("/proc"), "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)


def _bind(source: str, target: str) -> None:
    linux.mount(source, target, "", MS_BIND | MS_REC)


def _dev(spec: Spec, devices: dict[str, int], targets: Targets) -> None:
    linux.mount("tmpfs", targets.folder("/dev"), "tmpfs", MS_NOSUID, "mode=755,size=65536k")
    for name, fd in devices.items():
        os.close(os.open(f"/dev/{name}", os.O_CREAT | os.O_WRONLY, 0o666))
        _bind(f"/proc/self/fd/{fd}", f"/dev/{name}")
    for name, link in LINKS.items():
        if name == "core" and not Path(link).exists():
            continue
        Path("/dev", name).symlink_to(link)
    for name in ("pts", "shm", "mqueue"):
        Path("/dev", name).mkdir(0o755)
    linux.mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620")
    flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
    linux.mount("shm", "/dev/shm", "tmpfs", flags, f"mode=1777,size={spec.shm_size}")
    with suppress(OSError):  # only in an IPC name space of its own
        linux.mount("mqueue", "/dev/mqueue", "mqueue", flags)
    Path(APT_CONF).write_text(APT_TEXT)


def _sys(spec: Spec, host: int, targets: Targets) -> None:
    """Show /sys, read-only; a network of its own has a /sys of its own, where the kernel gives one."""
    place = targets.folder("/sys")
    flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY
    try:
        if not spec.apart:
            raise PermissionError
        linux.mount("sysfs", place, "sysfs", flags)
    except OSError:
        _bind(f"/proc/self/fd/{host}", place)
        linux.make_readonly(place)


def _mount(one: Mount, source: int | None, targets: Targets) -> None:
    targets.own = one.own
    if source is None:
        flags, data = tmpfs_options(one.options)
        linux.mount("tmpfs", targets.folder(one.target), "tmpfs", flags, data)
        return
    is_folder = stat.S_ISDIR(os.fstat(source).st_mode)
    target = (targets.folder if is_folder else targets.file)(one.target)
    _bind(f"/proc/self/fd/{source}", target)
    if one.readonly:
        linux.make_readonly(target)


_FLAGS = {"ro": MS_RDONLY, "nosuid": MS_NOSUID, "nodev": MS_NODEV, "noexec": MS_NOEXEC}
_UNSET = {"rw": MS_RDONLY, "suid": MS_NOSUID, "dev": MS_NODEV, "exec": MS_NOEXEC}


def tmpfs_options(text: str) -> tuple[int, str]:
    """Return a tmpfs's flags and what is left for the file system itself; Docker's own flags come first.

    >>> tmpfs_options("exec,size=64m,mode=1777") == (MS_NOSUID | MS_NODEV, "size=64m,mode=1777")
    True
    """
    flags, data = MS_NOSUID | MS_NODEV | MS_NOEXEC, []
    for option in filter(None, text.split(",")):
        if option in _FLAGS:
            flags |= _FLAGS[option]
        elif option in _UNSET:
            flags &= ~_UNSET[option]
        elif not option.startswith(("uid=", "gid=")):  # there is one user here
            data.append(option)
    return flags, ",".join(data)


def _mask() -> None:
    for path in _present(READONLY):
        _bind(path, path)
        linux.make_readonly(path)
    for path in _present(MASKED):
        if Path(path).is_dir():
            linux.mount("tmpfs", path, "tmpfs", MS_RDONLY)
        else:
            _bind("/dev/null", path)


def _present(paths: tuple[str, ...]) -> Iterator[str]:
    return (path for path in paths if Path(path).exists())
