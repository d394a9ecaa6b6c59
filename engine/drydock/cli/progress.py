"""`drydock progress show | export | import | reset`: how far you are, and how to carry it from machine to machine."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from drydock import record
from drydock.record.learners import OddName
from drydock.record.travel import BadProgress

ASKING = "This sets your answers, {count} in all, back to none, and keeps a copy beside. Go on? [y/N] "
UNASKED = "Nothing was reset: there is nobody here to ask.\nTry: drydock progress reset --yes"
KEPT = "Nothing was reset."


def main(words: Sequence[str]) -> int:
    """Run one of the commands and return its exit code."""
    asked = _parser().parse_args(list(words) or ["show"])
    try:
        if asked.verb == "reset":
            return reset(asked.yes)
        print(_said(asked))
    except (BadProgress, OddName) as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename or 'The record'}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="drydock progress", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("show", help="of each part of the course, what you answered, and what right the first time")
    exporting = verbs.add_parser("export", help="write your answers to one file")
    importing = verbs.add_parser("import", help="add the answers of such a file to yours; nothing is replaced")
    for one in (exporting, importing):
        one.add_argument("file", type=Path, metavar="FILE")
    resetting = verbs.add_parser("reset", help="begin anew; a copy of your answers is kept")
    resetting.add_argument("--yes", action="store_true", help="without asking")
    return parser


def _said(asked: argparse.Namespace) -> str:
    if asked.verb == "show":
        return record.progress().picture()
    return record.export(asked.file) if asked.verb == "export" else record.take_in(asked.file)


def reset(yes: bool) -> int:
    """Ask, then reset; the exit code is 0 where that was done, or nothing was to do."""
    count = len(record.predictions())
    if count and not yes:
        if not sys.stdin.isatty():
            print(UNASKED)
            return 1
        if input(ASKING.format(count=count)).strip().lower() not in ("y", "yes"):
            print(KEPT)
            return 1
    print(record.reset())
    return 0
