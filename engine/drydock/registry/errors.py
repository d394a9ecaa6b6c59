"""What goes wrong between here and a registry: dockerd's words where it has some, then what it means, what to try.

An error's text may hold what a registry sent, so it is cut and made printable. It never holds a password or a token.
Source: distribution-spec (error codes), moby distribution/errors.go, docker/distribution registry/api/errcode.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from drydock.model.layer import counted, shown

LONGEST = 300  # characters of a registry's own words that are passed on
LOG_IN = "Try: docker login {host}"


class RegistryError(OSError):
    """A registry cannot be used as asked; `status` is what an HTTP client is told, `code` the registry's own word."""

    status = 500

    def __init__(self, text: str, code: str = "") -> None:
        super().__init__(text)
        self.code = code


class NotThere(RegistryError):
    """The registry has no such repository, tag or blob."""

    status = 404


class Unauthorized(RegistryError):
    """The registry wants to know who asks, or does not let this user do it."""


class TooManyRequests(RegistryError):
    """The registry's allowance is used up for now."""

    status = 429
    delay = 0  # s that it asks to wait


class Unreachable(RegistryError):
    """Nobody answers, or nobody that can be used: no network, no such host, nothing listening."""


class Untrusted(Unreachable):
    """Who answers speaks no TLS, or shows a certificate that nobody vouches for."""


class Cut(RegistryError):
    """A connection ended too early, or brought too little: the same again, from where it was, may work."""


class Busy(RegistryError):
    """The registry has a trouble of its own (HTTP 5xx): the same again, a little later, may work."""


class Lying(RegistryError):
    """What came is not what its digest or its length says."""


class InvalidManifest(RegistryError):
    """What the registry sent as a manifest is none that can be used."""


class NoImage(InvalidManifest):
    """The registry has something under this name, but no image: a chart, a signature, a model."""


LIED = (
    "{what}. What came is not what {host} promised: it is damaged there, or something on the way changed it. "
    "Nothing of it was used. Try: the same on another network; if it stays so, tell whoever runs {host}"
)


def lied(what: str, host: str) -> Lying:
    """Return the error for bytes that are not what was promised: what was seen comes first, in dockerd's words."""
    return Lying(LIED.format(what=what, host=host))


def said(raw: bytes) -> tuple[str, str]:
    """Return code and message of a registry's JSON error; neither where it has none.

    >>> said(b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}')
    ('MANIFEST_UNKNOWN', 'manifest unknown')
    >>> said(b'{"details": "incorrect username or password"}'), said(b"<html>")
    (('', 'incorrect username or password'), ('', ''))
    """
    try:
        body: Any = json.loads(raw)
    except (ValueError, RecursionError):
        return "", ""
    if not isinstance(body, dict):
        return "", ""
    errors = body.get("errors")
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    message = first.get("message") or body.get("details") or body.get("message") or ""
    return brief(str(first.get("code") or "")), brief(str(message))


def brief(text: str) -> str:
    """Return foreign text so that it can be printed: no control characters, and not too long."""
    return shown(text if len(text) <= LONGEST else text[: LONGEST - 1] + "…")


def worded(code: str, message: str) -> str:
    """Return a registry's error as Docker words it.

    >>> worded("MANIFEST_UNKNOWN", "manifest unknown"), worded("", "go away")
    ('manifest unknown: manifest unknown', 'go away')
    """
    return f"{code.lower().replace('_', ' ')}: {message or 'unknown error'}" if code else message


def answered(status: int, reason: str, headers: Mapping[str, str], body: bytes, host: str) -> RegistryError:
    """Return the error for a registry's answer that is none of those that were hoped for."""
    code, message = said(body)
    text = worded(code, message)
    if status == 429:
        error = TooManyRequests(too_many(headers, text, host), code)
        error.delay = delay(headers)
        return error
    if status >= 500:
        return Busy(f"received unexpected HTTP status: {status} {brief(reason)}", code)
    if status == 401:
        told = text if code or message else "unauthorized: authentication required"
        return Unauthorized(told, code or "UNAUTHORIZED")
    if status == 403:
        told = text or "denied: requested access to the resource is denied"
        return Unauthorized(told, code or "DENIED")
    if status == 404:
        return NotThere(text or f"received unexpected HTTP status: 404 {brief(reason)}", code)
    return RegistryError(text or f"received unexpected HTTP status: {status} {brief(reason)}", code)


TOO_MANY = (
    "toomanyrequests: {told}. {host} lets {who} pull only so often, and a class behind one address shares one "
    "allowance. {when}Meanwhile: log in (`docker login{login}`), use the class's own registry or a mirror "
    '("registry-mirrors" in daemon.json), or bring the image as a file. Try: drydock registry start'
)


def too_many(headers: Mapping[str, str], told: str, host: str) -> str:
    """Return what a 429 means: how long it lasts, as far as its headers say, and what else can be done.

    >>> too_many({"retry-after": "90", "ratelimit-limit": "100;w=21600"}, "", "docker.io")[:82]
    'toomanyrequests: too many requests. docker.io lets each address pull only so often'
    """
    limit = window(headers.get("ratelimit-limit", ""))
    who = "a user" if headers.get("docker-ratelimit-source", "").count("-") == 4 else "each address"  # a UUID, or an IP
    wait = delay(headers)
    when = f"Ask again in {duration(wait)}. " if wait else ""
    if limit:
        when = f"The limit is {limit[0]} in {duration(limit[1])}. " + when
    told = told.partition(": ")[2] if told.lower().startswith("toomanyrequests: ") else told
    login = "" if host == "docker.io" else f" {host}"
    return TOO_MANY.format(told=(told or "too many requests").rstrip("."), host=host, who=who, when=when, login=login)


def delay(headers: Mapping[str, str]) -> int:
    """Return how many seconds a registry asks to wait, 0 where it does not say.

    >>> delay({"retry-after": "90"}), delay({"ratelimit-reset": "12"}), delay({})
    (90, 12, 0)
    """
    for key in ("retry-after", "ratelimit-reset", "x-ratelimit-reset"):
        text = headers.get(key, "").partition(";")[0].strip()
        if text.isdecimal() and int(text) < 7 * 86400:  # some send a date or an epoch: no number of seconds
            return int(text)
    return 0


def window(text: str) -> tuple[int, int] | None:
    """Return a limit and its seconds, of a header such as Docker Hub's.

    >>> window("100;w=21600"), window("")
    ((100, 21600), None)
    """
    count, _, rest = text.partition(";w=")
    return (int(count), int(rest)) if count.isdecimal() and rest.isdecimal() else None


def duration(seconds: int) -> str:
    """Return a time as people say it.

    >>> duration(1), duration(90), duration(21600)
    ('1 second', '2 minutes', '6 hours')
    """
    for size, name in ((3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size:
            return counted(-(-seconds // size), name)
    return "a moment"
