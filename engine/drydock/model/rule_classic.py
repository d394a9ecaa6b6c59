"""The classic builder's rule: among the images made from this one, is there one made by this very step?

From the first miss in a stage, nothing below is even looked up (moby imageprobe.go: `cacheBusted`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from drydock.model.cache import DEPENDS, HIT, MISS, SKIPPED, Made, Plan, Prediction, key_of, why_hit, why_missed
from drydock.model.resolve import Resolved

PARENT = "the step before missed"
Place = tuple[int, int]


@dataclass
class Chain:
    """Where a stage stands: the images it may be at. More than one where a step above could not be known."""

    at: frozenset[str]
    missed: bool = False


@dataclass
class Probe:
    """The images on the engine by their parent, and those that this very build will have made by then."""

    children: dict[str, list[Made]] = field(default_factory=dict)
    fresh: int = 0

    def add(self, made: Made) -> None:
        """Note one more image."""
        self.children.setdefault(made.parent, []).append(made)

    def newest(self, parent: str, created_by: str) -> str | None:
        """Return the newest image that this step made from `parent`."""
        found = [m for m in self.children.get(parent, []) if m.created_by == created_by]
        return max(found, key=lambda m: m.created).id if found else None

    def like(self, parent: str, comment: str) -> list[str]:
        """Return the images made from `parent` by such a COPY, whatever files it brought."""
        shape = like(comment)
        return [m.id for m in self.children.get(parent, []) if shape.fullmatch(m.created_by)]

    def make(self, parents: frozenset[str], created_by: str) -> str:
        """Note the image that a miss will make, so that the same step in a later stage finds it."""
        self.fresh += 1
        name = f"new:{self.fresh}"
        for parent in parents:
            self.add(Made(name, parent, f"9{self.fresh:09}", created_by))
        return name


def like(comment: str) -> re.Pattern[str]:
    """Return what a step's name looks like whatever files it brought; what ADD fetched has a bare hash.

    >>> bool(like("ADD {hash} in /x ").fullmatch("ADD " + 64 * "0" + " in /x "))
    True
    """
    return re.compile(r"(?:(?:file|dir|multi):)?[0-9a-f]{64}".join(re.escape(part) for part in comment.split("{hash}")))


def could_be(plan: Plan) -> Callable[[str], bool]:
    """Return a test whether an image was made by one of the plan's steps, for all that its text says."""
    shapes = [like(step.comment) for stage in plan.resolved for step in stage]
    return lambda created_by: any(shape.fullmatch(created_by) for shape in shapes)


def predict(plan: Plan) -> dict[Place, Prediction]:
    """Return the prediction of every instruction."""
    found: dict[Place, Prediction] = {}
    probe = Probe()
    for made in plan.known.made:
        probe.add(made)
    goal = plan.dockerfile.needed(plan.target)[-1].index
    ends: list[Chain] = []
    for stage in plan.dockerfile.stages:
        if stage.index > goal:
            for n in range(len(stage.instructions)):
                found[stage.index, n] = Prediction(stage.index, n, SKIPPED, "it comes after the target")
            continue
        chain = _from(plan, stage.index, ends, found)
        for step in plan.resolved[stage.index]:
            _one(plan, step, chain, probe, ends, found)
        ends.append(chain)
    return found


def _from(plan: Plan, stage: int, ends: list[Chain], found: dict[Place, Prediction]) -> Chain:
    start = plan.starts[stage]
    if isinstance(start, int):
        found[stage, 0] = Prediction(stage, 0, HIT, f"it goes on where stage {start} ended")
        return Chain(ends[start].at)
    base = plan.base(stage)
    if base is None:
        why = f"{start} is not on this engine and must be pulled first"
        found[stage, 0] = Prediction(stage, 0, DEPENDS, why, on="what the registry has")
        return Chain(frozenset())
    found[stage, 0] = Prediction(stage, 0, HIT, f"{start} is here" if base.id else "scratch is empty", base.id)
    return Chain(frozenset([base.id]))


def _one(
    plan: Plan, step: Resolved, chain: Chain, probe: Probe, ends: list[Chain], found: dict[Place, Prediction]
) -> None:
    """Predict one step and move the chain on."""
    comment, sure = _comment(plan, step, chain, ends)
    at: list[str]
    if not chain.at:
        verdict, why, at = DEPENDS, "nobody knows what the base image will be until it is pulled", []
    elif plan.no_cache:
        verdict, why, at = MISS, "the build was asked not to use the cache", []
    elif chain.missed:
        verdict, why, at = MISS, PARENT, []
    else:
        verdict, why, at = _probe(plan, step, chain, probe, comment, sure)
    if step.index > 0:
        on = why if verdict == DEPENDS else ""
        found[step.stage, step.index] = Prediction(step.stage, step.index, verdict, why, comment, on)
    if verdict == HIT:
        chain.at = frozenset(at)
        return
    if chain.at:
        made = probe.make(chain.at, comment) if sure else probe.make(frozenset(), comment)
        chain.at = frozenset([*at, made])
    chain.missed = verdict == MISS


def _probe(
    plan: Plan, step: Resolved, chain: Chain, probe: Probe, comment: str, sure: bool
) -> tuple[str, str, list[str]]:
    if step.remote:
        at = [i for parent in chain.at for i in probe.like(parent, comment)]
        why = "what the URL gives is only known once it is downloaded"
    elif not sure:
        at = [i for parent in chain.at for i in probe.like(parent, comment)]
        why = f"it depends on the files that {_origin(step)} will hold"
    else:
        at = [i for parent in chain.at if (i := probe.newest(parent, comment))]
        why = "it depends on a step above that cannot be known before it runs"
    if not at:
        return MISS, why_missed(plan, step), []
    if sure and len(chain.at) == 1:
        return HIT, why_hit(step), at
    return DEPENDS, why, at


def _origin(step: Resolved) -> str:
    return f"stage {step.source}" if isinstance(step.source, int) else str(step.source)


def _comment(plan: Plan, step: Resolved, chain: Chain, ends: list[Chain]) -> tuple[str, bool]:
    """Return the step's name, and whether its files are known already."""
    if "{hash}" not in step.comment or step.selections is not None:
        return key_of(step), True
    if isinstance(step.source, int):
        sources = ends[step.source].at
    elif step.source is not None and step.source in plan.known.images:
        sources = frozenset([plan.known.images[step.source].id])
    else:
        return step.comment, False
    if len(sources) == 1:
        known = plan.known.copied.get((next(iter(sources)), asked(step)))
        if known:
            return known, True
    return step.comment, False


def asked(step: Resolved) -> str:
    """Return what a COPY from another image asks for: with that image's ID it says which files it brings."""
    return f"{step.instruction.arguments} {step.comment}"
