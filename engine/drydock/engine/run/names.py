"""What a container finds in /etc/hosts, /etc/hostname and /etc/resolv.conf, and its HOME.

Source: moby libnetwork/etchosts, daemon/container_operations_unix.go; runc libcontainer/init_linux.go (HOME).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from drydock.engine.run.spec import Mount

LOOPBACK = (
    ("127.0.0.1", "localhost"),
    ("::1", "localhost ip6-localhost ip6-loopback"),
    ("fe00::0", "ip6-localnet"),
    ("ff00::0", "ip6-mcastprefix"),
    ("ff02::1", "ip6-allnodes"),
    ("ff02::2", "ip6-allrouters"),
)
RESOLV_CONF = Path("/etc/resolv.conf")


def hosts(extra: Iterable[str], own: Iterable[tuple[str, str]] = ()) -> str:
    r"""Return /etc/hosts: loopback, then what `--add-host` gave ("name:address"), then the container's own names.

    >>> print(hosts(["db:10.0.0.7"], [("127.0.0.2", "web")]).splitlines()[-2:])
    ['10.0.0.7\tdb', '127.0.0.2\tweb']
    """
    added = [(address, name) for name, _, address in (one.partition(":") for one in extra)]
    return "".join(f"{address}\t{name}\n" for address, name in [*LOOPBACK, *added, *own])


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
    own: Iterable[tuple[str, str]] = (),
    resolv: str | None = None,
) -> list[Mount]:
    """Write the three files into the container's private folder and return how they are mounted."""
    texts = {"hosts": hosts(extra_hosts, own or [("127.0.0.1", hostname)]), "hostname": f"{hostname}\n"}
    texts["resolv.conf"] = resolv_conf() if resolv is None else resolv
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text)
    return [Mount(f"/etc/{name}", str(folder / name), own=True) for name in texts]


def with_home(env: Sequence[str], home: str) -> list[str]:
    """Return the environment with HOME, unless it is set.

    >>> with_home(["A=1"], "/root")
    ['A=1', 'HOME=/root']
    """
    return [*env] if any(one.startswith("HOME=") for one in env) else [*env, f"HOME={home}"]
