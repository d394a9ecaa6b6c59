"""`docker login`: does a registry take this name and password?

Source: moby v20.10 registry/auth.go (loginV2), registry/service.go (Auth).
"""

from __future__ import annotations

from drydock.engine.errors import BadParameter, EngineError
from drydock.registry.credentials import HUB, Credentials
from drydock.registry.errors import RegistryError, Unauthorized
from drydock.registry.http import Http
from drydock.registry.mirrors import Settings
from drydock.registry.place import ERROR_LIMIT, connect

REFUSED = "login attempt to {root}/v2/ failed with status: {status} {reason}"
HINT = ". The name or the password is wrong, or the registry wants a token in place of the password"


def log_in(server: str, credentials: Credentials, settings: Settings) -> str:
    """Ask a registry with these credentials; return the token that may stand for the password, "" for none.

    Raises: EngineError.
    """
    domain = domain_of(server)
    http = Http()
    try:
        place = connect(http, settings.endpoints(domain, push=True)[0], domain, credentials)
        token = place.auth.log_in()
        answer = http.send("GET", f"{place.root}/v2/", place.auth.header(()), None, place.insecure)
        status, reason, _ = answer.status, answer.reason, answer.small(ERROR_LIMIT)
    except Unauthorized as error:
        raise EngineError(f'Get "https://{domain}/v2/": {error}') from None
    except RegistryError as error:
        raise EngineError(str(error)) from None
    finally:
        http.close()
    if status != 200:
        raise EngineError(REFUSED.format(root=place.root, status=status, reason=reason) + HINT * (status == 401))
    return token


def domain_of(server: str) -> str:
    """Return the registry that a client's `serveraddress` means; none means Docker Hub.

    >>> domain_of(""), domain_of("https://index.docker.io/v1/"), domain_of("http://localhost:5055/v2/")
    ('docker.io', 'docker.io', 'localhost:5055')

    Raises: BadParameter.
    """
    host = server.partition("://")[2] if "://" in server else server
    host = host.partition("/")[0]
    if server in ("", HUB) or host in ("index.docker.io", "docker.io", "registry-1.docker.io"):
        return "docker.io"
    if not host or "@" in host:
        raise BadParameter(f"unable to parse server address: {server[:80]!r}")
    return host
