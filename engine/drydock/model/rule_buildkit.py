"""BuildKit's rule: a step's key is a hash of its definition, of its parent's key, and of the content it brings in.

Configuration is no step; a stage that nothing needs is skipped; and where a stage runs again but gives the same
files, a COPY --from it is found again. What the daemon will not tell, it leaves to DEPENDS.
"""

from __future__ import annotations

import json
import re

from drydock.model.cache import (
    CONFIG,
    DEPENDS,
    HIT,
    MISS,
    SKIPPED,
    Plan,
    Prediction,
    content_of,
    digest,
    why_hit,
    why_missed,
)
from drydock.model.resolve import Resolved
from drydock.model.rule_classic import PARENT, Place

Keys = dict[Place, tuple[str, str, str]]  # of every step: its key, its parent's key, its definition


def keys(plan: Plan) -> Keys:
    """Return of every step its key, its parent's key and its definition; configuration has its parent's key."""
    found: Keys = {}
    ends: dict[int, str] = {}
    for stage in plan.dockerfile.stages:
        start, base = plan.starts[stage.index], plan.base(stage.index)
        key = ends[start] if isinstance(start, int) else digest("FROM", base.id if base else f"?{start}")
        found[stage.index, 0] = (key, "", "")
        trigger = 0
        for step in plan.resolved[stage.index]:
            trigger -= step.index < 0
            place = (stage.index, step.index if step.index > 0 else trigger)
            if not step.definition:
                found[place] = (key, key, "")
                continue
            loose = digest(step.definition, content_of(step))
            link = _links(plan, step)
            parent = "" if link else key
            own = digest(parent, loose, _source(plan, step, ends))
            found[place] = (own, parent, loose)
            key = digest(key, own) if link else own
        ends[stage.index] = key
    return found


def _source(plan: Plan, step: Resolved, ends: dict[int, str]) -> str:
    if isinstance(step.source, int):
        return ends[step.source]
    image = plan.known.images.get(step.source) if step.source else None
    return image.id if image else str(step.source or "")


def predict(plan: Plan) -> dict[Place, Prediction]:
    """Return the prediction of every instruction."""
    found: dict[Place, Prediction] = {}
    table = keys(plan)
    needed = {stage.index for stage in plan.dockerfile.needed(plan.target)}
    ends: dict[int, str] = {}
    for stage in plan.dockerfile.stages:
        if stage.index not in needed:
            for n in range(len(stage.instructions)):
                found[stage.index, n] = Prediction(stage.index, n, SKIPPED, "no step of the image needs this stage")
            continue
        last = _from(plan, stage.index, ends, found, table)
        trigger = 0
        for step in plan.resolved[stage.index]:
            trigger -= step.index < 0
            place = (stage.index, step.index if step.index > 0 else trigger)
            verdict, why = _one(plan, step, last, ends, table[place])
            if step.index > 0:
                on = why if verdict == DEPENDS else ""
                found[place] = Prediction(stage.index, step.index, verdict, why, table[place][0], on)
            last = last if verdict == CONFIG else verdict
        ends[stage.index] = last
    return found


def _from(
    plan: Plan,
    stage: int,
    ends: dict[int, str],
    found: dict[Place, Prediction],
    table: Keys,
) -> str:
    start, key = plan.starts[stage], table[stage, 0][0]
    if isinstance(start, int):
        found[stage, 0] = Prediction(stage, 0, CONFIG, f"it goes on where stage {start} ended", key)
        return ends[start]
    if plan.base(stage) is None:
        why = f"{start} is not on this engine and must be pulled first"
        found[stage, 0] = Prediction(stage, 0, DEPENDS, why, key, "what the registry has")
        return DEPENDS
    found[stage, 0] = Prediction(stage, 0, HIT if start != "scratch" else CONFIG, f"{start} is here", key)
    return HIT


def _one(plan: Plan, step: Resolved, last: str, ends: dict[int, str], key: tuple[str, str, str]) -> tuple[str, str]:
    own, parent, loose = key
    if not step.definition:
        return CONFIG, "configuration only: BuildKit makes no step of it"
    if plan.no_cache:
        return MISS, "the build was asked not to use the cache"
    if step.remote:
        return DEPENDS, "what the URL gives is only known once it is downloaded"
    if plan.known.empty:
        return MISS, "the builder's cache is empty"
    if own in plan.known.keys:
        if plan.known.pruned:
            return DEPENDS, "Docker has removed part of its cache since, and does not say for which steps"
        return HIT, why_hit(step)
    if last == DEPENDS and not _links(plan, step) and any(loose == one for _, one in plan.known.keys.values()):
        return DEPENDS, "it depends on a step above that cannot be known before it runs"
    if step.source is not None and _seen(plan, parent, loose):
        return DEPENDS, f"if {_origin(step)} holds the same files as before, BuildKit finds this step again"
    if _stranger(plan, step):
        return DEPENDS, "a build outside the kit left such a step in the cache; it may fit"
    if last in (MISS, DEPENDS) and not _links(plan, step) and not _changed(plan, step):
        return MISS, PARENT
    return MISS, why_missed(plan, step)


def _links(plan: Plan, step: Resolved) -> bool:
    """True for a COPY --link where it works: on Docker's own image store BuildKit makes an ordinary COPY of it (moby
    builder-next/controller.go takes the merge operation away; measured on 26.1)."""
    return step.link and plan.known.merges


def _changed(plan: Plan, step: Resolved) -> bool:
    """True where the step would miss by itself too, so that its own reason is the better one to name."""
    return bool(plan.known.before) and not why_missed(plan, step).startswith("the cache holds")


def _origin(step: Resolved) -> str:
    return f"stage {step.source}" if isinstance(step.source, int) else str(step.source)


def _seen(plan: Plan, parent: str, loose: str) -> bool:
    """True where this step has run on the same parent, with the other stage in another state."""
    return (parent, loose) in set(plan.known.keys.values())


def _stranger(plan: Plan, step: Resolved) -> bool:
    """True where a cache record that no build of the kit left could be this step's, by what the daemon calls it."""
    definition = json.loads(step.definition)
    if step.instruction.keyword == "RUN":
        return any(one.endswith(f"exec {' '.join(definition[1])}") for one in plan.known.strangers)
    shape = re.compile(rf"\] (ONBUILD )?{step.instruction.keyword} .*{re.escape(step.instruction.words[-1])}$")
    return any(shape.search(one) or "$" in step.instruction.text for one in plan.known.strangers)
