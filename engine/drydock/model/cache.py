"""Will a step come from the cache, and why not? Both builders' rules, told before anything is built.

Sources: moby builder/dockerfile/imageprobe.go and image/cache/cache.go; buildkit solver/ and docs/dev/solver.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256

from drydock.model.context import Context, ContextFile, classic_hash, content_key
from drydock.model.dockerfile import Dockerfile, parse
from drydock.model.layer import counted
from drydock.model.prose import as_text
from drydock.model.resolve import SCRATCH, Base, Resolved, bases, resolve

HIT, MISS, DEPENDS = "HIT", "MISS", "DEPENDS"
CONFIG, SKIPPED = "CONFIG", "SKIPPED"  # BuildKit: no step of its own; a stage that nothing needs
GLYPHS = {HIT: "=", MISS: "+", DEPENDS: "?", CONFIG: "~", SKIPPED: "-"}


@dataclass(frozen=True)
class Prediction:
    """What will happen to one instruction, and one sentence why."""

    stage: int
    index: int
    verdict: str
    why: str
    key: str = ""
    on: str = ""  # what a DEPENDS depends on


@dataclass(frozen=True)
class Made:
    """An image that a step of the classic builder once made."""

    id: str
    parent: str
    created: str  # RFC 3339, to the nanosecond: the newest match wins
    created_by: str


@dataclass(frozen=True)
class Before:
    """A step as it was in the build before: what a miss is explained with."""

    text: str
    files: tuple[tuple[str, int, int, str], ...] = ()  # path, size, mode, sha256
    args: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Known:
    """What the builder has to offer, and what the kit remembers."""

    images: Mapping[str, Base] = field(default_factory=dict)  # base images by the name in FROM
    made: tuple[Made, ...] = ()  # classic builder: images with a parent
    copied: Mapping[tuple[str, str], str] = field(default_factory=dict)  # (source image, comment) -> created_by
    keys: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # BuildKit: key -> (parent key, definition)
    pruned: bool = False  # some of what the kit's builds left in the cache has gone since
    merges: bool = False  # the builder can lay COPY --link on top without the step before: not on Docker's own store
    empty: bool = False  # the builder's cache holds nothing at all
    strangers: tuple[str, ...] = ()  # what builds outside the kit left in the cache, as the daemon describes it
    records: frozenset[str] = frozenset()  # the IDs of all that was in BuildKit's cache when the plan was made
    before: tuple[tuple[Before, ...], ...] = ()  # the stages of the last build of this Dockerfile


def digest(*parts: str) -> str:
    """Return one hash of several texts."""
    return sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


@dataclass(frozen=True)
class Plan:
    """A build that has not happened: what each step would do, for this Dockerfile, these files and arguments."""

    dockerfile: Dockerfile
    context: Context
    known: Known = Known()
    args: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    no_cache: bool = False
    builder: str = "classic"

    @cached_property
    def resolved(self) -> tuple[tuple[Resolved, ...], ...]:
        """The instructions with their variables replaced, stage by stage."""
        return resolve(self.dockerfile, self.context, self.args, self.known.images)

    @cached_property
    def predictions(self) -> tuple[Prediction, ...]:
        """One prediction per instruction, in the order of the file."""
        rule: Callable[[Plan], dict[tuple[int, int], Prediction]]
        from drydock.model import rule_buildkit, rule_classic

        rule = rule_classic.predict if self.builder == "classic" else rule_buildkit.predict
        found = rule(self)
        return tuple(found[s.index, n] for s in self.dockerfile.stages for n in range(len(s.instructions)))

    @cached_property
    def starts(self) -> tuple[int | str, ...]:
        """What each stage starts from: an earlier stage's index, or an image's name."""
        return bases(self.dockerfile, self.args)

    def base(self, stage: int) -> Base | None:
        """Return what is known of the image a stage starts from; None where it is not on this engine."""
        start = self.starts[stage]
        return SCRATCH if start == "scratch" else self.known.images.get(str(start))

    def edited(
        self,
        dockerfile: str | None = None,
        files: Mapping[str, bytes | None] | None = None,
        args: Mapping[str, str] | None = None,
    ) -> Plan:
        """Return the plan as it would be after an edit; nothing is written and nothing is built."""
        changes = dict(files or {})
        if dockerfile is not None and any(f.path == "Dockerfile" for f in self.context.files):
            changes.setdefault("Dockerfile", dockerfile.encode())
        return replace(
            self,
            dockerfile=parse(dockerfile) if dockerfile is not None else self.dockerfile,
            context=self.context.edited(changes),
            args=self.args if args is None else args,
        )

    def sentence(self) -> str:
        """Return the plan in one sentence."""
        verdicts = [p.verdict for p in self.predictions]
        again, kept = verdicts.count(MISS), verdicts.count(HIT)
        unsure = f", {verdicts.count(DEPENDS)} cannot be known before" if DEPENDS in verdicts else ""
        return f"{again} of {counted(len(verdicts), 'step')} will run, {kept} will come from the cache{unsure}."

    def picture(self) -> str:
        """Return a drawing in text: verdict and reason of every step, with the number that a build gives it.

        >>> print(Plan(parse("# no step\\nFROM scratch\\nCMD a"), Context()).picture())
        classic builder: 1 of 2 steps will run, 1 will come from the cache.
        = HIT       1  FROM scratch
                      scratch is empty
        + MISS      2  CMD a
                      this has not been built here before
        """
        rows = [f"{self.builder} builder: {self.sentence()}"]
        for number, (i, p) in enumerate(zip(self.dockerfile.instructions, self.predictions, strict=True), 1):
            rows.append(f"{GLYPHS[p.verdict]} {p.verdict:<7} {number:>3}  {i.text}\n{'':>14}{as_text(p.why)}")
        return "\n".join(rows)


def key_of(step: Resolved) -> str:
    """Return the classic builder's name of a step whose files are known."""
    if step.selections is None:
        return step.comment
    return step.comment.replace("{hash}", classic_hash(step.selections))


def files_of(step: Resolved) -> tuple[ContextFile, ...]:
    """Return the files that a step takes from the context."""
    return tuple(f for selection in step.selections or () for f in selection.files)


def content_of(step: Resolved) -> str:
    """Return BuildKit's view of those files, or nothing where there are none."""
    return content_key(step.selections) if step.selections is not None else ""


def why_missed(plan: Plan, step: Resolved) -> str:
    """Return in one sentence what is different from the build before."""
    stages = plan.known.before
    before = stages[step.stage] if step.stage < len(stages) else ()
    if not stages:
        return "this has not been built here before"
    if not 0 < step.index < len(before):
        return "this step is new"
    old = before[step.index]
    if old.text != step.instruction.text:
        return f"the text of {step.instruction.keyword} changed"
    changed = _changes(old.files, files_of(step))
    if changed:
        return changed
    for name, value in step.args:
        was = dict(old.args).get(name)
        if was != value:
            return f"build argument {name} changed ({was or 'not set'} -> {value})"
    return "the cache holds no result for it: it was removed, or the step stands on something else than before"


def _changes(old: tuple[tuple[str, int, int, str], ...], new: tuple[ContextFile, ...]) -> str:
    was = {path: (size, mode, sha) for path, size, mode, sha in old}
    found: list[str] = []
    for file in new:
        size, mode, sha = was.pop(file.path, (None, 0, ""))
        if size is None:
            found.append(f"`{file.path}` is new")
        elif sha != file.sha256:
            sizes = f" ({size:,} -> {counted(file.size, 'byte')})" if size != file.size else ""
            found.append(f"`{file.path}` changed{sizes}")
        elif mode != file.mode:
            found.append(f"the mode of `{file.path}` changed ({mode:o} -> {file.mode:o})")
    found += [f"`{path}` is gone" for path in was]
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    return found[0] + more if found else ""


def why_hit(step: Resolved) -> str:
    """Return in one sentence why the old result still stands."""
    if step.selections is not None and step.instruction.keyword != "RUN":
        return "the files are the same in name, mode and content; their times do not count"
    if step.instruction.keyword == "RUN":
        return "same text on the same base, so Docker reuses the old result, even if a mirror or clock has moved on"
    return "same instruction on the same base"
