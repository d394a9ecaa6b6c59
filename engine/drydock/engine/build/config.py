"""A container's configuration while the instructions of a Dockerfile change it.

Source: moby builder/dockerfile/evaluator.go (setDefaultPath), image/cache/compare.go.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any

from drydock.engine.images import full

Config = dict[str, Any]
MAPS = ("ExposedPorts", "Volumes", "Labels")
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def whole(config: Mapping[str, Any] | None) -> Config:
    """Return the configuration with every key that Go writes, in Go's order; lists and maps are copies.

    >>> list(whole({"Shell": ["sh"], "ExposedPorts": {}, "User": "me"}))[:3], whole({})["Env"]
    (['Hostname', 'Domainname', 'User'], None)
    """
    found: Config = {}
    for key, value in full(config or {}).items():
        if isinstance(value, Mapping):
            value = dict(sorted(value.items())) if key in MAPS else dict(value)
        found[key] = list(value) if isinstance(value, list | tuple) else value
    return found


def with_path(config: Config) -> Config:
    """Return the configuration with a PATH, which Docker adds where the base image sets none.

    >>> with_path({"Env": ["A=1"]})["Env"][1][:8]
    'PATH=/us'
    """
    env = list(config.get("Env") or ())
    if not any(pair.partition("=")[0] == "PATH" for pair in env):
        env.append(PATH)
    return {**config, "Env": env}


def clean(path: str) -> str:
    """Return the working directory as a container has it.

    >>> clean("/w/"), clean("")
    ('/w', '')
    """
    return "/" + posixpath.normpath(path).lstrip("/") if path else ""


COMPARED = ("AttachStdout", "AttachStderr", "User", "OpenStdin", "Tty", "Cmd", "Env", "Labels", "ExposedPorts",
            "Entrypoint", "Volumes")  # fmt: skip


def comparable(config: Mapping[str, Any] | None) -> Config:
    """Return what of a step's configuration the cache compares; the rest is in the parents' Cmd.

    >>> comparable({"Hostname": "a", "Labels": {}, "Cmd": ["x"]}) == comparable({"Image": "b", "Cmd": ["x"]})
    True
    """
    return {key: value for key in COMPARED if (value := (config or {}).get(key))}
