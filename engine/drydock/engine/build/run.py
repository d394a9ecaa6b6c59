"""RUN: a command in a snapshot of the image; what it changes becomes a layer.

Source: moby builder/dockerfile (dispatchers.go: dispatchRun, containerbackend.go: Run), tag v20.10.24.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator, Sequence

from drydock.engine.build.messages import KEEP_ALIVE, Message, Output, StepFailed, say, short
from drydock.engine.build.step import BUILDKIT, Step
from drydock.engine.errors import EngineError
from drydock.engine.snapshots import Journal, New, Snapshot
from drydock.model.dockerfile import Instruction
from drydock.model.resolve import PROXIES, Resolved

KEEP_ALIVE_AFTER = 10.0  # seconds of silence; docker-py gives up after 60


def run(at: Step, i: Instruction, resolved: Resolved) -> Iterator[Message]:
    """RUN: a command in a snapshot of the image; what it changed becomes a layer."""
    if i.flags:
        raise EngineError(f"the --{i.flags[0][0]} option requires BuildKit. {BUILDKIT}")
    command = at.settings.words(i) or at.settings.shell
    cmd = list(command)
    if resolved.comment.startswith("|"):
        shown = sorted(f"{name}={value}" for name, value in resolved.args)
        cmd = [f"|{len(shown)}", *shown, *command]
    config = {**at.configured(cmd), "Entrypoint": None}
    if at.hit(config):
        yield say(" ---> Using cache\n")
        return
    yield at.begin()
    snapshot = at.site.snapshots.create(at.container, at.chain(), at.site.kind())
    try:
        code, journal = yield from _process(at, snapshot, command, dict(resolved.args))
        if code:
            raise StepFailed(" ".join(command), code)
        changes = outside(snapshot.changes(journal), tuple(at.settings.config["Volumes"] or ()))
        layer = at.site.layers.write(changes)
        at.commit(config, layer)
    finally:
        snapshot.remove()


def outside(changes: Sequence[New], volumes: Sequence[str]) -> tuple[New, ...]:
    """Return the changes that are not in a volume: what a RUN writes there is lost, as it is in Docker.

    >>> from drydock.model.layer import Entry
    >>> [one.entry.path for one in outside([New(Entry(p, "file")) for p in ("data", "data/a", "b")], ["/data"])]
    ['data', 'b']
    """
    inside = tuple(volume.strip("/") + "/" for volume in volumes)
    return tuple(one for one in changes if not one.entry.path.startswith(inside)) if inside else tuple(changes)


def _process(
    at: Step, snapshot: Snapshot, command: Sequence[str], args: dict[str, str]
) -> Generator[Message, None, tuple[int, Journal]]:
    """Run the command beside, and pass on what it says; a word now and then while it says nothing."""
    site, config = at.site, at.settings.config
    set_already = {pair.partition("=")[0] for pair in config["Env"] or ()}
    proxies = {name: value for name, value in site.request.given.items() if name in PROXIES}
    extra = {name: value for name, value in {**proxies, **args}.items() if name not in set_already}
    env = [f"HOSTNAME={short(at.container)}", *(config["Env"] or ()), *(f"{k}={v}" for k, v in sorted(extra.items()))]
    lines: queue.SimpleQueue[tuple[int, bytes] | None] = queue.SimpleQueue()
    stop = threading.Event()
    result: list[tuple[int, Journal]] = []
    wrong: list[BaseException] = []

    def work() -> None:
        try:
            result.append(
                site.run_step(
                    *(snapshot, command, env, config["WorkingDir"] or "/", config["User"], site.request.network),
                    on_output=lambda stream, data: lines.put((stream, data)),
                    cancelled=lambda: stop.is_set() or site.cancelled.is_set(),
                    shm_size=site.request.shm_size or 64 << 20,
                    extra_hosts=site.request.extra_hosts,
                    hostname=short(at.container),
                )
            )
        except BaseException as error:  # handed to the thread that builds
            wrong.append(error)
        finally:
            lines.put(None)

    thread = threading.Thread(target=work, name=f"build {short(at.container)}", daemon=True)
    thread.start()
    try:
        yield from _told(lines)
    finally:
        stop.set()
        thread.join()
    if wrong:
        raise wrong[0]
    if site.cancelled.is_set():
        raise EngineError("build cancelled")
    return result[0]


def _told(lines: queue.SimpleQueue[tuple[int, bytes] | None]) -> Iterator[Message]:
    output = Output()
    while True:
        try:
            line = lines.get(timeout=KEEP_ALIVE_AFTER)
        except queue.Empty:
            yield KEEP_ALIVE
            continue
        if line is None:
            return
        if message := output.message(*line):
            yield message
