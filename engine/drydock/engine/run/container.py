"""One container: what it is, its input and output, and what can be done with it beside running it.

Source: moby v20.10 daemon/{rename,update,delete,attach,logs,exec}.go.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drydock.engine.errors import BadParameter, Conflict, EngineError
from drydock.engine.run import watching
from drydock.engine.run.execs import Exec
from drydock.engine.run.life import Life
from drydock.engine.run.output import Output
from drydock.engine.run.state import State
from drydock.engine.run.stdio import Attachment
from drydock.engine.snapshots.journal import Journal
from drydock.engine.snapshots.snapshot import merged

if TYPE_CHECKING:
    from drydock.engine.run.containers import Containers
    from drydock.engine.snapshots import New

KEPT = (
    *("id", "name", "created", "image_id", "image_name", "config", "host_config"),
    *("networking", "mounts", "path", "args"),
)
RUNNING = "You cannot remove a {what} container {id}. {cure} before attempting removal or force remove"


class Container(Life):
    """One container; its files are in `folder`, its life is in this process."""

    def __init__(self, house: Containers, folder: Path, record: Mapping[str, Any]) -> None:
        self.house, self.folder = house, folder
        self.id: str = record["id"]
        self.name: str = record["name"]
        self.created: str = record["created"]
        self.image_id: str = record["image_id"]
        self.image_name: str = record["image_name"]
        self.config: dict[str, Any] = record["config"]
        self.host_config: dict[str, Any] = record["host_config"]
        self.networking: dict[str, Any] = record["networking"]
        self.mounts: list[dict[str, Any]] = record["mounts"]
        self.path: str = record["path"]
        self.args: list[str] = record["args"]
        self.restart_count: int = record.get("restart_count", 0)
        self.stopped_by_hand: bool = record.get("stopped_by_hand", False)
        self.now = State(**record.get("state", {}))
        self.kept_journal = Journal.from_json(record["journal"]) if record.get("journal") else Journal()
        self.removed = self.leaving = False
        log = (self.host_config.get("LogConfig") or {}).get("Type", "json-file")
        self.output = Output(folder / "log.json", kept=log != "none")
        self.execs: dict[str, Exec] = {}
        super().__init__()
        self.before: dict[str, Any] | None = None  # the last stats, for the share of the CPU

    # What it is

    @property
    def state(self) -> dict[str, Any]:
        """`State` as inspect shows it."""
        return self.now.json()

    @property
    def pid(self) -> int:
        """The main program's process ID, as the host counts; 0 where none runs."""
        return self.now.Pid

    @property
    def status_text(self) -> str:
        """What `docker ps` shows as STATUS."""
        return self.now.text()

    @property
    def exec_ids(self) -> list[str]:
        """The IDs of what was run in it by `docker exec`."""
        return [one.id for one in self.execs.values() if one.running]

    @property
    def journal(self) -> Journal:
        """What its programs were told was done, and could not be: owners, devices, capabilities."""
        running = self.running_now
        return merged(self.kept_journal, running.journal()) if running else self.kept_journal

    def changes(self) -> tuple[New, ...]:
        """Return what it changed, as a layer has it."""
        return self.snapshot.changes(self.journal)

    def diff(self) -> list[dict[str, object]]:
        """Return what `docker diff` shows."""
        return self.snapshot.diff(self.journal)

    def save(self) -> None:
        """Write down what must outlive the engine."""
        record = {key: getattr(self, key) for key in KEPT}
        record |= {"state": self.state, "journal": self.kept_journal.to_json()}
        record |= {"restart_count": self.restart_count, "stopped_by_hand": self.stopped_by_hand}
        beside = self.folder / "container.new"
        with self.changed:
            if self.leaving:
                return
            beside.write_text(json.dumps(record))
            beside.replace(self.folder / "container.json")

    # Input and output

    def attach(self, stdin: bool, stdout: bool, stderr: bool, logs: bool = False, stream: bool = True) -> Attachment:
        """Return a client's connection; nothing is lost from now on, started or not."""
        wanted = [1] * stdout + [2] * stderr
        listener = self.output.listen(*wanted, past=logs)
        if not stream:
            listener.put(None)
        self.tell("attach")
        return Attachment(self.output, listener, self.typed if stdin else None, self.tty)

    def logs(
        self,
        stdout: bool = True,
        stderr: bool = True,
        follow: bool = False,
        tail: int | None = None,
        since: int = 0,
        until: int = 0,
        timestamps: bool = False,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[tuple[int, bytes]]:
        """Return what it wrote, line by line; `since` and `until` are nanoseconds since 1970.

        Raises: EngineError where nothing is kept.
        """
        if not self.output.kept:
            raise EngineError("configured logging driver does not support reading")
        streams = ["stdout"] * stdout + ["stderr"] * stderr
        first, last = _moment(since), _moment(until)

        def wanted(row: dict[str, Any]) -> bool:
            return row["stream"] in streams and row["time"] >= first and (not last or row["time"] <= last)

        return (_framed(row, timestamps) for row in self.output.lines(follow, tail, wanted, cancelled))

    def resize(self, rows: int, columns: int) -> None:
        """Tell its terminal how large it is shown."""
        self.process_tree()
        if self.stdio:
            self.stdio.resize(rows, columns)

    # Exec

    def exec_of(self, config: Mapping[str, Any]) -> Exec:
        """Return a program to be run in it."""
        self.process_tree()
        if self.paused:
            raise Conflict(f"Container {self.id} is paused, unpause the container before exec")
        made = Exec(self, config)
        self.execs[made.id] = made
        return made

    def exec_create(self, config: Mapping[str, Any]) -> str:
        """Return the ID of a program to be run in it."""
        made = self.exec_of(config)
        self.tell(f"exec_create: {' '.join(config['Cmd'])}", execID=made.id)
        return made.id

    def kill_exec(self, one: Exec) -> None:
        """Kill a program that was run in it."""
        with suppress(OSError):
            import os

            os.kill(one.pid, 9)

    def health(self, found: dict[str, Any]) -> None:
        """Note what its health check found."""
        self.now.Health = found

    # All else

    def stats(self) -> dict[str, Any]:
        """Return what it uses."""
        pids = self._pids() if self.running else []
        found = watching.stats(self.id, self.name, pids, self.before)
        self.before = found
        return found

    def top(self, arguments: str = "-ef") -> dict[str, Any]:
        """Return its processes."""
        self.process_tree()
        return watching.top(self._pids(), arguments)

    def _pids(self) -> list[int]:
        running = self.running_now
        return running.everyone() if running else []

    def rename(self, new: str) -> None:
        """Give it another name."""
        with self.house.lock:
            old = self.name
            if new == old:
                raise BadParameter("Renaming a container with the same name as its current name")
            try:
                self.house.check_name(new)
            except EngineError as error:
                raise type(error)(f"Error when allocating new name: {error}") from None
            self.name = new
            self.save()
        self.tell("rename", oldName=f"/{old}")

    def update(self, wanted: Mapping[str, Any]) -> list[str]:
        """Change its limits and restart policy; limits are only written down."""
        known = {key: value for key, value in wanted.items() if value not in (None, "", 0)}
        if not (known.get("RestartPolicy") or {}).get("Name"):
            known.pop("RestartPolicy", None)
        with self.lock:
            self.host_config.update(known)
            self.save()
        self.tell("update")
        return []

    def remove(self, force: bool = False, volumes: bool = False) -> list[str]:
        """Remove it; return the anonymous volumes that go with it where `volumes` is asked."""
        with self.lock:
            if self.running:
                if not force:
                    what = "paused" if self.paused else "restarting" if self.now.Restarting else "running"
                    cure = "Unpause and then stop the container" if self.paused else "Stop the container"
                    raise Conflict(RUNNING.format(what=what, id=self.id, cure=cure))
                self.end_now()
            with self.changed:
                self.leaving = True
                self.now.Status = "removing"
            self.house.drop(self)
            self.tell("destroy")
            with self.changed:
                self.removed = True
                self.changed.notify_all()
        own = [
            m["Name"] for m in self.mounts if m["Type"] == "volume" and len(m["Name"]) == 64 and not m.get("Inherited")
        ]
        return own if volumes else []


def _framed(row: Mapping[str, Any], timestamps: bool) -> tuple[int, bytes]:
    data = row["log"].encode("utf-8", "surrogateescape")
    return (2 if row["stream"] == "stderr" else 1), (row["time"].encode() + b" " if timestamps else b"") + data


def _moment(nanoseconds: int) -> str:
    """Return a moment as log lines have it, so that they compare as texts; nothing for 0.

    >>> _moment(1704067200_000000001)
    '2024-01-01T00:00:00.000000001Z'
    """
    if not nanoseconds:
        return ""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(nanoseconds // 10**9))
    return f"{whole}.{nanoseconds % 10**9:09d}Z"
