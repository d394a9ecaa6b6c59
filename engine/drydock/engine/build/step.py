"""Where a build stands: the stage's image and settings so far, and how the next step's image is made.

Source: moby builder/dockerfile/internals.go (probeCache, create, commitContainer), tag v20.10.24.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from drydock.engine.build.config import Config, whole
from drydock.engine.build.context import Sent
from drydock.engine.build.messages import Message, say, short
from drydock.engine.build.probe import Probe
from drydock.engine.build.request import Request
from drydock.engine.build.settings import Settings
from drydock.engine.errors import EngineError
from drydock.engine.images import Catalogue, Record, made, platforms
from drydock.engine.snapshots import Journal, Layers, Snapshot, Snapshots
from drydock.model.dockerfile import Dockerfile, Stage
from drydock.model.layer import Layer

BUILDKIT = "Refer to https://docs.docker.com/go/buildkit/ to learn how to build images with BuildKit enabled"


class RunStep(Protocol):
    """Runs a program in a snapshot: `drydock.engine.run.Steps(...).run`."""

    def __call__(
        self,
        snapshot: Snapshot,
        args: Sequence[str],
        env: Sequence[str],
        cwd: str,
        user: str,
        network: str,
        on_output: Callable[[int, bytes], None],
        cancelled: Callable[[], bool] = ...,
        *,
        shm_size: int = ...,
        extra_hosts: Sequence[str] = ...,
        ulimits: Sequence[Mapping[str, object]] = ...,
        hostname: str = ...,
    ) -> tuple[int, Journal]: ...


class PullBase(Protocol):
    """Brings an image from its registry, message by message: `drydock.engine.distribution`."""

    def __call__(self, name: str, platform: str, registries: Mapping[str, Any]) -> Iterator[Message]: ...


def no_registry(name: str, platform: str, registries: Mapping[str, Any]) -> Iterator[Message]:
    """Say that an image is not here, where nothing can bring it."""
    raise EngineError(f"{name} is not on this engine, and it cannot pull. Try: docker load -i FILE")


@dataclass
class Site:
    """Where a build takes place: what it builds from and into."""

    images: Catalogue
    layers: Layers
    snapshots: Snapshots
    run_step: RunStep
    pull: PullBase
    kind: Callable[[], str]  # of snapshot, as the sandbox needs it; asked when a step runs, since it may take a probe
    known: dict[tuple[str, str], tuple[tuple[str, str], ...]]  # (image, source) -> what COPY --from finds there
    tmp: Path
    request: Request
    dockerfile: Dockerfile
    sent: Sent
    probe: Probe
    cancelled: threading.Event
    ends: list[Record | None]  # what each finished stage has become
    names: dict[str, int]

    def image(self, name: str, platform: str = "") -> Generator[Message, None, Record]:
        """Return an image, pulled where it is not here, or where `--pull` asks for the newest."""
        if self.request.pull or not self.images.has(name):
            yield from self.pull(name, platform or self.request.platform, self.request.registries)
        return self.images.get(name)


@dataclass
class Step:
    """The stage so far, and the instruction at hand."""

    site: Site
    stage: Stage
    settings: Settings
    image: Record | None
    container: str = ""

    @property
    def parent(self) -> str:
        """Return the ID of the image that the stage has reached."""
        return self.image.id if self.image else ""

    def configured(self, cmd: Sequence[str]) -> Config:
        """Return the configuration of the container in which dockerd would take this step."""
        return whole({**self.settings.config, "Image": self.parent, "Cmd": list(cmd)})

    def hit(self, config: Config) -> bool:
        """Look the step up in the cache, and move on to its result where there is one."""
        found = self.site.probe.find(self.image, config)
        if found is not None:
            self.image = found
        return found is not None

    def begin(self) -> Message:
        """Name the container of the step."""
        self.container = secrets.token_hex(32)
        foreign = platforms.foreign(self.image.config) if self.image and not self.site.request.platform else ""
        warning = f" ---> [Warning] {foreign}\n" if foreign else ""
        return say(f"{warning} ---> Running in {short(self.container)}\n")

    def commit(self, config: Config, layer: Layer | None) -> None:
        """Make an image of what the stage is now."""
        raw = made(
            self.image.config if self.image else None,
            layer,
            config=whole({**self.settings.config, "Image": self.parent}),
            container_config=config,
            container=self.container,
            created_by=" ".join(config["Cmd"]),
            author=self.settings.author,
        )
        self.image = self.site.images.add(raw, parent=self.parent, built=True)

    def chain(self) -> tuple[str, ...]:
        """Return the layers of the image so far."""
        return tuple(self.image.layers) if self.image else ()
