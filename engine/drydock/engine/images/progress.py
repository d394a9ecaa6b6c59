"""A transfer's progress, as every Docker client knows how to draw it.

Source: moby pkg/jsonmessage, pkg/streamformatter; docker/go-units HumanSize.
"""

from __future__ import annotations

from typing import Any


def bar(status: str, what: str, current: int, total: int) -> dict[str, Any]:
    """Return one message: how far `what` is.

    >>> bar("Loading layer", "a1b2c3", 512, 1024)["progress"]
    '[=========================>                         ]     512B/1.024kB'
    >>> bar("Pushing", "a1b2c3", 3584, 2000)["progress"][50:]
    '=>]  3.584kB'
    """
    detail = {"current": current, "total": total}
    return {"status": status, "progressDetail": detail, "progress": drawn(current, total), "id": what}


def drawn(current: int, total: int) -> str:
    """Return a bar and its numbers; no total where it is not known, or proved wrong."""
    if total <= 0:
        return f"{four(current):>8}" if current > 0 else ""
    half = min(50, current * 100 // total // 2)
    numbers = f"{four(current):>8}" + (f"/{four(total)}" if current <= total else "")
    return f"[{'=' * half}>{' ' * (50 - half)}] {numbers}"


def four(size: int) -> str:
    """Return a size with four digits, as progress bars have it.

    >>> four(6), four(32768), four(300_000)
    ('6B', '32.77kB', '300kB')
    """
    value, units = float(size), ["B", "kB", "MB", "GB", "TB", "PB"]
    while value >= 1000 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.4g}{units[0]}"
