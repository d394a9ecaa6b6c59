"""A RUN step: one program in a snapshot, its output as it comes, its exit code and its journal.

Source: moby builder/dockerfile/containerbackend.go (Run), as far as a build sees it.
"""

from __future__ import annotations

import os
import select
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from drydock.engine.errors import BadParameter
from drydock.engine.run import names, users
from drydock.engine.run.accounts import Accounts
from drydock.engine.run.arranged import limits
from drydock.engine.run.sandbox import Running, Sandbox
from drydock.engine.run.spec import CannotStart, Process, Root, Spec
from drydock.engine.snapshots.journal import Journal
from drydock.engine.snapshots.snapshot import Snapshot

ASK = 200  # milliseconds between two looks whether the build was cancelled
CHUNK = 1 << 16


@dataclass(frozen=True)
class Steps:
    """Runs the steps of builds."""

    sandbox: Sandbox

    def run(
        self,
        snapshot: Snapshot,
        args: Sequence[str],
        env: Sequence[str],
        cwd: str,
        user: str,
        network: str,
        on_output: Callable[[int, bytes], None],
        cancelled: Callable[[], bool] = lambda: False,
        *,
        shm_size: int = 64 << 20,
        extra_hosts: Sequence[str] = (),
        ulimits: Sequence[Mapping[str, object]] = (),
        hostname: str = "",
        **ignored: object,
    ) -> tuple[int, Journal]:
        """Run a program in a snapshot and return its exit code; 137 when it was cancelled."""
        try:
            who = users.find_in(Accounts(snapshot), user)
        except BadParameter as error:
            raise CannotStart(str(error), 126) from None
        environment = names.with_home(env, who.home)
        process = Process(tuple(args), tuple(environment), cwd or "/", who.uid, who.gid, groups=who.groups)
        self.sandbox.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="step-", dir=self.sandbox.folder) as private:
            me = hostname or snapshot.key[:12]
            mounts = names.files(Path(private), me, extra_hosts, [("127.0.0.1", me)])
            spec = Spec(
                *(snapshot.key, root_of(snapshot), process),
                hostname=hostname or snapshot.key[:12],
                mounts=tuple(mounts),
                network=network or "host",
                shm_size=shm_size,
                rlimits=limits(ulimits),
                private=private,
            )
            return self._follow(spec, snapshot, on_output, cancelled)

    def _follow(
        self, spec: Spec, snapshot: Snapshot, on_output: Callable[[int, bytes], None], cancelled: Callable[[], bool]
    ) -> tuple[int, Journal]:
        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        pipes = {1: os.pipe2(os.O_CLOEXEC), 2: os.pipe2(os.O_CLOEXEC)}
        try:
            try:
                running = self.sandbox.start(spec, null, pipes[1][1], pipes[2][1])
            finally:
                for fd in (null, pipes[1][1], pipes[2][1]):
                    os.close(fd)
            assert running.main
            snapshot.ignore.update(running.main.made)
            try:
                _copy({pipes[1][0]: 1, pipes[2][0]: 2}, running, on_output, cancelled)
            finally:
                running.kill()
                code = running.wait()
                running.join()
            return code, running.journal()
        finally:
            for fd in (pipes[1][0], pipes[2][0]):
                os.close(fd)


def _copy(
    streams: dict[int, int], running: Running, on_output: Callable[[int, bytes], None], cancelled: Callable[[], bool]
) -> None:
    """Pass output on until the program has ended: it closes both streams then, and so does what it left behind."""
    poll = select.poll()
    for fd in streams:
        poll.register(fd, select.POLLIN)
    left = dict(streams)
    while left or not running.ended:
        for fd, _ in poll.poll(ASK):
            part = os.read(fd, CHUNK)
            if part:
                on_output(left[fd], part)
            else:
                poll.unregister(fd)
                del left[fd]
        if cancelled():
            return
        if not left:
            with suppress(TimeoutError):
                running.wait(ASK / 1000)


def root_of(snapshot: Snapshot) -> Root:
    """Return where a snapshot's files are, as the sandbox takes it."""
    if tree := getattr(snapshot, "tree", None):
        return Root(tree=str(tree))
    lower, upper, work = (getattr(snapshot, name) for name in ("lower", "upper", "work"))
    return Root(tuple(str(one) for one in lower), str(upper), str(work))
