"""One piece of work before its judge: the artifact, whose it is, and what the exercise asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

from drydock.model.image import Image
from drydock.model.tree import Tree

from drydock_grading.artifact import Artifact, nonce
from drydock_grading.bases import Bases, KnownBase, made_by_kit
from drydock_grading.result import CheckResult, none

Judge = Callable[["Case"], CheckResult]


@dataclass(frozen=True)
class Check:
    """One check of an assignment: its id, its points, and the function that judges."""

    id: str
    max: float
    judge: Judge
    image: bool | None = True  # it looks at the image; False: at what artifact.json says; None: at another image


@dataclass(frozen=True)
class Assignment:
    """An exercise as its checks see it."""

    name: str
    title: str
    bases: tuple[str, ...]  # repositories of accepted bases
    repository: str  # the last part of the name to push to
    checks: tuple[Check, ...] = ()

    @property
    def points(self) -> float:
        """Return what can be earned by all checks together."""
        return sum(check.max for check in self.checks)


@dataclass(frozen=True)
class Case:
    """What a check judges; everything in it came from a student, but for `learner`, `bases` and the assignment."""

    artifact: Artifact
    assignment: Assignment
    learner: str
    bases: Bases
    seen: Callable[[str], tuple[str, str]] | None = (
        None  # asks a registry for (digest, manifest), where it may be asked
    )

    @property
    def image(self) -> Image:
        """Return the image; checks that need one run only where there is one."""
        assert self.artifact.image is not None
        return self.artifact.image

    @property
    def nonce(self) -> str:
        """Return the code that must be in this learner's image."""
        return nonce(self.assignment.name, self.learner)

    @cached_property
    def base(self) -> KnownBase | None:
        """The accepted base that the image really stands on."""
        listed = [b for b in self.bases.known if _repository(b.name) in self.assignment.bases]
        found = Bases(tuple(listed)).under(self.artifact.diff_ids)
        if found or self.artifact.image is None:
            return found
        made = made_by_kit(self.artifact.image, self.artifact.carried)
        return made if made and made.name in self.assignment.bases else None

    @cached_property
    def above(self) -> int:
        """The number of the first layer that is not the base's."""
        return max(len(self.base.diff_ids) if self.base else 0, self.artifact.carried)

    @cached_property
    def tree(self) -> Tree:
        """The files that a container sees."""
        return self.artifact.tree()

    def part(self, name: str) -> Case | None:
        """Return the case of another image that is part of the work, or None where it was not handed in."""
        other = self.artifact.others.get(name)
        return replace(self, artifact=replace(other, about=self.artifact.about)) if other else None

    def text(self, path: str) -> str | None:
        """Return a file's text as a container reads it, or None where there is none."""
        return self.artifact.text(path, self.tree)


def _repository(name: str) -> str:
    return name.partition("@")[0].rpartition(":")[0] or name


def run(check: Check, case: Case) -> CheckResult:
    """Return a check's verdict; work that cannot be read earns nothing and is told why."""
    if check.image and case.artifact.image is None:
        return none(check.max, case.artifact.no_image)
    if check.image is False and case.artifact.no_about:
        return none(check.max, case.artifact.no_about)
    try:
        return check.judge(case)
    except (ValueError, LookupError, OSError, RecursionError, MemoryError) as error:
        return none(check.max, f"This part of the work cannot be read ({type(error).__name__}): pack it once more.")
