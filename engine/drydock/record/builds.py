"""The builds the kit has seen: what explains the next one's misses, and what BuildKit's cache was given."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from drydock.model.cache import Before, Known, Plan, files_of
from drydock.model.rule_buildkit import keys
from drydock.model.steps import Build
from drydock.record import lines

NEWEST = 20  # builds kept of one Dockerfile


@dataclass(frozen=True)
class Memory:
    """What the record holds for one engine and one Dockerfile."""

    before: tuple[tuple[Before, ...], ...] = ()
    seconds: tuple[tuple[str, float], ...] = ()  # of each step's text, how long it last took to run
    keys: tuple[tuple[str, str, str], ...] = ()  # key, parent, definition
    copied: tuple[tuple[tuple[str, str], str], ...] = ()
    seen: frozenset[str] = frozenset()  # IDs in BuildKit's cache when the kit last looked
    ours: frozenset[str] = frozenset()  # those of them that came while the kit was building

    def known(self, **other: object) -> Known:
        """Return this memory as what a plan needs, with what the daemon said added."""
        table = {key: (parent, loose) for key, parent, loose in self.keys}
        return Known(keys=table, copied=dict(self.copied), before=self.before, **other)  # type: ignore[arg-type]


def remember(engine: str, dockerfile: str) -> Memory:
    """Return what is known of earlier builds of this Dockerfile (a path) on this engine (an ID)."""
    mine = [row for row in lines.read("builds") if row.get("engine") == engine]
    same = [row for row in mine if row.get("dockerfile") == dockerfile]
    took = {s["text"]: s["seconds"] for row in same for s in row["steps"] if s["state"] == "ran" and s["seconds"]}
    cache = [row for row in lines.read("cache") if row.get("engine") == engine]
    looked = [row for row in cache if "records" in row]
    return Memory(
        _before(same[-1]) if same else (),
        tuple(took.items()),
        tuple((row["key"], row["parent"], row["loose"]) for row in cache if "key" in row),
        tuple(((row["source"], row["asked"]), row["created_by"]) for row in cache if "asked" in row),
        frozenset(looked[-1]["records"] if looked else ()),
        frozenset(looked[-1]["ours"] if looked else ()),
    )


def _before(row: lines.Row) -> tuple[tuple[Before, ...], ...]:
    stages: dict[int, list[Before]] = {}
    for step in row["steps"]:
        files = tuple((f[0], f[1], f[2], f[3]) for f in step["files"])
        args = tuple((a[0], a[1]) for a in step["args"])
        stages.setdefault(step["stage"], []).append(Before(step["text"], files, args))
    return tuple(tuple(stages[n]) for n in sorted(stages))


def save(engine: str, dockerfile: str, plan: Plan, build: Build) -> None:
    """Keep what a build did; a build that was cut off adds what it had finished, and nothing of the rest."""
    inputs = {(r.stage, r.index): r for stage in plan.resolved for r in stage}
    steps = []
    for step in build.steps:
        resolved = inputs.get((step.stage, step.index))
        files = [(f.path, f.size, f.mode, f.sha256) for f in files_of(resolved)] if resolved else []
        steps.append({"stage": step.stage, "text": step.text, "state": step.state, "seconds": step.seconds,
                      "files": files, "args": list(resolved.args) if resolved else []})  # fmt: skip
    row = {"engine": engine, "dockerfile": dockerfile, "target": plan.target, "builder": build.builder,
           "time": time.time(), "state": build.state, "steps": steps, "images": images(build)}  # fmt: skip

    def add(rows: list[lines.Row]) -> list[lines.Row]:
        same = [r for r in rows if r.get("dockerfile") == dockerfile and r.get("engine") == engine]
        drop = same[: max(0, len(same) - NEWEST + 1)]
        return [r for r in rows if r not in drop] + [row]

    lines.change("builds", add)


def images(build: Build) -> list[str]:
    """Return the IDs of the images that a build made: each step that ran, and the one that got the name."""
    return [step.image_id for step in build.steps if step.state == "ran" and step.image_id] + (
        [build.image_id] if build.image_id else []
    )


def made(engine: str, folder: Path) -> frozenset[str]:
    """Return the IDs of all images that builds of Dockerfiles below this folder made on an engine, as it named them."""
    rows = [row for row in lines.read("builds") if row.get("engine") == engine]
    return frozenset(id for r in rows if Path(r["dockerfile"]).is_relative_to(folder) for id in r.get("images", ()))


def save_keys(engine: str, plan: Plan, build: Build, records: set[str]) -> None:
    """Keep the keys of the steps that BuildKit has now done, and the cache records that are there after it."""
    table = keys(plan)
    done = {(s.stage, s.index) for s in build.steps if s.state in ("ran", "cached") and s.index > 0}
    fresh = [table[place] for place in done if table[place][2]]
    fresh += [value for place, value in table.items() if place[1] < 0 and value[2]]

    def add(rows: list[lines.Row]) -> list[lines.Row]:
        kept = [r for r in rows if not (r.get("engine") == engine and "records" in r)]
        have = {r.get("key") for r in kept if r.get("engine") == engine}
        new = [{"engine": engine, "key": k, "parent": p, "loose": d} for k, p, d in fresh if k not in have]
        before = {i for r in rows if r.get("engine") == engine for i in r.get("ours", ())}
        ours = records & (before | (records - plan.known.records))
        return [*kept, *new, {"engine": engine, "records": sorted(records), "ours": sorted(ours)}]

    lines.change("cache", add)


def save_copies(engine: str, found: list[tuple[str, str, str]]) -> None:
    """Keep which files a COPY --from brought: (source image, what was asked for, the step's full name)."""

    def add(rows: list[lines.Row]) -> list[lines.Row]:
        new = [{"engine": engine, "source": s, "asked": a, "created_by": c} for s, a, c in found]
        return rows + [row for row in new if {"schema": lines.SCHEMA, **row} not in rows]

    if found:
        lines.change("cache", add)
