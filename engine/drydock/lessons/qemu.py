"""A real virtual machine, as small as can be: QEMU, a kernel of this machine's packages, and busybox as all its files.

Sources: QEMU's man page (-kernel, -accel, -serial); Linux kernel, driver-api/early-userspace/buffer-format.rst (the
initramfs is a cpio archive, "newc"); prctl(2), PR_SET_PDEATHSIG.
"""

from __future__ import annotations

import os
import platform
import re
import selectors
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drydock.lessons import machine

PROGRAM = "qemu-system-x86_64"
KERNEL = "DRYDOCK_KERNEL"  # a kernel to boot, where /boot has none that may be read
BOOT = Path("/boot")
MEMORY = 128 << 20  # bytes that the guest gets
PATIENCE = 60.0  # s until the guest must have spoken
KVM_PATIENCE = 5.0  # s: with KVM a guest speaks within two; one that does not never will
LARGEST = 64 << 10  # bytes of what a guest says
UP, DONE = "drydock: up", "drydock: done"
# The guest ends by itself, too, should nobody listen any more.
INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
uname -r
echo "{up}"
{commands}
echo "{done}"
read -t 20 word
poweroff -f
"""
# What is begun by a kernel that is killed must not outlive it: the guest's process dies with its parent.
TIED = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9)\n"
    "if os.getppid() != int(sys.argv[1]): sys.exit(1)\n"
    "os.execvp(sys.argv[2], sys.argv[2:])"
)
NO_PROGRAM = (
    "QEMU is not installed here, so no virtual machine is booted; its figures are cited instead, and marked so.\n"
    "Try: sudo apt-get install qemu-system-x86   (Fedora: sudo dnf install qemu-system-x86-core)"
)
NO_KERNEL = (
    "QEMU is here, but no kernel that it could boot: there is none in /boot.\n"
    "Try (Debian; nothing of it needs root):\n"
    "  apt-get download $(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: //p')\n"
    "  dpkg-deb -x linux-image-*.deb kernel\n"
    f"and, in the notebook:  %env {KERNEL}=kernel/boot/vmlinuz-VERSION"
)
NOT_NAMED = "{variable} names {path}, and there is no file that may be read.\nTry: ls -l {path}"
LOCKED = (
    "QEMU is here, but its kernel {path} may be read by root only, as Ubuntu has it.\n"
    "Try: sudo install -m 644 {path} kernel   and, in the notebook:  %env {variable}=kernel"
)
NO_BUSYBOX = "QEMU is here, but no busybox that needs no library.\nTry: sudo apt-get install busybox-static"
OTHER = "QEMU's lesson boots a 64-bit PC on Linux, and this is {system} on {cpu}. The figures are cited instead."
NOT_UP = "The virtual machine did not come up within {seconds:.0f} s. It said last: {said}\nTry: run the cell again"


class NoMachine(RuntimeError):
    """No virtual machine can be booted here; the message says why, and what to try."""


@dataclass(frozen=True)
class Boot:
    """What one boot of a small virtual machine showed."""

    seconds: float  # from the order until its first program's first word
    memory: int  # bytes of this machine's memory that it took then
    accelerator: str  # kvm: the processor runs the guest; tcg: QEMU translates it, instruction by instruction
    release: str  # of its kernel
    said: str  # what its commands printed
    kernel: int  # bytes of its kernel
    files: int  # bytes of its files

    def picture(self) -> str:
        """Return what the guest said."""
        return self.said


def kernel() -> Path:
    """Return a kernel that may be booted and read. Raises: NoMachine."""
    named = os.environ.get(KERNEL)
    found = [Path(named)] if named else sorted(BOOT.glob("vmlinuz-*"), key=_version, reverse=True)
    for path in found:
        if path.is_file() and os.access(path, os.R_OK):
            return path
    if named:
        raise NoMachine(NOT_NAMED.format(variable=KERNEL, path=named))
    raise NoMachine(LOCKED.format(variable=KERNEL, path=found[0]) if found else NO_KERNEL)


def _version(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", path.name)]


def program() -> str:
    """Return QEMU's path. Raises: NoMachine."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        raise NoMachine(OTHER.format(system=platform.system(), cpu=platform.machine()))
    found = shutil.which(PROGRAM)
    if found is None:
        raise NoMachine(NO_PROGRAM)
    return found


def version() -> str:
    """Return QEMU's version, as `7.2.22`. Raises: NoMachine."""
    said = subprocess.run([program(), "--version"], capture_output=True, text=True, timeout=20, check=False).stdout
    found = re.search(r"version (\S+)", said)
    return found[1] if found else "of an unknown version"


def cpio(files: Iterable[tuple[str, int, bytes]]) -> bytes:
    """Return an archive of (name, mode, content) that a kernel unpacks as its first files.

    >>> cpio([("init", 0o100755, b"#!/bin/sh")])[:6]
    b'070701'
    """
    made = bytearray()
    for number, (name, mode, content) in enumerate([*files, ("TRAILER!!!", 0, b"")], 1):
        device = (5, 1) if name == "dev/console" else (0, 0)
        head = (number, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(name) + 1, 0)
        made += b"070701" + b"".join(b"%08x" % field for field in head) + name.encode() + b"\0"
        made += b"\0" * (-len(made) % 4) + content
        made += b"\0" * (-len(made) % 4)
    return bytes(made)


def files(commands: Iterable[str]) -> bytes:
    """Return the guest's whole file system: busybox, and a first program that runs the commands. Raises: NoMachine."""
    found = machine.busybox()
    if found is None:
        raise NoMachine(NO_BUSYBOX)
    busybox = found[0]["bin/busybox"]
    assert isinstance(busybox, bytes)
    init = INIT.format(up=UP, done=DONE, commands="\n".join(commands)).encode()
    folders = [(name, 0o40755, b"") for name in ("bin", "dev", "proc")]
    console = ("dev/console", 0o20600, b"")
    return cpio([*folders, console, ("bin/busybox", 0o100755, busybox), ("init", 0o100755, init)])


def boot(*commands: str, accelerator: str = "", patience: float = PATIENCE) -> Boot:
    """Boot a small virtual machine, run the commands in it, measure it, and turn it off again.

    Takes KVM where it works, else TCG; `accelerator` decides otherwise. Raises: NoMachine.
    """
    qemu, image = program(), kernel()
    packed = files(commands)
    first = accelerator or ("kvm" if os.access("/dev/kvm", os.R_OK | os.W_OK) and _Kvm.works else "tcg")
    disk = os.memfd_create("initramfs")  # in memory: a kernel that is killed leaves no file behind
    try:
        os.write(disk, packed)
        order = [qemu, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-m", f"{MEMORY >> 20}M"]
        order += ["-kernel", str(image), "-initrd", f"/proc/self/fd/{disk}", "-append", "console=ttyS0 quiet panic=-1"]
        order += ["-serial", "stdio"]
        if first == "kvm":
            try:
                return _run([*order, "-accel", "kvm"], disk, min(patience, KVM_PATIENCE), image)
            except NoMachine:
                if accelerator:
                    raise
                _Kvm.works = False  # a machine inside a cloud's machine often has a KVM that cannot boot anything
        return _run([*order, "-accel", "tcg,tb-size=32"], disk, patience, image)
    finally:
        os.close(disk)


class _Kvm:
    works = True  # until it did not


def _run(order: list[str], disk: int, patience: float, image: Path) -> Boot:
    begun = time.monotonic()
    tied = [sys.executable, "-I", "-S", "-c", TIED, str(os.getpid()), *order]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    guest = subprocess.Popen(tied, pass_fds=[disk], **pipes)
    try:
        before, after = _until(guest, UP, begun + patience)
        seconds = time.monotonic() - begun
        said, _ = _until(guest, DONE, time.monotonic() + patience, after)
        memory = taken(guest.pid)
        assert guest.stdin is not None
        guest.stdin.write(b"\n")
        guest.stdin.flush()
        guest.wait(timeout=10)
    except (subprocess.TimeoutExpired, BrokenPipeError):
        pass  # it was measured; that it does not end is settled below
    finally:  # at an interrupt, too
        guest.kill()
        guest.communicate()
    release = before.split()[-1] if before.split() else ""
    accelerator = order[-1].partition(",")[0]
    return Boot(seconds, memory, accelerator, release, said, image.stat().st_size, os.fstat(disk).st_size)


def _until(guest: subprocess.Popen[bytes], word: str, deadline: float, said: str = "") -> tuple[str, str]:
    """Read what the guest says until a line says the word; return what came before that line and after.

    Raises: NoMachine where it ends first, or the time is over.
    """
    assert guest.stdout is not None
    begun = time.monotonic()
    with selectors.DefaultSelector() as ready:
        ready.register(guest.stdout, selectors.EVENT_READ)
        while True:
            before, found, after = said.partition(f"{word}\n")
            if found:
                return before, after
            left = deadline - time.monotonic()
            more = os.read(guest.stdout.fileno(), 4096) if left > 0 and ready.select(left) else b""
            if not more or len(said) > LARGEST:
                raise NoMachine(NOT_UP.format(seconds=time.monotonic() - begun, said=said.strip()[-300:] or "nothing"))
            said += more.decode("utf-8", "replace").replace("\r", "")


def taken(pid: int) -> int:
    """Return the bytes of memory that a process takes, what it shares counted in parts (PSS; proc(5))."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) << 10
    return 0
