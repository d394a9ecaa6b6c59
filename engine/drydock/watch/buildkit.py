"""A build by BuildKit, watched through `docker buildx build --progress=rawjson`: its graph becomes the file's steps.

The events: buildkit client/graph.go (SolveStatus). buildx 0.13 prints them indented, later ones a line each.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import docker

from drydock.model.cache import Plan
from drydock.model.rule_buildkit import keys
from drydock.model.steps import KEPT_LINES, Build, ended, with_step
from drydock.watch.request import Request
from drydock.watch.stream import EngineStalled, alive, events

NAME = re.compile(r"^\[(?:(\S+) )?(\d+)/(\d+)\] ")
LINK = re.compile(r"\] LINK (COPY|ADD) ")  # COPY --link is two vertexes: the copy, and its merge with the step before
GRACE = 10.0  # seconds that buildx gets to end by itself after an interrupt


def command() -> list[str]:
    """Return how the docker CLI is called: `$DRYDOCK_BUILDX` may put something else in the place of `docker`."""
    return shlex.split(os.environ.get("DRYDOCK_BUILDX") or "docker")


def available(client: docker.DockerClient) -> bool:
    """Return whether this machine has buildx and the engine has BuildKit."""
    try:
        found = subprocess.run([*command(), "buildx", "version"], capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return found.returncode == 0 and "buildx" in found.stdout.decode(errors="replace")


def build(client: docker.DockerClient, request: Request, start: Build, host: str) -> Iterator[Build]:
    """Yield the build as it grows, from the first step to its end: done, failed or cancelled."""
    began = time.monotonic()
    now = Watched(replace(start, state="running"), request.plan)
    yield now.build
    with tempfile.TemporaryDirectory(prefix="drydock-") as folder:
        iid = Path(folder) / "iid"
        child = _start(request, iid, host)
        assert child.stderr is not None
        text: list[str] = []
        try:
            for event in events(lambda: _objects(child.stderr, text), lambda: alive(client)):
                if now.hear(event):
                    yield now.build
            code = child.wait()
            image = iid.read_text() if iid.exists() else None
            error = None if code == 0 else now.error or _reason(text)
            yield now.end(error, time.monotonic() - began, image)
        except (KeyboardInterrupt, GeneratorExit) as stop:
            _stop(child)
            if isinstance(stop, KeyboardInterrupt):
                yield ended(now.build, "cancelled", None, time.monotonic() - began)
            raise
        except EngineStalled as error:
            yield ended(now.build, "failed", str(error), time.monotonic() - began)
        finally:
            _stop(child)
            child.stderr.close()


def _start(request: Request, iid: Path, host: str) -> subprocess.Popen[str]:
    plan = request.plan
    arguments = ["buildx", "build", "--progress=rawjson", "--iidfile", str(iid)]
    arguments += ["--file", str(request.folder / request.dockerfile)]
    arguments += ["--tag", request.tag] if request.tag else []
    arguments += [part for k, v in plan.args.items() for part in ("--build-arg", f"{k}={v}")]
    arguments += [part for k, v in request.labels.items() for part in ("--label", f"{k}={v}")]
    arguments += ["--target", plan.target] if plan.target else []
    arguments += ["--no-cache"] if plan.no_cache else []
    environment = {**os.environ, "DOCKER_HOST": host}
    return subprocess.Popen(
        [*command(), *arguments, str(request.folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,  # the cell's interrupt reaches the kernel alone; we hand it on in _stop
    )


def _stop(child: subprocess.Popen[str]) -> None:
    """End buildx, gently first: a hung-up client makes BuildKit cancel the build."""
    if child.poll() is None:
        child.send_signal(signal.SIGINT)
        try:
            child.wait(GRACE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _objects(stream: IO[str] | None, text: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of a stream, one a line or indented; what is no JSON is kept in `text`.

    >>> import io
    >>> words = []
    >>> list(_objects(io.StringIO('{"a":\\n 1}\\n{"b": 2}\\nERROR: no\\n'), words)), words
    ([{'a': 1}, {'b': 2}], ['ERROR: no'])
    """
    waiting = ""
    for line in stream or ():
        if not waiting and not line.startswith("{"):
            text.append(line.rstrip())
            continue
        waiting += line
        if line.rstrip().endswith("}"):
            try:
                found = json.loads(waiting)
            except ValueError:
                continue
            waiting = ""
            yield found


def _reason(text: list[str]) -> str:
    errors = [line for line in text if line.startswith("ERROR")]
    return (errors or [line for line in text if line] or ["buildx ended without a word"])[-1].removeprefix("ERROR: ")


def numbers(plan: Plan) -> dict[tuple[str, int], int]:
    """Return which step (counted from 0 over the file) BuildKit calls `[stage n/m]`."""
    found: dict[tuple[str, int], int] = {}
    at = 0
    alone = len(plan.dockerfile.needed(plan.target)) == 1
    for stage in plan.dockerfile.stages:
        name = stage.name or f"stage-{stage.index}"
        count = 0
        table = {s.index: s for s in plan.resolved[stage.index]}
        triggers = sum(1 for s in plan.resolved[stage.index] if s.index < 0 and s.definition)
        for index in range(len(stage.instructions)):
            image = isinstance(plan.starts[stage.index], str) and plan.starts[stage.index] != "scratch"
            if (index == 0 and image) or (index > 0 and table[index].definition):
                count += 1
                found[name, count] = at
                if alone:
                    found["", count] = at
            if index == 0:
                count += triggers
            at += 1
    return found


class Watched:
    """The build so far, and what the next event means for it."""

    def __init__(self, build: Build, plan: Plan) -> None:
        self.plan = plan
        self.places = numbers(plan)
        self.vertexes: dict[str, int] = {}
        self.error: str | None = None
        self.pulled: set[int] = set()
        steps = list(build.steps)
        needed = {stage.index for stage in plan.dockerfile.needed(plan.target)}
        for at, step in enumerate(steps):
            if step.stage not in needed:
                steps[at] = replace(step, state="skipped")
            elif at not in self.places.values():
                steps[at] = replace(step, state="config")
        self.build = replace(build, steps=tuple(steps))

    def hear(self, event: dict[str, Any]) -> bool:
        """Take in one event; return whether there is something new to see."""
        seen = [self._vertex(vertex) for vertex in event.get("vertexes") or ()]
        seen += [self._status(status) for status in event.get("statuses") or ()]
        seen += [self._log(log) for log in event.get("logs") or ()]
        return any(seen)

    def _vertex(self, vertex: dict[str, Any]) -> bool:
        name = str(vertex.get("name", ""))
        match = NAME.match(name)
        if match and not LINK.search(name):
            place = self.places.get((match[1] or "", int(match[2])))
            if place is not None:
                self.vertexes[vertex["digest"]] = place
        at = self.vertexes.get(str(vertex.get("digest")))
        problem = str(vertex.get("error") or "")
        if problem and "context canceled" not in problem:
            self.error = problem
        if at is None:
            return False
        changes: dict[str, object] = {}
        if vertex.get("started"):
            changes["state"] = "running"
        if vertex.get("completed"):
            changes["seconds"] = seconds(vertex.get("started"), vertex["completed"])
            changes["state"] = self._state(at, vertex, problem)
            changes["progress"] = ""
        if problem:
            changes["error"] = problem
        if not changes:
            return False
        self.build = with_step(self.build, at, **changes)
        return True

    def _state(self, at: int, vertex: dict[str, Any], problem: str) -> str:
        if problem:
            return "cancelled" if "context canceled" in problem else "failed"
        if vertex.get("cached"):
            return "cached"
        return "ran" if self.build.steps[at].index or at in self.pulled else "cached"

    def _status(self, status: dict[str, Any]) -> bool:
        at = self.vertexes.get(str(status.get("vertex")))
        if at is None:
            return False
        if str(status.get("id", "")).startswith(("sha256:", "extracting")):
            self.pulled.add(at)
        total = f" of {status['total']}" if status.get("total") else ""
        done = f" {status['current']}{total} bytes" if status.get("current") else ""
        self.build = with_step(self.build, at, progress=f"{status.get('id', '')}{done}")
        return True

    def _log(self, log: dict[str, Any]) -> bool:
        at = self.vertexes.get(str(log.get("vertex")))
        if at is None:
            return False
        try:
            data = base64.b64decode(log.get("data") or "").decode(errors="replace")
        except (binascii.Error, ValueError):
            return False
        output = (*self.build.steps[at].output, *data.splitlines())
        self.build = with_step(self.build, at, output=output[-KEPT_LINES:])
        return True

    def end(self, error: str | None, took: float, image: str | None) -> Build:
        """Return the build after buildx has ended."""
        build = replace(self.build, image_id=image)
        if error is not None:
            return ended(build, "failed", error, took)
        table = keys(self.plan)
        by_key = {table[s.stage, s.index][0]: s for s in build.steps if s.state in ("ran", "cached")}
        steps = []
        for step in build.steps:
            twin = by_key.get(table[step.stage, step.index][0]) if step.state == "waiting" else None
            steps.append(replace(step, state=twin.state, seconds=twin.seconds) if twin else step)
        return ended(replace(build, steps=tuple(steps)), "done", None, took)


def seconds(started: object, completed: object) -> float | None:
    """Return the time between two of BuildKit's time stamps.

    >>> seconds("2026-01-01T00:00:00.5Z", "2026-01-01T00:00:02.123456789Z")
    1.623456
    """
    if not isinstance(started, str) or not isinstance(completed, str):
        return None
    return (_time(completed) - _time(started)).total_seconds()


def _time(text: str) -> datetime:
    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{(fraction or '0')[:6]:<06}+00:00")
