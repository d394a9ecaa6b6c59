"""What a scenario can ask about an image or a container beyond what the CLI prints: each verb returns lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from drydock import read
from drydock.model.layer import Entry, Layer

from suite.bases import NAME

RECENT = 1735689600  # 2025: what is older was set on purpose, what is newer is "now"


def layers(client: Any, name: str) -> Iterator[str]:
    """Say what each layer above the base's holds, as `docker save` sends it: digests are verified on the way."""
    below = set(client.api.inspect_image(NAME)["RootFS"]["Layers"])
    number = 0
    for layer in read.image(client, name).layers:
        if layer.diff_id in below:
            continue
        number += 1
        yield f"layer {number}"
        yield from sorted(_rows(layer))


def _rows(layer: Layer) -> Iterator[str]:
    for entry in layer.entries:
        yield f"  {entry.path}  {_about(entry)}"
    for path in layer.whiteouts:
        yield f"  {path}  whiteout"
    for path in layer.opaque:
        yield f"  {path}  opaque"


def _about(entry: Entry) -> str:
    when = "now" if entry.mtime >= RECENT else datetime.fromtimestamp(entry.mtime, UTC).strftime("%Y%m%d%H%M%S")
    parts = [entry.kind, f"{entry.mode:04o}", f"{entry.uid}:{entry.gid}", when]
    if entry.kind == "file":
        parts.append(f"{entry.size} bytes {entry.digest[7:15]}")
    if entry.link:
        parts.append(f"-> {entry.link}")
    parts += [f"{key}={value!r}" for key, value in entry.xattrs]
    return " ".join(parts)


def config(client: Any, name: str) -> Iterator[str]:
    """Say how a container of the image would start, and what else `docker inspect` says that is not chance."""
    about = client.api.inspect_image(name)
    for key, value in sorted(about["Config"].items()):
        if value not in (None, "", [], {}, False):
            yield f"{key}: {json.dumps(value, sort_keys=True)}"
    for key in ("Architecture", "Os", "Author", "Comment", "RepoTags"):
        if about.get(key):
            yield f"{key}: {json.dumps(about[key])}"
    yield f"{len(about['RootFS']['Layers'])} layers, parent {'yes' if about.get('Parent') else 'no'}"


def history(client: Any, name: str) -> Iterator[str]:
    """Say each row of the history, newest first, as `docker history` does."""
    for row in client.api.history(name):
        size = row["Size"] if row["Size"] < 10**6 else "big"
        known = "image" if row["Id"] != "<missing>" else "missing"
        said = [known, str(size), *(row["Tags"] or ()), row["Comment"]]
        yield f"{' '.join(filter(None, said))}: {row['CreatedBy']}"


def state(client: Any, name: str) -> Iterator[str]:
    """Say the state of a container."""
    about = client.api.inspect_container(name)
    told = about["State"]
    words = [key for key in ("Running", "Paused", "Restarting", "OOMKilled", "Dead") if told[key]]
    times = [key for key in ("StartedAt", "FinishedAt") if not told[key].startswith("0001-")]
    yield f"{told['Status']} {' '.join(words)} exit {told['ExitCode']} {told['Error']!r}"
    yield f"has {' '.join(times) or 'no times'}"
    yield f"restarts {about['RestartCount']}, pid {'some' if told['Pid'] else 'none'}"


def pull(client: Any, name: str) -> Iterator[str]:
    """Say what a pull says, without what depends on speed."""
    yield from _words(client.api.pull(*_named(name), stream=True, decode=True))


def push(client: Any, name: str) -> Iterator[str]:
    """Say what a push says, without what depends on speed."""
    yield from _words(client.api.push(*_named(name), stream=True, decode=True))


def _named(name: str) -> tuple[str, str]:
    repository, mark, digest = name.partition("@")
    return (repository, digest) if mark else (name.rpartition(":")[0], name.rpartition(":")[2])


def _words(events: Iterator[dict[str, Any]]) -> Iterator[str]:
    """Yield a stream's lines; of a layer the first word and the last: between them is how fast it went."""
    layers: dict[str, list[str]] = {}
    for event in events:
        if "error" in event:
            yield from _layers(layers)
            yield f"error {event['error']!r} {sorted(event['errorDetail'])}"
        elif "aux" in event:
            yield f"aux {sorted(event['aux'])}"
        elif "progressDetail" in event and "id" in event:
            layers.setdefault(event["id"], []).append(event["status"])
        else:
            yield from _layers(layers)
            yield " ".join(part for part in (event.get("id"), event["status"]) if part)


def _layers(layers: dict[str, list[str]]) -> Iterator[str]:
    for name, words in layers.items():
        yield f"{name} {' .. '.join(dict.fromkeys([words[0], words[-1]]))}"
    layers.clear()


VERBS: dict[str, Callable[[Any, str], Iterator[str]]] = {
    f.__name__: f for f in (layers, config, history, state, pull, push)
}
