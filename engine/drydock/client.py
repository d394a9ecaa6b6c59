"""What a notebook calls: `drydock.connect()`, `drydock.build(...)`, `drydock.plan(...)`, `drydock.image(...)`."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException
from docker.utils import kwargs_from_env
from requests.exceptions import RequestException

from drydock import read
from drydock.badge import FROM_THE_CACHE, executes
from drydock.model.cache import Known, Plan
from drydock.model.change import Writable
from drydock.model.dockerfile import parse
from drydock.model.image import Image
from drydock.model.resolve import Base, bases
from drydock.model.rule_classic import asked, could_be
from drydock.model.steps import Build, planned
from drydock.read import context, known
from drydock.record import builds
from drydock.watch import buildkit, classic
from drydock.watch.request import Request

NO_ENGINE = (
    "No Docker engine answers at {where} ({why}).\n"
    "Docker is probably not installed, not started, or not yours to use.\n"
    "Try: {cure}"
)


class EngineUnavailable(RuntimeError):
    """No Docker engine answers; the message says where it was looked for and what to try."""


def connect(timeout: int = 120) -> docker.DockerClient:
    """Return a client of the Docker engine that `docker` itself would use: an ordinary docker-py client.

    DOCKER_HOST comes first, then the current Docker context, then the default socket. Where none of Docker's own
    answers, the kit's own engine does; it is started when it is needed. What DOCKER_HOST names is never replaced,
    nor is Docker where DRYDOCK_ENGINE=docker is set; DRYDOCK_ENGINE=drydock takes the kit's own.

    Raises: EngineUnavailable.
    """
    where = "the default socket"
    try:
        where = address()
        return _client(where, timeout)
    except (DockerException, RequestException, OSError, ValueError) as error:
        if not _replaceable(where):
            raise EngineUnavailable(_unavailable(where, error)) from None
        return _client(_own(_unavailable(where, error)), timeout)


def _client(where: str, timeout: int) -> docker.DockerClient:
    _knock(where)
    client = docker.DockerClient(base_url=where, timeout=timeout, tls=_tls(where))
    try:
        client.ping()
    except BaseException:
        client.close()
        raise
    return client


def _replaceable(where: str) -> bool:
    """Return True where the kit's own engine may answer instead: nobody chose another one by name."""
    chosen = os.environ.get("DOCKER_HOST") or os.environ.get("DRYDOCK_ENGINE") == "docker"
    return not chosen and (where.startswith("unix://") or where == "the default socket")


def _own(why: str) -> str:
    """Start the kit's own engine, or find it running, and return its address.

    Raises: EngineUnavailable with both reasons.
    """
    try:
        from drydock.engine import process
    except ImportError:  # Windows: neither Unix sockets nor file locks of this kind
        raise EngineUnavailable(why) from None
    try:
        return process.start(process.home()).url
    except (process.NotStarted, OSError) as error:
        raise EngineUnavailable(f"{why}\nThe kit's own engine does not help either. {error}") from None


def _knock(where: str) -> None:
    """Raise OSError where nobody listens: docker-py would wrap the reason twice, and leave a socket open."""
    if where.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as knock:
            knock.connect("/" + where.removeprefix("unix://").lstrip("/"))


def address() -> str:
    """Return the address of the engine that `connect()` would talk to, without starting one."""
    if os.environ.get("DRYDOCK_ENGINE") == "drydock":
        return _running() or _own("DRYDOCK_ENGINE=drydock asks for the kit's own engine.")
    if os.environ.get("DOCKER_HOST"):
        return os.environ["DOCKER_HOST"]
    context = docker.ContextAPI.get_context(os.environ.get("DOCKER_CONTEXT") or None)
    found = str((context.Host if context else None) or "unix:///var/run/docker.sock")
    try:
        _knock(found)
    except OSError:
        return (_running() if _replaceable(found) else None) or found
    return found


def _running() -> str | None:
    """Return the address of the kit's own engine where it runs."""
    try:
        from drydock.engine import process
    except ImportError:
        return None
    there = process.found(process.home())
    return there.url if there else None


def embedded(version: Mapping[str, Any]) -> bool:
    """Return True where what `client.version()` said comes from the kit's own engine."""
    return str((version.get("Platform") or {}).get("Name") or "").startswith("Drydock")


def _name(client: docker.DockerClient) -> str:
    """Return the engine's name as records and pictures show it: `Docker 26.1.5`, `Drydock engine 0.1, rung A`."""
    said = client.version()
    return str(said["Platform"]["Name"]) if embedded(said) else f"Docker {said['Version']}"


def _tls(where: str) -> Any:
    """Return the certificates that DOCKER_HOST's variables, or the Docker context, name; False where there are none."""
    if os.environ.get("DOCKER_HOST"):
        return kwargs_from_env().get("tls", False)
    context = docker.ContextAPI.get_context(os.environ.get("DOCKER_CONTEXT") or None)
    return (context.TLSConfig if context else None) or False


def _unavailable(where: str, error: Exception) -> str:
    text = str(error)
    if "Permission denied" in text:
        return NO_ENGINE.format(
            where=where, why="permission denied", cure="sudo usermod -aG docker $USER   (then log in again)"
        )
    if "No such file" in text or "Connection refused" in text:
        why = "nothing listens there"
    else:
        why = text.splitlines()[0][:200] if text else type(error).__name__
    return NO_ENGINE.format(where=where, why=why, cure="start Docker Desktop, or: sudo systemctl start docker")


LAB = "org.drydock.lab"


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
    return BuildRun(client, request, _name(client), str(info["ID"]))


def image(name: str | Path, client: docker.DockerClient | None = None) -> Image:
    """Return an image with its layers and their files: the engine's by name, or a `docker save` file's or folder's.

    A `Path` is always a file or folder, a name always the engine's.
    Raises: docker.errors.ImageNotFound, read.BadArchive, EngineUnavailable.
    """
    if isinstance(name, Path):
        return read.folder(name) if name.is_dir() else read.archive(name)
    return read.image(client or connect(), name)


def writable(container: Any, client: docker.DockerClient | None = None) -> Writable:
    """Return a container's own layer, with what each change in it cost: `docker diff`, explained.

    `container` is one of docker-py's, or a name or an ID. It may run, be stopped, or never have been started.
    Raises: docker.errors.NotFound, EngineUnavailable.
    """
    client = client or getattr(container, "client", None) or connect()
    return read.writable(client, str(getattr(container, "id", container)), _name(client))


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
