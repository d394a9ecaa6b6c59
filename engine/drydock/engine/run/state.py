"""What a container is doing: `State` of docker inspect, and `Status` of docker ps.

Source: moby/container/state.go, docker/go-units duration.go (HumanDuration).
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from drydock.engine.run.output import now

NEVER = "0001-01-01T00:00:00Z"
STEPS: tuple[tuple[int, int, str], ...] = (
    (60, 1, "seconds"),
    (3600, 60, "minutes"),
    (48 * 3600, 3600, "hours"),
    (14 * 86400, 86400, "days"),
    (60 * 86400, 7 * 86400, "weeks"),
    (730 * 86400, 30 * 86400, "months"),
)


@dataclass
class State:
    """One container's state."""

    Status: str = "created"
    Running: bool = False
    Paused: bool = False
    Restarting: bool = False
    OOMKilled: bool = False
    Dead: bool = False
    Pid: int = 0
    ExitCode: int = 0
    Error: str = ""
    StartedAt: str = NEVER
    FinishedAt: str = NEVER
    Health: dict[str, Any] | None = None

    def json(self) -> dict[str, Any]:
        """Return the state as inspect shows it; without a health check there is no Health."""
        found = asdict(self)
        if self.Health is None:
            del found["Health"]
        return found

    def running(self, pid: int) -> None:
        """Note that it runs."""
        self.Status, self.Running, self.Paused, self.Restarting, self.Pid = "running", True, False, False, pid
        self.ExitCode, self.Error, self.StartedAt = 0, "", now()

    def exited(self, code: int, restarting: bool = False) -> None:
        """Note that it has ended."""
        self.Status = "restarting" if restarting else "exited"
        self.Running, self.Paused, self.Restarting, self.Pid = restarting, False, restarting, 0
        self.ExitCode, self.FinishedAt = code, now()

    def text(self) -> str:
        """Return what `docker ps` shows."""
        if self.Status == "created":
            return "Created"
        if self.Status in ("removing", "dead"):
            return "Removal In Progress" if self.Status == "removing" else "Dead"
        if self.Restarting:
            return f"Restarting ({self.ExitCode}) {ago(self.FinishedAt)} ago"
        if not self.Running:
            return f"Exited ({self.ExitCode}) {ago(self.FinishedAt)} ago"
        health = (self.Health or {}).get("Status", "none")
        said = {"starting": " (health: starting)", "none": ""}.get(health, f" ({health})")
        more = " (Paused)" if self.Paused else said
        return f"Up {ago(self.StartedAt)}{more}"


def ago(moment: str) -> str:
    """Return how long ago a moment was, in Docker's words."""
    return words(time.time() - datetime.fromisoformat(moment[:26] + "+00:00").timestamp())


def words(seconds: float) -> str:
    """Return a duration in Docker's words.

    >>> [words(s) for s in (0.5, 45, 100, 3600, 7300, 200000)]
    ['Less than a second', '45 seconds', 'About a minute', 'About an hour', '2 hours', '2 days']
    """
    whole = int(seconds)
    if whole < 2:
        return "Less than a second" if whole < 1 else "1 second"
    if 60 <= whole < 120:
        return "About a minute"
    if 3600 <= whole < 5400:
        return "About an hour"
    for limit, unit, word in STEPS:
        if whole < limit:
            return f"{whole // unit} {word}"
    return f"{whole / (365 * 86400):.0f} years"
