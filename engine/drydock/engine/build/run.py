"""RUN: a command in a snapshot of the image; what it changes becomes a layer.

Source: moby builder/dockerfile (dispatchers.go: dispatchRun, containerbackend.go: Run), tag v20.10.24.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator, Sequence

from drydock.engine.build.copying import Draft
from drydock.engine.build.messages import KEEP_ALIVE, Message, Output, StepFailed, say, short
from drydock.engine.build.step import BUILDKIT, Step
from drydock.engine.errors import EngineError
from drydock.engine.snapshots import Journal, New, Snapshot, View
from drydock.engine.snapshots.change import parents
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
    volumes = tuple(at.settings.config["Volumes"] or ())
    try:
        if volumes and (missing := mount_points(at.site.layers.view(at.chain()), volumes)):
            snapshot.write(missing)
        code, journal = yield from _process(at, snapshot, command, dict(resolved.args))
        if code:
            raise StepFailed(" ".join(command), code)
        changes = snapshot.changes(journal, last=True)
        kept = outside(changes, at.site.layers.view(at.chain()), volumes) if volumes else changes
        layer = at.site.layers.write(kept)
        at.commit(config, layer)
        if kept is changes:
            snapshot.keep(at.chain())
    finally:
        snapshot.remove()


def mount_points(view: View, volumes: Sequence[str]) -> tuple[New, ...]:
    """Return the directories that a container makes so that its volumes can be mounted: they stay in the layer."""
    draft = Draft(view)
    for volume in volumes:
        draft.folder(draft.view.resolve(volume), (0, 0))
    return draft.done()


def outside(changes: Sequence[New], before: View, volumes: Sequence[str]) -> tuple[New, ...]:
    """Return the changes that are not in a volume: what a RUN writes there is lost, as it is in Docker."""
    roots = tuple(before.resolve(volume) for volume in volumes)
    inside = tuple(f"{root}/" for root in roots)
    old = {root for root in roots if before.lookup(root) is not None}
    kept = [one for one in changes if not one.entry.path.startswith(inside) and one.entry.path not in old]
    needed = {folder for one in kept if _changed(one, before) for folder in (one.entry.path, *parents(one.entry.path))}
    return tuple(one for one in kept if one.entry.path in needed)


def _changed(one: New, before: View) -> bool:
    """Return whether this is more than a directory that is there because of what lies in it."""
    return one.entry.kind != "directory" or before.lookup(one.entry.path, follow=False) != one.entry


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
                    ulimits=site.request.ulimits,
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
