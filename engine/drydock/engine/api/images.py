"""Images: list, inspect, history, tag, remove, prune, save, load, import.

Source: moby/api/server/router/image/image_routes.go, moby/daemon/images
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from drydock.engine.api.registries import credentials
from drydock.engine.api.streams import progress
from drydock.engine.api.times import moment
from drydock.engine.api.wire import Json, Plain, Reply, Request, Stream, matches_labels, truth
from drydock.engine.errors import BadParameter, NotFound, NotPossible
from drydock.engine.images import platforms

if TYPE_CHECKING:
    from drydock.engine.daemon import Daemon
    from drydock.engine.images import Record

LIST_FILTERS = ("dangling", "label", "before", "since", "reference", "until")
PRUNE_FILTERS = ("dangling", "label", "label!", "until")
TAR = "application/x-tar"


# What there is


def list_images(request: Request) -> Reply:
    """Answer `docker images`."""
    filters = request.filters(*LIST_FILTERS)
    if request.text("filter"):
        filters.setdefault("reference", []).append(request.text("filter"))
    images = request.daemon.images
    with images.fresh():
        shown = [r for r in images.all() if request.flag("all") or not images.intermediate(r)]
        return Json([row for r in shown if (row := _row(request.daemon, r, filters))])


def _row(daemon: Daemon, record: Record, filters: dict[str, list[str]]) -> dict[str, Any] | None:
    """Return an image as a listing shows it, or None where a filter leaves it out."""
    row = summary(daemon, record)
    if not _kept(daemon, record, filters, bool(daemon.images.tags(record.id))):
        return None
    if "reference" in filters:
        for key in ("RepoTags", "RepoDigests"):
            row[key] = [name for name in row[key] or [] if refers(name, filters["reference"])] or None
        if not row["RepoTags"] and not row["RepoDigests"]:
            return None
        row["RepoTags"] = row["RepoTags"] or []
    return row


def _kept(daemon: Daemon, record: Record, filters: dict[str, list[str]], named: bool) -> bool:
    """Return True where an image passes the filters that look at the image itself."""
    if "dangling" in filters and truth(filters["dangling"][0]) == named:
        return False
    labels = (record.config.get("config") or {}).get("Labels")
    if not matches_labels(labels, filters.get("label", [])):
        return False
    when = created(record)
    if any(when >= created(daemon.images.get(name)) for name in filters.get("before", [])):
        return False
    if any(when <= created(daemon.images.get(name)) for name in filters.get("since", [])):
        return False
    return all(when < (moment(text) or 0) for text in filters.get("until", []))


def created(record: Record) -> float:
    """Return when an image was made, in seconds."""
    return moment(record.created) or 0.0


def refers(name: str, patterns: Iterable[str]) -> bool:
    """Return True where a name is what one of the patterns means: `alpine`, `alpine:3*`, `*/app`.

    >>> refers("alpine:3", ["alpine"]), refers("me/app:1", ["*"]), refers("me/app:1", ["me/*:1"])
    (True, False, True)
    """
    bare = name.partition("@")[0]
    head, colon, _ = bare.rpartition(":")
    without = head if colon and "/" not in bare[len(head) + 1 :] else bare
    return any(_glob(text, pattern) for text in (bare, without) for pattern in patterns)


def _glob(text: str, pattern: str) -> bool:
    """Return True where a pattern means a text, as Go's path.Match: `*` takes no slash."""
    from fnmatch import fnmatchcase

    parts, wanted = text.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(fnmatchcase(p, w) for p, w in zip(parts, wanted, strict=True))


def summary(daemon: Daemon, record: Record) -> dict[str, Any]:
    """Return one row of a listing."""
    from drydock.engine.images import inspect

    row = inspect.summary_json(daemon.images, record)
    return row | {"RepoDigests": row["RepoDigests"] or (None if row["RepoTags"] else [])}


def summaries(daemon: Daemon) -> list[dict[str, Any]]:
    """Return every image that `docker images` shows: how many containers use it, how much it shares with others."""
    used = Counter(c.image_id for c in daemon.containers.all())
    shown = [r for r in daemon.images.all() if not daemon.images.intermediate(r)]
    having = Counter(layer for r in shown for layer in r.layers)
    sizes = {layer: daemon.layers.get(layer).size for layer, count in having.items() if count > 1}
    return [
        {
            **summary(daemon, record),
            "Containers": used[record.id],
            "SharedSize": sum(sizes.get(layer, 0) for layer in record.layers),
        }
        for record in shown
    ]


def layers_size(daemon: Daemon) -> int:
    """Return the bytes of all layers, each counted once however many images have it."""
    return sum(daemon.layers.get(id).size for id in {id for r in daemon.images.all() for id in r.layers})


def inspect_image(request: Request) -> Reply:
    """Answer `docker image inspect`."""
    from drydock.engine.images import inspect

    images, name = request.daemon.images, request.names["name"]
    try:
        record = images.get(name)
    except NotFound as error:
        raise NotFound(f"no such image: {name}: {error}") from None
    return Json(inspect.image_json(images, record))


def history(request: Request) -> Reply:
    """Answer `docker history`."""
    from drydock.engine.images import inspect

    images = request.daemon.images
    return Json(inspect.history_json(images, images.get(request.names["name"])))


# Names and removal


def tag(request: Request) -> Reply:
    """Answer `docker tag`."""
    images = request.daemon.images
    record = images.get(request.names["name"])
    images.tag(record.id, joined(request.text("repo"), request.text("tag")))
    return Plain(status=201)


def joined(repository: str, tag: str) -> str:
    """Return one name of the two parts that the API has.

    >>> joined("app", "1"), joined("app", ""), joined("app", "sha256:00")
    ('app:1', 'app', 'app@sha256:00')
    """
    if not tag:
        return repository
    return f"{repository}@{tag}" if ":" in tag else f"{repository}:{tag}"


def remove(request: Request) -> Reply:
    """Answer `docker rmi`."""
    return Json(
        request.daemon.images.remove(
            request.names["name"],
            force=request.flag("force"),
            noprune=request.flag("noprune"),
            in_use=users(request.daemon),
        )
    )


def users(daemon: Daemon) -> Any:
    """Return what tells which containers use an image, and whether they run."""

    def of(id: str) -> list[tuple[str, bool]]:
        return [(c.id, c.running) for c in daemon.containers.all() if c.image_id == id]

    return of


def prune(request: Request) -> Reply:
    """Answer `docker image prune`."""
    daemon = request.daemon
    filters = request.filters(*PRUNE_FILTERS)
    dangling = truth(filters.pop("dangling", ["1"])[0])
    kept = [r.id for r in daemon.images.all() if not _prunable(daemon, r, filters)]
    guard = users(daemon)
    deleted, freed = daemon.images.prune(dangling, in_use=lambda id: guard(id) or ([(id, False)] if id in kept else []))
    return Json({"ImagesDeleted": deleted or None, "SpaceReclaimed": freed})


def _prunable(daemon: Daemon, record: Record, filters: dict[str, list[str]]) -> bool:
    labels = (record.config.get("config") or {}).get("Labels")
    unwanted = filters.get("label!", [])
    rest = {key: values for key, values in filters.items() if key != "label!"}
    return _kept(daemon, record, rest, False) and not any(matches_labels(labels, [each]) for each in unwanted)


# Files


def save(request: Request) -> Reply:
    """Answer `docker save`: one archive of all that is named."""
    from drydock.engine.images.save import save as saved

    names = [request.names["name"]] if "name" in request.names else request.all("names")
    return Stream(saved(request.daemon.images, names), TAR)


def load(request: Request) -> Reply:
    """Answer `docker load`; `bundle` says that the archive's own list of built images may be trusted."""
    from drydock.engine.images.load import load as loaded

    options = {"trusted": True} if request.flag("bundle") else {}
    messages = loaded(request.daemon.images, request.body, **options)
    if request.flag("quiet"):
        messages = (m for m in messages if "progressDetail" not in m)
    return Stream(progress(messages))


def create(request: Request) -> Reply:
    """Answer `docker import`, and `docker pull`, which asks at the same path."""
    platform = platforms.parse(request.text("platform") or "linux")
    if request.text("fromImage"):
        return pull(request)
    if request.text("fromSrc") != "-":
        raise NotPossible(
            "this engine imports from a file or from standard input, not from an address. Download it first"
        )
    if platform.os != "linux":
        raise BadParameter("operating system is not supported")
    return Stream(progress(_import(request)))


def _import(request: Request) -> Iterator[dict[str, Any]]:
    from drydock.engine.build import changed
    from drydock.engine.images.archive import import_

    name = joined(request.text("repo"), request.text("tag"))
    config = changed({}, tuple(request.all("changes")))
    message = request.text("message") or "Imported from -"
    yield from import_(request.daemon.images, request.body, tag=name, message=message, config=config)


def pull(request: Request) -> Reply:
    """Answer `docker pull`."""
    name, tag, platform = (request.text(key) for key in ("fromImage", "tag", "platform"))
    told = request.daemon.distribution.pull(name, tag, platform, credentials(request), request.gone)
    return Stream(progress(told))


def push(request: Request) -> Reply:
    """Answer `docker push`."""
    told = request.daemon.distribution.push(
        request.names["name"], request.text("tag"), credentials(request), request.gone
    )
    return Stream(progress(told))


ROUTES = [
    ("GET", "/images/json", list_images),
    ("GET", "/images/get", save),
    ("POST", "/images/load", load),
    ("POST", "/images/create", create),
    ("POST", "/images/prune", prune),
    ("GET", "/images/{name}/get", save),
    ("GET", "/images/{name}/json", inspect_image),
    ("GET", "/images/{name}/history", history),
    ("POST", "/images/{name}/tag", tag),
    ("POST", "/images/{name}/push", push),
    ("DELETE", "/images/{name}", remove),
]
