"""What a build did, step by step: the same words whichever builder ran."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from drydock.model.cache import Plan, Prediction
from drydock.model.dockerfile import FILE_CHANGING, Dockerfile, Instruction
from drydock.model.layer import counted

GLYPHS = {
    "waiting": ".",
    "running": ">",
    "cached": "=",
    "ran": "+",
    "config": "~",
    "skipped": "-",
    "failed": "!",
    "cancelled": "x",
}
KEPT_LINES = 200


@dataclass(frozen=True)
class Step:
    """One instruction at work."""

    number: int  # counted over the whole Dockerfile from 1
    text: str
    stage: int
    index: int  # within the stage; 0 is the FROM
    lines: tuple[int, int]  # of the Dockerfile, 1-based, inclusive
    state: str = "waiting"  # one of GLYPHS
    seconds: float | None = None
    output: tuple[str, ...] = ()  # the last 200 lines
    image_id: str | None = None  # the image this step made (classic builder only)
    error: str | None = None
    prediction: Prediction | None = None
    progress: str = ""

    @property
    def done(self) -> bool:
        """True once nothing more can happen to it."""
        return self.state not in ("waiting", "running")

    def picture(self) -> str:
        """Return the step on one line: glyph, word, time, instruction, and how the prediction did.

        >>> Step(2, "RUN true", 0, 1, (2, 2), "ran", 0.31).picture()
        '+ ran       0.3 s   2  RUN true'
        """
        seconds = f"{self.seconds:.1f} s" if self.seconds is not None else ""
        line = f"{GLYPHS[self.state]} {self.state:<9} {seconds:>6} {self.number:>2}  {self.text}"
        return f"{line}\n{'':>22}{self.error}" if self.error else line


@dataclass(frozen=True)
class Build:
    """One build: planned, under way, or done."""

    builder: str  # "classic" or "buildkit"
    engine: str  # "Docker 20.10.24"
    steps: tuple[Step, ...]
    image_id: str | None = None
    tags: tuple[str, ...] = ()
    seconds: float | None = None
    state: str = "planned"  # planned, running, done, failed, cancelled
    error: str | None = None
    warnings: tuple[str, ...] = field(default=())

    def count(self, *states: str) -> int:
        """Return how many steps are in one of these states."""
        return sum(step.state in states for step in self.steps)

    def sentence(self) -> str:
        """Return the build in one sentence."""
        ran, cached = self.count("ran", "failed"), self.count("cached")
        if self.state == "planned":
            return f"{counted(len(self.steps), 'step')}, not built yet."
        took = f" in {self.seconds:.1f} s" if self.seconds is not None else ""
        end = {"failed": " Then it failed.", "cancelled": " Then it was cancelled."}.get(self.state, "")
        verb = "so far" if self.state == "running" else "ran" + took
        return f"{ran} of {counted(len(self.steps), 'step')} {verb}, {cached} came from the cache.{end}"

    def picture(self) -> str:
        """Return a drawing in text: a line per step, a sentence on top.

        >>> step = Step(1, "FROM scratch", 0, 0, (1, 1), "cached")
        >>> print(Build("classic", "Docker 20.10", (step,), state="done").picture())
        Docker 20.10, classic builder: 0 of 1 step ran, 1 came from the cache.
        = cached             1  FROM scratch
        """
        head = f"{self.engine}, {self.builder} builder: {self.sentence()}"
        tail = [self.error] if self.error else []
        return "\n".join([head, *(step.picture() for step in self.steps), *tail])


def waiting(dockerfile: Dockerfile, predictions: Iterable[Prediction] = ()) -> tuple[Step, ...]:
    """Return the steps of a Dockerfile before anything has happened, each with its prediction."""
    by_place = {(p.stage, p.index): p for p in predictions}
    steps: list[Step] = []
    for stage in dockerfile.stages:
        for index, i in enumerate(stage.instructions):
            prediction = by_place.get((stage.index, index))
            steps.append(Step(len(steps) + 1, i.text, stage.index, index, i.lines, prediction=prediction))
    return tuple(steps)


def planned(plan: Plan, engine: str, tags: tuple[str, ...] = ()) -> Build:
    """Return the build that a plan foresees, with every step waiting."""
    return Build(plan.builder, engine, waiting(plan.dockerfile, plan.predictions), tags=tags)


def is_vertex(i: Instruction) -> bool:
    """True where BuildKit makes a step of the instruction; ENV, CMD and their like are configuration only."""
    return i.keyword in (*FILE_CHANGING, "FROM")


def with_step(build: Build, at: int, **changes: object) -> Build:
    """Return the build with one step (counted from 0) changed."""
    steps = list(build.steps)
    steps[at] = replace(steps[at], **changes)  # type: ignore[arg-type]
    return replace(build, steps=tuple(steps))


def ended(build: Build, state: str, error: str | None, seconds: float) -> Build:
    """Return the build at its end: what still ran has failed or was cancelled, what waited stays waiting."""
    steps = tuple(
        replace(step, state=state, error=step.error or (error if state == "failed" else None))
        if step.state == "running" and state != "done"
        else step
        for step in build.steps
    )
    return replace(build, steps=steps, state=state, error=error, seconds=seconds)
