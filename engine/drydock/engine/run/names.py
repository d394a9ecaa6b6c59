"""What a container finds in /etc/hosts, /etc/hostname and /etc/resolv.conf, and its HOME.

Source: moby libnetwork/etchosts, daemon/container_operations_unix.go; runc libcontainer/init_linux.go (HOME).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from drydock.engine.run.spec import Mount, Plug

LOOPBACK = (
    ("127.0.0.1", "localhost"),
    ("::1", "localhost ip6-localhost ip6-loopback"),
    ("fe00::0", "ip6-localnet"),
    ("ff00::0", "ip6-mcastprefix"),
    ("ff02::1", "ip6-allnodes"),
    ("ff02::2", "ip6-allrouters"),
)
RESOLV_CONF = Path("/etc/resolv.conf")
HOSTS = Path("/etc/hosts")
LONGEST = 1 << 20  # bytes of an /etc/hosts that are read when it is changed: a program may have written anything

Line = tuple[str, str]  # an address, and its names


@dataclass(frozen=True)
class Place:
    """What a container that starts gets of the network: where it is, and whom it knows."""

    mode: str = "host"  # "none": a network of its own with nothing in it; "apart": with plugs; else the machine's
    address: str = ""
    known: tuple[Line, ...] = ()  # the others, for /etc/hosts
    env: tuple[str, ...] = ()  # what a link tells
    folder: Path | None = None  # of the container whose network it shares, and with it these three files
    hostname: str = ""  # that container's
    machine: bool = False  # --network host: the machine's own /etc/hosts
    plugs: tuple[Plug, ...] = ()
    switch: int = 0
    shares: int = 0  # the process whose network, apart from the machine's, it shares
    shares_as: tuple[int, int] = (0, 0)  # that process's user and group


def hosts(extra: Iterable[str], own: Iterable[Line] = ()) -> str:
    r"""Return /etc/hosts: loopback, then what `--add-host` gave ("name:address"), then the container's own names.

    >>> print(hosts(["db:10.0.0.7"], [("127.0.0.2", "web")]).splitlines()[-2:])
    ['10.0.0.7\tdb', '127.0.0.2\tweb']
    """
    added = [(address, name) for name, _, address in (one.partition(":") for one in extra)]
    return _text([*LOOPBACK, *added, *own])


def _text(lines: Iterable[Line]) -> str:
    return "".join(f"{address}\t{names}\n" for address, names in lines)


def own_names(hostname: str, domain: str = "") -> str:
    """Return a container's names for itself: the whole one, then the part before the first dot.

    >>> own_names("box.example.org"), own_names("box"), own_names("box", "example.org")
    ('box.example.org box', 'box', 'box.example.org box')
    """
    whole = f"{hostname}.{domain}" if domain else hostname
    short = whole.partition(".")[0]
    return whole if short == whole else f"{whole} {short}"


def rewrite(path: Path, gone: Iterable[Line], come: Iterable[Line]) -> None:
    """Take lines out of a container's /etc/hosts and add others, in place: the same file is mounted in the container.

    What the container's own programs wrote there stays. Raises: OSError, also where they put something else there.
    """
    file = _opened(path, os.O_RDWR)
    try:
        lines = os.pread(file, LONGEST, 0).splitlines(keepends=True)
        old = {_text([one]).encode()[:-1] for one in gone}
        for number in [n for n, line in enumerate(lines) if line.rstrip(b" \n") in old]:
            lines[number] = _put(file, lines, number, FREE)
        for line in come:
            _add(file, lines, _text([line]).encode()[:-1])
        while lines and lines[-1].startswith(FREE) and not lines[-1].strip(b"# \n"):
            lines.pop()
        os.ftruncate(file, len(b"".join(lines)))
    finally:
        os.close(file)


def contents(folder: Path) -> dict[str, bytes]:
    """Return what stands in the three files of a private folder now, by where they are mounted."""
    found = {}
    for one in mounted(folder):
        with suppress(OSError):  # it was never started, or a program put something else in the file's place
            found[one.target] = _plain(Path(one.source))
    return found


def _plain(path: Path) -> bytes:
    file = _opened(path, os.O_RDONLY)
    try:
        return os.pread(file, LONGEST, 0)
    finally:
        os.close(file)


def _opened(path: Path, how: int) -> int:
    """Open a file that a container's programs can change: on rung C they can put a link in its place.

    It must not lead the engine to a file of the user's. Raises: OSError.
    """
    file = os.open(path, how | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        os.close(file)
        raise FileExistsError(f"{path.name} is no plain file any more")
    return file


FREE = b"#"  # the beginning of a line, blank otherwise, that may be used again


def _put(file: int, lines: Sequence[bytes], number: int, text: bytes) -> bytes:
    """Write a line over another one that is as long; who reads meanwhile sees a comment, and never half a line."""
    start = sum(map(len, lines[:number]))
    line = text.ljust(len(lines[number]) - 1) + b"\n"
    os.pwrite(file, FREE, start)
    os.pwrite(file, line[1:], start + 1)
    os.pwrite(file, line[:1], start)
    return line


def _add(file: int, lines: list[bytes], text: bytes) -> None:
    """Write a line into the first free one that is long enough, else at the end."""
    for number, line in enumerate(lines):
        if line.startswith(FREE) and not line.strip(b"# \n") and len(line) > len(text):
            lines[number] = _put(file, lines, number, text)
            return
    end = len(b"".join(lines))
    lead = b"\n" if lines and not lines[-1].endswith(b"\n") else b""
    os.pwrite(file, lead + text + b"\n", end)
    lines.append(lead + text + b"\n")


def resolv_conf(
    servers: Sequence[str] = (), search: Sequence[str] = (), options: Sequence[str] = (), base: Path = RESOLV_CONF
) -> str:
    """Return /etc/resolv.conf: the host's, with what `--dns`, `--dns-search` and `--dns-option` replace."""
    text = base.read_text(errors="replace") if base.exists() else ""
    if not (servers or search or options):
        return text
    rows = [line.split() for line in text.splitlines() if line.split()]
    servers = servers or [row[1] for row in rows if row[0] == "nameserver" and len(row) > 1]
    search = search or [word for row in rows if row[0] == "search" for word in row[1:]]
    options = options or [word for row in rows if row[0] == "options" for word in row[1:]]
    lines = [f"search {' '.join(search)}"] if search and list(search) != ["."] else []
    lines += [f"nameserver {one}" for one in servers]
    lines += [f"options {' '.join(options)}"] if options else []
    return "".join(f"{line}\n" for line in lines)


def files(
    folder: Path,
    hostname: str,
    extra_hosts: Iterable[str] = (),
    own: Iterable[Line] = (),
    resolv: str | None = None,
) -> list[Mount]:
    """Write the three files into the container's private folder and return how they are mounted."""
    texts = {"hosts": hosts(extra_hosts, own), "hostname": f"{hostname}\n"}
    texts["resolv.conf"] = resolv_conf() if resolv is None else resolv
    return written(folder, texts)


def written(folder: Path, texts: Mapping[str, str]) -> list[Mount]:
    """Write files for /etc into the container's private folder and return how they are mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).unlink(missing_ok=True)  # never through a link that a program left there
        (folder / name).write_text(text)
    return mounted(folder)


def mounted(folder: Path) -> list[Mount]:
    """Return how the three files of a private folder are mounted."""
    return [Mount(f"/etc/{name}", str(folder / name), own=True) for name in ("hosts", "hostname", "resolv.conf")]


def with_home(env: Sequence[str], home: str) -> list[str]:
    """Return the environment with HOME, unless it is set.

    >>> with_home(["A=1"], "/root")
    ['A=1', 'HOME=/root']
    """
    return [*env] if any(one.startswith("HOME=") for one in env) else [*env, f"HOME={home}"]
