"""The layer detective's image on an engine: the steps of the case, laid on the engine's own base."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import docker
from drydock.badge import executes
from drydock.lessons import bases, own, pack

from drydock_grading.archive import config_of, savable, save
from drydock_grading.detective import Mystery, mystery

IMAGE = "lab/ex3-case"
LAID = "{name}: the image of your case. Its Dockerfile is nowhere; what can you tell from the image alone?"


def prepare(client: docker.DockerClient, code: str) -> None:
    """Put the image of a learner's case on the engine, and both bases that it may stand on.

    Raises: drydock.lessons.bases.NoBase.
    """
    for name in own.MAKERS:
        if executes(client):
            bases.make(client, name)
        else:
            bases.ensure(name, client)
    about = mystery(code)
    with tempfile.TemporaryDirectory(prefix="drydock-case-") as scratch:
        wanted = client.api.inspect_image(about.base)
        saved = save(client, savable(about.base, wanted), Path(scratch))
        diff_ids = [str(one) for one in wanted["RootFS"]["Layers"]]
        config = json.loads(config_of(saved, diff_ids, about.base))
        below = [saved.layers[one][0].read_bytes() for one in diff_ids]
    client.images.load(pack.archive([packed(about, below, str(config["architecture"]))]))
    print(LAID.format(name=IMAGE))


def packed(about: Mystery, below: list[bytes], architecture: str) -> pack.Packed:
    """Return the image of a case on the layers of its base."""
    layers, history = list(below), [{"created": pack.CREATED, "created_by": "ADD rootfs.tar.xz /"} for _ in below]
    settings: dict[str, object] = {"Env": [f"PATH={own.PATH}"], "WorkingDir": "/srv", "Labels": {own.LAB: "ex3"}}
    there: list[str] = []
    for step in about.steps:
        row: dict[str, object] = {"created": pack.CREATED, "created_by": step.said}
        if step.files is None:
            row["empty_layer"] = True
            _set(settings, step.sets or {})
        else:
            layers.append(pack.layer(step.files, [*pack.EXPECTED, "etc/x", "var/x", *there]))
            there += [f"{path}/x" if content is None else path for path, content in step.files.items()]
        history.append(row)  # type: ignore[arg-type]
    config = {
        "architecture": architecture,
        "os": "linux",
        "created": pack.CREATED,
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [pack.digest(layer) for layer in layers]},
        "history": history,
    }
    return pack.Packed((f"{IMAGE}:latest",), json.dumps(config, sort_keys=True).encode(), tuple(layers))


def _set(settings: dict[str, object], more: Mapping[str, object]) -> None:
    for name, value in more.items():
        before = settings.get(name)
        if isinstance(before, list) and isinstance(value, list) and name == "Env":
            settings[name] = [*before, *value]
        elif isinstance(before, dict) and isinstance(value, dict):
            settings[name] = {**before, **value}
        else:
            settings[name] = value
