"""The online store, run two ways under one load: what was asked, what came back, and what each design lost.

The same five parts are one process (`monolith`) or six (`services`: a front and a process for each part). A `Plan`
says what shall happen to it; a `Run` what then did happen, measured on an engine or computed by `model.shop_rule`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from drydock.model.layer import counted, human, shown

DESIGNS = ("monolith", "services")
PARTS = ("catalogue", "cart", "payment", "recommendations", "users")
PATHS = {  # what a customer asks for: the parts it needs, in the order in which the front asks them
    "home": ("catalogue", "recommendations"),
    "add": ("users", "cart"),
    "pay": ("users", "cart", "payment"),
}
DEEDS = ("nothing", "crash", "slow", "leak", "bad release", "patch", "other stack")
REMEDIES = ("timeout", "retry", "fallback", "replica")
# The times of the lesson, on a quiet machine. On a slower one all are stretched alike: what is compared stays the same.
RATE = 30  # requests per second
PATIENCE = 0.5  # seconds; then a customer gives up
SLOW = 0.2  # seconds that a slow part takes longer
TIMEOUT, BACKOFF = 0.05, 0.02  # of the remedies: seconds, seconds before the first new attempt (then twice that)
SLICE = 0.5  # seconds of a window
MODEL = "model, not measured here"
UNKNOWN = "There is no {what} {name!r}: {all}.\nTry: {near!r}"


@dataclass(frozen=True)
class Plan:
    """What shall happen: one deed to one part, at one moment of a bounded load, with these remedies in place."""

    deed: str = "nothing"  # one of DEEDS
    part: str = "recommendations"  # one of PARTS
    remedies: tuple[str, ...] = ()  # of REMEDIES; replica: a second one of the part, in the monolith of all
    seconds: float = 4.0  # how long the load lasts, at most 30
    at: float = 1.0  # when the deed is done
    rate: float = RATE  # requests per second, at most 100
    seed: int = 295  # the same seed, the same requests in the same order
    stretch: int = 1  # how many times as long all times are as on a quiet machine

    def __post_init__(self) -> None:
        known(self.deed, DEEDS, "deed")
        known(self.part, PARTS, "part")
        for remedy in self.remedies:
            known(remedy, REMEDIES, "remedy")
        if self.deed == "other stack":
            known(self.part, PARTS[3:4], "part on another stack")
        most = 30 * self.stretch, 100 / self.stretch
        if not (0 < self.seconds <= most[0] and 0 < self.rate <= most[1] and 0 <= self.at < self.seconds):
            raise ValueError("A load lasts at most 30 seconds at 100 requests a second, and the deed falls into it")

    def stretched(self, times: int) -> Plan:
        """Return the same plan for a machine that needs so many times as long: as many customers, and more patient.

        >>> slow = Plan("slow", seconds=3).stretched(4)
        >>> slow.seconds * slow.rate, slow.at, slow.patience, slow.slow, slow.timeout
        (90.0, 4.0, 2.0, 0.8, 0.2)
        """
        return replace(self, seconds=self.seconds * times, at=self.at * times, rate=self.rate / times, stretch=times)

    @property
    def patience(self) -> float:
        """Return the seconds that a customer waits."""
        return PATIENCE * self.stretch

    @property
    def slow(self) -> float:
        """Return the seconds that a slow part takes longer."""
        return SLOW * self.stretch

    @property
    def timeout(self) -> float:
        """Return the seconds after which the front gives up a call, where it has that remedy."""
        return TIMEOUT * self.stretch

    @property
    def backoff(self) -> float:
        """Return the seconds before the first new attempt, where the front has that remedy."""
        return BACKOFF * self.stretch

    @property
    def slice(self) -> float:
        """Return the seconds of a window."""
        return SLICE * self.stretch

    def sentence(self) -> str:
        """Return in one sentence what shall happen.

        >>> Plan(seconds=3).stretched(2).sentence()
        'nothing happens in 6 s of 15 requests a second; all times are 2 times as long as on a quiet machine.'

        >>> Plan("slow", remedies=("timeout", "fallback")).sentence()
        'slow: recommendations, 1 s into 4 s of 30 requests a second; with timeout and fallback.'
        >>> Plan("crush")
        Traceback (most recent call last):
        ValueError: There is no deed 'crush': nothing, crash, slow, leak, bad release, patch, other stack.
        Try: 'crash'
        """
        said = self.deed if self.deed == "nothing" else f"{self.deed}: {self.part}, {self.at:g} s into"
        with_ = f"; with {' and '.join(self.remedies)}" if self.remedies else ""
        load = f"{self.seconds:g} s of {self.rate:g} requests a second"
        slower = f"; all times are {self.stretch} times as long as on a quiet machine" if self.stretch > 1 else ""
        return f"{said + ' happens in' if self.deed == 'nothing' else said} {load}{with_}{slower}."


@dataclass(frozen=True)
class Request:
    """One customer's request: when it was sent, what for, and how it ended."""

    at: float  # seconds since the load began
    kind: str  # one of PATHS: home, add, pay
    ok: bool
    ms: float  # until the answer, or until the customer gave up
    left: bool = False  # the customer's patience was over before the answer came


@dataclass(frozen=True)
class Window:
    """One slice of time: how many were sent in it, how many of those went well, and how long the good ones took."""

    start: float  # seconds since the load began
    seconds: float
    sent: int
    ok: int
    left: int  # who gave up; the other failures were quick
    p50: float | None  # ms, of the good answers; None where there are none
    p95: float | None

    @property
    def success(self) -> float | None:
        """Return the share that went well, 0 to 1; None where nothing was sent."""
        return self.ok / self.sent if self.sent else None

    def picture(self) -> str:
        """Return the slice on one line.

        >>> Window(1.0, 0.5, 20, 12, 3, 8.2, 31.0).picture()
        '1.0 s  ######....   12 of 20   p50    8 ms   p95   31 ms   3 gave up'
        """
        bar = "#" * round(10 * (self.success or 0))
        times = "".join(f"   {n} {ms:>4.0f} ms" for n, ms in (("p50", self.p50), ("p95", self.p95)) if ms is not None)
        return f"{self.start:.1f} s  {bar:.<10}  {self.ok:>3} of {self.sent}{times}" + (
            f"   {self.left} gave up" if self.left else ""
        )


@dataclass(frozen=True)
class Part:
    """One process of a design: in the monolith there is one, with all parts inside; else the front and one a part."""

    name: str  # monolith; front, catalogue, ...
    state: str = "running"  # starting, running, dead, stopped
    version: str = "1.0"
    stack: str = "tornado"  # what it is written on
    replicas: int = 1  # that run now
    memory: int | None = None  # bytes, of all its replicas
    started: float | None = None  # seconds from `docker start` to the first answer
    fault: str = ""  # slow, leak; "" where nobody did anything to it
    inside: tuple[str, ...] = ()  # the parts whose code it runs

    def picture(self) -> str:
        """Return the part on one line.

        >>> Part("cart", memory=31_000_000, started=0.41).picture()
        'cart             running    1.0  31MB  up in 0.41 s'
        """
        memory = "" if self.memory is None else f"  {human(self.memory)}"
        up = "" if self.started is None else f"  up in {self.started:.2f} s"
        more = f"  x{self.replicas}" if self.replicas > 1 else ""
        stack = f"  {shown(self.stack)}" if self.stack != "tornado" else ""
        fault = f"  {self.fault}" if self.fault else ""
        return f"{shown(self.name):<16} {self.state:<9}  {shown(self.version)}{more}{memory}{up}{stack}{fault}"


@dataclass(frozen=True)
class Event:
    """Something that was done or seen, at its moment: "crash", "died", "replica", "released", "mended" ..."""

    at: float  # seconds since the load began; below 0: before it
    what: str
    part: str
    text: str  # one sentence


@dataclass(frozen=True)
class Run:
    """One design under one load: every request, every event, and its parts as they stand now."""

    design: str  # one of DESIGNS
    plan: Plan
    engine: str = ""  # who ran it: "Docker 26.1.5"; "" for the model
    measured: bool = True  # False: the deterministic model computed it
    parts: tuple[Part, ...] = ()
    requests: tuple[Request, ...] = ()
    events: tuple[Event, ...] = ()
    shipped: int | None = None  # bytes of layers that a release of this plan had to ship; None: none was made
    memory_is: str = ""  # how memory was measured, in words
    held: tuple[tuple[float, int], ...] = ()  # (seconds, bytes of all processes together) as the load went on
    done: bool = False
    now: float = 0.0  # seconds since the load began
    why: str = ""  # why nothing was measured, and what to try

    @cached_property
    def windows(self) -> tuple[Window, ...]:
        """Return the run cut into slices of half a second (stretched), oldest first; the last may still grow."""
        long = self.plan.slice
        count = int(max((r.at for r in self.requests), default=-long) / long) + 1
        rows: list[list[Request]] = [[] for _ in range(count)]
        for request in self.requests:
            rows[int(request.at / long)].append(request)
        return tuple(_window(number * long, long, row) for number, row in enumerate(rows))

    @cached_property
    def before(self) -> Window:
        """Return what was sent before the deed, as one slice."""
        return _window(0.0, self.plan.at, [r for r in self.requests if r.at < self.plan.at])

    @cached_property
    def after(self) -> Window:
        """Return what was sent since the deed, as one slice: where nothing happens, all of it."""
        start = 0.0 if self.plan.deed == "nothing" else self.plan.at
        return _window(start, max(0.0, self.now - start), [r for r in self.requests if r.at >= start])

    @property
    def memory(self) -> int | None:
        """Return the bytes that all processes hold together, where they were measured."""
        known = [part.memory for part in self.parts if part.memory is not None]
        return sum(known) if known else None

    @property
    def started(self) -> float | None:
        """Return the seconds until the whole design answered: its slowest part's, for all start together."""
        return max((part.started for part in self.parts if part.started is not None), default=None)

    def by_kind(self) -> dict[str, Window]:
        """Return what was sent since the deed, for each kind of request: which customers noticed."""
        start = self.after.start
        return {k: _window(start, 0.0, [r for r in self.requests if r.at >= start and r.kind == k]) for k in PATHS}

    @property
    def source(self) -> str:
        """Return who says all this, for a badge: the engine's name, or that it is a model."""
        return self.engine if self.measured else MODEL

    def sentence(self) -> str:
        """Return in one sentence how the customers fared.

        >>> asked = (Request(1.0, "home", False, 500, True), Request(1.5, "pay", True, 12.0))
        >>> Run("services", Plan("slow"), requests=asked, now=2.0).sentence()
        'services: 50 % of 2 requests went well after slow in recommendations; 1 customer gave up after 0.5 s.'
        """
        seen = self.after
        if not seen.sent:
            return f"{self.design}: nothing was asked yet."
        since = "" if self.plan.deed == "nothing" else f" after {self.plan.deed} in {self.plan.part}"
        slow = f"; p95 {seen.p95:.0f} ms" if seen.p95 is not None and not seen.left else ""
        left = f"; {counted(seen.left, 'customer')} gave up after {self.plan.patience:g} s" if seen.left else ""
        return f"{self.design}: {100 * seen.ok / seen.sent:.0f} % of {seen.sent} requests went well{since}{slow}{left}."

    def picture(self) -> str:
        """Draw the run: its parts, its slices of time, its events, one line each.

        >>> print(Run("monolith", Plan(), parts=(Part("monolith"),), requests=(Request(0.1, "pay", True, 9.0),),
        ...           measured=False).picture())
        monolith  model, not measured here  nothing happens in 4 s of 30 requests a second.
          monolith         running    1.0
          0.0 s  ##########    1 of 1   p50    9 ms   p95    9 ms
        """
        rows = [f"{self.design}  {shown(self.source)}  {self.plan.sentence()}"]
        rows += [f"  {part.picture()}" for part in self.parts]
        rows += [f"  {window.picture()}" for window in self.windows]
        rows += [f"  {'before' if event.at < 0 else f'{event.at:.1f} s'}  {shown(event.text)}" for event in self.events]
        return "\n".join(rows)


@dataclass(frozen=True)
class Comparison:
    """Both designs under the same load at the same moment."""

    runs: tuple[Run, ...]
    control: tuple[Request, ...] = ()  # visits to a part that nobody touches, straight, all through the run
    tries: int = 1  # which attempt this is: those before were spoiled

    def run(self, design: str) -> Run:
        """Return one design's run.  Raises: KeyError."""
        return {run.design: run for run in self.runs}[design]

    @property
    def plan(self) -> Plan:
        """Return what was to happen to both."""
        return self.runs[0].plan

    @property
    def done(self) -> bool:
        """Return True once both loads are over."""
        return all(run.done for run in self.runs)

    @property
    def provenance(self) -> str:
        """Return the words that go before a figure which nobody measured, and why nobody did; "" where it was."""
        if self.runs[0].measured:
            return ""
        return f"{MODEL.capitalize()}{': ' + self.runs[0].why if self.runs[0].why else '.'} "

    def sentence(self) -> str:
        """Return what became of each design, a sentence each, and that it is a model's where it is."""
        return self.provenance + " ".join(run.sentence() for run in self.runs)

    def picture(self) -> str:
        """Draw both runs, one below the other, and say what became of them."""
        return "\n".join([*(run.picture() for run in self.runs), self.sentence()])


def known(name: str, names: Sequence[str], what: str) -> str:
    """Return the name where it is one of these.  Raises: ValueError, with the nearest."""
    if name not in names:
        near = min(names, key=lambda n: -len(set(n) & set(str(name))) / len(set(n) | set(str(name))))
        raise ValueError(UNKNOWN.format(what=what, name=name, all=", ".join(names), near=near))
    return name


def rank(values: Iterable[float], share: float) -> float | None:
    """Return the value below or at which this share of all lies; None where there are none.

    >>> rank([5, 1, 4, 2, 3], 0.5), rank(range(1, 101), 0.95), rank([], 0.5)
    (3, 95, None)
    """
    row = sorted(values)
    return row[max(0, -int(-share * len(row) // 1) - 1)] if row else None


def _window(start: float, seconds: float, row: Sequence[Request]) -> Window:
    good = [request.ms for request in row if request.ok]
    left = sum(request.left for request in row)
    return Window(start, seconds, len(row), len(good), left, rank(good, 0.5), rank(good, 0.95))
