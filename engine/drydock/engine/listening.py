"""Where a container's programs listen: which address has their port, as the kernel's own tables say.

Containers share the machine's network, so somebody else may have the same port: only a socket that is open in one of
the container's processes counts.

Source: man 5 proc (/proc/PID/net/tcp, /proc/PID/fd); linux/net/tcp_states.h.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

STATES = {"tcp": "0A", "udp": "07"}  # TCP_LISTEN; a datagram socket without a peer is TCP_CLOSE
ANY = ("0.0.0.0", "::")


def at(pids: Iterable[int], protocol: str, port: int) -> str | None:
    """Return the address at which one of the processes listens on a port: every address before a single one."""
    found: dict[str, str] = {}
    processes = list(pids)
    for name in (protocol, f"{protocol}6"):
        with suppress(OSError, IndexError):  # nothing runs yet, or any more
            found |= sockets(Path(f"/proc/{processes[0]}/net/{name}").read_text(), STATES[protocol], port)
    if not found:
        return None
    mine = {found[inode] for pid in processes for inode in _open(pid) if inode in found}
    return next((any for any in ANY if any in mine), min(mine, default=None))


def sockets(table: str, state: str, port: int) -> dict[str, str]:
    """Return the sockets of a table in one state and on one port: inode and address.

    >>> rows = "head\\n 0: 0200117F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000 0 4711 1"
    >>> sockets(rows, "0A", 8080)
    {'4711': '127.17.0.2'}
    """
    rows = (line.split() for line in table.splitlines()[1:])
    wanted = f"{port:04X}"
    return {row[9]: _address(row[1][:-5]) for row in rows if row[3] == state and row[1][-4:] == wanted}


def _address(hexadecimal: str) -> str:
    """Return an address that the kernel shows as words in the machine's own order of bytes (here: x86, arm)."""
    packed = bytes.fromhex(hexadecimal)
    words = [packed[n : n + 4][::-1] for n in range(0, len(packed), 4)]
    return str(ipaddress.ip_address(b"".join(words)))


def _open(pid: int) -> Iterator[str]:
    with suppress(OSError):  # it has ended
        for one in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                target = str(one.readlink())
                if target.startswith("socket:["):
                    yield target[8:-1]


def machines() -> list[str]:
    """Return the machine's own IPv4 addresses but for most of 127.0.0.0/8, which needs no table."""
    return own(Path("/proc/net/fib_trie").read_text())


def own(trie: str) -> list[str]:
    """Return the local addresses of a routing table.

    >>> own("  |-- 10.0.0.0\\n  /8 link UNICAST\\n  |-- 10.0.0.5\\n  /32 host LOCAL")
    ['10.0.0.5']
    """
    lines = [line.split() for line in trie.splitlines()]
    return list(dict.fromkeys(one[-1] for one, below in pairwise(lines) if below[:3] == ["/32", "host", "LOCAL"]))
