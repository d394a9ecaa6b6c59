"""One repository of a registry, read and written over HTTP.

Source: OCI distribution-spec (pull, push, content discovery); docker/distribution registry/client.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import ParamSpec, TypeVar
from urllib.parse import quote, urlencode, urljoin, urlsplit

from drydock.model.reference import Reference
from drydock.registry import manifest as manifests
from drydock.registry.answer import Answer
from drydock.registry.auth import scope
from drydock.registry.credentials import Credentials, of_user
from drydock.registry.errors import InvalidManifest, NotThere, RegistryError, lied
from drydock.registry.http import Body, Http
from drydock.registry.manifest import ACCEPT, LIMIT, Document, Manifest
from drydock.registry.mirrors import Settings
from drydock.registry.persist import persist
from drydock.registry.place import Place, connect

P = ParamSpec("P")
T = TypeVar("T")
TAGS_LIMIT = 4 << 20  # bytes of one page of tags
PAGES = 1000


class Repository:
    """One repository: `registry/path`. Used by several threads at once; `close` ends what they wait for.

    `credentials` are the user's own (`docker login`) unless given; they go to the registry and never to a mirror.
    """

    def __init__(
        self,
        name: str | Reference,
        credentials: Credentials | None = None,
        settings: Settings | None = None,
        *,
        push: bool = False,
        http: Http | None = None,
    ) -> None:
        reference = Reference.parse(name) if isinstance(name, str) else name
        self.domain, self.path = reference.domain, reference.path
        self.http = http or Http()
        self._credentials = of_user(self.domain) if credentials is None else credentials
        self._actions = ("push", "pull") if push else ("pull",)
        self._endpoints = (settings if settings is not None else Settings.read()).endpoints(self.domain, push)
        self.at = 0  # which of them is in use: mirrors come first
        self._place: Place | None = None
        self._lock = threading.RLock()

    def close(self) -> None:
        """End all connections."""
        self.http.close()

    def __enter__(self) -> Repository:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Reading

    def digest(self, tag: str) -> str:
        """Return the digest that a tag stands for now, or "" where the registry does not say: a HEAD costs nothing.

        An answer to HEAD has no words: what is missing is told by the GET that follows.
        """
        try:
            answer = self._persist(self.ask, "HEAD", f"manifests/{tag}", {"Accept": ACCEPT})
        except NotThere:
            return ""
        answer.done()
        found = answer.headers.get("Docker-Content-Digest") or ""
        return found if manifests.DIGEST.fullmatch(found) else ""

    def manifest(self, tag: str) -> Document:
        """Return the manifest of a tag or digest; one asked for by digest is verified. Raises: NotThere, Lying."""

        def get() -> Document:
            answer = self.ask("GET", f"manifests/{tag}", {"Accept": ACCEPT})
            kind = answer.headers.get("Content-Type") or ""
            return manifests.document(answer.small(LIMIT), kind, tag if ":" in tag else "", self.domain)

        return self._persist(get)

    def image(self, tag: str, platform: str = "") -> Manifest:
        """Return the manifest of one image: of an index, that for the platform (linux/amd64; this machine's if "").

        Raises: InvalidManifest, NoImage where it is something else.
        """
        return self.resolved(self.manifest(tag), platform, tag)

    def resolved(self, found: Document, platform: str = "", tag: str = "") -> Manifest:
        """Return the image that a manifest or an index leads to."""
        name = f"{self.domain}/{self.path}" + (f"{'@' if ':' in tag else ':'}{tag}" if tag else "")
        for _ in range(manifests.DEEPEST + 1):
            if not found.is_index:
                return manifests.manifest(found, name)
            entry = manifests.chosen(found, manifests.normal(platform))
            found = self.manifest(entry.digest)
        raise InvalidManifest(f"invalid manifest: {name} is an index of indexes of indexes: it was not followed")

    def read(self, digest: str, limit: int = manifests.CONFIG_LIMIT) -> bytes:
        """Return a small blob, verified. Raises: NotThere, Lying."""

        def get() -> bytes:
            return self.ask("GET", f"blobs/{digest}").small(limit)

        raw = self._persist(get)
        if "sha256:" + hashlib.sha256(raw).hexdigest() != digest:
            raise lied(f"verification failed for digest {digest}", self.domain)
        return raw

    @contextmanager
    def blob(self, digest: str, start: int = 0) -> Iterator[Answer]:
        """Open a blob as a stream, not verified: who reads it hashes it. Its status is 206 where `start` was heeded."""
        headers = {"Range": f"bytes={start}-"} if start else {}
        answer = self.ask("GET", f"blobs/{digest}", headers)
        try:
            yield answer
        finally:
            answer.drop() if answer.length != 0 else answer.done()

    def size_of(self, digest: str) -> int | None:
        """Return a blob's bytes, None where the repository does not have it."""
        try:
            answer = self._persist(self.ask, "HEAD", f"blobs/{digest}")
        except NotThere:
            return None
        answer.done()
        length = answer.headers.get("Content-Length") or ""
        return int(length) if length.isdecimal() else 0

    def tags(self) -> list[str]:
        """Return all tags of the repository."""
        found: list[str] = []
        path = "tags/list"
        for _ in range(PAGES):
            answer = self._persist(self.ask, "GET", path)
            link, raw = answer.headers.get("Link") or "", answer.small(TAGS_LIMIT)
            try:
                page = json.loads(raw).get("tags") or []
            except (ValueError, AttributeError, RecursionError):
                raise RegistryError(f"{self.domain} sent a list of tags that is none") from None
            found += [str(one) for one in page]
            if 'rel="next"' not in link or not page:
                break
            path = f"tags/list?{urlencode({'last': found[-1], 'n': len(page)})}"
        return found

    # Writing

    def put(self, tag: str, document: Document) -> str:
        """Write a manifest under a tag and return its digest."""
        headers = {"Content-Type": document.media_type}
        self._persist(self.ask, "PUT", f"manifests/{tag}", headers, document.raw).done()
        return document.digest

    def begin(self, digest: str = "", source: str = "") -> str:
        """Begin an upload and return where it goes; "" where the registry mounted the blob from `source` instead."""
        query = f"?{urlencode({'mount': digest, 'from': source})}" if source else ""
        more = [scope(source, "pull")] if source else []
        answer = self._persist(self.ask, "POST", f"blobs/uploads/{query}", scopes=more)
        answer.done()
        return "" if answer.status == 201 and source else self.location(answer)

    def location(self, answer: Answer) -> str:
        """Return where an upload goes on; a registry behind a proxy may forget that it is asked by https."""
        told = urljoin(answer.url, answer.headers.get("Location") or answer.url)
        ours, theirs = urlsplit(answer.url), urlsplit(told)
        if ours.scheme == "https" and theirs.scheme == "http":
            if theirs.hostname != ours.hostname:
                raise RegistryError(f"{self.domain} wants the image sent in plain text to {theirs.hostname}: refused")
            told = theirs._replace(scheme="https", netloc=ours.netloc).geturl()
        return told

    # Asking

    def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        scopes: Sequence[str] = (),
    ) -> Answer:
        """Send a request, once, and return an answer that is no error; `path` may be a whole address, too."""
        place = self.place()
        url = path if "://" in path else f"{place.root}/v2/{quote(self.path)}/{path}"
        return place.send(method, url, headers or {}, body, [scope(self.path, *self._actions), *scopes])

    def _persist(self, attempt: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
        """Return what an attempt returns, again where that may help, and where a mirror has no answer, at the next."""
        while True:
            at = self.at
            try:
                return persist(self.http, partial(attempt, *args, **more))
            except RegistryError:
                if not self.turn(at):
                    raise

    def turn(self, at: int) -> bool:
        """Turn from the address `at` to the next, unless another thread has; return whether there is one."""
        with self._lock:
            if self.http.closed or (self.at == at and at + 1 == len(self._endpoints)):
                return False
            if self.at == at:
                self.at, self._place = at + 1, None
            return True

    def place(self) -> Place:
        """Return the address in use: the first that answers."""
        with self._lock:
            while self._place is None:
                endpoint = self._endpoints[self.at]
                credentials = Credentials() if endpoint.mirror else self._credentials
                try:
                    self._place = connect(self.http, endpoint, self.domain, credentials)
                except RegistryError:
                    if not self.turn(self.at):
                        raise
            return self._place
