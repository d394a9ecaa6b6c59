"""A request as its handler sees it, and the kinds of answer a handler returns.

Source: moby/api/server/httputils (form.go, httputils.go, decoder.go), moby/api/types/filters/parse.go
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

from drydock.engine.errors import BadParameter

if TYPE_CHECKING:
    from drydock.engine.daemon import Daemon

JSON_LIMIT = 4 << 20  # bytes of a JSON body; the largest that a client really sends, a container's config, is a few kB


@dataclass(frozen=True)
class Request:
    """One request: what is asked (query, body), which API version the client speaks, and the engine that answers."""

    method: str
    path: str
    version: tuple[int, int]
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: BinaryIO
    daemon: Daemon
    gone: Callable[[], bool] = lambda: False  # True once the client has hung up
    names: Mapping[str, str] = field(default_factory=dict)  # what stood in the path: {"name": "web"}

    def text(self, key: str, default: str = "") -> str:
        """Return a value of the query, the first where there are several."""
        found = self.query.get(key)
        return found[0] if found else default

    def all(self, key: str) -> list[str]:
        """Return all values of one key: `?names=a&names=b`."""
        return list(self.query.get(key, []))

    def flag(self, key: str, default: bool = False) -> bool:
        """Return a switch of the query as Go's BoolValue reads it: docker-py sends True, the command line 1."""
        found = self.query.get(key)
        return truth(found[0]) if found else default

    def number(self, key: str, default: int | None = None) -> int | None:
        """Return a whole number of the query."""
        text = self.text(key)
        if not text:
            return default
        try:
            return int(text)
        except ValueError:
            raise BadParameter(f'strconv.Atoi: parsing "{text[:80]}": invalid syntax') from None

    def json(self) -> dict[str, Any]:
        """Return the body as a JSON object; no body is an empty one.

        Raises: BadParameter.
        """
        kind = self.headers.get("Content-Type", "")
        raw = self.body.read(JSON_LIMIT + 1)
        if raw and kind and kind.partition(";")[0].strip() != "application/json":
            raise BadParameter(f"Content-Type specified ({kind[:80]}) must be 'application/json'")
        if len(raw) > JSON_LIMIT:
            raise BadParameter("the request's JSON is larger than 4 MB")
        if not raw.strip():
            return {}
        try:
            found = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise BadParameter(f"invalid JSON: {str(error)[:200]}") from None
        if found is None:
            return {}
        if not isinstance(found, dict):
            raise BadParameter("invalid JSON: an object is expected")
        return found

    def filters(self, *allowed: str) -> dict[str, list[str]]:
        """Return the filters of a listing: `{"label": {"a=b": true}}` or `{"label": ["a=b"]}`.

        Raises: BadParameter for a filter that this listing does not know.
        """
        found = filters(self.text("filters"))
        for key in found:
            if allowed and key not in allowed:
                raise BadParameter(f"Invalid filter '{key[:80]}'")
        return found

    @property
    def agent(self) -> str:
        """Return the name of the client's program."""
        return self.headers.get("User-Agent", "")


def truth(text: str) -> bool:
    """Return what Docker takes a switch's text for.

    >>> [truth(text) for text in ("1", "True", "0", "False", "no", "none", "")]
    [True, True, False, False, False, False, False]
    """
    return text.strip().lower() not in ("", "0", "no", "false", "none")


def filters(text: str) -> dict[str, list[str]]:
    """Read filters in either of the forms that clients send.

    >>> filters('{"label": {"a=b": true}, "dangling": ["1"]}')
    {'label': ['a=b'], 'dangling': ['1']}
    """
    if not text:
        return {}
    try:
        raw = json.loads(text)
        return {str(key): [str(v) for v in _values(value)] for key, value in raw.items()}
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise BadParameter("invalid filter") from None


def _values(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [key for key, on in value.items() if on]
    if isinstance(value, list):
        return value
    raise TypeError


def matches_labels(labels: Mapping[str, str] | None, wanted: list[str]) -> bool:
    """Return True where every wanted `key` or `key=value` is among the labels.

    >>> matches_labels({"a": "b"}, ["a"]), matches_labels({"a": "b"}, ["a=c"])
    (True, False)
    """
    has = labels or {}
    for text in wanted:
        key, equals, value = text.partition("=")
        if key not in has or (equals and has[key] != value):
            return False
    return True


# Answers


@dataclass(frozen=True)
class Json:
    """An answer in one piece."""

    value: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plain:
    """An answer that is no JSON; with no text there is no body."""

    text: bytes = b""
    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stream:
    """An answer that comes bit by bit, each bit a chunk of its own.

    `at_once`: the head is sent before the first bit is there. Else what goes wrong before it is an HTTP error.
    """

    chunks: Iterator[bytes]
    kind: str = "application/json"
    at_once: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Hijack:
    """An answer that takes the connection: after the head both sides send raw bytes, as a terminal does."""

    talk: Callable[[Any], None]
    tty: bool = False


Reply = Json | Plain | Stream | Hijack
