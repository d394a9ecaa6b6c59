"""`docker build`, the classic builder: from a context and a Dockerfile to an image, step by step.

Sources: moby builder/dockerfile/builder.go (build, dispatchDockerfileWithCancellation), evaluator.go (stages),
api/server/backend/build (tags, the last lines), tag v20.10.24.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from drydock.engine.build import messages
from drydock.engine.build.config import whole, with_path
from drydock.engine.build.context import Read, Sent, receive
from drydock.engine.build.instructions import take
from drydock.engine.build.messages import Message, StepFailed, failure, say, short
from drydock.engine.build.probe import From, Local, NoCache, Probe
from drydock.engine.build.request import Request, checked_tags
from drydock.engine.build.settings import Settings
from drydock.engine.build.step import PullBase, RunStep, Site, Step, no_registry
from drydock.engine.errors import BadParameter, EngineError
from drydock.engine.images import Catalogue, Record, platforms
from drydock.engine.snapshots import Layers, Snapshots
from drydock.model.dockerfile import Dockerfile, Instruction, Stage, parse
from drydock.model.expansion import ExpansionError, expand
from drydock.model.lines import DockerfileError, refusal
from drydock.model.resolve import PROXIES, SCRATCH, global_args, triggers
from drydock.read.tarstream import BadArchive

REMEMBERED = 10_000  # sources of COPY --from whose sums are kept
FAILURES = (EngineError, StepFailed, BadArchive, DockerfileError, ExpansionError, OSError)


class Builder:
    """Builds images; one for the whole engine, any number of builds at once."""

    def __init__(
        self,
        images: Catalogue,
        layers: Layers,
        snapshots: Snapshots,
        run_step: RunStep,
        tmp: Path,
        *,
        kind: Callable[[], str] = lambda: "overlay",
        version: str = "20.10.24",
        pull: PullBase = no_registry,
    ) -> None:
        self.images, self.layers, self.snapshots, self.run_step = images, layers, snapshots, run_step
        self.tmp, self.version, self.pull = tmp, version, pull
        self._kind = kind
        self._known: dict[tuple[str, str], tuple[tuple[str, str], ...]] = {}

    def build(self, request: Request, stream: Any, cancelled: threading.Event | None = None) -> Iterator[Message]:
        """Build, message by message; `stream` has the context, read to its end before the first message.

        Closing the generator, or setting `cancelled`, stops the running step and takes its snapshot away; the steps
        before stay in the cache and nothing is tagged.

        Raises: EngineError where something is wrong before anything was said (the API's 4xx and 5xx); afterwards what
        goes wrong is the last message.
        """
        said: list[Message] = []
        spoke = False
        try:
            for message in self._build(request, stream.read, cancelled or threading.Event()):
                if request.quiet:
                    said.append(message)
                    continue
                spoke = True
                yield message
        except FAILURES as error:
            if not spoke and not said:
                raise _refusal(error) from None
            yield from said
            yield failure(_worded(error))
            return
        if request.quiet:
            yield said[-1]

    def _build(self, request: Request, read: Read, cancelled: threading.Event) -> Iterator[Message]:
        tags = checked_tags(request.tags)
        if request.remote:
            raise BadParameter(
                "this engine cannot fetch a build context from a URL. "
                f"Fetch {request.remote} yourself, then build the folder: docker build ."
            )
        self.tmp.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="build-", dir=self.tmp))
        try:
            sent = receive(read, request.dockerfile, folder / "context")
            dockerfile, stages = _read(sent, request)
            site = self._site(request, dockerfile, sent, folder, cancelled)
            image = yield from _stages(site, stages)
            yield say(f"Successfully built {short(image.id)}\n")
            for tag in tags:
                self.images.tag(image.id, tag)
                yield say(f"Successfully tagged {tag}\n")
            if request.quiet:
                yield say(f"{image.id}\n")
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _site(
        self, request: Request, dockerfile: Dockerfile, sent: Sent, folder: Path, cancelled: threading.Event
    ) -> Site:
        if len(self._known) > REMEMBERED:
            self._known.clear()
        probe: Probe = NoCache() if request.no_cache else Local(self.images)
        if request.cache_from and not request.no_cache:
            probe = From(self.images, request.cache_from, self.version)
        return Site(
            *(self.images, self.layers, self.snapshots, self.run_step, self.pull, self._kind, self._known, folder),
            *(request, dockerfile, sent, probe, cancelled),
            ends=[],
            names={},
        )


def _refusal(error: Exception) -> EngineError:
    """Return what is wrong with a build that has not begun, as an error of the right kind."""
    error = _worded(error)
    return error if isinstance(error, EngineError) else BadParameter(str(error))


def _worded(error: Exception) -> Exception:
    """Return the error in dockerd's words where it has some."""
    if isinstance(error, DockerfileError) and error.docker:
        return BadParameter(error.docker)
    if isinstance(error, OSError):
        return EngineError(f"{error.strerror or error}" + (f": {Path(error.filename).name}" if error.filename else ""))
    return error


def _read(sent: Sent, request: Request) -> tuple[Dockerfile, tuple[Stage, ...]]:
    """Return the recipe, and its stages up to the one that is asked for, `--label` added to it."""
    try:
        dockerfile = parse(sent.dockerfile)
    except DockerfileError as error:
        name = f"failed to parse {request.dockerfile}:"
        raise BadParameter(error.docker.replace("failed to parse Dockerfile:", name) or str(error)) from None
    for i in dockerfile.instructions:
        if i.heredocs:
            raise _heredoc(i)
    stages = dockerfile.stages
    if request.target:
        found = next((stage for stage in stages if stage.name == request.target.lower()), None)
        if found is None:
            raise BadParameter(f"failed to reach build target {request.target} in Dockerfile")
        stages = stages[: found.index + 1]
    labels = tuple(_label(name, value) for name, value in sorted(request.labels.items()))
    last = stages[-1]
    return dockerfile, (*stages[:-1], replace(last, instructions=(*last.instructions, *labels)))


def _heredoc(i: Instruction) -> DockerfileError:
    """Return the classic builder's complaint: it takes a heredoc's lines for instructions."""
    rows = "".join(one.content for one in i.heredocs).split("\n")
    number, row = next(((n, r) for n, r in enumerate(rows, 1) if r.strip() and r.strip()[0] != "#"), (1, "EOF"))
    docker = refusal(i.lines[0] + number, f"unknown instruction: {row.split()[0].upper()}")
    return DockerfileError(i.lines[0], "heredocs need BuildKit", "Write the lines into a file and COPY it.", docker)


def _label(name: str, value: str) -> Instruction:
    """Return the LABEL that `--label` adds; nothing in it is replaced."""
    quoted = "'" + value.replace("'", "'\\''") + "'"
    text = f"LABEL {name}={value}"
    return Instruction("LABEL", text, f"{name}={quoted}", (f"{name}={quoted}",), written=text)


def _stages(site: Site, stages: tuple[Stage, ...]) -> Generator[Message, None, Record]:
    """Build one stage after the other; return the last one's image."""
    df = site.dockerfile
    yield from messages.warnings(df)
    total = len(df.globals) + sum(len(stage.instructions) for stage in stages)
    number = 1
    for i in df.globals:
        yield from messages.step(number, total, i.written)
        number += 1
    referenced = {word.partition("=")[0] for i in df.globals for word in i.words}
    image: Record | None = None
    for stage in stages:
        if stage.name and stage.name in site.names:
            raise EngineError(f"{stage.name} stage name already used")
        yield from messages.step(number, total, stage.instructions[0].written)
        number += 1
        at = yield from _begin(site, stage)
        yield say(f" ---> {short(at.parent)}\n")
        for index, i in enumerate(stage.instructions[1:], 1):
            if site.cancelled.is_set():
                yield say("Build cancelled\n")
                raise EngineError("Build cancelled")
            yield from messages.step(number, total, i.written)
            number += 1
            yield from take(at, i, index)
            yield say(f" ---> {short(at.parent)}\n")
        image = at.image
        if image and site.request.aux:
            yield {"aux": {"ID": image.id}}
        referenced |= at.settings.scope.args.keys()
        _end(site, stage, image)
    if unused := [n for n in site.request.args if n not in referenced and n not in PROXIES]:
        yield say(f"[Warning] One or more build-args [{' '.join(unused)}] were not consumed\n")
    if image is None:
        raise EngineError("No image was generated. Is your Dockerfile empty?")
    return image


def _end(site: Site, stage: Stage, image: Record | None) -> None:
    site.ends.append(image)
    if stage.name:
        site.names[stage.name] = stage.index


def _begin(site: Site, stage: Stage) -> Generator[Message, None, Step]:
    """FROM: find the image, take its configuration over, carry out the instructions that it left for this day."""
    site.probe.reset()
    values = global_args(site.dockerfile, site.request.given)
    name = expand(stage.base, {**_proxies(site), **values}, site.dockerfile.escape)
    if not name:
        raise EngineError(f"base name ({stage.base}) should not be blank")
    platform = _platform(expand(stage.platform or "", {**_proxies(site), **values}, site.dockerfile.escape))
    image = yield from _base(site, name, platform)
    config = with_path(whole(image.config.get("config") if image else None))
    config |= {"OpenStdin": False, "StdinOnce": False, "Image": image.id if image else ""}
    waiting = tuple(config["OnBuild"] or ())
    config["OnBuild"] = None if waiting else config["OnBuild"]
    settings = Settings.of(image.id if image else "", config, values, site.request.given, site.dockerfile.escape)
    at = Step(site, stage, settings, image)
    if waiting:
        yield say(f"# Executing {len(waiting)} build trigger")
        yield from map(say, ["s"] * (len(waiting) > 1) + ["\n"])
        for i in triggers(replace(SCRATCH, onbuild=waiting)):
            yield from take(at, i, -1)
    return at


def _platform(text: str) -> str:
    """Return the platform of `FROM --platform`, to pull; an image that is here is taken in any case, as by dockerd."""
    try:
        return str(platforms.parse(text)) if text else ""
    except BadParameter as error:
        raise EngineError(f"failed to parse platform {text[:80]}: {error}") from None


def _proxies(site: Site) -> dict[str, str]:
    return {name: value for name, value in site.request.given.items() if name in PROXIES}


def _base(site: Site, name: str, platform: str) -> Generator[Message, None, Record | None]:
    """Return the image that a stage starts from; None is scratch."""
    if name.lower() in site.names:
        return site.ends[site.names[name.lower()]]
    if name == "scratch":
        return None
    return (yield from site.image(name, platform))
