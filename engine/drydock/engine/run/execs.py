"""`docker exec`: one more program in a running container.

Source: moby/daemon/exec.go, exec/exec.go.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drydock.engine.errors import Conflict, EngineError
from drydock.engine.run import lookup, names, users
from drydock.engine.run.accounts import Accounts
from drydock.engine.run.output import Output
from drydock.engine.run.sandbox import Started
from drydock.engine.run.spec import CannotStart, Process
from drydock.engine.run.stdio import Attachment, Input, Stdio

if TYPE_CHECKING:
    from drydock.engine.run.container import Container

PATIENCE = 10.0  # s that a resize waits for the start (moby daemon/resize.go)
IN_EXEC = "OCI runtime exec failed: exec failed: unable to start container process: "


class Exec:
    """One program to be run in a container, or running there, or ended."""

    def __init__(self, container: Container, config: Mapping[str, Any]) -> None:
        self.id, self.container, self.config = secrets.token_hex(32), container, dict(config)
        self.tty = bool(config.get("Tty"))
        self.exit_code: int | None = None
        self.running, self.pid, self._begun = False, 0, False
        self._output = Output(Path("/nowhere"), kept=False)
        self._stdio: Stdio | None = None
        self._there = threading.Event()  # it has started

    def start(self, detach: bool = False, tty: bool = False, size: tuple[int, int] | None = None) -> Attachment | None:
        """Start it; return the client's connection to it, unless nobody wants one."""
        if self._begun:
            raise Conflict(f"Error: Exec command {self.id} has already run")
        running = self.container.process_tree()
        self._begun = True
        typed = Input(once=not self.tty) if self.config.get("AttachStdin") and not detach else None
        self._stdio = stdio = Stdio(self._output, typed, self.tty)
        wanted = [number for number, key in ((1, "AttachStdout"), (2, "AttachStderr")) if self.config.get(key)]
        listener = self._output.listen(*wanted)
        self.container.tell(f"exec_start: {' '.join(self.config['Cmd'])}", execID=self.id)
        try:
            process = self._process(size or (0, 0))
        except EngineError:
            self._output.end()
            self.exit_code = 126
            raise
        files = stdio.files()
        try:
            program = running.exec(process, files)
        except CannotStart as error:
            stdio.failed()
            self.exit_code = 126  # whatever it was, as moby daemon/exec.go
            raise CannotStart(str(error).replace(lookup.PREFIX, IN_EXEC), error.exit_code) from None
        self.running, self.pid = True, program.pid
        stdio.started(program)
        self._there.set()
        threading.Thread(target=self._follow, args=(program, stdio), daemon=True).start()
        return None if detach else Attachment(self._output, listener, typed, self.tty)

    def resize(self, rows: int, columns: int) -> None:
        """Tell its terminal how large it is shown; the client asks as soon as it may, perhaps before it has one.

        Raises: Conflict where it does not start in time.
        """
        if not self._there.wait(PATIENCE) or self._stdio is None:
            raise Conflict("timeout waiting for exec session ready")
        self._stdio.resize(rows, columns)

    def inspect(self) -> dict[str, Any]:
        """Return what is known of it."""
        words = self.config["Cmd"]
        return {
            "ID": self.id,
            "Running": self.running,
            "ExitCode": self.exit_code,
            "ProcessConfig": {
                "tty": self.tty,
                "entrypoint": words[0],
                "arguments": words[1:],
                "privileged": bool(self.config.get("Privileged")),
                **({"user": self.config["User"]} if self.config.get("User") else {}),
            },
            "OpenStdin": bool(self.config.get("AttachStdin")),
            "OpenStderr": bool(self.config.get("AttachStderr")),
            "OpenStdout": bool(self.config.get("AttachStdout")),
            "CanRemove": self.exit_code is not None,
            "ContainerID": self.container.id,
            "DetachKeys": "",
            "Pid": self.pid,
        }

    def _process(self, size: tuple[int, int]) -> Process:
        config, mine = self.container.config, self.config
        who = users.find_in(Accounts(self.container.snapshot), mine.get("User") or config.get("User") or "")
        env = self.container.environment()
        own = mine.get("Env") or []
        changed = {one.partition("=")[0] for one in own}
        env = [*(one for one in env if one.partition("=")[0] not in changed), *own]
        if self.tty and not any(one.startswith("TERM=") for one in env):
            env.append("TERM=xterm")
        cwd = mine.get("WorkingDir") or config.get("WorkingDir") or "/"
        return Process(
            tuple(mine["Cmd"]), tuple(names.with_home(env, who.home)), cwd, who.uid, who.gid, self.tty, size, who.groups
        )

    def _follow(self, program: Started, stdio: Stdio) -> None:
        self.exit_code = program.wait()
        self.running = False
        stdio.ended()
        self.container.tell("exec_die", execID=self.id, exitCode=str(self.exit_code))
