"""What a build will do, and the build as it happens: `drydock.plan(...)`, `drydock.build(...)`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import docker

from drydock.badge import FROM_THE_CACHE, executes
from drydock.client import LAB, called, connect, embedded
from drydock.docker_host import address
from drydock.model.cache import Known, Plan
from drydock.model.dockerfile import parse
from drydock.model.resolve import Base, bases
from drydock.model.rule_classic import asked, could_be
from drydock.model.steps import Build, planned
from drydock.read import context, known
from drydock.record import builds
from drydock.watch import buildkit, classic
from drydock.watch.request import Request


class BuildFailed(RuntimeError):
    """A build ended at a step that failed; `.build` holds what came before."""

    def __init__(self, build: Build) -> None:
        step = next((s for s in build.steps if s.state == "failed"), None)
        where = f"Step {step.number} failed, line {step.lines[0]}: {step.text}" if step else "The build failed"
        said = "\n".join(step.output[-5:]) if step and step.output else ""
        cure = "Try: correct that line, then build again: the steps above it come from the cache"
        super().__init__("\n".join(part for part in (where, said, build.error or "", cure) if part))
        self.build = build


class BuildRun:
    """A build that begins when it is iterated: each value is the whole build so far.

    `.plan` is what was predicted just before; `.result` is the build as it ended.
    """

    def __init__(self, client: docker.DockerClient, request: Request, engine: str, identity: str) -> None:
        self.client, self.request, self.plan = client, request, request.plan
        self.engine, self.identity = engine, identity
        self.result: Build | None = None

    def __iter__(self) -> Iterator[Build]:
        start = planned(self.plan, self.engine, (self.request.tag,) if self.request.tag else ())
        try:
            for now in self._watch(start):
                self.result = now
                yield now
        finally:
            if self.result is not None:
                self._record(self.result)

    def run(self) -> Build:
        """Build without showing it, and return the build; a failed one raises BuildFailed."""
        for _ in self:
            pass
        assert self.result is not None
        if self.result.state == "failed":
            raise BuildFailed(self.result)
        return self.result

    def _watch(self, start: Build) -> Iterator[Build]:
        if self.plan.builder == "classic":
            return classic.build(self.client, self.request, start)
        return buildkit.build(self.client, self.request, start, address())

    def _record(self, build: Build) -> None:
        path = str(self.request.folder / self.request.dockerfile)
        builds.save(self.identity, path, self.plan, build)
        if self.plan.builder == "buildkit":
            builds.save_keys(self.identity, self.plan, build, set(known.cache(self.client).records))
        else:
            builds.save_copies(self.identity, _copies(self.client, self.plan, build))


def plan(
    path: str | Path = ".",
    dockerfile: str = "Dockerfile",
    buildargs: Mapping[str, str] | None = None,
    target: str | None = None,
    nocache: bool = False,
    builder: str | None = None,
    client: docker.DockerClient | None = None,
) -> Plan:
    """Return what a build would do, step by step, without building: HIT, MISS or DEPENDS, and why.

    `builder` is "classic" or "buildkit"; left out, it is what `docker build` would use here.
    Raises: NoContext, DockerfileError, EngineUnavailable.
    """
    client = client or connect()
    root = Path(path).resolve()
    files = context.folder(root, dockerfile)
    parsed = parse((root / dockerfile).read_bytes())
    builder = builder or ("classic" if embedded(client.version()) or not buildkit.available(client) else "buildkit")
    if builder not in ("classic", "buildkit"):
        raise ValueError(f"There is no builder {builder!r}.\nTry: builder='classic' or builder='buildkit'")
    given = dict(buildargs or {})
    memory = builds.remember(str(client.info()["ID"]), str(root / dockerfile))
    names = [b for b in bases(parsed, given) if isinstance(b, str)]
    names += [name for stage in parsed.stages for name in stage.sources() if not parsed.stage(name, stage.index)]
    found = known.bases(client, names)
    if builder == "classic":
        draft = Plan(parsed, files, Known(images=found), given, target)
        roots = ["", *(b.id for b in found.values())]
        has = memory.known(images=found, made=known.made(client, roots, could_be(draft)))
    else:
        has = _buildkit_known(client, memory, found)
    return Plan(parsed, files, has, given, target, nocache, builder)


def _buildkit_known(client: docker.DockerClient, memory: builds.Memory, found: dict[str, Base]) -> Known:
    records = known.cache(client).records
    strangers = tuple(text for name, text in records.items() if name not in memory.ours)
    there = frozenset(records)
    pruned, merges = bool(memory.seen - there), known.merges(client)
    return memory.known(
        images=found, pruned=pruned, merges=merges, empty=not records, strangers=strangers, records=there
    )


def build(
    path: str | Path = ".",
    tag: str | None = None,
    dockerfile: str = "Dockerfile",
    buildargs: Mapping[str, str] | None = None,
    target: str | None = None,
    nocache: bool = False,
    builder: str | None = None,
    client: docker.DockerClient | None = None,
) -> BuildRun:
    """Return a build that runs when it is shown or iterated, with the prediction made just before in `.plan`."""
    client = client or connect()
    if nocache and not executes(client):
        print(FROM_THE_CACHE)
        nocache = False
    foreseen = plan(path, dockerfile, buildargs, target, nocache, builder, client)
    info = client.info()
    request = Request(foreseen, Path(path).resolve(), dockerfile, tag, {LAB: "build"})
    return BuildRun(client, request, called(client), str(info["ID"]))


def _copies(client: docker.DockerClient, plan: Plan, build: Build) -> list[tuple[str, str, str]]:
    """Return which files each COPY --from brought, as the engine named the step: the next plan then knows it."""
    ends = {s.stage: s.image_id for s in build.steps if s.image_id}
    images = {(s.stage, s.index): s.image_id for s in build.steps}
    found = []
    for step in (s for stage in plan.resolved for s in stage if s.index > 0):
        source = _id(client, plan, ends, step.source)
        image = images[step.stage, step.index]
        if source and image:
            found.append((source, asked(step), known.created_by(client, image)))
    return found


def _id(client: docker.DockerClient, plan: Plan, ends: Mapping[int, str], source: int | str | None) -> str:
    """Return the ID of the image that COPY --from named, or nothing where it is not known."""
    if isinstance(source, int):
        return str(client.api.inspect_image(ends[source])["Id"]) if source in ends else ""
    return plan.known.images[source].id if source is not None and source in plan.known.images else ""
