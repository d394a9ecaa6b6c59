"""A transfer's progress, as every Docker client knows how to draw it.

Source: moby pkg/jsonmessage, pkg/streamformatter.
"""

from __future__ import annotations

from typing import Any

from drydock.model.layer import human


def bar(status: str, what: str, current: int, total: int) -> dict[str, Any]:
    """Return one message: how far `what` is.

    >>> bar("Loading layer", "a1b2c3", 512, 1024)["progress"]
    '[=========================>                         ]     512B/1.02kB'
    """
    done = min(50, 50 * current // total) if total else 50
    drawn = "=" * (done - 1) + ">" if done == 50 else "=" * done + ">" + " " * (49 - done)
    sizes = f"{human(current):>8}/{human(total)}"
    detail = {"current": current, "total": total}
    return {"status": status, "progressDetail": detail, "progress": f"[{drawn}] {sizes}", "id": what}
