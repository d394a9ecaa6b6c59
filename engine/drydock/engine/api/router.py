"""Which function answers which path: a table, read once.

An image's name may hold slashes (`/images/me/app/json`), so `{name}` takes as much as fits, as in moby's own routes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from drydock.engine.api.wire import Reply, Request

Handler = Callable[[Request], Reply]
Route = tuple[str, str, Handler]


@dataclass(frozen=True)
class Entry:
    """One line of the table: method, path as a pattern, function."""

    method: str
    pattern: re.Pattern[str]
    handler: Handler


class Router:
    """Finds the function for a request.

    >>> router = Router([("GET", "/images/{name}/json", print), ("GET", "/images/json", repr)])
    >>> router.find("GET", "/images/me/app/json")
    (<built-in function print>, {'name': 'me/app'})
    >>> router.find("GET", "/nowhere") is None
    True
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self.fixed: dict[tuple[str, str], Handler] = {}
        self.entries: list[Entry] = []
        for method, path, handler in routes:
            if "{" not in path:
                self.fixed[method, path] = handler
                continue
            pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+)", re.escape(path))
            self.entries.append(Entry(method, re.compile(pattern), handler))

    def find(self, method: str, path: str) -> tuple[Handler, dict[str, str]] | None:
        """Return the function and what stood in the path, or None where nothing answers there."""
        if (method, path) in self.fixed:
            return self.fixed[method, path], {}
        for entry in self.entries:
            if entry.method == method and (match := entry.pattern.fullmatch(path)):
                return entry.handler, match.groupdict()
        return None

    def known(self, path: str) -> bool:
        """Return True where some method is answered at this path."""
        methods = {method for method, _ in self.fixed} | {entry.method for entry in self.entries}
        return any(self.find(method, path) for method in methods)
