"""Moments as clients write them: seconds since 1970 with a fraction, or a date.

Source: moby/api/types/time/timestamp.go
"""

from __future__ import annotations

import re
from datetime import datetime

from drydock.engine.errors import BadParameter


def moment(text: str) -> float | None:
    """Return seconds since 1970, or None where nothing is said.

    >>> moment("1704067200.5"), moment("2024-01-01T00:00:00.123456789Z"), moment("")
    (1704067200.5, 1704067200.123456, None)
    """
    if not text:
        return None
    if re.fullmatch(r"-?\d{1,12}(\.\d+)?", text):
        return float(text)
    try:
        found = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
    except ValueError:
        raise BadParameter(f'failed to parse value as time or duration: "{text[:80]}"') from None
    return found.timestamp()


def limit(text: str) -> int:
    """Return the moment that a log's `since` or `until` gives, in nanoseconds; 0 is no limit, as for dockerd.

    >>> limit("1704067200.000000001"), limit("")
    (1704067200000000001, 0)
    """
    if re.fullmatch(r"\d{1,12}(\.\d{1,9})?", text):
        whole, _, part = text.partition(".")
        return int(whole) * 10**9 + int(part.ljust(9, "0"))
    return round((moment(text) or 0) * 10**9)
