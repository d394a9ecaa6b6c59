"""A model of the store, for where nothing can be executed: who comes, who waits for whom, and what that leads to.

One rule makes most of it: a process serves two requests at a time, and whoever asks another process keeps his own
worker busy while he waits. So a slow part fills up those that ask it, and a dead one does not. The same plan gives the
same run, always. The times are round figures of a run of the real store (Docker 20.10, two cores); a test compares
what the model says with what real runs did.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from drydock.model.shop import DESIGNS, PARTS, PATHS, Comparison, Event, Part, Plan, Request, Run

WORKERS = 2  # requests that a process serves at a time; as in the store's serve.py
WORK = 0.002  # s that a part works for one answer
HOP = 0.003  # s to ask another process and to be answered: what the network costs
FRONT = 0.002  # s that the front itself takes for a page
RETRIES = 2  # times that the front asks again, where it has that remedy
GROWTH, LEAKED = 48 << 20, 5 << 19  # bytes that a process may grow; bytes that a leak keeps of each request
NOTICED = 0.2  # s until nobody is sent any more to a process that died
STARTUP = {"monolith": 0.5, "services": 0.5}  # s until a process that is started answers
MEMORY = 30_000_000  # bytes of one process; the framework is nearly all of it
RELEASED = {"monolith": 774_000, "catalogue": 25_000, "cart": 8_000, "payment": 8_000, "recommendations": 725_000}
RELEASED |= {"users": 8_000, "other stack": 1_200}  # bytes of the layers that a release of each ships
STEP = 0.25  # s of the store's time between two values of `simulated`
SHARES = {"home": 60, "add": 25, "pay": 15}  # of 100 requests


@dataclass(frozen=True)
class Order:
    """One request before it is sent: when, what for, by whom, about what."""

    at: float  # seconds since the load began
    kind: str
    customer: int
    product: int

    @property
    def path(self) -> str:
        """Return what is asked of the front.

        >>> Order(0.0, "pay", 7, 295).path
        '/pay?customer=7&product=295'
        """
        return f"/{self.kind}?customer={self.customer}&product={self.product}"


def orders(plan: Plan) -> tuple[Order, ...]:
    """Return who comes, in order: evenly spaced, and the same for every design and engine.

    >>> [order.kind for order in orders(Plan(seconds=2))[:6]]
    ['pay', 'add', 'pay', 'home', 'add', 'add']
    """
    drawn = random.Random(plan.seed)
    kinds, weights = list(SHARES), list(SHARES.values())
    count = int(plan.seconds * plan.rate)
    return tuple(
        Order(number / plan.rate, drawn.choices(kinds, weights)[0], drawn.randint(1, 100), drawn.randint(1, 500))
        for number in range(count)
    )


@dataclass
class Copy:
    """One process: two workers, each with the moment when it is free again, and the moments it is away."""

    free: list[float] = field(default_factory=lambda: [0.0] * WORKERS)
    away: tuple[float, float] = (float("inf"), float("inf"))  # dead from, answering again from
    leaks: list[float] = field(default_factory=list)  # when it kept something that it should have given back

    def memory(self, at: float) -> int:
        """Return the bytes that it holds at that moment; nothing while it is dead."""
        return 0 if self.dead(at) else MEMORY + LEAKED * sum(when <= at for when in self.leaks)

    def dead(self, at: float) -> bool:
        """Return whether nothing answers at that moment."""
        return self.away[0] <= at < self.away[1]

    def begin(self, at: float) -> tuple[int, float]:
        """Return which worker takes what arrives at that moment, and when: the one that is free first."""
        worker = min(range(WORKERS), key=self.free.__getitem__)
        return worker, max(at, self.free[worker])


class Silent(Exception):
    """A part did not answer; `.until` is when the one who asked knew."""

    def __init__(self, until: float) -> None:
        self.until = until


class Design:
    """One design in the model: its processes, and what a request meets in them."""

    def __init__(self, design: str, plan: Plan, startup: float) -> None:
        self.design, self.plan, self.whole, self.startup = design, plan, design == "monolith", startup
        self.drawn = random.Random(plan.seed + 1)
        names = ("monolith",) if self.whole else ("front", *PARTS)
        self.struck = "monolith" if self.whole else plan.part  # the process that the deed hits
        self.copies = {name: [Copy()] for name in names}
        if "replica" in plan.remedies:
            self.copies[self.struck].append(Copy())
        self.turn = 0
        self.events: list[Event] = []
        self._strike()

    def _strike(self) -> None:
        """Put down when which process will be away; what depends on the load itself comes while it runs."""
        plan, copies, up = self.plan, self.copies[self.struck], self.startup
        if plan.deed in ("crash", "bad release"):
            copies[0].away = (plan.at, float("inf"))
        elif plan.deed == "patch" or (plan.deed == "other stack" and not self.whole):
            for number, copy in enumerate(copies):
                copy.away = (plan.at + number * up, plan.at + (number + 1) * up)
        if plan.deed != "nothing":
            self.events.append(Event(plan.at, plan.deed, plan.part, told(self.design, plan)))

    def serve(self, order: Order) -> Request:
        """Return what becomes of one customer."""
        door = self._copy("monolith" if self.whole else "front", order.at)
        if door is None:
            return Request(order.at, order.kind, False, 1.0)
        worker, now = door.begin(order.at)
        now += FRONT * self._jitter()
        try:
            for part in PATHS[order.kind]:
                now = self._inside(door, part, now) if self.whole else self._patiently(part, now)
            ok = True
        except Silent as silent:
            now, ok = silent.until, False
        door.free[worker] = now
        if now - order.at > self.plan.patience:
            return Request(order.at, order.kind, False, self.plan.patience * 1000, True)
        return Request(order.at, order.kind, ok, (now - order.at) * 1000)

    def _copy(self, name: str, at: float) -> Copy | None:
        """Return the process whose turn it is; None where that one is dead, or all are."""
        noticed = NOTICED if self.plan.deed in ("crash", "leak") else 0.0  # who is replaced is asked no more before
        there = [c for c in self.copies[name] if not c.dead(at) or at < c.away[0] + noticed]
        self.turn += 1
        copy = there[self.turn % len(there)] if there else None
        return None if copy is None or copy.dead(at) else copy

    def _patiently(self, part: str, now: float) -> float:
        """Ask a part over the network, with the remedies; return when the answer is there.  Raises: Silent."""
        tries = 1 + RETRIES * ("retry" in self.plan.remedies)
        for attempt in range(tries):
            now += self.plan.backoff * 2 ** (attempt - 1) if attempt else 0.0
            try:
                return self._once(part, now)
            except Silent as silent:
                now = silent.until
        if "fallback" in self.plan.remedies and part == "recommendations":
            return now
        raise Silent(now)

    def _once(self, part: str, now: float) -> float:
        copy = self._copy(part, now)
        if copy is None:
            raise Silent(now + 0.001)
        limit = now + self.plan.timeout if "timeout" in self.plan.remedies else float("inf")
        worker, begun = copy.begin(now + HOP * self._jitter())
        done = self._inside(copy, part, begun)
        copy.free[worker] = done
        if done > limit:
            raise Silent(limit)
        return done

    def _inside(self, copy: Copy, part: str, now: float) -> float:
        """Run a part's code in this process; return when it is done.  Raises: Silent where the process ends."""
        struck = part == self.plan.part and now >= self.plan.at
        done = now + WORK * self._jitter() + (self.plan.slow if struck and self.plan.deed == "slow" else 0.0)
        if struck and self.plan.deed == "leak":
            copy.leaks.append(now)
            if LEAKED * len(copy.leaks) > GROWTH and not copy.dead(now):
                copy.away = (now, float("inf"))
                self.events.append(Event(now, "died", self.struck, f"{self.struck}: out of memory, and ended."))
        if now < copy.away[0] <= done or copy.dead(now):
            raise Silent(max(now, copy.away[0]))
        return done

    def _jitter(self) -> float:
        return self.drawn.uniform(0.7, 1.5)

    def held(self, until: float) -> tuple[tuple[float, int], ...]:
        """Return (seconds, bytes of all processes together) every quarter of a second."""
        every = [copy for copies in self.copies.values() for copy in copies]
        moments = [step * STEP for step in range(int(until / STEP) + 1)]
        return tuple((moment, sum(copy.memory(moment) for copy in every)) for moment in moments)

    def parts(self, at: float) -> tuple[Part, ...]:
        """Return the processes as they stand at that moment."""
        rows = []
        for name, copies in self.copies.items():
            alive = [copy for copy in copies if not copy.dead(at)]
            struck = name == self.struck and at >= self.plan.at
            renewed = struck and alive and self.plan.deed in ("patch", "other stack") and (at >= copies[0].away[1])
            rows.append(
                Part(
                    name,
                    "running" if alive else "dead",
                    "1.1" if renewed else "1.0",
                    "http.server" if renewed and self.plan.deed == "other stack" else "tornado",
                    len(alive),
                    sum(copy.memory(at) for copy in alive),
                    self.startup,
                    self.plan.deed if struck and self.plan.deed in ("slow", "leak") else "",
                    PARTS if self.whole else (name,),
                )
            )
        return tuple(rows)


def told(design: str, plan: Plan) -> str:
    """Return in one sentence what the deed is in this design; the real store says the same.

    >>> told("monolith", Plan("crash")), told("services", Plan("crash", "cart"))
    ('The process is killed, and all five parts with it.', 'The process of cart is killed; the other five live on.')
    """
    whole, part = design == "monolith", plan.part
    return {
        "nothing": "Nothing happens.",
        "crash": "The process is killed, and all five parts with it."
        if whole
        else f"The process of {part} is killed; the other five live on.",
        "slow": f"Every answer of {part} takes {1000 * plan.slow:.0f} ms longer.",
        "leak": f"{part} keeps 2.5 MB of every request; its process may grow by 48 MB.",
        "bad release": f"A release of {part} that does not start is shipped"
        + (": the whole store is in it." if whole else "."),
        "patch": f"A good release of {part} is shipped" + (": the whole store is in it." if whole else "."),
        "other stack": f"{part} cannot be on another stack than the rest: one process, one framework. Nothing is done."
        if whole
        else f"{part} is replaced by one written anew, without the framework.",
    }[plan.deed]


def shipped(design: str, plan: Plan) -> int | None:
    """Return the bytes that the plan's release ships; None where it ships none."""
    if plan.deed not in ("patch", "bad release", "other stack") or (plan.deed == "other stack") > (
        design != "monolith"
    ):
        return None
    return RELEASED["monolith" if design == "monolith" else plan.part if plan.deed != "other stack" else plan.deed]


def predict(plan: Plan, startup: Mapping[str, float] = STARTUP, why: str = "") -> Comparison:
    """Return what the model says of both designs under a plan, `startup` being how long a process of each starts.

    `why` says why it is asked: nothing could be measured.

    >>> print(predict(Plan("crash")).sentence())
    Model, not measured here. monolith: 0 % of 90 requests went well after crash in recommendations.
    services: 37 % of 90 requests went well after crash in recommendations; p95 19 ms.
    """
    return Comparison(tuple(_run(Design(design, plan, startup[design]), why) for design in DESIGNS))


def _run(model: Design, why: str) -> Run:
    design, plan = model.design, model.plan
    requests = tuple(model.serve(order) for order in orders(plan))
    return Run(
        design,
        plan,
        measured=False,
        why=why,
        parts=model.parts(plan.seconds),
        requests=requests,
        events=tuple(model.events),
        shipped=shipped(design, plan),
        memory_is="a round figure, not measured",
        held=model.held(plan.seconds),
        done=True,
        now=plan.seconds,
    )


def simulated(plan: Plan, why: str = "") -> Iterator[Comparison]:
    """Yield the same as it grows, a quarter of a second of the store's time each; the last is `predict`'s."""
    whole, models = predict(plan, why=why), [Design(design, plan, STARTUP[design]) for design in DESIGNS]
    for model in models:
        for order in orders(plan):
            model.serve(order)
    long = STEP * plan.stretch
    for step in range(1, int(plan.seconds / long)):
        yield Comparison(tuple(_until(run, m, step * long) for run, m in zip(whole.runs, models, strict=True)))
    yield whole


def _until(run: Run, model: Design, now: float) -> Run:
    asked = tuple(r for r in run.requests if r.at + r.ms / 1000 <= now)
    seen = tuple(event for event in run.events if event.at <= now)
    parts, held = model.parts(now), model.held(now)
    return replace(run, requests=asked, events=seen, parts=parts, held=held, done=False, now=now)
