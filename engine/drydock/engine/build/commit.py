"""`docker commit`: an image of a container as it stands.

Source: moby daemon/commit.go (CreateImageFromContainer, merge), daemon/images/image_commit.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from drydock.engine.build.config import Config, whole
from drydock.engine.build.request import CommitRequest, checked_tags
from drydock.engine.build.settings import changed
from drydock.engine.errors import EngineError
from drydock.engine.images import Catalogue, NoSuchImage, made
from drydock.engine.snapshots import Layers, New
from drydock.model.layer import Layer


class Committable(Protocol):
    """What a container must tell to be made an image."""

    @property
    def id(self) -> str: ...
    @property
    def image_id(self) -> str: ...
    @property
    def config(self) -> Mapping[str, Any]: ...
    @property
    def running(self) -> bool: ...
    @property
    def paused(self) -> bool: ...

    def changes(self) -> Sequence[New]: ...
    def pause(self) -> None: ...
    def unpause(self) -> None: ...
    def tell(self, action: str, **attributes: str) -> None: ...


def commit(images: Catalogue, layers: Layers, container: Committable, request: CommitRequest) -> str:
    """Make an image of the container's changes and configuration, and return its ID; it is paused meanwhile.

    Raises: EngineError with dockerd's words.
    """
    name = f"{request.repo}:{request.tag}" if request.tag else request.repo
    tags = checked_tags([name]) if name else ()
    config = changed(whole(request.config or container.config), request.changes)
    config = merged(config, whole(container.config))
    pause = request.pause and container.running and not container.paused
    if pause:
        container.pause()
    try:
        id = _image(images, layers.write(container.changes()), container, request, config)
        for tag in tags:
            images.tag(id, tag)
        container.tell("commit", imageID=id, comment=request.comment)
        return id
    finally:
        if pause:
            container.unpause()


def _image(images: Catalogue, layer: Layer, container: Committable, request: CommitRequest, config: Config) -> str:
    """Add the image and return its ID."""
    try:
        parent = images.get(container.image_id) if container.image_id else None
    except NoSuchImage:
        raise EngineError(f"unable to find image {container.image_id}: it was removed") from None
    container_config = whole(container.config)
    raw = made(
        parent.config if parent else None,
        layer,
        config=config,
        container_config=container_config,
        container=container.id,
        created_by=" ".join(container_config["Cmd"] or ()),
        comment=request.comment,
        author=request.author,
    )
    return images.add(raw, parent=parent.id if parent else "", built=True).id


def merged(wanted: Config, container: Config) -> Config:
    """Return the wanted configuration, completed by what the container had.

    >>> both = merged(whole({"Env": ["A=2"]}), whole({"Env": ["A=1", "B=1"], "Cmd": ["sh"], "User": "me"}))
    >>> both["Env"], both["Cmd"], both["User"]
    (['A=2', 'B=1'], ['sh'], 'me')
    """
    found = dict(wanted)
    for key in ("User", "WorkingDir", "StopSignal"):
        found[key] = wanted.get(key) or container.get(key) or ""
    for key in ("ExposedPorts", "Labels", "Volumes"):
        both = {**(container.get(key) or {}), **(wanted.get(key) or {})}
        found[key] = both or ({} if key == "Labels" else container.get(key))
    names = {pair.partition("=")[0] for pair in wanted["Env"] or ()}
    rest = [pair for pair in container["Env"] or () if pair.partition("=")[0] not in names]
    found["Env"] = [*(wanted["Env"] or ()), *rest] or container["Env"]
    if not wanted["Entrypoint"]:
        found["Cmd"] = wanted["Cmd"] or container["Cmd"]
        found["Entrypoint"] = container["Entrypoint"] if wanted["Entrypoint"] is None else wanted["Entrypoint"]
    if old := container.get("Healthcheck"):
        found["Healthcheck"] = {**old, **(wanted.get("Healthcheck") or {})}
    return whole(found)
