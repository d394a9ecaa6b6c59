"""What a builder is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from drydock.model.cache import Plan


@dataclass(frozen=True)
class Request:
    """A plan, where its files are, and how the image shall be called."""

    plan: Plan
    folder: Path
    dockerfile: str
    tag: str | None
    labels: Mapping[str, str]

    @property
    def steps(self) -> int:
        """How many of the Dockerfile's steps the classic builder goes through: all up to the target."""
        goal = self.plan.dockerfile.needed(self.plan.target)[-1].index
        return sum(len(s.instructions) for s in self.plan.dockerfile.stages if s.index <= goal)
