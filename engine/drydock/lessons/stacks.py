"""Virtual machines and containers measured on this machine: how long until the first word, and what one more costs.

What is cited was measured by this very module, both kinds within the same five minutes on one machine: medians of 5, of
memory the VM's PSS, and the engine's count with the process that it keeps beside each container.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError

import drydock
from drydock.badge import executes
from drydock.client import called
from drydock.lessons import qemu
from drydock.lessons.own import LAB
from drydock.model.stacks import Figure, Stack, Stratum
from drydock.model.stacks import alike as comparable

RUNS = 5
COURSE = "measured for the course on 30 Nov 2026 on one machine, two cores of an AMD EPYC: {how}"
VM = COURSE.format(how="QEMU 7.2 without KVM, Debian 12's kernel 6.1 and busybox")
DOCKER = COURSE.format(how="Docker 20.10, median of 5")
CITED = {  # of each kind: start, memory, image, own
    "vm": [Figure(value, unit, "cited", VM) for value, unit in ((3.87, "s"), (208e6, "B"), (16.2e6, "B"), (0, "B"))],
    "container": [
        Figure(value, unit, "cited", DOCKER) for value, unit in ((0.407, "s"), (8.31e6, "B"), (1.98e6, "B"), (0, "B"))
    ],
}
BOTH_CITED = (
    "No {missing} was measured here, and figures of two machines are not to be compared. So both columns are cited, "
    "from one machine. What was measured here stands above."
)
ASIDE = "sets it up, then stands aside"
WATCHES = "PRoot looks at its system calls, since nothing else may fence it in"
ACCELERATORS = {
    "kvm": "the processor runs the guest itself (KVM)",
    "tcg": "no KVM here: each of its instructions is translated (TCG), which is slow",
}


def container(client: docker.DockerClient, image: str, lesson: str, runs: int = RUNS) -> Stack:
    """Return what a container of the image stands on, and what one more costs, measured with this engine.

    Where the engine executes nothing (rung D), the figures are those that the course measured elsewhere, marked so.
    """
    about, engine, size = client.info(), called(client), drydock.image(image, client).size
    watches = engine.endswith("rung C")
    strata = (
        Stratum("app", "sleep", "app"),
        Stratum("libraries", image, "image", size),
        Stratum("engine", f"{engine}: {WATCHES if watches else ASIDE}", "machine", passed=watches),
        Stratum("host kernel", f"Linux {about['KernelVersion']}", "machine"),
        Stratum("hardware", f"{about['Architecture']}, {about['NCPU']} processors", "machine"),
    )
    shared = Figure(size, "B", "measured", f"the image's files, {today()}")
    if not executes(client):
        start, memory, _, own = CITED["container"]
        return Stack("container", strata, start, memory, shared, own)
    seconds = statistics.median(_until_first_word(client, image, lesson) for _ in range(runs))
    more, counted, written = _one_more(client, image, lesson)
    return Stack(
        "container",
        strata,
        Figure(seconds, "s", "measured", f"median of {runs}, {engine}, {today()}"),
        Figure(more, "B", "measured", f"{counted}, {today()}"),
        shared,
        Figure(written, "B", "measured", f"what `docker ps --size` counts, {today()}"),
    )


def machine(boot: qemu.Boot | None = None) -> Stack:
    """Return what a program in a virtual machine stands on, and what one more costs.

    With what a boot on this machine showed, that is measured; without, it is cited, and every figure says from whom.
    """
    if boot is None:
        guest, files, hypervisor = "Linux 6.1", 2_000_000, "QEMU 7.2 without KVM, on the course's machine"
        start, memory, image, _ = CITED["vm"]
        kernel = 14_200_000
    else:
        guest, hypervisor = f"Linux {boot.release}", f"QEMU {qemu.version()}: {ACCELERATORS[boot.accelerator]}"
        files, kernel = boot.files, boot.kernel
        how = f"1 run, QEMU with {boot.accelerator.upper()}, {today()}"
        start = Figure(boot.seconds, "s", "measured", how)
        memory = Figure(boot.memory, "B", "measured", f"what its process takes (PSS), {how}")
        image = Figure(kernel + files, "B", "measured", f"its kernel and its files, {today()}")
    strata = (
        Stratum("app", "sleep", "app"),
        Stratum("libraries", "busybox", "image", files),
        Stratum("guest kernel", guest, "app", kernel),
        Stratum("hypervisor", hypervisor, "app"),
        Stratum("host kernel", f"{platform.system()} {platform.release()}", "machine"),
        Stratum("hardware", f"{platform.machine()}, {os.cpu_count()} processors", "machine"),
    )
    own = Figure(0, "B", "computed", "this small one keeps what it writes in its memory")
    return Stack("vm", strata, start, memory, image, own)


def alike(vm: Stack, container: Stack) -> tuple[Stack, Stack]:
    """Return both with figures that may be compared: all measured here, or all cited from one and the same machine."""
    if comparable(vm, container):
        return vm, container
    missing = "virtual machine" if vm.known == "cited" else "container"
    print(BOTH_CITED.format(missing=missing))
    both = []
    for one in (vm, container):
        start, memory, image, own = CITED[one.kind]
        both.append(replace(one, start=start, memory=memory, image=image, own=own))
    return both[0], both[1]


def booted(*commands: str) -> qemu.Boot | None:
    """Boot a small virtual machine, run the commands in it, print what they said, and return what it showed.

    Where none can be booted, why not is printed, with what to try, and None returned: its figures are then cited.
    """
    try:
        boot = qemu.boot(*commands)
    except qemu.NoMachine as why:
        print(why)
        return None
    print(boot.picture())
    return boot


def today() -> str:
    """Return the day as figures carry it."""
    return f"{date.today():%-d %b %Y}" if os.name != "nt" else f"{date.today()}"


@contextmanager
def started(client: docker.DockerClient, image: str, command: list[str], lesson: str, **more: Any) -> Any:
    """Give a container that runs the command, and remove it afterwards, whatever happens."""
    made = client.containers.create(image, command, labels={LAB: lesson}, **more)
    try:
        made.start()
        yield made
    finally:
        made.remove(force=True)


def _until_first_word(client: docker.DockerClient, image: str, lesson: str) -> float:
    """Return the seconds from the order to make a container until its program's first word is here."""
    begun = time.monotonic()
    with started(client, image, ["echo", "up"], lesson) as one:
        said = one.logs(stream=True, follow=True)
        next(said)
        seconds = time.monotonic() - begun
        for _ in said:  # to its end: docker-py leaves the connection of a stream that is closed early to chance
            pass
        return seconds


def _one_more(client: docker.DockerClient, image: str, lesson: str) -> tuple[int, str, int]:
    """Return a second container's memory, how that was counted, and its bytes on disk."""
    command = ["sleep", "60"]
    with started(client, image, command, lesson) as first, started(client, image, command, lesson) as one:
        memory = client.api.stats(one.id, stream=False, one_shot=True)["memory_stats"]
        detail = memory.get("stats") or {}
        used = memory.get("usage", 0) - detail.get("total_inactive_file", detail.get("inactive_file", 0))
        told = "the engine's count"
        parent = _parent(one)
        if parent and parent != _parent(first):  # each has a process of the engine's beside it
            try:
                used, told = used + qemu.taken(parent), "the engine's count and its own process beside each"
            except OSError:
                told += ", without its own process beside each, which only root may ask"
        rows = client.api.containers(all=True, size=True, filters={"id": one.id})
        return used, told, (rows[0].get("SizeRw") or 0) if rows else 0


def _parent(container: Any) -> int:
    """Return the parent of a container's first process, as the machine numbers them; 0 where that cannot be seen."""
    try:
        container.reload()
        process = Path(f"/proc/{container.attrs['State']['Pid']}")
        if b"sleep" not in (process / "cmdline").read_bytes():  # the engine is elsewhere: that number is another's here
            return 0
        return int((process / "status").read_text().partition("PPid:")[2].split()[0])
    except (OSError, ValueError, IndexError, KeyError, APIError):
        return 0
