"""`drydock engine start | run | status | stop`: the kit's own engine as a process."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from drydock.docker_host import export, variables
from drydock.engine import process

STARTED = "{was} at {url}, process {pid}.\nTry: {export}"
NONE = "No engine runs in {home}.\nTry: drydock engine start"
STOPPED = "The engine has stopped, and all that ran in it.\nTo use it again: drydock engine start"


def main(words: Sequence[str]) -> int:
    """Run one of the four commands and return its exit code."""
    asked = _parser().parse_args(list(words))
    home = asked.home.absolute() if asked.home else process.home()
    if asked.verb == "run":
        from drydock.engine.__main__ import run

        return run(home, asked.rung, asked.socket)
    try:
        if asked.verb == "start":
            return start(home, asked.socket, asked.rung)
        return stop(home) if asked.verb == "stop" else status(home)
    except process.NotStarted as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="drydock engine", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    words = {
        "start": "start it in the background, or find it running",
        "run": "run it here, until Ctrl-C",
        "status": "say whether it runs, and where it answers",
        "stop": "stop it, and all that runs in it",
    }
    for verb, help in words.items():
        one = verbs.add_parser(verb, help=help)
        one.add_argument("--home", type=Path, help="where it keeps everything (default: $DRYDOCK_HOME)")
        if verb in ("start", "run"):
            rung = os.environ.get("DRYDOCK_RUNG") or None
            one.add_argument("--socket", type=Path, help="where it answers (default: HOME/engine/docker.sock)")
            one.add_argument("--rung", choices=process.RUNGS, type=str.upper, default=rung, help="how programs are run")
    return parser


def start(home: Path, where: Path | None, rung: str | None) -> int:
    """Start the engine, or find it, and say how to reach it."""
    before = process.found(home)
    found = process.start(home, where, rung)
    was = "The engine runs already" if before and before.pid == found.pid else "The engine answers"
    print(STARTED.format(was=was, url=found.url, pid=found.pid, export=export(variables(found.url))))
    return 0


def status(home: Path) -> int:
    """Say whether the engine runs; the exit code is 0 where it does."""
    found = process.found(home)
    if found is None:
        print(NONE.format(home=home))
        return 1
    word = "answers" if process.answers(found.socket) else "runs but does not answer"
    print(f"The engine {word} at {found.url}, process {found.pid}.\nTry: drydock doctor")
    return 0 if word == "answers" else 1


def stop(home: Path) -> int:
    """Stop the engine and say so."""
    print(STOPPED if process.stop(home) else NONE.format(home=home))
    return 0
