"""A request to the registry, and what an end point answers: a status, headers, and bytes or a part of a file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO
from urllib.parse import urlencode

from drydock.registry.server.refusals import Refusal
from drydock.registry.server.store import Store
from drydock.serving.body import Body

PAGE = 1000  # entries of a list where the client names no number, and the most it gets at once


@dataclass(frozen=True)
class Request:
    """What a client asks: method, path, query and headers (names in title case), and the body, not read yet."""

    method: str
    path: str
    query: Mapping[str, Sequence[str]]
    headers: Mapping[str, str]
    body: Body
    store: Store

    def asked(self, name: str) -> str | None:
        """Return what the query says of a name, or None."""
        return self.query[name][0] if self.query.get(name) else None


@dataclass(frozen=True)
class Part:
    """Some bytes of an open file."""

    file: BinaryIO
    start: int
    length: int


@dataclass(frozen=True)
class Reply:
    """What the client is sent."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | Part = b""


def as_json(value: Any, headers: Mapping[str, str] | None = None, kind: str = "application/json") -> Reply:
    """Return a reply of JSON."""
    return Reply(200, {"Content-Type": kind, **(headers or {})}, json.dumps(value).encode())


def page(request: Request, entries: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Return the part of a sorted list that a client asks for, and the header that leads to the next part.

    `n` is how many, `last` the entry after which to begin. Source: spec.md, "Listing Tags".
    """
    asked, last = request.asked("n"), request.asked("last")
    if asked is not None and not (asked.isascii() and asked.isdigit() and len(asked) < 10):
        raise Refusal("PAGINATION_NUMBER_INVALID", f"n is {asked[:20]!r}, and must be a number", {"n": asked[:20]})
    number = min(int(asked), PAGE) if asked is not None else PAGE
    rest = [entry for entry in entries if last is None or entry > last]
    shown = rest[:number]
    if len(rest) <= number or not shown:
        return shown, {}
    more = {key: values[0] for key, values in request.query.items() if key not in ("n", "last")}
    query = urlencode({**more, "n": number, "last": shown[-1]})
    return shown, {"Link": f'<{request.path}?{query}>; rel="next"'}
