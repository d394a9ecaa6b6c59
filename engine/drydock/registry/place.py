"""One address of a registry: is it there, by https or plain HTTP, and what does it want to know of who asks?

Source: OCI distribution-spec (determining support), docker/distribution docs/spec/auth, moby registry/auth.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from drydock.registry.answer import Answer
from drydock.registry.auth import Auth, challenges
from drydock.registry.credentials import Credentials
from drydock.registry.errors import Busy, Cut, RegistryError, Unauthorized, Unreachable, answered
from drydock.registry.http import Body, Http
from drydock.registry.mirrors import Endpoint
from drydock.registry.persist import persist

ERROR_LIMIT = 64 << 10  # bytes of an error's body that are looked at


class Place:
    """One address of a registry, and how to convince it."""

    def __init__(self, root: str, auth: Auth, insecure: bool) -> None:
        self.root, self.auth, self.insecure = root, auth, insecure

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: Body | None, scopes: Sequence[str]
    ) -> Answer:
        """Send a request; one that is refused is sent again with a new token, once. Raises: the answer's error."""
        home = urlsplit(url)[:2] == urlsplit(self.root)[:2]
        for fresh in (False, True):
            login = self.auth.header(scopes, fresh) if home else {}
            answer = self.auth.http.send(method, url, {**headers, **login}, body, self.insecure)
            if answer.status < 400:
                return answer
            said = answer.lower()
            if answer.status == 401 and home and not fresh:
                self.auth.learn(answer)
                again = not login or (self.auth.challenge is not None and self.auth.challenge.scheme == "bearer")
                if again:
                    answer.small(ERROR_LIMIT)
                    continue
            bearer = [
                one for one in challenges(answer.headers.get_all("WWW-Authenticate") or []) if one.scheme == "bearer"
            ]
            if any(one.params.get("error") == "insufficient_scope" for one in bearer):
                answer.drop()
                raise Unauthorized("denied: requested access to the resource is denied", "DENIED")
            raw = answer.small(ERROR_LIMIT)
            raise answered(answer.status, answer.reason, said, raw, self.auth.host)
        raise Unauthorized("unauthorized: authentication required", "UNAUTHORIZED")


def connect(http: Http, endpoint: Endpoint, host: str, credentials: Credentials) -> Place:
    """Return the address of an endpoint that speaks the registry's protocol. Raises: Unreachable and others."""
    trouble: RegistryError | None = None
    for root in endpoint.roots:
        try:
            return persist(http, lambda root=root: ping(http, root, endpoint, host, credentials))  # type: ignore[misc]
        except (Unreachable, Cut, Busy) as error:
            trouble = error if trouble is None or root.startswith("http:") else trouble
    assert trouble is not None
    raise trouble


def ping(http: Http, root: str, endpoint: Endpoint, host: str, credentials: Credentials) -> Place:
    """Ask whether a registry answers, and what it wants to know before it says more."""
    answer = http.send("GET", f"{root}/v2/", insecure=endpoint.insecure)
    auth = Auth(http, host, credentials, endpoint.insecure)
    if answer.status == 401:
        auth.learn(answer)
    said, raw = answer.lower(), answer.small(ERROR_LIMIT)
    if answer.status == 429 or answer.status >= 500:
        raise answered(answer.status, answer.reason, said, raw, host)
    if answer.status == 400 and root.startswith("http:") and b"HTTPS" in raw:
        raise Unreachable(f'Get "{root}/v2/": the registry speaks https there, not plain HTTP')
    return Place(root, auth, endpoint.insecure)
