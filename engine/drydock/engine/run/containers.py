"""All containers of one engine: made, found by name or ID, kept over a restart.

    containers/ID/container.json    everything about it
    containers/ID/log.json          what it wrote
    containers/ID/private/          /etc/hosts and the like, while it runs

Source: moby v20.10 daemon/{create,container,names,prune}.go.
"""

from __future__ import annotations

import json
import platform
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from drydock.engine.errors import BadParameter, Conflict, EngineError, NotFound
from drydock.engine.images import Catalogue, Record
from drydock.engine.run import settled
from drydock.engine.run.container import Container
from drydock.engine.run.execs import Exec
from drydock.engine.run.fill import fill
from drydock.engine.run.names import Place
from drydock.engine.run.output import now
from drydock.engine.run.sandbox import Sandbox
from drydock.engine.snapshots import New, Snapshot, Snapshots
from drydock.engine.snapshots.journal import Journal
from drydock.model.layer import Entry

TAKEN = (
    'Conflict. The container name "/{name}" is already in use by container "{id}". '
    "You have to remove (or rename) that container to be able to reuse that name."
)
KILLED = 137
GRACE = 3  # seconds that programs get when the engine stops
Emit = Callable[[str, str, str, Mapping[str, str]], None]


def make_folder(snapshot: Snapshot, path: str) -> None:
    """Make the working directory where the image has none, in a new snapshot, as dockerd does.

    Raises: EngineError where something else is in its place.
    """
    view = snapshot.below
    missing: list[New] = []
    done = ""
    for part in view.resolve(path).split("/"):
        done = f"{done}/{part}".lstrip("/")
        found = view.lookup(done) if done else view.lookup("")
        if found is None:
            missing.append(New(Entry(done, "directory", mode=0o755, mtime=time.time())))
        elif found.kind != "directory":
            raise EngineError(f"Cannot mkdir: {path} is not a directory")
    if missing:
        snapshot.write(missing)


class Containers:
    """All containers of one engine."""

    def __init__(
        self,
        home: Path,
        images: Catalogue,
        snapshots: Snapshots,
        sandbox: Sandbox,
        *,
        emit: Emit = lambda *told: None,
        volumes: Any = None,
        networks: Callable[[Container], Place] | None = None,
    ) -> None:
        self.folder = home / "engine" / "containers"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.images, self.snapshots, self.sandbox = images, snapshots, sandbox
        self.emit, self.volumes, self.networks = emit, volumes, networks
        self.lock = threading.RLock()
        self.closing = False
        self._all: dict[str, Container] = {}
        for path in self.folder.glob("*/container.json"):
            with suppress(ValueError, KeyError, TypeError):  # damaged: left where it is, for a human to look at
                found = Container(self, path.parent, json.loads(path.read_bytes()))
                self._all[found.id] = found

    def create(
        self,
        name: str,
        config: Mapping[str, Any],
        host_config: Mapping[str, Any],
        networking: Mapping[str, Any] | None = None,
        mounts: Iterable[Mapping[str, Any]] = (),
        image: Record | None = None,
    ) -> Container:
        """Make a container: written down, its file system there, nothing running.

        Raises: BadParameter, Conflict, NoSuchImage.
        """
        record = image or self.images.get(config["Image"])
        whole = settled.completed(config, record.config.get("config") or {})
        words = settled.command(whole)
        settled.number(whole.get("StopSignal") or "TERM")
        id = secrets.token_hex(32)
        whole.setdefault("Hostname", "")
        mine = platform.node() if "host" in (host_config.get("NetworkMode"), host_config.get("UTSMode")) else id[:12]
        whole["Hostname"] = whole["Hostname"] or mine
        places = [dict(one) for one in mounts]
        self.snapshots.settle(record.layers)  # before the lock: whoever asks for another container need not wait
        with self.lock:
            chosen = settled.named(name.lstrip("/"), {one.name for one in self._all.values()})
            self.check_name(chosen)
            snapshot = self.snapshots.create(id, record.layers, self.sandbox.rung.kind)
            try:
                make_folder(snapshot, whole["WorkingDir"])
                for place in places:
                    if place.pop("Fresh", False):
                        fill(snapshot.view(), place["Destination"], Path(place["Source"]))
                        if self.volumes:
                            self.volumes.filled(place["Name"])
                made = self._write(id, chosen, record, whole, dict(host_config), dict(networking or {}), places, words)
            except BaseException:
                snapshot.remove()
                raise
            self._all[id] = made
        made.tell("create")
        return made

    def _write(self, id: str, name: str, image: Record, *rest: Any) -> Container:
        config, host_config, networking, places, words = rest
        folder = self.folder / id
        folder.mkdir()
        record = {
            **{"id": id, "name": name, "created": now()},
            **{"image_id": image.id, "image_name": config.get("Image") or image.id},
            **{"config": config, "host_config": host_config, "networking": networking, "mounts": places},
            **{"path": words[0], "args": words[1:]},
        }
        made = Container(self, folder, record)
        made.save()
        return made

    def check_name(self, name: str) -> None:
        """Refuse a name that is none, or that another container has."""
        if not settled.NAME.fullmatch(name):
            raise BadParameter(settled.BAD_NAME.format(name=f"/{name[:80]}"))
        for one in self._all.values():
            if one.name == name:
                raise Conflict(TAKEN.format(name=name, id=one.id))

    def get(self, name: str) -> Container:
        """Return a container by its ID, its name, or the beginning of its ID.

        Raises: NotFound.
        """
        with self.lock:
            bare = name.removeprefix("/")
            if name in self._all:
                return self._all[name]
            for one in self._all.values():
                if one.name == bare:
                    return one
            found = [one for id, one in self._all.items() if name and id.startswith(name)]
        if len(found) > 1:
            raise BadParameter(f"Multiple IDs found with provided prefix: {name}")
        if not found:
            raise NotFound(f"No such container: {name[:256]}")
        return found[0]

    def all(self) -> list[Container]:
        """Return every container, the newest first."""
        with self.lock:
            return sorted(self._all.values(), key=lambda one: one.created, reverse=True)

    def exec(self, id: str) -> Exec:
        """Return what `docker exec` was asked to run."""
        for one in self.all():
            if id in one.execs:
                return one.execs[id]
        raise NotFound(f"No such exec instance: {id[:128]}")

    def prune(self, keep: Callable[[Container], bool] = lambda one: False) -> tuple[list[str], int]:
        """Remove all that do not run, but those to keep; return their IDs and the bytes freed."""
        removed, freed = [], 0
        for one in self.all():
            if not one.running and not keep(one):
                with suppress(EngineError):
                    size = one.snapshot.size()
                    one.remove()
                    removed.append(one.id)
                    freed += size
        return removed, freed

    def drop(self, one: Container) -> None:
        """Remove a container's files."""
        with self.lock:
            self._all.pop(one.id, None)
        (one.folder / "container.json").unlink(missing_ok=True)  # first: half removed must not look like whole
        with suppress(NotFound):
            self.snapshots.leave(one.id)
        shutil.rmtree(one.folder, ignore_errors=True)

    def forget_volumes(self, names: Iterable[str]) -> None:
        """Remove anonymous volumes that no container uses."""
        for name in names:
            users = [one.id for one in self.all() if any(m.get("Name") == name for m in one.mounts)]
            if self.volumes:
                with suppress(EngineError):
                    self.volumes.remove(name, users)

    def emit_quietly(self, kind: str, action: str, id: str) -> None:
        """Let the engine take back a container's addresses and ports: it did not start."""
        self.emit(kind, action, id, {"quiet": "1"})

    def recover(self) -> None:
        """At the engine's start: what a kill interrupted has ended, and what is to come back with the engine does."""
        for folder in self.folder.iterdir():
            if not (folder / "container.json").exists():
                shutil.rmtree(folder, ignore_errors=True)
        for one in self.all():
            with suppress(EngineError):
                if one.now.Running or one.now.Restarting:
                    self._killed(one)
                if one.comes_back:
                    one.start()

    def _killed(self, one: Container) -> None:
        one.now.exited(KILLED)
        with suppress(OSError, ValueError, KeyError):
            notes = json.loads((one.folder / "private" / "journal.json").read_bytes())
            one.kept_journal = Journal.from_json({"user": one.kept_journal.user, **notes})
        one.save()
        if one.host_config.get("AutoRemove"):
            self.forget_volumes(one.remove(force=True, volumes=True))

    def close(self) -> None:
        """End what runs, for the engine ends: each program is asked, and after some seconds made to."""
        self.closing = True
        asked = [threading.Thread(target=one.end_with_engine, args=(GRACE,)) for one in self.all() if one.running]
        for one in asked:
            one.start()
        for one in asked:
            one.join()
