"""What a program sees of its machine: with everything shared, and with one wall after the other put up.

Sources: namespaces(7), cgroups(7), proc(5) (NSpid); docker run's --pid, --network, --uts, --ipc, --memory.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, NotFound

from drydock.badge import NOT_STARTED, executes
from drydock.lessons.containers import ASLEEP, GONE, NoContainer
from drydock.lessons.own import LAB
from drydock.model.layer import shown

SHARED = {"pid_mode": "host", "network_mode": "host", "uts_mode": "host", "ipc_mode": "host"}
SPACES = ("pid", "net", "uts", "ipc", "mnt", "user")
LOOK = """echo $$
ls -d /proc/[0-9]* | wc -l
uname -n
uname -r
sed -n 's/^ *\\([^:|]*\\):.*/\\1/p' /proc/net/dev | tr '\\n' ' '; echo
sed -n 's/^PRETTY_NAME="*\\([^"]*\\)"*/\\1/p' /etc/os-release
ls -l /proc/self/ns | sed -n 's/.* \\([a-z]*\\) -> \\(.*\\)/\\1 \\2/p'"""
HEAD = ("", "files of", "processes", "own number", "network", "host name", "kernel")
WIDEST = 22  # characters of a word in the table
FEW = 8  # processes of a lesson's container
# containerd watches for "out of memory" only after the start, and an end may overtake the news of it (its issue 8180)
FILL = "sleep 0.5; exec dd if=/dev/zero of=/dev/null count=1 bs={size}M"
TRIES, KILL = 3, 137
WHOLE = "{size} MB in one piece, {limit}: it got all of them (exit code 0)."
KILLED = "{size} MB in one piece, {limit}: killed at once (exit code {code}, OOMKilled: {oom})."
REFUSED = (
    "{size} MB in one piece, {limit}: refused, and not killed (exit code {code}). The program's last words: {said}"
)


@dataclass(frozen=True)
class View:
    """What one process sees."""

    label: str
    files: str  # the name of the distribution whose files it finds
    processes: int
    number: int  # its own PID, as it sees it
    network: tuple[str, ...]
    host: str
    kernel: str
    spaces: Mapping[str, str]  # its namespaces: two processes with the same number in one share it

    def row(self, below: View | None = None) -> tuple[str, ...]:
        """Return the view as words; `*` stands where it has a namespace of its own, and the one below had none."""

        def own(space: str) -> str:
            return "* " if below and self.spaces.get(space) != below.spaces.get(space) else ""

        network = ", ".join(self.network[:3]) + (", ..." if len(self.network) > 3 else "")
        return (
            self.label,
            self.files,
            f"{own('pid')}{self.processes}",
            str(self.number),
            f"{own('net')}{network}",
            f"{own('uts')}{self.host}",
            self.kernel,
        )


@dataclass(frozen=True)
class Views:
    """Several views below one another; `*` marks a wall that the first of them does not have."""

    all: tuple[View, ...]

    def picture(self) -> str:
        """Draw the views as a table of text.

        >>> print(Views((View("a", "Debian", 9, 7, ("lo",), "box", "6.1", {}),)).picture())
           files of  processes  own number  network  host name  kernel
        a  Debian    9          7           lo       box        6.1
        """
        first = self.all[0] if self.all else None
        rows = [HEAD, *(tuple(_short(shown(word)) for word in view.row(first)) for view in self.all)]
        wide = [max(len(row[n]) for row in rows) for n in range(len(HEAD))]
        return "\n".join("  ".join(f"{w:{wide[n]}}" for n, w in enumerate(row)).rstrip() for row in rows)

    def __repr__(self) -> str:
        return self.picture()


def here() -> View:
    """Return what this very process sees: the notebook's."""
    if not Path("/proc/self/ns").exists():
        return View("this notebook", platform.platform(), 0, os.getpid(), (), platform.node(), platform.release(), {})
    network = tuple(line.partition(":")[0].strip() for line in _text("/proc/net/dev").splitlines()[2:])
    files = [line.partition("=")[2].strip('"') for line in _text("/etc/os-release").splitlines() if "PRETTY" in line]
    count = sum(name.isdigit() for name in os.listdir("/proc"))  # noqa: PTH208
    spaces = {name: os.readlink(f"/proc/self/ns/{name}") for name in SPACES if _there(name)}  # noqa: PTH115
    number = os.getpid()
    return View("this notebook", "".join(files), count, number, network, platform.node(), platform.release(), spaces)


def inside(client: docker.DockerClient, image: str, label: str, lesson: str, **switches: Any) -> View:
    """Return what a container's process sees, with these of `docker run`'s options. Raises: NoContainer."""
    one = client.containers.create(image, ["sh", "-c", LOOK], labels={LAB: lesson}, **switches)
    try:
        one.start()
        one.wait()
        said = one.logs(stderr=False).decode("utf-8", "replace").splitlines()
    finally:
        one.remove(force=True)
    number, count, host, kernel, network, *rest = [*said, *[""] * 6][: max(6, len(said))]
    files = rest[0] if rest and "[" not in rest[0] else ""
    spaces = dict(line.split() for line in said if line.count(" ") == 1 and "[" in line)
    return View(label, files, _int(count), _int(number), tuple(network.split()), host, kernel, spaces)


def ladder(client: docker.DockerClient, image: str, lesson: str) -> Views:
    """Return what a process sees as one wall after the other is put up, from none to an ordinary container's all.

    Where the engine executes nothing, that is said, and there is only the notebook's own view.
    """
    found = [here()]
    if not executes(client):
        print(NOT_STARTED)
        return Views(tuple(found))
    switches = dict(SHARED)
    steps = (
        ("+ layers", ""),
        ("+ pid, ipc", "pid_mode ipc_mode"),
        ("+ network", "network_mode"),
        ("+ uts", "uts_mode"),
    )
    for label, wall in steps:
        for name in wall.split():
            del switches[name]
        found.append(inside(client, image, label, lesson, **switches))
    return Views(tuple(found))


def fill(client: docker.DockerClient, image: str, lesson: str, size: int = 100, limit: int = 0) -> str:
    """Let a container's program ask for so many MB in one piece, within a limit in MB or none; say what came of it.

    What the engine warns of is said as well: one without cgroups keeps a limit in another way than Docker.
    """
    if not executes(client):
        return NOT_STARTED
    for _ in range(TRIES):
        code, oom, said, warned = _filled(client, image, lesson, size, limit)
        if oom or code != KILL:
            break
    words = {0: WHOLE, KILL: KILLED}.get(code, REFUSED)
    told = f"with a limit of {limit} MB" if limit else "without a limit"
    return "\n".join([words.format(size=size, limit=told, code=code, oom=oom, said=said), *warned])


def _filled(
    client: docker.DockerClient, image: str, lesson: str, size: int, limit: int
) -> tuple[int, bool, str, list[str]]:
    """Return the program's exit code, whether its memory was why it was killed, its last words, and all warnings."""
    command = ["sh", "-c", FILL.format(size=size)]
    most = f"{limit}m" if limit else None
    host = client.api.create_host_config(mem_limit=most, memswap_limit=most)
    made = client.api.create_container(image, command, labels={LAB: lesson}, host_config=host)
    one = client.containers.get(made["Id"])
    try:
        one.start()
        code = one.wait()["StatusCode"]
        one.reload()
        lines = one.logs(stdout=False).decode("utf-8", "replace").strip().splitlines()
        warned = [f"The engine warns: {shown(line)}." for line in made.get("Warnings") or ()]
        return code, one.attrs["State"]["OOMKilled"], shown(lines[-1]) if lines else "none", warned
    finally:
        one.remove(force=True)


def sides(container: Any) -> str:
    """Return one process from both sides: as its container numbers it, and as the machine does. Raises: NoContainer."""
    if not executes(container.client):
        return NOT_STARTED
    try:
        container.reload()
        pid = container.attrs["State"]["Pid"]
        if not pid:
            raise NoContainer(ASLEEP.format(name=container.name, state=container.status))
        inner = container.exec_run(["ps"]).output.decode("utf-8", "replace")
    except NotFound:
        raise NoContainer(GONE.format(name=container.name)) from None
    except APIError as error:
        inner = str(error.explanation)
    status = _text(f"/proc/{pid}/status")
    command = _text(f"/proc/{pid}/cmdline").replace("\0", " ").strip()
    lines = inner.splitlines()
    if len(lines) > FEW:  # it sees the machine's processes, which are nobody's business here
        lines = [*(line for line in lines if command and command in line), f"and {len(lines)} lines: the machine's all"]
    rows = ["inside the container, `ps` says:", *(f"  {shown(line)[:90]}" for line in lines)]
    numbers = status.partition("NSpid:")[2].partition("\n")[0].split()
    if not numbers or command not in inner:  # that number is another process here, or none
        return "\n".join(
            [*rows, f"outside, its engine calls it {pid}; the engine is on another machine than this notebook."]
        )
    rows += [f"outside, this notebook finds in /proc/{pid}:", f"  {pid:5}  {shown(command)[:60]}"]
    if len(numbers) > 1:
        rows.append(f"one process with two numbers: {' outside, '.join([numbers[0], numbers[-1]])} inside")
    else:
        rows.append("one process with one number: on this rung nothing gives it another")
    return "\n".join(rows)


def _short(text: str) -> str:
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"


def _there(space: str) -> bool:
    return os.path.lexists(f"/proc/self/ns/{space}")


def _text(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", "replace")
    except OSError:
        return ""


def _int(text: str) -> int:
    return int(text) if text.strip().isdigit() else 0
