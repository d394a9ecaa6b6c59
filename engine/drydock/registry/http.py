"""HTTP as registries need it: connections kept, proxies, redirects by hand, and patience with an end.

A server may send nothing, or a byte now and then: each answer must begin in time and then bring so many bytes in each
span of waiting. The standard library's client is enough: its only costs, per request, are some 0.3 ms.
Sources: RFC 9110, RFC 9112; docker/distribution registry/client (redirects), golang.org/x/net/http/httpproxy.
"""

from __future__ import annotations

import http.client
import socket
import threading
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, cast
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from drydock.registry.answer import BROKEN, PIECE, Answer, Patience
from drydock.registry.errors import Cut, RegistryError, Unreachable
from drydock.registry.trouble import explained
from drydock.registry.trust import context, loopback

AGENT = "drydock/0.1 (docker)"
REDIRECTS = 5
CANCELLED = "the transfer was cancelled"
Origin = tuple[str, str, int]
Body = bytes | Callable[[], Iterable[bytes]]


class Link:
    """One connection to one origin, used for one request at a time."""

    def __init__(self, pool: Http, origin: Origin, insecure: bool) -> None:
        self.pool, self.origin = pool, origin
        self.connected = self.used = False
        scheme, host, port = origin
        self.proxy = None if loopback(host) else proxy_for(scheme, host)
        where = (self.proxy.hostname or "", self.proxy.port or 80) if self.proxy else (host, port)
        options: dict[str, Any] = {"timeout": pool.patience.connect, "blocksize": PIECE}
        self.http: http.client.HTTPConnection
        if scheme == "https":
            self.http = http.client.HTTPSConnection(*where, context=context(f"{host}:{port}", insecure), **options)
            if self.proxy:
                self.http.set_tunnel(host, port, headers=proxy_login(self.proxy))
        else:
            self.http = http.client.HTTPConnection(*where, **options)
        self.http.response_class = Answer

    def ask(self, method: str, url: SplitResult, headers: Mapping[str, str], body: Body | None, wait: float) -> Answer:
        """Send one request and return its answer once the head is there."""
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        if self.proxy and url.scheme == "http":
            target = url.geturl()
            headers = {**headers, **proxy_login(self.proxy)}
        if self.http.sock is None:
            self.http.connect()
            self.connected = True
        sock = self.http.sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(self.pool.patience.first)
        early = None
        try:
            self.http.request(method, target, body() if callable(body) else body, dict(headers))
        except (BrokenPipeError, ConnectionResetError) as error:
            if self.http.sock is None:
                raise
            early, wait = error, self.pool.patience.connect  # who refuses an upload says why before it is all there
        patience = self.pool.patience

        def paced(sock: Any, *args: Any, **more: Any) -> Answer:
            answer = Answer(sock, *args, **more)
            answer.pace(patience, wait)
            return answer

        self.http.response_class = paced  # type: ignore[assignment]
        try:
            answer = cast(Answer, self.http.getresponse())
        except (http.client.HTTPException, OSError) as error:
            raise early or error from None
        answer.free, answer.url, self.used = self.free, url.geturl(), True
        return answer

    def free(self, whole: bool) -> None:
        """Go back to the pool, or end."""
        self.pool.free(self, whole)

    def cut(self) -> None:
        """End the connection: a thread that waits for it wakes up."""
        if sock := self.http.sock:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self.http.close()


class Http:
    """The connections of one pull or push; `close` ends them all, whoever waits for them."""

    def __init__(self, patience: Patience | None = None) -> None:
        self.patience = patience or Patience()
        self._idle: dict[Origin, list[Link]] = {}
        self._busy: set[Link] = set()
        self._lock, self._ended = threading.Lock(), threading.Event()

    @property
    def closed(self) -> bool:
        """Return whether all is over."""
        return self._ended.is_set()

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        insecure: bool = False,
    ) -> Answer:
        """Send a request and return the answer, whatever its status; redirects of GET and HEAD are followed.

        What authorizes (Authorization) goes to the address it was made for and to no other.
        Raises: Unreachable, Cut.
        """
        headers = {"User-Agent": AGENT, **(headers or {})}
        seen = {url}
        while True:
            answer = self._once(method, url, headers, body, insecure)
            if answer.status not in (301, 302, 303, 307, 308) or method not in ("GET", "HEAD"):
                return answer
            answer.done()
            target = urljoin(url, answer.headers.get("Location") or "")
            refuse(url, target, seen)
            if origin(urlsplit(target)) != origin(urlsplit(url)):
                headers.pop("Authorization", None)
            url = target
            seen.add(url)

    def _once(self, method: str, url: str, headers: Mapping[str, str], body: Body | None, insecure: bool) -> Answer:
        parts = urlsplit(url)
        wait = self.patience.first if method in ("GET", "HEAD") else self.patience.last
        while True:
            link = self._link(origin(parts), insecure)
            again = link.used and not callable(body)  # a kept connection may have ended while nobody looked
            try:
                return link.ask(method, parts, headers, body, wait)
            except BROKEN as error:
                self.free(link, False)
                if self.closed:
                    raise Cut(CANCELLED) from None
                if again and not isinstance(error, TimeoutError):
                    continue
                raise explained(method, url, error, link.connected) from None
            except OSError as error:
                self.free(link, False)
                raise explained(method, url, error, link.connected) from None

    def _link(self, where: Origin, insecure: bool) -> Link:
        with self._lock:
            if self.closed:
                raise Cut(CANCELLED)
            waiting = self._idle.get(where) or []
            link = waiting.pop() if waiting else Link(self, where, insecure)
            self._busy.add(link)
        return link

    def free(self, link: Link, whole: bool) -> None:
        """Take a connection back: to be used again if its last answer was read to the end."""
        with self._lock:
            self._busy.discard(link)
            if whole and not self.closed:
                self._idle.setdefault(link.origin, []).append(link)
                return
        link.cut()

    def pause(self, seconds: float) -> None:
        """Wait before the next attempt. Raises: Cut once all is over."""
        if self._ended.wait(seconds):
            raise Cut(CANCELLED)

    def close(self) -> None:
        """End all connections."""
        self._ended.set()
        with self._lock:
            links = [*self._busy, *(link for waiting in self._idle.values() for link in waiting)]
            self._idle.clear()
        for link in links:
            link.cut()


def origin(url: SplitResult) -> Origin:
    """Return what decides whether two addresses are one server.

    >>> origin(urlsplit("https://ghcr.io/v2/")), origin(urlsplit("http://localhost:5055/v2/"))
    (('https', 'ghcr.io', 443), ('http', 'localhost', 5055))
    """
    try:
        return url.scheme, (url.hostname or "").lower(), url.port or (443 if url.scheme == "https" else 80)
    except ValueError:
        raise Unreachable(f"{url.geturl()[:200]!r} is no address: its port is no number") from None


def refuse(url: str, target: str, seen: set[str]) -> None:
    """Refuse a redirect that leads nowhere good: in circles, too far, out of HTTP, or from https to plain text."""
    old, new = urlsplit(url), urlsplit(target)
    if target in seen or len(seen) > REDIRECTS:
        raise RegistryError(f'Get "{url}": stopped after {len(seen)} redirects: the registry sends us in circles')
    if new.scheme not in ("http", "https") or not new.hostname:
        raise RegistryError(f'Get "{url}": a redirect to {target[:200]!r}, which is no web address')
    if old.scheme == "https" and new.scheme == "http" and not loopback(new.hostname):
        raise RegistryError(f'Get "{url}": a redirect from https to plain http, to {new.hostname}. It was not followed')


def proxy_for(scheme: str, host: str) -> SplitResult | None:
    """Return the proxy that the environment (HTTP_PROXY, HTTPS_PROXY, NO_PROXY) names for a host."""
    text = urllib.request.getproxies().get(scheme)
    if not text or urllib.request.proxy_bypass(host):
        return None
    return urlsplit(text if "://" in text else f"http://{text}")


def proxy_login(proxy: SplitResult) -> dict[str, str]:
    """Return the header that tells a proxy who we are."""
    if not proxy.username:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": "Basic " + b64encode(pair.encode()).decode()}
