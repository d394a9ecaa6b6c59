"""The command line: `drydock doctor`, `engine`, `registry`, `images`, `progress`, `clean`.

`drydock engine` is looked after by the engine's own modules: they start in a tenth of the time that docker-py needs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from drydock.cli import engine

REGISTRY = "start, stop or look at the kit's own registry, to push to and to pull from"
PROGRESS = "how far you are; carry it to another machine, or begin anew"
ENGINE = "start, stop or look at the kit's own engine, which needs no Docker and no root"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 all is well, 1 something is not."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["engine"]:
        return engine.main(words[1:])
    if words[:1] == ["registry"]:
        from drydock.cli import registry

        return registry.main(words[1:])
    if words[:1] == ["progress"]:
        from drydock.cli import progress

        return progress.main(words[1:])
    return _others(words)


def _others(words: list[str]) -> int:
    """Run a command that talks to an engine through docker-py."""
    from contextlib import closing
    from importlib.metadata import version

    from docker.errors import DockerException
    from requests.exceptions import RequestException

    from drydock.cli import clean, doctor
    from drydock.client import EngineUnavailable, connect
    from drydock.lessons import command

    parser = argparse.ArgumentParser(prog="drydock", description="Containers, hands on.")
    parser.add_argument("--version", action="version", version=f"drydock {version('drydock')}")
    commands = parser.add_subparsers(dest="command", required=True)
    examining = commands.add_parser("doctor", help="say which engine answers and what of the course works here")
    examining.add_argument("--json", action="store_true", help="as JSON, for programs")
    commands.add_parser("engine", help=ENGINE, add_help=False)
    commands.add_parser("registry", help=REGISTRY, add_help=False)
    commands.add_parser("progress", help=PROGRESS, add_help=False)
    cleaning = commands.add_parser("clean", help=f"list, then remove, what carries the label {clean.LAB}")
    cleaning.add_argument("--yes", action="store_true", help="remove without asking")
    command.add(commands)
    asked = parser.parse_args(words)
    if asked.command == "images":
        return command.run(asked)
    if asked.command == "doctor":
        return doctor.run(asked.json)
    try:
        with closing(connect()) as client:
            return clean.clean(client, asked.yes)
    except (EngineUnavailable, DockerException, RequestException) as error:
        print(error, file=sys.stderr)
        return 1
