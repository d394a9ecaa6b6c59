"""A scenario: a few command lines and what they need, told once and run against every engine.

A file of `scenarios/` tells several:

    === name: the rule that it shows
    known: names of entries of differences.py, where there are any
    --- Dockerfile
    the lines of a file beside the command lines, and so on for each file; then
    ---
    `$`    a command line for sh, with `docker` in it; $PWD is the scenario's folder; `soon CONDITION` waits for it
    `>>>`  Python, with `client` a docker-py client and `api` its low-level half; `...` goes on, print() is the output,
           and names stay for the next such step
    `%`    a verb of `suite.verbs`: layers NAME, config NAME, history NAME, state NAME, pull NAME, push NAME

$REG and $CLOSED are registries that begin empty with each scenario (suite.published puts into $REG as `registry`); any
other line goes on with the one before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from suite.tars import TARS

MARKS = ("$ ", ">>> ", "% ")
FOLDER = Path(__file__).parent.parent / "scenarios"
AREAS = (
    "build_instructions build_layers build_cache build_context images archives "
    "containers life streams files volumes networks system registries"
)


@dataclass(frozen=True)
class Step:
    """One line of a scenario: what runs it, and its text."""

    mark: str
    text: str

    def __str__(self) -> str:
        follow = "... " if self.mark == ">>>" else ""
        return f"{self.mark} " + ("\n" + follow).join(self.text.split("\n"))


@dataclass(frozen=True)
class Scenario:
    """A name, what it shows, its steps, the files around them, and the known differences that apply to it."""

    name: str
    rule: str
    steps: tuple[Step, ...]
    files: dict[str, str | bytes] = field(default_factory=dict)
    known: tuple[str, ...] = ()

    @property
    def registries(self) -> tuple[str, ...]:
        """The registries that it needs: $REG, open to all, and $CLOSED, which wants $ACCOUNT and $PASSWORD."""
        return tuple(word for word in ("$REG", "$CLOSED") if any(word in step.text for step in self.steps))


def steps(text: str) -> tuple[Step, ...]:
    r"""Return the steps of a scenario's text.

    >>> [str(s) for s in steps("$ docker ps\n>>> if True:\n...     print(1)\n% state x")]
    ['$ docker ps', '>>> if True:\n...     print(1)', '% state x']
    """
    found: list[Step] = []
    for line in text.strip("\n").split("\n"):
        mark = next((mark for mark in MARKS if line.startswith(mark)), None)
        if mark:
            found.append(Step(mark.strip(), line.removeprefix(mark)))
        else:
            more = line.removeprefix("... ") if found[-1].mark == ">>>" else line
            found[-1] = Step(found[-1].mark, f"{found[-1].text}\n{more}")
    return tuple(found)


def parse(text: str) -> tuple[Scenario, ...]:
    r"""Return the scenarios of a file.

    >>> one, = parse("# An area.\n\n=== a: Rule.\n--- Dockerfile\nFROM x\n---\n$ docker build .\n")
    >>> one.name, one.rule, one.files, one.steps
    ('a', 'Rule.', {'Dockerfile': 'FROM x\n'}, (Step(mark='$', text='docker build .'),))
    """
    return tuple(_scenario(part) for part in re.split(r"^=== ", text, flags=re.MULTILINE)[1:])


def _scenario(text: str) -> Scenario:
    head, _, rest = text.strip("\n").partition("\n")
    name, _, rule = head.partition(": ")
    known: tuple[str, ...] = ()
    if rest.startswith("known: "):
        line, _, rest = rest.partition("\n")
        known = tuple(line.removeprefix("known: ").split(", "))
    files: dict[str, str | bytes] = {}
    if rest.startswith("--- "):
        told, _, rest = rest.partition("\n---\n")
        for part in re.split(r"^--- ", told + "\n", flags=re.MULTILINE)[1:]:
            path, _, body = part.partition("\n")
            made = path.removesuffix(" is made by suite.tars")
            files[made] = body if made == path else TARS[f"{name}/{made}"]
    return Scenario(name, rule, steps(rest), files, known)


SCENARIOS = tuple(one for area in AREAS.split() for one in parse((FOLDER / f"{area}.txt").read_text(encoding="utf-8")))
