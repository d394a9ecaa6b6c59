"""A container's life: start, end, restart, signals, pause, and who waits for what.

Source: moby v20.10 daemon/{start,stop,kill,restart,pause,wait,monitor}.go, restartmanager/restartmanager.go.
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
from drydock.engine.run.sandbox import Running
from drydock.engine.run.spec import Process
from drydock.engine.run.state import State
from drydock.engine.run.stdio import Input, Stdio
from drydock.engine.run.steps import root_of
from drydock.engine.snapshots.journal import Journal
from drydock.engine.snapshots.snapshot import Snapshot, merged

if TYPE_CHECKING:
    from drydock.engine.run.container import Container
    from drydock.engine.run.containers import Containers

NOT_RUNNING = "Container {id} is not running"
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 60.0  # s between restarts; doubled each time (moby/restartmanager)


class Waiter:
    """Waits for a container's end, from the moment it was made."""

    def __init__(self, container: Life, condition: str) -> None:
        self.container, self.condition, self.ends = container, condition, container.ends

    def result(self, timeout: float) -> int | None:
        """Return the exit code, or None where the time is over first."""
        c = self.container
        with c.changed:
            c.changed.wait_for(self._met, timeout)
            return c.now.ExitCode if self._met() else None

    def _met(self) -> bool:
        c = self.container
        if self.condition == "removed":
            return c.removed
        if self.condition == "next-exit":
            return c.ends > self.ends or c.removed
        return not c.now.Running or c.removed


class Life:
    """What happens to a container's program; what the container is, its subclass knows."""

    house: Containers
    folder: Path
    id: str
    name: str
    image_name: str
    path: str
    args: list[str]
    config: dict[str, Any]
    host_config: dict[str, Any]
    mounts: list[dict[str, Any]]
    now: State
    output: Output
    kept_journal: Journal
    restart_count: int
    stopped_by_hand: bool
    removed: bool  # gone, and everybody was told
    leaving: bool  # on its way out: it is not written down any more

    def __init__(self) -> None:
        self.lock = threading.RLock()  # one change of state at a time
        self.changed = threading.Condition()
        self.ends = 0
        self.typed = self._input()
        self.monitor: Monitor | None = None
        self.running_now: Running | None = None
        self.stdio: Stdio | None = None
        self.place = Place()
        self.coming_back = False  # `docker restart` is between stop and start: --rm does not count

    @property
    def snapshot(self) -> Snapshot:
        """Its file system."""
        return self.house.snapshots.get(self.id)

    @property
    def running(self) -> bool:
        """True from start to end, paused or not."""
        return self.now.Running

    @property
    def paused(self) -> bool:
        """True while all its processes are stopped."""
        return self.now.Paused

    @property
    def tty(self) -> bool:
        """True where its program has a terminal."""
        return bool(self.config.get("Tty"))

    def environment(self) -> list[str]:
        """Return the environment that its programs find."""
        place = self.place
        hostname = place.hostname or self.config.get("Hostname") or self.id[:12]
        return settled.inside(self.config, hostname, place.address, place.env)

    @property
    def private(self) -> Path:
        """The folder of what the engine writes for its /etc, while it runs."""
        return self.folder / "private"

    def save(self) -> None:
        """Write down what must outlive the engine."""
        raise NotImplementedError

    def tell(self, action: str, **attributes: str) -> None:
        """Tell what happened."""
        labels = self.config.get("Labels") or {}
        known = {**labels, "image": self.image_name, "name": self.name, **attributes}
        self.house.emit("container", action, self.id, known)

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
        again, stays = self._restarts(code), self.coming_back or not self.host_config.get("AutoRemove")
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

    def _restarts(self, code: int) -> bool:
        policy = self.host_config.get("RestartPolicy") or {}
        name, most = policy.get("Name", "no"), policy.get("MaximumRetryCount") or 0
        if self.stopped_by_hand or self.house.closing or name in ("", "no"):
            return False
        return name != "on-failure" or (code != 0 and (not most or self.restart_count < most))

    def _again(self) -> None:
        time.sleep(min(FIRST_PAUSE * 2**self.restart_count, LONGEST_PAUSE))
        with self.lock:
            if self.leaving or self.stopped_by_hand or self.house.closing or not self.now.Restarting:
                return
            self.restart_count += 1
            with suppress(EngineError):
                self._start()

    # Signals

    def stop(self, timeout: int | None = None) -> None:
        """Ask it to end; after `timeout` seconds kill it."""
        if not self.running:
            raise NotModified("")
        self._stop(timeout)
        self.tell("stop")

    def _stop(self, timeout: int | None) -> None:
        self.stopped_by_hand = True
        if self.now.Restarting:
            with self.changed:
                self.now.exited(self.now.ExitCode)
                self.changed.notify_all()
            return self.save()
        if self.paused:
            self.unpause()
        number = settled.number(self.config.get("StopSignal") or "TERM")
        seconds = timeout if timeout is not None else self.config.get("StopTimeout") or 10
        self._signal(number)
        waiting = Waiter(self, "not-running")
        if waiting.result(seconds if seconds >= 0 else 10**6) is None:
            self._signal(9)
            waiting.result(60)

    def kill(self, signal: str | int = "KILL") -> None:
        """Send it a signal; after SIGKILL, return once it has ended."""
        number = settled.number(signal)
        if not self.running:
            raise Conflict(f"Cannot kill container: {self.name}: {NOT_RUNNING.format(id=self.id)}")
        if number == settled.number(self.config.get("StopSignal") or "TERM") or number == 9:
            self.stopped_by_hand = True
        if number == 9 and self.paused:
            self.unpause()
        waiting = Waiter(self, "not-running")
        self._signal(number)
        if number == 9:
            waiting.result(60)

    def _signal(self, number: int) -> None:
        running = self.running_now
        if running:
            running.kill(number)
            self.tell("kill", signal=str(number))

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

    def pause(self) -> None:
        """Stop all its processes where they are."""
        with self.lock:
            running = self.process_tree()
            if self.paused:
                raise Conflict(f"Container {self.id} is already paused")
            running.pause()
            self.now.Paused, self.now.Status = True, "paused"
            self.save()
        self.tell("pause")

    def unpause(self) -> None:
        """Let them go on."""
        with self.lock:
            if not self.paused or not self.running_now:
                raise Conflict(f"Container {self.id} is not paused")
            self.running_now.unpause()
            self.now.Paused, self.now.Status = False, "running"
            self.save()
        self.tell("unpause")

    def process_tree(self) -> Running:
        """Return what runs.

        Raises: Conflict where nothing does.
        """
        running = self.running_now
        if not self.running or running is None:
            raise Conflict(NOT_RUNNING.format(id=self.id))
        return running

    def waiter(self, condition: str = "not-running") -> Waiter:
        """Return what waits for its end from now on."""
        return Waiter(self, condition)

    def end_with_engine(self, seconds: int) -> None:
        """Stop it because the engine stops: for its restart policy nobody stopped it."""
        before = self.stopped_by_hand
        with suppress(EngineError):
            self._stop(seconds)
        self.stopped_by_hand = before
        self.save()

    def end_now(self) -> None:
        self.stopped_by_hand = True
        if self.now.Restarting:
            return
        if self.paused:
            self.unpause()
        waiting = Waiter(self, "not-running")
        self._signal(9)
        waiting.result(60)
