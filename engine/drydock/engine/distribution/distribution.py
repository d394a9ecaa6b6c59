"""The engine's side of registries: every pull, push, login and search, each with the credentials that came with it.

Credentials are the request's; nothing here keeps, logs or shows them.
Source: moby v20.10 distribution/pull.go, push.go, errors.go; daemon/images/image_pull.go, image_push.go.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

from drydock.engine.distribution.login import log_in
from drydock.engine.distribution.look import described, found
from drydock.engine.distribution.pull import Pull
from drydock.engine.distribution.push import Push
from drydock.engine.distribution.relay import Message, Relay, status
from drydock.engine.errors import BadParameter, EngineError, Forbidden
from drydock.engine.images import Catalogue
from drydock.engine.images.names import parse
from drydock.engine.snapshots.disk import writing
from drydock.model.reference import Reference
from drydock.registry.credentials import HUB, Credentials
from drydock.registry.download import forget
from drydock.registry.errors import NotThere, RegistryError, Unauthorized
from drydock.registry.mirrors import Settings
from drydock.registry.repository import Repository

KEPT = 86400.0  # s that the beginning of a download is kept for a repeat

Gone = Callable[[], bool]


class FromRegistry(EngineError):
    """A registry said no, or nothing: its status is passed on."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class Distribution:
    """Images between the registries and one catalogue."""

    def __init__(self, home: Path, images: Catalogue) -> None:
        self.home, self.images = home, images
        self.folder = home / "engine" / "downloads"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._locks: dict[str, Lock] = {}
        forget(self.folder, time.time() - KEPT)

    def settings(self) -> Settings:
        """Return what the user has laid down about registries."""
        return Settings.read(self.home)

    def open(self, reference: Reference, credentials: Credentials, push: bool = False) -> Repository:
        """Open the repository of a name."""
        return Repository(reference, credentials, self.settings(), push=push)

    def pull(
        self, name: str, tag: str, platform: str, credentials: Credentials, gone: Gone = lambda: False
    ) -> Iterator[Message]:
        """Pull a tag or a digest, or all tags where there is neither; return what clients show meanwhile.

        Raises: EngineError; before the first message with the status that the API is to answer.
        """
        reference = pulled(name, tag)
        repository, relay = self.open(reference, credentials), Relay()
        with translated(reference):
            yield from relay.run(lambda: self._pull(repository, relay, reference, platform), repository.close, gone)
        self.images.emit("image", "pull", reference.familiar, self._about(reference))

    def base(self, name: str, platform: str, registries: Mapping[str, Any]) -> Iterator[Message]:
        """Pull the image that a build starts from, with what its client knows of that registry."""
        reference = parse(name)
        tag = reference.digest or reference.tag or "latest"
        keys = (HUB, "docker.io") if reference.domain == "docker.io" else (reference.domain,)
        found = next((registries[key] for key in keys if key in registries), None)
        return self.pull(reference.name, tag, platform, Credentials.of(found))

    def login(self, server: str, credentials: Credentials) -> str:
        """See whether a registry takes these credentials; return the token that stands for them, if it gives one."""
        return log_in(server, credentials, self.settings())

    def inspect(self, name: str, credentials: Credentials) -> dict[str, Any]:
        """Return what a registry has under a name: the manifest's descriptor, and for which platforms."""
        reference = parse(name)
        with translated(None), self.open(reference, credentials) as repository:
            return described(repository, reference)

    def search(self, term: str, limit: int, filters: Mapping[str, list[str]]) -> list[dict[str, Any]]:
        """Return what an index has under a word. Raises: EngineError; few registries can do it."""
        with translated(None):
            return found(term, limit, filters, self.settings())

    def _pull(self, repository: Repository, relay: Relay, reference: Reference, platform: str) -> None:
        one = Pull(self.images, self.folder, repository, relay, self._locks)
        with writing(self.home):
            if reference.tag or reference.digest:
                new = one.run(reference, platform)
            else:
                new = max([one.run(replace(reference, tag=tag), platform) for tag in repository.tags()], default=False)
        word = "Downloaded newer image" if new else "Image is up to date"
        relay.say(status(f"Status: {word} for {reference.familiar}"))

    def push(self, name: str, tag: str, credentials: Credentials, gone: Gone = lambda: False) -> Iterator[Message]:
        """Push a tag, or all tags of a repository; return what clients show meanwhile. Raises: EngineError."""
        reference = replace(parse(name), tag=tag) if tag else parse(name)
        repository, relay = self.open(reference, credentials, push=True), Relay()
        with translated(None), writing(self.home):
            one = Push(self.images, repository, relay)
            yield from relay.run(lambda: one.run(reference), repository.close, gone)
        self.images.emit("image", "push", reference.familiar, self._about(reference))

    def _about(self, reference: Reference) -> dict[str, str]:
        """Return what an event says of an image that came or went."""
        name = Reference(reference.domain, reference.path).familiar
        if self.images.has(reference.normal):
            return self.images.attributes(self.images.get(reference.normal), name)
        return {"name": name}


def pulled(name: str, tag: str) -> Reference:
    """Return the name of what is to be pulled; the API has it in two parts, the second a tag or a digest."""
    reference = parse(name.removesuffix(":"))
    if tag:
        bare = replace(reference, tag="", digest="")
        parse(f"{bare.name}@{tag}" if ":" in tag else f"{bare.name}:{tag}")
        reference = replace(bare, digest=tag) if ":" in tag else replace(bare, tag=tag)
    if reference.path == "library/scratch" and reference.domain == "docker.io":
        raise Forbidden("'scratch' is a reserved name")
    if reference.digest and not reference.digest.startswith("sha256:"):
        raise BadParameter("this engine knows images by sha256 digests only")
    return reference


class translated:
    """`with translated(reference):` turns a registry's errors into the engine's, in dockerd's words for a pull."""

    def __init__(self, reference: Reference | None) -> None:
        self.reference = reference

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: object, at: object) -> None:
        if isinstance(error, RegistryError):
            raise FromRegistry(*self._told(error)) from None

    def _told(self, error: RegistryError) -> tuple[str, int]:
        text, wanted = str(error), self.reference
        if wanted and isinstance(error, NotThere) and error.code == "NAME_UNKNOWN":
            return f"repository {bare(wanted)} not found: {text}", 404
        if wanted and isinstance(error, NotThere):
            return f"manifest for {wanted.familiar} not found: {text}", 404
        if wanted and isinstance(error, Unauthorized) and error.code == "DENIED":
            why = "repository does not exist or may require 'docker login'"
            return f"pull access denied for {bare(wanted)}, {why}: {text}", 404
        return text, error.status


def bare(reference: Reference) -> str:
    """Return a repository's name, as short as it can be."""
    return Reference(reference.domain, reference.path).familiar
