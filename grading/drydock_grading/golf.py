"""Cache golf: how many seconds a week of edits costs with a Dockerfile, by the classic builder's rule.

Nothing is built and no clock is read: the rule (`drydock.model.cache`) says which steps run again, and what a step
takes stands in a table, recorded on 25 November 2026 on two cores. So a Dockerfile has the same score everywhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape

from drydock.model.cache import DEPENDS, MISS, Plan, files_of
from drydock.model.dockerfile import Instruction, parse
from drydock.model.layer import shown
from drydock.model.lines import DockerfileError

from drydock_grading.artifact import Recipe
from drydock_grading.checks.cache import as_built, grows

SECONDS = {"install.py": 2.7, "index.py": 1.2, "selftest.py": 0.4}  # of a RUN, by the program that it runs
OTHER = 0.1  # s of a COPY, an ADD, or a RUN of anything else; a step that only sets something takes none
NEEDS = {  # what must be there, or have run, before a program runs
    "install.py": ("packages.txt",),
    "index.py": ("words.txt", "install.py has run"),
    "selftest.py": ("game.py", "index.py has run"),
}
WANTED = ("game.py", "Readme.txt", *(f"{program} has run" for program in SECONDS))  # of the image in the end
EDITS = {"Readme.txt": 10, "game.py": 40, "words.txt": 5, "packages.txt": 1}  # how often a week each is edited
PAR = 40.0  # s a week
NAMES = ("edit of", "a week", "seconds each", "steps run", "from line", "seconds a week")
RAN = re.compile(r"\bpython3?\s+(?:\./|/[\w/]+/)?(\w+\.py)\b")


@dataclass(frozen=True)
class Hole:
    """What one edit of a file costs: the steps that run again, and their seconds."""

    path: str
    edits: int
    seconds: float
    steps: int
    line: int = 0  # of the first step that runs again

    @property
    def week(self) -> float:
        """Return the seconds of a week's edits."""
        return round(self.edits * self.seconds, 1)


@dataclass(frozen=True)
class Round:
    """A Dockerfile's score over all holes; where it cannot work, `wrong` says why, and there are none."""

    holes: tuple[Hole, ...] = ()
    wrong: str = ""

    @property
    def week(self) -> float:
        """Return the seconds of a whole week: the fewer the better."""
        return round(sum(hole.week for hole in self.holes), 1)

    @property
    def worst(self) -> Hole:
        """Return the hole that costs most."""
        return max(self.holes, key=lambda hole: hole.week)

    def picture(self) -> str:
        """Return the score card as text.

        >>> print(Round((Hole("game.py", 40, 0.5, 2, 7),)).picture())
        edit of     a week   seconds each    steps run   from line   seconds a week
        game.py         40            0.5            2           7             20.0
        20 s a week; par is 40 s
        """
        if self.wrong:
            return f"No score: {self.wrong}"
        head = (
            f"{'edit of':<12}{'a week':>6}{'seconds each':>15}{'steps run':>13}{'from line':>12}{'seconds a week':>17}"
        )
        rows = [
            f"{h.path:<12}{h.edits:>6}{h.seconds:>15.1f}{h.steps:>13}{h.line:>12}{h.week:>17.1f}" for h in self.holes
        ]
        return "\n".join([head, *rows, f"{self.week:g} s a week; par is {PAR:g} s"])

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/plain": self.picture(), "text/html": self.html()}

    def html(self) -> str:
        """Return the score card as HTML."""
        if self.wrong:
            return f"<p><b>No score:</b> {escape(shown(self.wrong))}</p>"
        head = "".join(f"<th scope='col'>{name}</th>" for name in NAMES)
        rows = [(h.path, h.edits, f"{h.seconds:.1f}", h.steps, h.line or "none", f"{h.week:.1f}") for h in self.holes]
        body = "".join(
            f"<tr><th scope='row'>{row[0]}</th>{''.join(f'<td>{value}</td>' for value in row[1:])}</tr>" for row in rows
        )
        caption = f"{self.week:g} s a week; par is {PAR:g} s"
        return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def play(recipe: Recipe) -> Round:
    """Return what a week of edits costs with this Dockerfile in its folder, or why it cannot be told."""
    try:
        dockerfile = parse(recipe.text)
    except DockerfileError as error:
        return Round(wrong=f"the Dockerfile cannot be built. {str(error)[:200]}")
    if grows(dockerfile):
        return Round(wrong="it has variables made of variables without end.")
    missing = [path for path in EDITS if path not in recipe.context.by_path]
    if missing:
        return Round(wrong=f"{missing[0]} is not in the folder, or .dockerignore keeps it out of the build.")
    plan = as_built(dockerfile, recipe)
    return Round(wrong=wrong) if (wrong := _lacks(plan)) else Round(tuple(_hole(plan, *edit) for edit in EDITS.items()))


def _hole(plan: Plan, path: str, edits: int) -> Hole:
    after = plan.edited(files={path: b"one line more\n"})
    again = [
        instruction
        for instruction, foreseen in zip(plan.dockerfile.instructions, after.predictions, strict=True)
        if foreseen.verdict in (MISS, DEPENDS)  # what cannot be known before is counted as run
    ]
    seconds = round(sum(map(_seconds, again)), 1)
    return Hole(path, edits, seconds, len(again), again[0].lines[0] if again else 0)


def _seconds(instruction: Instruction) -> float:
    known = [SECONDS[program] for program in _programs(instruction) if program in SECONDS]
    return sum(known) or (OTHER if instruction.keyword in ("RUN", "COPY", "ADD") else 0)


def _programs(instruction: Instruction) -> list[str]:
    """Return the Python programs that a RUN runs, in their order.

    >>> _programs(parse('FROM a\\nRUN python3 install.py && python3 ./index.py').instructions[1])
    ['install.py', 'index.py']
    """
    said = " ".join(instruction.words) or instruction.arguments
    return RAN.findall(said) if instruction.keyword == "RUN" else []


def _lacks(plan: Plan) -> str:
    """Return why a build of this order cannot work, or makes no game; nothing where it can."""
    have: list[set[str]] = []
    for stage, steps in zip(plan.dockerfile.stages, plan.resolved, strict=True):
        start = plan.starts[stage.index]
        mine = set(have[start]) if isinstance(start, int) else set()
        for step in steps:
            for program in _programs(step.instruction):
                lacking = next((need for need in (program, *NEEDS.get(program, ())) if need not in mine), "")
                if lacking:
                    return f"line {step.instruction.lines[0]} runs {program}, and {_work(lacking)} is not there yet."
                mine.add(f"{program} has run")
            mine |= {file.path.rpartition("/")[2] for file in files_of(step)}
            mine |= have[step.source] if isinstance(step.source, int) else set()
        have.append(mine)
    absent = next((one for one in WANTED if one not in have[-1]), "")
    return f"in the image that comes out, {_work(absent)} is missing." if absent else ""


def _work(need: str) -> str:
    return need.replace(" has run", "'s work")
