"""What a client asks of a build or a commit, as it stands in the query of the request.

Source: moby api/server/router/build/build_routes.go (newImageBuildOptions), router/container/container_routes.go
(postCommit); httputils/form.go for what counts as true.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from drydock.engine.errors import BadParameter, EngineError
from drydock.engine.images import platforms
from drydock.engine.images.names import parse

FALSE = ("", "0", "no", "false", "none")
Query = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Request:
    """One `docker build`: everything but the context."""

    tags: tuple[str, ...] = ()
    dockerfile: str = "Dockerfile"
    target: str = ""
    args: Mapping[str, str | None] = field(default_factory=dict)  # None: named by the caller, who has no value for it
    labels: Mapping[str, str] = field(default_factory=dict)
    cache_from: tuple[str, ...] = ()
    no_cache: bool = False
    pull: bool = False
    quiet: bool = False
    remove: bool = True  # say that the step's container is gone; there is none here that could stay
    force_remove: bool = False
    network: str = ""
    platform: str = ""
    remote: str = ""
    shm_size: int = 0
    extra_hosts: tuple[str, ...] = ()
    ulimits: tuple[Mapping[str, Any], ...] = ()
    aux: bool = True
    registries: Mapping[str, Any] = field(default_factory=dict, repr=False)  # X-Registry-Config: who asks, by registry

    @property
    def given(self) -> dict[str, str]:
        """Return the build arguments that have a value."""
        return {name: value for name, value in self.args.items() if value is not None}

    @classmethod
    def parse(cls, query: Query, aux: bool = True) -> Request:
        """Read the query of `POST /build`.

        >>> Request.parse({"t": ["a:1"], "nocache": ["True"], "buildargs": ['{"A": "1"}'], "rm": ["False"]})
        Request(tags=('a:1',), ..., args={'A': '1'}, ..., no_cache=True, ..., remove=False, ...)

        Raises: BadParameter.
        """
        if _text(query, "version") == "2":
            raise BadParameter(NO_BUILDKIT)
        if _flag(query, "squash"):
            raise BadParameter("squash is only supported with experimental mode")
        if "securityopt" in query:
            raise BadParameter("The daemon on this platform does not support setting security options on build")
        if text := _text(query, "platform"):
            platforms.parse(text)
        force = _flag(query, "forcerm")
        return cls(
            tags=tuple(query.get("t", ())),
            dockerfile=_text(query, "dockerfile") or "Dockerfile",
            target=_text(query, "target"),
            args=_strings(query, "buildargs", "error reading build args", nulls=True),
            labels={name: value or "" for name, value in _strings(query, "labels", "error reading labels").items()},
            cache_from=_names(query),
            no_cache=_flag(query, "nocache"),
            pull=_flag(query, "pull"),
            quiet=_flag(query, "q"),
            remove=force or not _text(query, "rm") or _flag(query, "rm"),
            force_remove=force,
            network=_text(query, "networkmode"),
            platform=_text(query, "platform"),
            remote=_text(query, "remote"),
            shm_size=_number(query, "shmsize"),
            extra_hosts=tuple(query.get("extrahosts", ())),
            ulimits=_ulimits(query),
            aux=aux,
        )


NO_BUILDKIT = (
    "this engine has the classic builder only, not BuildKit. "
    "Set DOCKER_BUILDKIT=0 in your shell, then run `docker build` again"
)


@dataclass(frozen=True)
class CommitRequest:
    """One `docker commit`: what to call the image, and what to change in its configuration."""

    repo: str = ""
    tag: str = ""
    author: str = ""
    comment: str = ""
    changes: tuple[str, ...] = ()  # Dockerfile lines: CMD, ENV, ...
    pause: bool = True
    config: Mapping[str, Any] | None = None  # the body: a configuration in place of the container's

    @classmethod
    def parse(cls, query: Query, body: Mapping[str, Any] | None = None) -> CommitRequest:
        """Read the query of `POST /commit`; an absent `pause` means yes.

        >>> CommitRequest.parse({"repo": ["a"], "changes": ["CMD x"], "pause": ["0"]}).pause
        False
        """
        changes = tuple(line for line in query.get("changes", ()) if line)
        pause = "pause" not in query or _flag(query, "pause")
        repo, tag, author, comment = (_text(query, name) for name in ("repo", "tag", "author", "comment"))
        return cls(repo, tag, author, comment, changes, pause, body or None)


def checked_tags(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names to give the image, each with its tag and none twice, as `docker build` prints them.

    >>> checked_tags(["a", "a:latest", "localhost:5000/b:1"])
    ('a:latest', 'localhost:5000/b:1')

    Raises: EngineError with dockerd's words.
    """
    found: dict[str, None] = {}
    for name in names:
        if not name:
            continue
        try:
            reference = parse(name)
        except BadParameter as error:
            raise EngineError(str(error)) from None  # of the kind that dockerd's API makes it: 500
        if reference.digest:
            raise EngineError("build tag cannot contain a digest")
        found[replace(reference, tag=reference.tag or "latest").familiar] = None
    return tuple(found)


def _text(query: Query, name: str) -> str:
    values = query.get(name) or ("",)
    return values[0]


def _flag(query: Query, name: str) -> bool:
    return _text(query, name).strip().lower() not in FALSE


def _number(query: Query, name: str) -> int:
    text = _text(query, name)
    try:
        return int(text or "0")
    except ValueError:
        raise BadParameter(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def _json(query: Query, name: str, what: str) -> Any:
    text = _text(query, name)
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError) as error:
        raise BadParameter(f"{what}: {error}") from None


def _strings(query: Query, name: str, what: str, nulls: bool = False) -> dict[str, str | None]:
    found = _json(query, name, what) or {}
    if not isinstance(found, dict) or not all(isinstance(v, str) or (nulls and v is None) for v in found.values()):
        raise BadParameter(f"{what}: it must be a JSON object of strings")
    return found


def _names(query: Query) -> tuple[str, ...]:
    found = _json(query, "cachefrom", "error reading cachefrom") or []
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise BadParameter("error reading cachefrom: it must be a JSON list of image names")
    return tuple(found)


def _ulimits(query: Query) -> tuple[Mapping[str, Any], ...]:
    found = _json(query, "ulimits", "error reading ulimits") or []
    numbers = ("Soft", "Hard")
    if not isinstance(found, list) or not all(
        isinstance(one, dict) and all(isinstance(one.get(key, 0), int) for key in numbers) for one in found
    ):
        raise BadParameter("error reading ulimits: it must be a JSON list of objects with Name, Soft and Hard")
    return tuple(found)
