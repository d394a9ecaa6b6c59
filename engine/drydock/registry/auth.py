"""How a registry finds out who asks: Basic, or a token fetched elsewhere and shown as Bearer.

Docker Hub, Quay, GHCR and Artifact Registry hand out tokens; ECR and a small registry take name and password at once.
Sources: docker/distribution docs/spec/auth (token.md, oauth.md), RFC 9110 section 11.6.1, RFC 6749.
"""

from __future__ import annotations

import json
import re
import threading
import time
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from drydock.registry.answer import Answer
from drydock.registry.credentials import Credentials
from drydock.registry.errors import RegistryError, Unauthorized, answered
from drydock.registry.http import Http
from drydock.registry.trust import loopback

CLIENT = "drydock"
TOKEN_LIMIT = 1 << 20  # bytes of a token server's answer
LIFE = 60  # s that a token lasts where its server does not say (token.md)
PIECES = re.compile(
    r'\s*,?\s*(?:(?P<key>[\w-]+)\s*=\s*(?:"(?P<text>(?:[^"\\]|\\.)*)"|(?P<word>[^\s,"]+))|(?P<scheme>[\w-]+)\s*)'
)
NO_LOGIN = "no basic auth credentials. The registry wants to know who you are. Try: docker login {host}"
PLAIN_TOKEN = (
    "{host} asks to send your password to {realm} in plain text: it was not sent. Anybody on the way could read it. "
    "Try: tell the registry's owner that its token server needs https"
)


@dataclass(frozen=True)
class Challenge:
    """One way that a registry offers to prove who asks."""

    scheme: str  # lower case: basic, bearer
    params: dict[str, str] = field(default_factory=dict)


def challenges(headers: Iterable[str]) -> list[Challenge]:
    """Read WWW-Authenticate headers.

    >>> challenges(['Bearer realm="https://auth.docker.io/token",service="registry.docker.io", Basic realm="x, y"'])
    [Challenge(scheme='bearer', params={'realm': 'https://auth.docker.io/token', 'service': 'registry.docker.io'}),
     Challenge(scheme='basic', params={'realm': 'x, y'})]
    """
    found: list[Challenge] = []
    for header in headers:
        for match in PIECES.finditer(header[:8192]):
            if match["scheme"]:
                found.append(Challenge(match["scheme"].lower()))
            elif found:
                text = match["word"] or re.sub(r"\\(.)", r"\1", match["text"] or "")
                found[-1].params.setdefault(match["key"].lower(), text)
    return found


def scope(path: str, *actions: str) -> str:
    """Return what a token is asked for.

    >>> scope("library/alpine", "pull")
    'repository:library/alpine:pull'
    """
    return f"repository:{path}:{','.join(actions)}"


class Auth:
    """Answers the challenges of one registry with one user's credentials."""

    def __init__(self, http: Http, host: str, credentials: Credentials, insecure: bool = False) -> None:
        self.http, self.host, self.credentials, self.insecure = http, host, credentials, insecure
        self.challenge: Challenge | None = None
        self.refresh = ""  # a token server may give one at `docker login`
        self._tokens: dict[tuple[str, ...], tuple[str, float]] = {}
        self._lock = threading.Lock()

    def learn(self, answer: Answer) -> None:
        """Take note of how an answer 401 wants to be convinced: by Bearer rather than Basic, as dockerd has it."""
        offered = {one.scheme: one for one in reversed(challenges(answer.headers.get_all("WWW-Authenticate") or []))}
        self.challenge = offered.get("bearer") or offered.get("basic") or self.challenge

    def header(self, scopes: Sequence[str], fresh: bool = False) -> dict[str, str]:
        """Return the header that a request needs; `fresh` says that the last token was refused.

        Raises: Unauthorized, RegistryError.
        """
        if self.credentials.token:
            return {"Authorization": f"Bearer {self.credentials.token}"}
        if self.challenge is None:
            return {}
        if self.challenge.scheme == "basic":
            if not self.credentials.username:
                raise Unauthorized(NO_LOGIN.format(host=self.host), "UNAUTHORIZED")
            return {"Authorization": basic(self.credentials)}
        key = tuple(scopes)
        with self._lock:  # five layers need one token
            token, until = self._tokens.get(key, ("", 0.0))
            if fresh or time.monotonic() > until:
                token, life = self._fetch(self.challenge, scopes)
                self._tokens[key] = (token, time.monotonic() + life * 0.9)
        return {"Authorization": f"Bearer {token}"}

    def _fetch(self, challenge: Challenge, scopes: Sequence[str], offline: bool = False) -> tuple[str, float]:
        """Return a token and how many seconds it lasts."""
        realm, service = challenge.params.get("realm", ""), challenge.params.get("service", "")
        insecure = self._check(realm)
        if self.credentials.identity:
            form = {"grant_type": "refresh_token", "service": service, "client_id": CLIENT, "scope": " ".join(scopes)}
            body = urlencode(form | {"refresh_token": self.credentials.identity}).encode()
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = self.http.send("POST", realm, kind, body, insecure)
        else:
            asked = [("service", service)] if service else []
            asked += [("scope", one) for one in scopes]
            headers = {}
            if self.credentials.username:
                asked += [("account", self.credentials.username)]
                headers["Authorization"] = basic(self.credentials)
            if offline:
                asked += [("offline_token", "true"), ("client_id", CLIENT)]
            query = ("&" if "?" in realm else "?") + urlencode(asked)
            answer = self.http.send("GET", realm + query, headers, None, insecure)
        return self._read(answer)

    def _read(self, answer: Answer) -> tuple[str, float]:
        headers, body = answer.lower(), answer.small(TOKEN_LIMIT)
        if answer.status != 200:
            raise answered(answer.status, answer.reason, headers, body, self.host)
        try:
            said: Any = json.loads(body)
        except (ValueError, RecursionError):
            said = None
        token = said.get("token") or said.get("access_token") if isinstance(said, dict) else None
        if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
            raise RegistryError("authorization server did not include a token in the response")
        life, refresh = said.get("expires_in"), said.get("refresh_token")
        self.refresh = refresh if isinstance(refresh, str) else ""
        return token, float(life) if isinstance(life, int) and life >= LIFE else LIFE

    def _check(self, realm: str) -> bool:
        """Refuse to carry a password where anybody could listen; return whether the server needs no certificate."""
        parts = urlsplit(realm)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise RegistryError(f"{self.host} names no token server: its challenge has the realm {realm[:100]!r}")
        ours = self.insecure and parts.netloc == self.host
        if parts.scheme == "http" and self.credentials and not loopback(parts.hostname) and not ours:
            raise Unauthorized(PLAIN_TOKEN.format(host=self.host, realm=parts.hostname))
        return ours

    def log_in(self) -> str:
        """Fetch a token for nothing in particular; return the refresh token that may stand for the password."""
        if self.challenge and self.challenge.scheme == "bearer":
            token, life = self._fetch(self.challenge, (), offline=True)
            self._tokens[()] = (token, time.monotonic() + life)
        return self.refresh


def basic(credentials: Credentials) -> str:
    """Return name and password as the Basic scheme sends them.

    >>> basic(Credentials("me", "secret"))
    'Basic bWU6c2VjcmV0'
    """
    return "Basic " + b64encode(f"{credentials.username}:{credentials.password}".encode()).decode()
