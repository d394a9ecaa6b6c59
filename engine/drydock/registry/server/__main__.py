"""`python -m drydock.registry.server`: the registry in the foreground, or detached once it answers."""

from __future__ import annotations

import argparse
import errno
import os
import resource
import signal
import sys
from pathlib import Path

from drydock.registry.server import process
from drydock.registry.server.accounts import Accounts, BadAccounts
from drydock.registry.server.server import Server, listen, loopback
from drydock.registry.server.settings import HOST, PORT, PORTS
from drydock.registry.server.store import Store
from drydock.serving import resident

USUALLY = f"where it answers (default: where it did last, else {PORT} or the next free one; 0: any free one)"
FILES = 2048  # more than two for each connection
PORT_TAKEN = (
    "Port {port} of {host} is taken: another program answers there{which}.\n"
    "Try: drydock registry start --port {other}   or stop that program"
)
NO_ADDRESS = "It cannot listen on {host}, port {port}: {why}.\nTry: drydock registry start --host 127.0.0.1"
OPEN = (
    "Whoever reaches {host}:{port} can read and replace all images here: it asks for no password.\n"
    "Try: drydock registry password NAME --auth FILE   then   drydock registry start --host {host} --auth FILE"
)
PLAIN = (
    "Passwords and images travel unencrypted: use it in a room that you trust. On each other machine Docker must be "
    'told so: "insecure-registries": ["THIS-MACHINE:{port}"] in its daemon.json.'
)
HERE = "The registry answers at {address}. Ctrl-C stops it."
ALREADY = "A registry of {home} runs already{where}.\nTry: drydock registry status"


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop; return the exit code."""
    parser = argparse.ArgumentParser(prog="drydock registry run", description=__doc__)
    add_options(parser)
    parser.add_argument("--detach", action="store_true", help="go into the background once it answers")
    asked = parser.parse_args(arguments)
    home = asked.home.absolute() if asked.home else resident.home()
    if asked.detach:
        return resident.detached(lambda ready: run(home, asked.host, asked.port, asked.auth, ready))
    return run(home, asked.host, asked.port, asked.auth)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what says where a registry lives and answers."""
    parser.add_argument("--home", type=Path, help="where it keeps everything (default: $DRYDOCK_HOME)")
    parser.add_argument("--port", type=int, help=USUALLY)
    parser.add_argument("--host", default=HOST, help="on which address (default: this machine's own alone)")
    parser.add_argument("--auth", type=Path, metavar="FILE", help="names and passwords, as htpasswd -B writes them")


def run(home: Path, host: str, port: int | None, auth: Path | None, ready: int | None = None) -> int:
    """Serve in this process, at a free port where none is asked for; `ready` is a file that is told once it answers."""
    try:
        accounts = Accounts(auth.absolute()) if auth else None
        folder = home / process.NAME
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)  # what was pushed may be nobody else's business
        _many_files()
        with resident.claim(folder, process.NAME):
            store = Store(home)
            store.recover()
            with listen(host, process.ports(home) if port is None else [port], store, accounts) as server:
                serve(server, home, host, auth, ready)
            (folder / f"{process.NAME}.json").unlink(missing_ok=True)
    except resident.Taken:
        there = process.found(home)
        where = f" at {there.address}, process {there.pid}" if there else ""
        print(ALREADY.format(home=home, where=where), file=sys.stderr, flush=True)
        return 0 if ready is not None else 1
    except BadAccounts as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    except OSError as error:
        print(_explained(error, host, PORTS[-1] if port is None else port), file=sys.stderr, flush=True)
        return 1
    return 0


def serve(server: Server, home: Path, host: str, auth: Path | None, ready: int | None) -> None:
    """Answer until SIGTERM or SIGINT."""
    me = process.Found(os.getpid(), host, server.server_address[1], str(auth.absolute()) if auth else "")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, server.end)
    process.tell(home, me)
    if ready is not None:
        resident.let_go(ready, server.store.root / "log")
    else:
        print(HERE.format(address=me.address), flush=True)
        print("".join(f"{line}\n" for line in warnings(me)), end="", file=sys.stderr, flush=True)
    server.serve_forever()


def _many_files() -> None:
    """Let this process open a file and a socket for each connection: macOS allows 256 unless it is asked."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def warnings(registry: process.Found) -> list[str]:
    """Return what the owner of a registry that other machines reach should know."""
    if loopback(registry.host):
        return []
    open = [] if registry.auth else [OPEN.format(host=registry.host, port=registry.port)]
    return [*open, PLAIN.format(port=registry.port)]


def _explained(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        there = process.Found(0, host, port)
        which = ", a registry of another home" if process.answers(there) else ""
        return PORT_TAKEN.format(host=host, port=port, which=which, other=port + 1)
    if isinstance(error, OSError) and error.filename is None:
        return NO_ADDRESS.format(host=host, port=port, why=error.strerror or error)
    return f"{error.filename}: {error.strerror}"


if __name__ == "__main__":
    sys.exit(main())
