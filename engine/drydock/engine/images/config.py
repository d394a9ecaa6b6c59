"""An image's configuration: JSON whose hash is the image's ID, written as dockerd writes it.

Source: moby v20.10 image/image.go (NewChildImage, MarshalJSON: the top level sorted, what is below in the order of Go's
structs), api/types/container/config.go; OCI image-spec config.md.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from drydock.engine.snapshots import EMPTY
from drydock.model.layer import Layer

VERSION = "20.10.24"  # whose builder and image store this engine follows
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64", "armv7l": "arm"}
ALWAYS: dict[str, Any] = {  # what every config has, set or not, in the order of the Go struct
    "Hostname": "",
    "Domainname": "",
    "User": "",
    "AttachStdin": False,
    "AttachStdout": False,
    "AttachStderr": False,
    "ExposedPorts": None,
    "Tty": False,
    "OpenStdin": False,
    "StdinOnce": False,
    "Env": None,
    "Cmd": None,
    "Healthcheck": None,
    "ArgsEscaped": None,
    "Image": "",
    "Volumes": None,
    "WorkingDir": "",
    "Entrypoint": None,
    "NetworkDisabled": None,
    "MacAddress": None,
    "OnBuild": None,
    "Labels": None,
    "StopSignal": None,
    "StopTimeout": None,
    "Shell": None,
}
OMITTED = {"ExposedPorts", "Healthcheck", "ArgsEscaped", "NetworkDisabled", "MacAddress"}  # left out while empty
OMITTED |= {"StopSignal", "StopTimeout", "Shell"}


def full(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a container's or image's config with every key that dockerd writes.

    >>> full({"Cmd": ["sh"], "Shell": []})["Cmd"], "Shell" in full({"Shell": []}), full({})["Env"]
    (['sh'], False, None)
    """
    values = {key: config.get(key, default) for key, default in ALWAYS.items()}
    values |= {key: value for key, value in config.items() if key not in ALWAYS}
    return {key: value for key, value in values.items() if value or key not in OMITTED}


def now() -> str:
    """Return this moment as Go writes it: RFC 3339, UTC, nanoseconds."""
    moment = datetime.now(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".") + "Z"


def encoded(value: Any) -> bytes:
    """Return JSON as Go's encoder writes it: the signs of HTML escaped.

    >>> encoded({"Cmd": ["echo", "a > b"]})
    b'{"Cmd":["echo","a \\\\u003e b"]}'
    """
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text.encode("utf-8", "surrogateescape")


def made(
    parent: Mapping[str, Any] | None,
    layer: Layer | None,
    *,
    config: Mapping[str, Any],
    created_by: str = "",
    container_config: Mapping[str, Any] | None = None,
    container: str = "",
    comment: str = "",
    author: str = "",
    created: str = "",
    top: Mapping[str, Any] | None = None,
) -> bytes:
    """Return the config of an image that adds one step to another: its bytes, whose hash is the new image's ID.

    `parent` is the parent's config (None: from scratch), `top` more keys of the top level, such as `comment`. An empty
    layer counts as none: only the history knows the step.
    """
    parent = parent or {}
    empty = layer is None or layer.diff_id == EMPTY
    row = {"created": created or now(), "author": author, "created_by": created_by, "comment": comment}
    row = {key: value for key, value in row.items() if value}
    diff_ids = list(parent.get("rootfs", {}).get("diff_ids") or ())
    whole: dict[str, Any] = {
        "architecture": parent.get("architecture") or ARCHITECTURES.get(platform.machine(), platform.machine()),
        "author": author,
        "config": full(config),
        "container": container,
        "container_config": None if container_config is None else full(container_config),
        "created": row["created"],
        "docker_version": VERSION,
        "history": [*(parent.get("history") or ()), row | ({"empty_layer": True} if empty else {})],
        "os": parent.get("os") or "linux",
        "rootfs": {"type": "layers", "diff_ids": diff_ids + ([] if empty or layer is None else [layer.diff_id])},
    }
    whole |= {key: parent[key] for key in ("variant", "os.version", "os.features") if parent.get(key)}
    whole |= top or {}
    return encoded({key: whole[key] for key in sorted(whole) if whole[key] not in ("", None)})
