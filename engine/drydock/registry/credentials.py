"""Who asks: a name and a password, or a token, for one registry.

The engine gets them with each request (X-Registry-Auth) and keeps none. A client finds them where `docker login` put
them: ~/.docker/config.json or the helper program that it names. Sources: moby api/types/registry/authconfig.go,
docker/cli cli/config/configfile, docker/docker-credential-helpers (protocol).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from base64 import b64decode, urlsafe_b64decode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HUB = "https://index.docker.io/v1/"  # under which `docker login` keeps what is for Docker Hub
HELPER = re.compile(r"[\w.-]{1,64}", re.ASCII)
HELPER_TIME = 30  # s: a helper may ask its user something


@dataclass(frozen=True)
class Credentials:
    """Who asks; nothing set is an anonymous caller. Its repr shows no secret."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity: str = field(
        default="", repr=False
    )  # a refresh token, which `docker login` may get in place of a password
    token: str = field(default="", repr=False)  # a bearer token to be sent as it is

    def __bool__(self) -> bool:
        return bool(self.username or self.identity or self.token)

    @classmethod
    def of(cls, raw: object) -> Credentials:
        """Read the JSON that Docker's clients send: X-Registry-Auth, the body of `POST /auth`.

        >>> Credentials.of({"username": "me", "password": "secret"})
        Credentials(username='me')
        """
        if not isinstance(raw, dict):
            return cls()
        texts = {key: value for key, value in raw.items() if isinstance(value, str)}
        if texts.get("auth") and not texts.get("username"):
            texts |= pair(texts["auth"])
        name, identity = texts.get("username", ""), texts.get("identitytoken", "")
        return cls(name, texts.get("password", ""), identity, texts.get("registrytoken", ""))

    @classmethod
    def header(cls, text: str) -> Credentials:
        """Read an X-Registry-Auth header; one that cannot be read is nobody, as in dockerd."""
        return cls.of(decoded(text))


def decoded(text: str) -> Any:
    """Return the JSON of a header in base64 (of either alphabet, padded or not); None where it is none."""
    try:
        return json.loads(urlsafe_b64decode(text.strip().replace("+", "-").replace("/", "_") + "=" * (-len(text) % 4)))
    except (ValueError, RecursionError):
        return None


def pair(auth: str) -> dict[str, str]:
    """Return name and password of the `auth` of a config file.

    >>> pair("bWU6c2VjcmV0") == {"username": "me", "password": "secret"}
    True
    """
    try:
        name, colon, password = b64decode(auth).decode().partition(":")
    except ValueError:
        return {}
    return {"username": name, "password": password.rstrip("\\0")} if colon else {}


def of_user(domain: str, config: Path | None = None) -> Credentials:
    """Return what `docker login` left for a registry; a broken file or helper counts as no login.

    `config` is the file, by default that of $DOCKER_CONFIG or ~/.docker.
    """
    path = config or Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
    try:
        said = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError, RuntimeError):
        return Credentials()
    said = said if isinstance(said, dict) else {}
    keys = [HUB, "docker.io", "index.docker.io"] if domain == "docker.io" else [domain]
    auths, helpers = said.get("auths"), said.get("credHelpers")
    helpers = helpers if isinstance(helpers, dict) else {}
    for key in keys:
        helper = helpers.get(key) or said.get("credsStore")
        if isinstance(helper, str) and (found := asked(helper, key)):
            return found
    for key, entry in (auths if isinstance(auths, dict) else {}).items():
        if key in keys or bare(key) in keys:
            return Credentials.of(entry)
    return Credentials()


def bare(key: str) -> str:
    """Return the host of an old entry that is a whole address.

    >>> bare("https://registry.example.org/v2/"), bare("localhost:5055")
    ('registry.example.org', 'localhost:5055')
    """
    return key.partition("://")[2].partition("/")[0] if "://" in key else key.partition("/")[0]


def asked(helper: str, server: str) -> Credentials:
    """Ask a helper program for one server; the server's name goes in by its standard input, the secret comes out."""
    if not HELPER.fullmatch(helper):
        return Credentials()
    command = [f"docker-credential-{helper}", "get"]
    try:
        ran = subprocess.run(command, input=server.encode(), capture_output=True, timeout=HELPER_TIME, check=False)
        said = json.loads(ran.stdout) if ran.returncode == 0 else {}
    except (OSError, ValueError, RecursionError, subprocess.TimeoutExpired):
        return Credentials()
    name, secret = (str(said.get(key) or "") for key in ("Username", "Secret")) if isinstance(said, dict) else ("", "")
    return Credentials(identity=secret) if name == "<token>" else Credentials(name, secret)
