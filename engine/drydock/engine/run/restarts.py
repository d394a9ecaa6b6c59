"""When a container starts again by itself: after its end, and with the engine.

Source: moby v20.10 restartmanager/restartmanager.go (ShouldRestart), daemon/daemon.go (restore).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 60.0  # s between restarts; doubled each time


@dataclass(frozen=True)
class RestartPolicy:
    """What `docker run --restart` asked for: no, always, unless-stopped, or on-failure, perhaps so many times."""

    name: str = "no"
    most: int = 0  # restarts of on-failure; 0: without end

    @classmethod
    def of(cls, host_config: Mapping[str, Any]) -> RestartPolicy:
        """Return the policy that a HostConfig has."""
        said = host_config.get("RestartPolicy") or {}
        return cls(said.get("Name") or "no", said.get("MaximumRetryCount") or 0)

    def restarts(self, code: int, count: int, by_hand: bool = False) -> bool:
        """Return whether a program that ended with this exit code starts again, after so many restarts.

        `by_hand` says that somebody stopped it, before the engine ended.

        >>> thrice = RestartPolicy("on-failure", 3)
        >>> thrice.restarts(1, 2), thrice.restarts(1, 3), thrice.restarts(0, 0)
        (True, False, False)
        >>> RestartPolicy("always").restarts(0, 9, by_hand=True), RestartPolicy("unless-stopped").restarts(0, 9, True)
        (True, False)
        """
        if self.name == "on-failure":
            return code != 0 and (not self.most or count < self.most)
        return self.name == "always" or (self.name == "unless-stopped" and not by_hand)

    def pause(self, count: int) -> float:
        """Return the seconds to wait before the next restart, after so many.

        >>> [RestartPolicy().pause(count) for count in (0, 1, 9, 10, 5000)]
        [0.1, 0.2, 51.2, 60.0, 60.0]
        """
        return min(FIRST_PAUSE * (1 << min(count, 10)), LONGEST_PAUSE)
