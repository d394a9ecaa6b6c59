"""An image on its way from or to a registry, as it happens: `drydock.pull(...)`, `drydock.push(...)`."""

from __future__ import annotations

import time
from collections.abc import Iterator

import docker

from drydock.client import called, connect
from drydock.model.reference import InvalidReference, Reference
from drydock.model.transfer import Transfer, ended
from drydock.watch import transfer


class TransferFailed(RuntimeError):
    """A pull or push that did not succeed: why, and what to try; `.transfer` holds what had moved by then."""

    def __init__(self, failed: Transfer) -> None:
        super().__init__(failed.error)
        self.transfer = failed


class TransferRun:
    """A pull or push that begins when it is iterated: each value is the whole transfer so far.

    `.result` is the transfer as it ended. Interrupted, it ends on the engine too; the same again goes on from there.
    """

    def __init__(self, client: docker.DockerClient, start: Transfer, platform: str | None = None) -> None:
        self.client, self.start, self.platform = client, start, platform
        self.result: Transfer | None = None

    def __iter__(self) -> Iterator[Transfer]:
        began = time.monotonic()
        try:
            for now in transfer.transfer(self.client, self.start, self.platform):
                self.result = now
                yield now
        finally:
            if self.result is not None and self.result.state == "running":  # whoever watched has gone
                self.result = ended(self.result, "cancelled", None, time.monotonic() - began)

    def run(self) -> Transfer:
        """Move the image without showing it, and return what moved; a failure raises TransferFailed."""
        for _ in self:
            pass
        assert self.result is not None
        if self.result.state == "failed":
            raise TransferFailed(self.result)
        return self.result


def pull(name: str, platform: str | None = None, client: docker.DockerClient | None = None) -> TransferRun:
    """Return a pull that runs when it is shown or iterated: the engine fetches the layers that it does not have.

    `platform` ("linux/arm64") chooses another than the engine's own of an image that has several.
    Raises: InvalidReference, EngineUnavailable.
    """
    Reference.parse(name)
    client = client or connect()
    return TransferRun(client, Transfer("pull", _whole(name), called(client)), platform)


def push(name: str, client: docker.DockerClient | None = None) -> TransferRun:
    """Return a push that runs when it is shown or iterated: the engine sends the layers that the registry lacks.

    The name says where to: `localhost:5055/app:1` goes to the registry at localhost:5055, `me/app:1` to Docker Hub.
    Raises: InvalidReference, EngineUnavailable.
    """
    reference = Reference.parse(name)
    if reference.digest:
        cure = "Push it by a tag: the registry works the digest out itself."
        raise InvalidReference(name, "a push gives an image its name, and a digest is none", cure)
    client = client or connect()
    return TransferRun(client, Transfer("push", _whole(name), called(client)))


def _whole(name: str) -> str:
    """Return the name with the tag that Docker takes where there is none.

    >>> _whole("localhost:5055/app"), _whole("alpine:3")
    ('localhost:5055/app:latest', 'alpine:3')
    """
    reference = Reference.parse(name)
    return reference.familiar + ("" if reference.tag or reference.digest else ":latest")
