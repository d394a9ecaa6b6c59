"""Health checks: a command run again and again in a container; three failures in a row and it is unhealthy.

Source: moby/daemon/health.go.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from drydock.engine.errors import EngineError
from drydock.engine.run.output import now

if TYPE_CHECKING:
    from drydock.engine.run.container import Container

SECOND = 10**9
DEFAULTS = {"Interval": 30 * SECOND, "Timeout": 30 * SECOND, "StartPeriod": 0, "Retries": 3}
KEPT = 5  # results
LONGEST = 4096  # bytes of output that are kept


class Monitor:
    """Checks one container for as long as it runs."""

    def __init__(self, container: Container, check: dict[str, Any]) -> None:
        self.container = container
        self.check = {key: check.get(key) or value for key, value in DEFAULTS.items()}
        self.words = check["Test"][1:] if check["Test"][0] == "CMD" else ["/bin/sh", "-c", *check["Test"][1:]]
        self.stopped = threading.Event()
        self.began = time.monotonic()
        container.health({"Status": "starting", "FailingStreak": 0, "Log": []})
        threading.Thread(target=self._run, daemon=True).start()

    @classmethod
    def of(cls, container: Container) -> Monitor | None:
        """Return the monitor that a container's configuration asks for, started."""
        check = container.config.get("Healthcheck") or {}
        test = check.get("Test") or ["NONE"]
        return None if test[0] == "NONE" or len(test) < 2 else cls(container, check)

    def stop(self) -> None:
        """Check no more."""
        self.stopped.set()

    def _run(self) -> None:
        while not self.stopped.wait(self.check["Interval"] / SECOND):
            began = now()
            code, said = self._once()
            if not self.stopped.is_set():
                self._note({"Start": began, "End": now(), "ExitCode": code, "Output": said})

    def _once(self) -> tuple[int, str]:
        limit = self.check["Timeout"] / SECOND
        try:
            one = self.container.exec_of({"Cmd": self.words, "AttachStdout": True, "AttachStderr": True})
            attached = one.start()
        except EngineError as error:
            return -1, str(error)
        assert attached
        said: list[bytes] = []
        reader = threading.Thread(target=lambda: said.extend(data for _, data in attached.frames()), daemon=True)
        reader.start()
        reader.join(limit)
        if reader.is_alive():
            attached.close()
            self.container.kill_exec(one)
            return -1, f"Health check exceeded timeout ({limit:g}s)"
        while one.exit_code is None and not self.stopped.wait(0.01):
            pass
        return one.exit_code or 0, b"".join(said)[:LONGEST].decode(errors="replace")

    def _note(self, result: dict[str, Any]) -> None:
        """Count, and tell when the verdict changes; in the start period failures do not count."""
        old = self.container.state.get("Health") or {"Status": "starting", "FailingStreak": 0, "Log": []}
        status, streak = old["Status"], old["FailingStreak"]
        if result["ExitCode"] == 0:
            status, streak = "healthy", 0
        elif status != "starting" or time.monotonic() - self.began > self.check["StartPeriod"] / SECOND:
            streak += 1
            status = "unhealthy" if streak >= self.check["Retries"] else status
        self.container.health({"Status": status, "FailingStreak": streak, "Log": [*old["Log"], result][-KEPT:]})
        if status != old["Status"]:
            self.container.tell(f"health_status: {status}")
