"""A container's life: start, end, and start again.

Source: moby v20.10 daemon/{start,restart,monitor}.go.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from drydock.engine.errors import Conflict, EngineError, NotModified
from drydock.engine.run import arranged, names, settled, users
from drydock.engine.run.accounts import Accounts
from drydock.engine.run.health import Monitor
from drydock.engine.run.names import Place
from drydock.engine.run.output import Output
from drydock.engine.run.program import Program
from drydock.engine.run.restarts import RestartPolicy
from drydock.engine.run.sandbox import Running
from drydock.engine.run.spec import Process
from drydock.engine.run.stdio import Input, Stdio
from drydock.engine.run.steps import root_of
from drydock.engine.snapshots.journal import Journal
from drydock.engine.snapshots.snapshot import Snapshot, merged

if TYPE_CHECKING:
    from drydock.engine.run.container import Container


class Life(Program):
    """What becomes of a container's program; what the container is, its subclass knows."""

    folder: Path
    path: str
    args: list[str]
    host_config: dict[str, Any]
    mounts: list[dict[str, Any]]
    output: Output
    kept_journal: Journal
    restart_count: int
    leaving: bool  # on its way out: it is not written down any more

    def __init__(self) -> None:
        super().__init__()
        self.typed = self._input()
        self.monitor: Monitor | None = None
        self.stdio: Stdio | None = None
        self.place = Place()
        self.coming_back = False  # `docker restart` is between stop and start: --rm does not count

    @property
    def snapshot(self) -> Snapshot:
        """Its file system."""
        return self.house.snapshots.get(self.id)

    def environment(self) -> list[str]:
        """Return the environment that its programs find."""
        place = self.place
        hostname = place.hostname or self.config.get("Hostname") or self.id[:12]
        return settled.inside(self.config, hostname, place.address, place.env)

    @property
    def private(self) -> Path:
        """The folder of what the engine writes for its /etc, while it runs."""
        return self.folder / "private"

    def remove(self, force: bool = False, volumes: bool = False) -> list[str]:
        """Remove it."""
        raise NotImplementedError

    def _input(self) -> Input | None:
        return Input(bool(self.config.get("StdinOnce")) and not self.tty) if self.config.get("OpenStdin") else None

    # Start

    def start(self) -> None:
        """Start its program.

        Raises: NotModified where it runs, CannotStart and other EngineErrors where it cannot.
        """
        with self.lock:
            if self.paused:
                raise Conflict("cannot start a paused container, try unpause instead")
            if self.running and not self.now.Restarting:
                raise NotModified("")
            self.stopped_by_hand = False
            self._start()

    def _start(self) -> None:
        try:
            self.place = self.house.networks(cast("Container", self)) if self.house.networks else Place()
            self._run(self.place)
        except EngineError as error:
            self._could_not(error)
            raise
        self.tell("start")
        self.monitor = Monitor.of(cast("Container", self))

    def _run(self, net: Place) -> None:
        snapshot = self.snapshot
        private = self.private
        accounts = Accounts(snapshot)
        who = users.find_in(accounts, self.config.get("User") or "")
        who = users.with_groups(who, self.host_config.get("GroupAdd") or (), accounts)
        env = names.with_home(self.environment(), who.home)
        size = (self.host_config.get("ConsoleSize") or [0, 0])[:2]
        process = Process(
            *((self.path, *self.args), tuple(env), self.config.get("WorkingDir") or "/", who.uid, who.gid),
            tty=self.tty,
            size=(int(size[0]), int(size[1])),
            groups=who.groups,
        )
        mounts = arranged.mounts(private, self.config, self.host_config, self.mounts, net)
        more = {
            "mounts": tuple(mounts),
            "private": str(private),
            "network": net.mode,
            **{"plugs": net.plugs, "switch": net.switch, "shares": net.shares, "shares_as": net.shares_as},
        }
        config = {**self.config, "Hostname": net.hostname or self.config.get("Hostname")}
        spec = arranged.spec(self.id, root_of(snapshot), process, config, self.host_config, **more)
        self.stdio = stdio = Stdio(self.output, self.typed, self.tty)
        self.output.begin()
        files = stdio.files()
        try:
            running = self.house.sandbox.start(spec, *files)
        except EngineError:
            stdio.failed()
            raise
        assert running.main
        stdio.started(running.main)
        snapshot.ignore.update(running.main.made)
        snapshot.save()
        with self.changed:
            self.running_now = running
            self.now.running(running.pid)
            self.changed.notify_all()
        self.save()
        threading.Thread(target=self._follow, args=(running, stdio), daemon=True).start()

    def _could_not(self, error: EngineError) -> None:
        """Note why it did not start; who waits for it is told."""
        self.house.emit_quietly("container", "die", self.id)
        self.typed = self._input()
        self.output.end()
        with self.changed:
            self.now.Restarting = self.now.Running = False
            self.now.Status = "created" if self.now.Status == "created" else "exited"
            self.now.ExitCode, self.now.Error = getattr(error, "exit_code", 128), str(error)
            self.ends += 1
            self.changed.notify_all()
        self.save()
        if self.host_config.get("AutoRemove"):
            self.house.forget_volumes(self.remove(force=True, volumes=True))

    # End

    def _follow(self, running: Running, stdio: Stdio) -> None:
        """Wait for the end, in a thread of its own; then note it, and restart where that was asked."""
        code = running.wait()
        running.join()
        stdio.ended()
        if self.monitor:
            self.monitor.stop()
        self.kept_journal = merged(self.kept_journal, running.journal())
        over = self.stopped_by_hand or self.house.closing
        again = not over and self.policy.restarts(code, self.restart_count)
        stays = self.coming_back or not self.host_config.get("AutoRemove")
        with self.changed:
            self.running_now, self.stdio = None, None
            self.typed = self._input()
            self.now.exited(code, again)
            self.ends += 1
        self.save()
        self.tell("die", exitCode=str(code))
        with self.changed:
            self.changed.notify_all()
        if again:
            threading.Thread(target=self._again, daemon=True).start()
        elif not stays:
            with suppress(EngineError):
                self.house.forget_volumes(self.remove(force=True, volumes=True))

    # Again

    @property
    def policy(self) -> RestartPolicy:
        """When it starts again by itself."""
        return RestartPolicy.of(self.host_config)

    @property
    def comes_back(self) -> bool:
        """True where it does not run, and starts with the engine."""
        if self.now.Status == "created" or self.host_config.get("AutoRemove"):
            return False
        return self.policy.restarts(self.now.ExitCode, self.restart_count, self.stopped_by_hand)

    def _again(self) -> None:
        time.sleep(self.policy.pause(self.restart_count))
        with self.lock:
            if self.leaving or self.stopped_by_hand or self.house.closing or not self.now.Restarting:
                return
            self.restart_count += 1
            with suppress(EngineError):
                self._start()

    def restart(self, timeout: int | None = None) -> None:
        """Stop it where it runs, then start it."""
        with self.lock:
            self.coming_back = True
            try:
                if self.running:
                    self._stop(timeout)
                    self.tell("stop")
            finally:
                self.coming_back = False
            self.stopped_by_hand = False
            self._start()
        self.tell("restart")
