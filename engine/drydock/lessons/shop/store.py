"""Both designs side by side: opened, started, played with under one load, closed. Where nothing runs, the model."""

from __future__ import annotations

import http.client
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import docker
from docker.errors import APIError, NotFound

from drydock.badge import executes
from drydock.client import called, embedded
from drydock.lessons.own import LAB
from drydock.lessons.shop.deed import Deed, Repeated
from drydock.lessons.shop.design import FIRST, Design, lesson
from drydock.lessons.shop.images import Images, remove, tags
from drydock.lessons.shop.load import Control, Load
from drydock.lessons.shop.modelled import ModelStore
from drydock.lessons.shop.process import GONE, NoShop, Process
from drydock.model.layer import counted, shown
from drydock.model.shop import DESIGNS, Comparison, Plan, Run
from drydock.model.shop_control import SETTINGS, VISIT, disturbance, lost, unrest, untouched
from drydock.model.shop_rule import predict

FRAME = 0.125  # seconds between two values
LOOK = 0.2  # seconds between two looks at which processes live
MEASURE = 0.5  # seconds between two measurements of memory
VISITED = 10  # seconds at most for a page that is asked for by hand
NAME = "shop"
CGROUP = "what the container's cgroup holds, less the files it could drop, as `docker stats` shows it"
RESIDENT = "resident memory of the container's processes, as the engine's stats have it"
BUILT = "{count} images of the store in {seconds:.1f} s: {names}."
NOT_EXECUTED = "nothing can be executed on this machine (rung D; `drydock doctor` says why)."
A_MODEL = "The store does not run here, since {why} What you see below is a model of it, and says so."
NEVER_CALM = (
    "this machine is too busy to show a calm store. Even with all times {stretch} times as long {unrest}. "
    "Try: end what else runs here (other notebooks, too), then all cells from *Open both*."
)
DISTURBED = "twice something else kept this machine busy: {disturbance}. Measured was: {measured} Try: the cell again."
CLOSED = "Removed {count} and the network of the store. Its images stay, so it opens fast the next time."
TIDIED = "Removed {images} of the store."
NOT_OURS = (
    "There is a network {name} that this course did not make, so it is left alone.\n"
    "Try: docker network rm {name}   or shop.open(client, folder, name='mine')"
)


class Store:
    """The online store in both designs, on an engine. Use it in `with`, or end with `close()`."""

    def __init__(
        self, client: docker.DockerClient, folder: str | Path, name: str = NAME, port: int | None = None
    ) -> None:
        self.client, self.name = client, name
        self.images_of = Images(client, Path(folder), name)
        ports = {"monolith": port, "services": port + 1 if port else None}
        self.designs = [Design(design, client, self.images_of, ports[design]) for design in DESIGNS]
        self.engine, self.memory_is = called(client), RESIDENT if embedded(client.version()) else CGROUP
        self.loads: dict[str, Load] = {}
        self.control: Control | None = None
        self.tries = 1  # which attempt at a run this is
        self.stretch = 0  # how many times as long all times are as on a quiet machine; 0: it was not yet seen calm
        self.model: ModelStore | None = None  # what speaks where this machine could not be seen calm

    @property
    def images(self) -> tuple[str, ...]:
        """Return the names of the store's images."""
        return tags(self.client, self.name)

    @property
    def urls(self) -> dict[str, str]:
        """Return where each design answers on this machine, while it runs: add /home?customer=1&product=7."""
        return {d.design: f"http://127.0.0.1:{door}" for d in self.designs for door in list(d.doors())[:1]}

    def start(self) -> Iterator[Comparison]:
        """Start the monolith, then the services, and yield how they come up; nobody asks them yet.  Raises: NoShop."""
        self._network()
        self.stretch, self.model, self.loads, self.control = 0, None, {}, None
        plan = Plan()
        for design in self.designs:  # one after the other, so that neither waits for the other's programs to load
            yield from self._while([design.start], plan)
        self._measure()
        yield self._now(plan, True)

    def calm(self, seconds: float = 3.0) -> Iterator[Comparison]:
        """Let customers come while nothing happens, and see how much this machine can show: the gate to all plays.

        Where the store does not serve them with ease, all times of the lesson are doubled, and doubled again. What was
        enough counts for every play that follows. Where nothing is, the store is ended, the model speaks in its place,
        and says why.  Raises: NoShop.
        """
        self.model, found = None, ""
        for self.tries, stretch in enumerate(SETTINGS, 1):
            plan = Plan(seconds=seconds).stretched(stretch)
            for seen in self._run_once(plan):
                if lost(seen):
                    break
                if not seen.done:
                    yield seen
            found = unrest(seen)
            if not found and seen.done:
                self.stretch = stretch
                yield seen
                return
        self.model = ModelStore(NEVER_CALM.format(stretch=SETTINGS[-1], unrest=found))
        for design in self.designs:
            design.close()
        yield replace(predict(Plan(seconds=seconds), why=self.model.why), tries=self.tries + 1)

    def play(
        self, deed: str = "nothing", part: str = "recommendations", remedies: Iterable[str] = (), **more: Any
    ) -> Iterator[Comparison]:
        """Let customers come to both designs, do one deed to one part meanwhile, and yield all as it happens.

        `more` are the other fields of a Plan: seconds, at, rate, seed, for a quiet machine; here they are stretched as
        the calm run showed. Whatever an earlier play left broken is mended first. A run that something else on this
        machine disturbed is tried once more; then the model speaks in its place, and says why.
        Raises: ValueError for a word that no Plan knows, NoShop.
        """
        return self._play(Plan(deed, part, tuple(remedies), **more))

    def _play(self, plan: Plan) -> Iterator[Comparison]:
        if not self.stretch and not self.model:
            deque(self.calm(), 0)
        if self.model:
            yield from self.model.play(**vars(plan))
            return
        plan = plan.stretched(self.stretch)
        for self.tries in (1, 2):
            for seen in self._run_once(plan):
                if not seen.done:
                    yield seen
            found = disturbance(seen)
            if not found:
                yield seen
                return
        why = DISTURBED.format(disturbance=found, measured=seen.sentence())
        yield replace(predict(plan, why=why), tries=self.tries + 1)

    def _run_once(self, plan: Plan) -> Iterator[Comparison]:
        """Mend the store, run the plan, and yield it as it happens, the finished run last.  Raises: NoShop."""
        try:
            self._network()
            self.loads, self.control = {}, None
            yield from self._while([self._ready(design, plan) for design in self.designs], plan)
            yield from self._loaded(plan)
        except NotFound:
            raise NoShop(GONE.format(name="The store, or a part of it,")) from None
        finally:
            for load in self.loads.values():
                load.stop()

    def _ready(self, design: Design, plan: Plan) -> Callable[[], None]:
        def ready() -> None:
            design.look()
            design.mend()
            design.prepare(plan)

        return ready

    def _loaded(self, plan: Plan) -> Iterator[Comparison]:
        """Run the load on both designs, with the deed at its moment."""
        self.loads = {design.design: Load(plan, design.doors) for design in self.designs}
        began, over = time.perf_counter() + 0.05, threading.Event()
        for design in self.designs:
            design.count_from(began)
        self.control = Control(plan, self.designs[1].process(untouched(plan)), began)
        watching = [Repeated(self._look, LOOK), Repeated(self._measure, MEASURE)]
        watching.append(Repeated(self.control.visit, VISIT * plan.stretch))
        deeds = [Deed(partial(design.do, plan), began + plan.at, over) for design in self.designs]
        try:
            for thread in (*watching, *deeds):
                thread.start()
            for load in self.loads.values():
                load.start(began)
            while not all(load.done for load in self.loads.values()) or any(deed.is_alive() for deed in deeds):
                yield self._now(plan)
                time.sleep(FRAME)
        finally:
            over.set()
            for load in self.loads.values():
                load.stop()
            for thread in (*deeds, *watching):
                thread.end()
        for thread in (*deeds, *watching):
            thread.told()
        yield self._now(plan, True)

    def visit(self, *pages: str, design: str = "services") -> str:
        """Ask a design for pages as one customer does, one after the other; return what came back, a line each."""
        if self.model:
            return self.model.visit()
        lines = []
        for page in pages:
            with closing(http.client.HTTPConnection(urlsplit(self.urls[design]).netloc, timeout=VISITED)) as asked:
                asked.request("GET", f"/{page}?customer=1&product=7")
                reply = asked.getresponse()
                lines.append(f"{page} {reply.status} {shown(reply.read().decode('utf-8', 'replace').strip())}")
        return "\n".join(lines)

    def close(self) -> None:
        """Remove the store's containers and network, and say how many there were; the images stay."""
        for design in self.designs:
            design.processes.clear()
        print(CLOSED.format(count=counted(_sweep(self.client, self.name), "container")))

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- inside

    def _network(self) -> None:
        for network in self.client.networks.list(names=[self.name]):
            if network.name == self.name:
                if (network.attrs.get("Labels") or {}).get(LAB) != lesson(self.name):
                    raise NoShop(NOT_OURS.format(name=self.name))
                return
        self.client.networks.create(self.name, labels={LAB: lesson(self.name)})

    def _while(self, deeds: list[Callable[[], None]], plan: Plan) -> Iterator[Comparison]:
        """Yield the store as it stands until all deeds are done, each in a thread.  Raises: what they raise."""
        threads = [Deed(deed) for deed in deeds]
        try:
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                yield self._now(plan)
                threads[0].join(FRAME)
                threads[-1].join(FRAME if not threads[0].is_alive() else 0)
        finally:
            for thread in threads:
                thread.end()
        for thread in threads:
            thread.told()

    def _look(self) -> None:
        for design in self.designs:
            design.look()

    def _measure(self) -> None:
        """Ask for the memory of all at once: Docker takes up to a second for each."""
        there = [process for design in self.designs for process in design.all() if process.state == "running"]
        with ThreadPoolExecutor(max(1, len(there))) as several:
            list(several.map(Process.measure, there))
        for design in self.designs:
            design.hold()

    def _now(self, plan: Plan, done: bool = False) -> Comparison:
        visits = tuple(self.control.visits) if self.control else ()
        return Comparison(tuple(self._run(design, plan, done) for design in self.designs), visits, self.tries)

    def _run(self, design: Design, plan: Plan, done: bool) -> Run:
        load = self.loads.get(design.design)
        answered = tuple(sorted(load.answered, key=lambda r: r.at)) if load else ()
        now = min(plan.seconds, max(0.0, time.perf_counter() - load.began)) if load and load.began else 0.0
        return Run(
            design.design,
            plan,
            self.engine,
            True,
            design.parts(),
            answered,
            tuple(sorted(design.events, key=lambda e: e.at)),
            design.shipped,
            self.memory_is,
            done=done,
            now=now,
            held=tuple(design.held),
        )


def open(
    client: docker.DockerClient, folder: str | Path, name: str = NAME, port: int | None = None
) -> Store | ModelStore:
    """Build the store's images from a folder, and return the store, not yet started.

    What an earlier kernel left running is taken over: removed, to be started anew. With `port` the monolith answers
    there and the front of the services one port higher; else at ports that are free. Raises: NoShop, bases.NoBase.
    """
    if not executes(client):
        print(A_MODEL.format(why=NOT_EXECUTED))
        return ModelStore(NOT_EXECUTED)
    store = Store(client, folder, name, port)
    begun = time.perf_counter()
    _sweep(client, name)
    store.images_of.build(FIRST)
    names = [tag for tag in store.images if tag.endswith(f":{FIRST}")]
    print(BUILT.format(count=len(names), seconds=time.perf_counter() - begun, names=", ".join(names)))
    return store


def tidy(client: docker.DockerClient, name: str = NAME) -> None:
    """Remove all of the store: containers, network and images."""
    if executes(client):
        _sweep(client, name)
        count = remove(client, name)
        print(TIDIED.format(images=counted(count, "image")))


def _sweep(client: docker.DockerClient, name: str) -> int:
    """Remove the containers and the network of a store, whoever started them; return how many containers."""
    wanted = {"label": f"{LAB}={lesson(name)}"}
    rows = client.api.containers(all=True, filters=wanted)
    for row in rows:
        try:
            client.api.remove_container(row["Id"], force=True)
        except APIError as error:
            if error.status_code not in (404, 409):  # gone already, or going
                raise
    for network in client.networks.list(filters=wanted):
        try:
            network.remove()
        except APIError as error:
            if error.status_code != 403:  # a container that is not the store's is in it, so it stays
                raise
    return len(rows)
