"""A build by the classic builder, watched through docker-py: its stream of lines becomes steps.

The stream: moby builder/dockerfile/builder.go and internals.go (v20.10.24).
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import docker
from docker.errors import APIError, DockerException
from requests.exceptions import RequestException

from drydock.model.steps import KEPT_LINES, Build, ended, with_step
from drydock.read.context import pack
from drydock.watch.request import Request
from drydock.watch.stream import Call, EngineStalled, alive, events, explain

STEP = re.compile(r"^Step (\d+)/(\d+) : ")
ARROW = re.compile(r"^ ---> ([0-9a-f]{12})$")
NOISE = re.compile(r"^( ---> |Removing intermediate container|Successfully (built|tagged))|^$")
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def build(client: docker.DockerClient, request: Request, start: Build) -> Iterator[Build]:
    """Yield the build as it grows, from the first step to its end: done, failed or cancelled.

    An interrupt ends the build on the engine too, yields it as cancelled, and goes on to the caller.
    """
    began = time.monotonic()
    now = Watched(replace(start, state="running"), request.steps)
    yield now.build
    api = client.api

    def source() -> Iterator[Mapping[str, Any]]:
        with tempfile.TemporaryFile() as tar:
            pack(request.folder, request.plan.context, tar)
            tar.seek(0)
            plan = request.plan
            yield from api.build(
                fileobj=tar, custom_context=True, decode=True, rm=True, forcerm=True, tag=request.tag,
                dockerfile=request.dockerfile, buildargs=dict(plan.args), target=plan.target,
                nocache=plan.no_cache, labels=dict(request.labels), timeout=None,
            )  # fmt: skip

    with Call(client) as call:
        try:
            for event in events(source, lambda: alive(client)):
                if now.hear(event):
                    yield now.build
            yield now.end(time.monotonic() - began)
        except (KeyboardInterrupt, GeneratorExit) as stop:
            call.hang_up()  # the engine cancels a build whose client hangs up
            if isinstance(stop, KeyboardInterrupt):
                yield ended(now.build, "cancelled", None, time.monotonic() - began)
            raise
        except (APIError, DockerException, RequestException, EngineStalled) as error:
            yield ended(now.build, "failed", explain(error), time.monotonic() - began)


class Watched:
    """The build so far, and what the next line means for it."""

    def __init__(self, build: Build, total: int) -> None:
        self.build, self.total = build, total
        self.at = -1
        self.since = time.monotonic()
        self.rest = ""
        self.failed: str | None = None

    def hear(self, event: Mapping[str, Any]) -> bool:
        """Take in one event of the stream; return whether there is something new to see."""
        if "error" in event:
            self.failed = str(event["error"])
            return False
        if "aux" in event and "ID" in event["aux"]:
            self.build = replace(self.build, image_id=event["aux"]["ID"])
            return False
        if "status" in event:
            return self._progress(str(event.get("id") or ""), str(event["status"]))
        self.rest += str(event.get("stream", ""))
        *lines, self.rest = self.rest.split("\n")
        seen = [self._line(ANSI.sub("", line)) for line in lines]
        return any(seen)

    def _progress(self, layer: str, status: str) -> bool:
        if not 0 <= self.at < self.total:
            return False
        self.build = with_step(self.build, self.at, progress=f"{layer} {status}".strip())
        return True

    def _line(self, line: str) -> bool:
        match = STEP.match(line)
        if match:
            self._finish()
            self.at, self.since = int(match[1]) - 1, time.monotonic()
            return self._change(state="running")
        if line == " ---> Using cache":
            return self._change(state="cached")
        arrow = ARROW.match(line)
        if arrow:
            return self._change(image_id=arrow[1])
        if NOISE.match(line) or not 0 <= self.at < self.total:
            return False
        output = (*self.build.steps[self.at].output, line.rstrip("\r"))
        return self._change(output=output[-KEPT_LINES:])

    def _change(self, **changes: object) -> bool:
        if not 0 <= self.at < self.total:
            return False  # the label that the kit adds is a step more than the Dockerfile has
        self.build = with_step(self.build, self.at, **changes)
        return True

    def _finish(self) -> None:
        if not 0 <= self.at < self.total:
            return
        step = self.build.steps[self.at]
        took = time.monotonic() - self.since
        state = step.state
        if state == "running":
            state = "cached" if step.index == 0 and not step.progress else "ran"
        self._change(state=state, seconds=took, progress="")

    def end(self, seconds: float) -> Build:
        """Return the build after the stream's last word."""
        if self.rest.strip():
            self._line(ANSI.sub("", self.rest))
        if self.failed is not None:
            return ended(self.build, "failed", self.failed, seconds)
        self._finish()
        steps = tuple(replace(s, state="skipped") if n >= self.total else s for n, s in enumerate(self.build.steps))
        return ended(replace(self.build, steps=steps), "done", None, seconds)
