"""A pull or push, watched through docker-py: the engine's stream of lines becomes blobs on their way.

The streams: moby distribution/push_v2.go, xfer/download.go (v20.10.24); daemon/containerd/progress.go (v26.1.5).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import docker
from docker.errors import APIError, DockerException
from requests.exceptions import RequestException

from drydock.model.reference import Reference
from drydock.model.refusal import explained
from drydock.model.transfer import Blob, Transfer, ended, joined, with_blob
from drydock.watch import manifest
from drydock.watch.stream import Call, EngineStalled, alive, events, explain

STATES = {
    "Preparing": "waiting",
    "Waiting": "waiting",
    "Pulling fs layer": "waiting",
    "Pushing": "sending",
    "Pushed": "sent",
    "Layer already exists": "exists",
    "Already exists": "exists",
    "Downloading": "receiving",
    "Verifying Checksum": "receiving",
    "Download complete": "received",
    "Extracting": "unpacking",
    "Pull complete": "received",
}
MOUNTED = "Mounted from "
RETRYING = "Retrying in "
UP_TO_DATE = "Status: Image is up to date"
# containerd keeps the bytes that it refused until its next collection (0.1 to 0.2 s after, 26.1.5), and takes them for
# the beginning of the same blob: whoever asks again at once, even an honest registry, is refused unread.
REFUSED = "unexpected commit digest"
FORGOTTEN = 2.0  # seconds until it is asked once more
DIGEST = re.compile(r"(?:^Digest: |: digest: )(sha256:[0-9a-f]{64})")


def transfer(client: docker.DockerClient, start: Transfer, platform: str | None = None) -> Iterator[Transfer]:
    """Yield the pull or push as it goes on, from nothing to its end: done, failed or cancelled.

    An interrupt ends it on the engine too, yields it as cancelled, and goes on to the caller.
    """
    began = time.monotonic()
    now = Watched(start)
    yield now.transfer
    try:
        before = _config_there(client, start) if start.direction == "push" else None
        yield from _heard(client, now, platform)
        if REFUSED in (now.failed or ""):
            time.sleep(FORGOTTEN)
            now = Watched(start)
            yield from _heard(client, now, platform)
        now.end(time.monotonic() - began)
        yield _whole(client, now.transfer, before)
    except (KeyboardInterrupt, GeneratorExit) as stop:
        if isinstance(stop, KeyboardInterrupt):
            over = now.transfer.state != "running"
            yield now.transfer if over else ended(now.transfer, "cancelled", None, time.monotonic() - began)
        raise
    except EngineStalled as error:
        yield ended(now.transfer, "failed", str(error), time.monotonic() - began)
    except (APIError, DockerException, RequestException) as error:
        why = explained(explain(error), start.name, start.direction == "push")
        yield ended(now.transfer, "failed", why, time.monotonic() - began)


def _heard(client: docker.DockerClient, now: Watched, platform: str | None) -> Iterator[Transfer]:
    """Yield the transfer at each line of the engine's stream that says something new."""
    start = now.transfer
    with Call(client):  # the engine cancels what nobody listens to any more
        for event in events(lambda: _stream(client, start, platform), lambda: alive(client), start.direction):
            if now.hear(event):
                yield now.transfer


def _stream(client: docker.DockerClient, start: Transfer, platform: str | None) -> Iterator[Mapping[str, Any]]:
    reference = Reference.parse(start.name)
    tag = reference.digest or reference.tag or "latest"
    if start.direction == "push":
        yield from client.api.push(reference.name, tag=tag, stream=True, decode=True)
    else:
        yield from client.api.pull(reference.name, tag=tag, stream=True, decode=True, platform=platform)


def _config_there(client: docker.DockerClient, start: Transfer) -> bool | None:
    """Return whether the registry has the image's configuration, or manifest: an image ID is the digest of either."""
    try:
        image = str(client.api.inspect_image(start.name)["Id"])
        return manifest.has(start.name, image, manifest.account(client, start.name))
    except DockerException:
        return None  # there is no such image: the engine says so at once, and better


def _whole(client: docker.DockerClient, said: Transfer, config_there: bool | None) -> Transfer:
    """Return a transfer that succeeded together with what the registry's manifest lists."""
    if said.state != "done" or not said.digest:
        return said
    if said.direction == "pull" and Reference.parse(said.name).domain == "docker.io":
        return said  # Docker Hub would count the manifest as one more pull
    try:
        image = client.api.inspect_image(said.name)
    except DockerException:
        return said
    platform, who = f"{image.get('Os')}/{image.get('Architecture')}", manifest.account(client, said.name)
    listed = manifest.listed(said.name, said.digest, platform, who)
    return joined(said, listed, image["RootFS"].get("Layers") or (), config_there) if listed else said


class Watched:
    """The transfer so far, and what the next line means for it."""

    def __init__(self, start: Transfer) -> None:
        self.transfer = start
        self.failed: str | None = None
        self._since: dict[str, float] = {}  # blob -> when its first byte was on its way

    def hear(self, event: Mapping[str, Any]) -> bool:
        """Take in one event of the stream; return whether there is something new to see."""
        if "error" in event:
            self.failed = str(event["error"])
            return False
        status, name = str(event.get("status") or ""), str(event.get("id") or "")
        if status.startswith(UP_TO_DATE):
            self.transfer = replace(self.transfer, up_to_date=True)
        digest = DIGEST.search(status)
        if digest and not name:
            self.transfer = replace(self.transfer, digest=digest[1])
        known = status in STATES or status.startswith((MOUNTED, RETRYING))
        return bool(name) and known and self._blob(name, status, event.get("progressDetail") or {})

    def _blob(self, name: str, status: str, progress: Mapping[str, Any]) -> bool:
        old = next((one for one in self.transfer.blobs if one.id == name), Blob(name))
        new = replace(old, state=STATES.get(status, "waiting"), note="")
        if status.startswith(MOUNTED):
            new = replace(new, state="mounted", source=status.removeprefix(MOUNTED))
        elif status.startswith(RETRYING):
            new = replace(new, note=status)
        elif isinstance(progress.get("current"), int):
            new = self._moving(new, progress["current"], progress.get("total"))
        if new.done:
            new = self._arrived(new)
        # A push lists the top layer first, a pull the base first: the picture always begins with the base.
        self.transfer = with_blob(self.transfer, new, first=self.transfer.direction == "push")
        return new != old

    def _moving(self, blob: Blob, current: int, total: object) -> Blob:
        known = total if isinstance(total, int) and total > 0 else None
        blob = replace(blob, share=min(1.0, current / known) if known else 0.0)
        if blob.state in ("sending", "receiving"):
            self._since.setdefault(blob.id, time.monotonic())
            blob = replace(blob, moved=current, estimated=blob.state == "sending")
        if blob.state == "receiving" and known:
            blob = replace(blob, size=known)
        return blob

    def _arrived(self, blob: Blob) -> Blob:
        """Return a blob with nothing left to do; what no line told of its bytes stays estimated."""
        since = self._since.get(blob.id)
        if since is not None and blob.seconds is None:
            blob = replace(blob, seconds=time.monotonic() - since)
        if blob.state == "received":
            blob = replace(blob, moved=blob.size or blob.moved, estimated=blob.size is None)
        return replace(blob, share=1.0, estimated=blob.estimated or blob.state == "sent")

    def end(self, seconds: float) -> None:
        """Take the stream's last word."""
        if self.failed is None:
            self.transfer = ended(self.transfer, "done", None, seconds)
        else:
            why = explained(self.failed, self.transfer.name, self.transfer.direction == "push")
            self.transfer = ended(self.transfer, "failed", why, seconds)
