"""`drydock registry start | run | status | stop | clean | password`: a registry for a lesson, a room, a machine."""

from __future__ import annotations

import argparse
import getpass
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from drydock.registry.server import __main__ as foreground
from drydock.registry.server import accounts, process
from drydock.registry.server.settings import HOST
from drydock.serving import resident

STARTED = (
    "{was} at {address}, process {pid}{locked}.\nTry: docker tag IMAGE {address}/IMAGE && docker push {address}/IMAGE"
)
LOGIN = "First: docker login {address}"
CONTAINER = (
    "The registry answers at {address}: a container in Docker Desktop, whose daemon reaches no other server here."
)
NONE = "No registry runs in {home}.\nTry: drydock registry start"
STOPPED = "The registry has stopped. What was pushed stays in {home}."
STOPPED_CONTAINER = "The registry's container has stopped. What was pushed stays in its volume."
WORDS = {
    "start": "start it in the background, or find it running",
    "run": "run it here, until Ctrl-C",
    "status": "say whether it runs, where, and what it has",
    "stop": "stop it; what was pushed stays",
    "clean": "remove the layers that no image needs any more",
    "password": "add somebody to a file of names and passwords, for --auth",
}
ODD_NAME = "{name!r} cannot be a name here: it is letters, digits, and . _ - @ between them."
NO_PASSWORD = (
    "No password was given, so nothing was written.\nTry it again; from a program: echo PASSWORD | drydock ..."
)
UNEQUAL = "The two passwords differ, so nothing was written. Try it again."
WRITTEN = "{name} may now use a registry that is started with: drydock registry start --auth {path}"


def main(words: Sequence[str]) -> int:
    """Run one of the commands and return its exit code."""
    asked = _parser().parse_args(list(words))
    home = asked.home.absolute() if asked.home else resident.home()
    try:
        if asked.verb == "run":
            return foreground.run(home, asked.host or HOST, asked.port, asked.auth)
        if asked.verb == "start":
            return start(home, asked.host, asked.port, asked.auth, own=asked.home is not None)
        if asked.verb == "clean":
            return clean(home)
        if asked.verb == "password":
            return password(asked.name, asked.auth or home / "registry" / "passwords")
        return stop(home) if asked.verb == "stop" else status(home)
    except (process.NotStarted, accounts.BadAccounts, RuntimeError) as error:
        print(error, file=sys.stderr)
    except OSError as error:
        print(f"{error.filename or home}: {error.strerror or error}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="drydock registry", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, help in WORDS.items():
        one = verbs.add_parser(verb, help=help)
        one.add_argument("--home", type=Path, help="where it keeps everything (default: $DRYDOCK_HOME)")
        if verb in ("start", "run"):
            one.add_argument("--port", type=int, help=foreground.USUALLY)
            one.add_argument("--host", help=f"on which address (default: {HOST}, for this machine alone)")
        if verb in ("start", "run", "password"):
            one.add_argument(
                "--auth", type=Path, metavar="FILE", help="names and passwords, as htpasswd -B writes them"
            )
        if verb == "password":
            one.add_argument("name", metavar="NAME", help="who; the password is asked for, or read from the input")
    return parser


def start(home: Path, host: str | None, port: int | None, auth: Path | None, own: bool = False) -> int:
    """Start the registry, or find it, and say how to use it."""
    before = process.found(home)
    if before is None and not own and host is None:
        from drydock import classroom

        with classroom.desktop() as client:
            if client is not None:
                print(CONTAINER.format(address=classroom.in_container(client, port, auth)))
                return 0
    found = process.start(home, host, port, auth.absolute() if auth else None)
    was = "The registry runs already" if before and before.pid == found.pid else "The registry answers"
    locked = f", with the passwords of {found.auth}" if found.auth else ""
    print(STARTED.format(was=was, address=found.address, pid=found.pid, locked=locked))
    if found.auth:
        print(LOGIN.format(address=found.address))
    for line in foreground.warnings(found):
        print(line, file=sys.stderr)
    return 0


def status(home: Path) -> int:
    """Say whether the registry runs and what it has; the exit code is 0 where it answers."""
    from drydock.registry.server.store import Store

    found = process.found(home)
    if found is None:
        return _container(home, stop=False)
    word = "answers" if process.answers(found) else "runs but does not answer"
    locked = f", with the passwords of {found.auth}" if found.auth else ""
    print(f"The registry {word} at {found.address}, process {found.pid}{locked}.\n{Store(home).picture()}")
    return 0 if word == "answers" else 1


def stop(home: Path) -> int:
    """Stop the registry and say so."""
    if not process.stop(home):
        return _container(home, stop=True)
    print(STOPPED.format(home=home / "registry"))
    return 0


def _container(home: Path, stop: bool) -> int:
    """Look for the registry that runs as a container, and stop it where that is asked."""
    from drydock import classroom

    with classroom.desktop() as client:
        there = classroom.container(client) if client is not None else None
        if client is None or there is None or there.status != "running":
            print(NONE.format(home=home))
            return 0 if stop else 1
        if stop:
            there.stop()
            print(STOPPED_CONTAINER)
        else:
            print(CONTAINER.format(address=classroom.in_container(client)))
    return 0


def clean(home: Path) -> int:
    """Remove what no image needs: at once where nobody can be pushing, else what nobody has asked for in a day."""
    from drydock.registry.server import clean
    from drydock.registry.server.store import Store

    folder = home / process.NAME
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if resident.held(folder):
        print(clean.clean(Store(home)).picture())
        return 0
    with resident.claim(folder, process.NAME):
        store = Store(home)
        store.recover()
        print(clean.clean(store, grace=0).picture())
    return 0


def password(name: str, path: Path) -> int:
    """Ask for a password and write it, hashed, into a file for `--auth`."""
    if not re.fullmatch(r"\w(?:[\w.@-]{0,62}\w)?", name):
        print(ODD_NAME.format(name=name), file=sys.stderr)
        return 1
    if sys.stdin.isatty():
        secret = getpass.getpass(f"Password for {name}: ")
        if secret and secret != getpass.getpass("Once more: "):
            print(UNEQUAL, file=sys.stderr)
            return 1
    else:
        secret = sys.stdin.readline().rstrip("\r\n")
    if not secret:
        print(NO_PASSWORD, file=sys.stderr)
        return 1
    path.parent.mkdir(parents=True, exist_ok=True)
    accounts.save(path, name, accounts.entry(secret))
    print(WRITTEN.format(name=name, path=path))
    return 0
