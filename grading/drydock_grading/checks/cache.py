"""Is the Dockerfile in an order that the cache rewards? The model's own rule says what an edit re-runs."""

from __future__ import annotations

import re
from dataclasses import replace

from drydock.model.cache import HIT, Known, Made, Plan, key_of
from drydock.model.dockerfile import Dockerfile, Instruction, parse
from drydock.model.layer import shown
from drydock.model.lines import DockerfileError
from drydock.model.resolve import Base, bases
from drydock.model.rule_classic import asked

from drydock_grading.artifact import Recipe
from drydock_grading.checks.case import Case, Judge
from drydock_grading.result import CheckResult, full, none, part

FILES = ("RUN", "COPY", "ADD")


def ordered(most: float, path: str, edited: str, slow: str, lesser: str = "") -> Judge:
    """Return the check that an edit of the file `edited` does not re-run the step that runs `slow`.

    An order that is right for an edit of `lesser` only earns a third. The Dockerfile must be the one that the image
    was built from: its steps are compared with the image's history, its files with those in the image.
    """

    def judge(case: Case) -> CheckResult:
        recipe = case.artifact.about.recipes.get(path)
        if recipe is None:
            why = case.artifact.no_about or f"{path} was not handed in with the image."
            return none(most, why, "", "Which Dockerfiles does the cell that packs name?")
        try:
            dockerfile = parse(recipe.text)
        except DockerfileError as error:
            return none(most, f"{path} cannot be built. {shown(str(error))[:200]}")
        if grows(dockerfile):
            return none(most, f"{path} has variables made of variables without end.")
        if not built_from(case, dockerfile) or not same_file(case, recipe, edited):
            why = f"The image was not built from {path} as it is now: its history or its files tell of other steps."
            return none(most, why, "image-runs", "What has to happen after an edit of a Dockerfile?")
        if edited not in recipe.context.by_path:
            return none(most, f"{edited} is not in the folder of {path}.")
        return _judged(most, recipe, dockerfile, edited, slow, lesser)

    return judge


def _judged(most: float, recipe: Recipe, dockerfile: Dockerfile, edited: str, slow: str, lesser: str) -> CheckResult:
    plan = as_built(dockerfile, recipe)
    if all(slow not in i.text for i in dockerfile.instructions if i.keyword == "RUN"):
        return none(most, f"No step runs {slow}, so nothing is there to be kept in the cache.", "order-is-free")
    line = rerun(plan, edited, slow)
    if not line:
        return full(most, f"After an edit of {edited} the step that runs {slow} comes from the cache.")
    why = f"After an edit of {edited} the step in line {line}, which runs {slow}, runs again."
    hint = f"Which step is the first to see {edited}, and what stands below it?"
    if lesser and not rerun(plan, lesser, slow):
        return part(most / 3, most, why, "order-is-free", hint)
    return none(most, why, "order-is-free", hint)


def as_built(dockerfile: Dockerfile, recipe: Recipe) -> Plan:
    """Return the plan of a Dockerfile in a folder on an engine that has just built it: all comes from the cache."""
    images = {str(name): Base(f"base {name}") for name in bases(dockerfile, {}) if isinstance(name, str)}
    images |= {name: Base(f"base {name}") for stage in dockerfile.stages for name in stage.sources()}
    plan = Plan(dockerfile, recipe.context, Known(images=images))
    made: list[Made] = []
    copied: dict[tuple[str, str], str] = {}
    ends: dict[int, str] = {}
    for stage in dockerfile.stages:
        start = plan.starts[stage.index]
        at = ends[start] if isinstance(start, int) else images[start].id if start in images else ""
        for step in plan.resolved[stage.index]:
            if step.index == 0:
                continue
            name = key_of(step)
            if "{hash}" in name:
                source = ends[step.source] if isinstance(step.source, int) else f"base {step.source}"
                name = name.replace("{hash}", f"dir:{len(made):064x}")
                copied[source, asked(step)] = name
            same = next((one.id for one in made if (one.parent, one.created_by) == (at, name)), "")
            if not same:  # a step that an earlier stage did as well is one image
                same = f"step {len(made)}"
                made.append(Made(same, at, f"{len(made):06}", name))
            at = same
        ends[stage.index] = at
    return replace(plan, known=Known(images=images, made=tuple(made), copied=copied))


def grows(dockerfile: Dockerfile, most: int = 200_000) -> bool:
    """Return True where replacing the variables gives a text too long to look at: `ENV A=$A$A`, forty times.

    >>> grows(parse("FROM a\\nENV A=x\\n" + "ENV A=$A$A\\n" * 40)), grows(parse("FROM a\\nENV A=x B=$A"))
    (True, False)
    """
    lengths: dict[str, int] = {}
    total = 0
    for i in (*dockerfile.globals, *dockerfile.instructions):
        total += _length(i.text, lengths)
        for name, value in i.pairs if i.keyword in ("ENV", "ARG") else ():
            lengths[name] = max(lengths.get(name, 0), _length(value, lengths))
        if total > most:
            return True
    return False


def _length(text: str, lengths: dict[str, int]) -> int:
    """Return at most how long a text is once its variables are replaced."""
    return len(text) + sum(lengths.get(name, 0) for name in re.findall(r"\$\{?(\w+)", text))


def rerun(plan: Plan, edited: str, slow: str) -> int:
    """Return the line of the step naming `slow` that an edit of the file re-runs, or 0 where it stays in the cache."""
    after = plan.edited(files={edited: b"one line more\n"})
    for instruction, foreseen in zip(plan.dockerfile.instructions, after.predictions, strict=True):
        if instruction.keyword == "RUN" and slow in instruction.text and foreseen.verdict != HIT:
            return instruction.lines[0]
    return 0


def built_from(case: Case, dockerfile: Dockerfile) -> bool:
    """Return True where the image's history tells of the same steps as the Dockerfile's last stage, in their order."""
    chain: list[Instruction] = []
    stage = dockerfile.stages[-1]
    while True:  # a stage that goes on where another ended has its steps too
        chain[:0] = [i for i in stage.instructions if i.keyword in FILES]
        above = dockerfile.stage(stage.base, before=stage.index)
        if above is None:
            break
        stage = above
    rows = [row for row in case.image.history if row.layer is None or row.layer >= case.above]
    did = [(_keyword(row.instruction), row.instruction) for row in rows if row.layer is not None or row.created_by]
    did = [(keyword, text) for keyword, text in did if keyword in FILES]
    if case.base is None:  # where an unknown base ends, its history does not say
        did = did[max(0, len(did) - len(chain)) :]
    return len(did) == len(chain) and all(
        keyword == i.keyword
        and (keyword != "RUN" or _letters(text).endswith(_letters("".join(i.words) or i.arguments)))
        for (keyword, text), i in zip(did, chain, strict=True)
    )


def _keyword(instruction: str) -> str:
    """Return an instruction's keyword as the history tells it; a RUN without a shell stands there without its own.

    >>> _keyword("COPY file:1 in /course"), _keyword("python3 prepare.py")
    ('COPY', 'RUN')
    """
    word = instruction.split(" ", 1)[0]
    return word if re.fullmatch("[A-Z]{3,11}", word) else "RUN"


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text)


def same_file(case: Case, recipe: Recipe, edited: str) -> bool:
    """Return True where the file beside the Dockerfile is the one in the image, wherever that has it."""
    mine = recipe.context.by_path.get(edited)
    name = edited.rpartition("/")[2]
    there = [
        n.entry.digest for p, n in case.tree.nodes.items() if p.rpartition("/")[2] == name and n.layer >= case.above
    ]
    return mine is None or not there or "sha256:" + mine.sha256 in there
