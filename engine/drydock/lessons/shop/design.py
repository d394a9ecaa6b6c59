"""One design of the store as it runs: its processes, who asks whom, and all that can be done to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.client import HTTPException
from typing import Any

import docker
from docker.errors import APIError

from drydock.lessons.own import LAB
from drydock.lessons.shop.images import OTHER, Images
from drydock.lessons.shop.process import NoShop, Process, free_port
from drydock.model.shop import BACKOFF, PARTS, Event, Part, Plan
from drydock.model.shop_rule import LEAKED, RETRIES, told

FIRST, BETTER, BAD = "1.0", "1.1", "1.2"
STOP = 2  # seconds that a process has to end by itself
PLAIN: dict[str, Any] = {"timeout": None, "retries": 0, "backoff": BACKOFF, "fallback": False}
USELESS = "{remedies}: of no use here, where a part is a function of the same process and nobody can give up a call."


class Design:
    """The processes of one design. In the monolith there is one kind; else the front and one for each part."""

    def __init__(self, design: str, client: docker.DockerClient, images: Images, port: int | None = None) -> None:
        self.design, self.client, self.images, self.port = design, client, images, port
        self.whole = design == "monolith"
        self.kinds = ("monolith",) if self.whole else ("front", *PARTS)
        self.door = self.kinds[0]
        self.processes: dict[str, list[Process]] = {}
        self.events: list[Event] = []
        self.held: list[tuple[float, int]] = []  # (seconds, bytes) since the load began
        self.settings = dict(PLAIN)
        self.inner = free_port()  # at which its processes listen, each at its own address
        self.began = time.perf_counter()  # of the load that runs, or is to run
        self.shipped: int | None = None
        self.telling = threading.Lock()  # the front is told by several threads whom it may ask

    # -- how it stands

    def struck(self, part: str) -> str:
        """Return the process in which a part's code runs."""
        return "monolith" if self.whole else part

    def all(self) -> Iterator[Process]:
        """Yield every process that was started."""
        for copies in list(self.processes.values()):
            yield from list(copies)

    def doors(self) -> Sequence[int]:
        """Return the ports at which customers are let in just now."""
        return [p.door for p in self.processes.get(self.door, ()) if p.state == "running"]

    def parts(self) -> tuple[Part, ...]:
        """Return the design's parts as they stand now."""
        return tuple(self._part(kind) for kind in self.kinds)

    def _part(self, kind: str) -> Part:
        copies, inside = list(self.processes.get(kind, ())), PARTS if self.whole else (kind,)
        if not copies:
            return Part(kind, "stopped", FIRST, replicas=0, inside=inside)
        alive = [p for p in copies if p.state == "running"]
        states = [p.state for p in copies]
        state = next((s for s in ("running", "starting", "dead") if s in states), "stopped")
        shown = (alive or copies)[-1]
        memory = [p.memory for p in alive if p.memory is not None]
        started = max((p.started for p in copies if p.started is not None), default=None)
        return Part(
            kind,
            state,
            shown.version,
            shown.stack,
            len(alive),
            sum(memory) if memory else None,
            started,
            shown.fault,
            inside,
        )

    def note(self, what: str, part: str, text: str) -> None:
        """Keep an event, with its moment."""
        self.events.append(Event(round(time.perf_counter() - self.began, 3), what, part, text))

    def count_from(self, began: float) -> None:
        """Count the events' moments from when the load begins: what was prepared for it lies before."""
        self.events = [replace(event, at=round(event.at + self.began - began, 3)) for event in self.events]
        self.began, self.held = began, []
        self.hold()

    def hold(self) -> None:
        """Keep how much all processes held together when they were asked last."""
        known = [p.memory for p in self.all() if p.state == "running" and p.memory is not None]
        self.held.append((max(0.0, round(time.perf_counter() - self.began, 3)), sum(known)))

    def process(self, kind: str) -> Process:
        """Return the first process of a kind."""
        return self.processes[kind][0]

    # -- starting and ending

    def start(self) -> None:
        """Start every process that does not run, all at once, and tell the front who is there.  Raises: NoShop."""
        lacking = [kind for kind in self.kinds if not any(p.state == "running" for p in self._copies(kind))]
        for kind in lacking:
            for left in self.processes.pop(kind, ()):
                left.remove()
        with ThreadPoolExecutor(len(self.kinds)) as several:
            list(several.map(self.add, lacking))
        self.tell()

    def add(self, kind: str) -> Process:
        """Start one more process of a kind.  Raises: NoShop."""
        copies = self.processes.setdefault(kind, [])
        used = {p.name for p in copies}
        number = next(n for n in range(1, 100) if f"{self.images.name}-{kind}-{n}" not in used)
        made = Process(
            self.client,
            f"{self.images.name}-{kind}-{number}",
            kind,
            self.images.tag(kind, FIRST),
            network=self.images.name,
            lesson=lesson(self.images.name),
            published=self.port if kind == self.door and number == 1 else None,
            port=self.inner,
        )
        copies.append(made)
        made.start()
        return made

    def close(self) -> None:
        """Remove every container."""
        for process in self.all():
            process.remove()
        self.processes.clear()

    def mend(self) -> None:
        """Bring the design back to what it was at first: one healthy process of each kind, in its first version."""
        self.settings, self.shipped = dict(PLAIN), None
        for copies in list(self.processes.values()):
            for extra in copies[1:]:
                copies.remove(extra)
                extra.remove()
            first = copies[0] if copies else None
            if first and first.state == "running" and first.version == FIRST:
                first.fault = ""
                self._set(first, slow={}, leak={})
                continue
            if first:
                first.remove()  # a new container is as good as one that is started again, and cannot be missing
        self.start()
        for process in self.all():
            process.rest()
        self.events.clear()

    # -- who asks whom

    def tell(self) -> None:
        """Tell the front which processes there are, as service discovery does, and which remedies it has.

        By address and not by name: a name server forgets the dead only in its own time, and so would the front.
        """
        if self.whole:
            return
        with self.telling:
            routes = {part: [p.address for p in self._copies(part) if p.state == "running"] for part in PARTS}
            for front in self._copies("front"):
                if front.state == "running":
                    self._set(front, **self.settings, routes=routes)

    def _copies(self, kind: str) -> list[Process]:
        return list(self.processes.get(kind, ()))

    def _set(self, process: Process, **settings: Any) -> None:
        if process.stack != "tornado":
            return
        try:
            process.say("PUT", "/-/settings", settings)
        except (OSError, HTTPException):
            self.look()  # it ended meanwhile: then that is what there is to see

    def look(self) -> None:
        """Look which processes ended, and have nobody asked any more who did."""
        rows = self.client.api.containers(filters={"label": f"{LAB}={lesson(self.images.name)}"})
        alive, ended = {row["Id"] for row in rows if row["State"] == "running"}, False
        for process in self.all():
            if process.state == "running" and process.container.id not in alive:
                process.state, process.memory, ended = "dead", None, True
                self.note("died", process.part, f"{process.name} ended: {process.said()}.")
        if ended:
            self.tell()

    # -- remedies and deeds

    def prepare(self, plan: Plan) -> None:
        """Put the plan's remedies in place, and build what it will release.  Raises: NoShop."""
        self.began = time.perf_counter()
        useless = [r for r in plan.remedies if r != "replica"] if self.whole else []
        if useless:
            self.note("remedy", plan.part, USELESS.format(remedies=", ".join(useless)))
        self.settings = {
            "timeout": plan.timeout if "timeout" in plan.remedies else None,
            "retries": RETRIES if "retry" in plan.remedies else 0,
            "backoff": plan.backoff,
            "fallback": "fallback" in plan.remedies,
        }
        if "replica" in plan.remedies:
            made = self.add(self.struck(plan.part))
            self.note("replica", made.part, f"A second {made.part} is there after {made.started:.1f} s.")
        self.tell()
        self._release = self._built(plan)

    def _built(self, plan: Plan) -> tuple[str, str, str] | None:
        """Return (image, version, stack) of what the plan releases; None where it releases nothing."""
        kind = self.struck(plan.part)
        if plan.deed == "other stack" and not self.whole:
            made = self.images.release(OTHER, BETTER), BETTER, "http.server"
        elif plan.deed in ("patch", "bad release"):
            version = BAD if plan.deed == "bad release" else BETTER
            made = self.images.release(kind, version, plan.part, version == BAD), version, "tornado"
        else:
            return None
        self.shipped = self.images.shipped(self.images.tag(kind, FIRST), made[0])
        return made

    def do(self, plan: Plan) -> None:
        """Do the plan's deed, now."""
        deeds: dict[str, Callable[[Plan], None]] = {"crash": self._crash, "slow": self._slow, "leak": self._leak}
        if plan.deed != "nothing":
            self.note(plan.deed, plan.part, told(self.design, plan))
        deeds.get(plan.deed, self._replace)(plan)

    def _crash(self, plan: Plan) -> None:
        self._copies(self.struck(plan.part))[0].kill()
        self.tell()

    def _slow(self, plan: Plan) -> None:
        for process in self._copies(self.struck(plan.part)):
            self._set(process, slow={plan.part: plan.slow})
            process.fault = "slow"

    def _leak(self, plan: Plan) -> None:
        for process in self._copies(self.struck(plan.part)):
            self._set(process, leak={plan.part: LEAKED})
            process.fault = "leak"

    def _replace(self, plan: Plan) -> None:
        """Ship a release: each process is stopped, and one of the new image takes its place, one after the other.

        The first that does not start ends it: what still runs goes on as it was.
        """
        if self._release is None:
            return
        kind, (image, version, stack) = self.struck(plan.part), self._release
        for old in self._copies(kind):
            old.state = "stopped"
            self.tell()  # first nobody asks it any more, then it goes
            self._end(old)
            new = old.renewed(image, version, stack)
            copies = self.processes[kind]
            copies[copies.index(old)] = new
            try:
                new.start()
            except NoShop as error:
                self.note(
                    "failed",
                    kind,
                    f"{version} does not start: {str(error).partition('last line: ')[2].splitlines()[0]}",
                )
                return
            self.note("released", kind, f"{new.name} is {version} after {new.started:.1f} s.")
            self.tell()

    def _end(self, process: Process) -> None:
        try:
            process.container.stop(timeout=STOP)
        except APIError as error:
            if error.status_code not in (304, 404):
                raise
        process.remove()


def lesson(name: str) -> str:
    """Return the value of the label org.drydock.lab on what belongs to a store of this name.

    >>> lesson("shop")
    '02-shop'
    """
    return f"02-{name}"
