"""What the engine writes down of a layer beside its files: entries.json, one row a path.

It holds what an ordinary user cannot give a file on disk: owner, true mode, device numbers, capabilities.
"""

from __future__ import annotations

import json
from typing import Any

from drydock.model.layer import Entry, Layer

SCHEMA = 1


def to_json(layer: Layer, ready: bool) -> bytes:
    """Return the file's content.

    >>> layer = Layer("sha256:0", "sha256:0", 0, (Entry("a", "symlink", link="b"),))
    >>> from_json(to_json(layer, True)) == (layer, True)
    True
    """
    rows = [_row(entry) for entry in layer.entries]
    whole = {"schema": SCHEMA, "diff_id": layer.diff_id, "size": layer.size, "stored": layer.stored, "ready": ready}
    whole |= {"whiteouts": layer.whiteouts, "opaque": layer.opaque, "entries": rows}
    return json.dumps(whole, separators=(",", ":")).encode()


def from_json(content: bytes) -> tuple[Layer, bool]:
    """Return the layer, and whether overlayfs can take its folder as it is."""
    whole = json.loads(content)
    entries = tuple(_entry(row) for row in whole["entries"])
    diff_id = whole["diff_id"]
    layer = Layer(
        *(diff_id, diff_id, whole["size"], entries),
        *(tuple(whole["whiteouts"]), tuple(whole["opaque"]), whole["stored"]),
    )
    return layer, whole["ready"]


def _row(entry: Entry) -> list[Any]:
    row: list[Any] = [entry.path, entry.kind, entry.size, entry.mode, entry.uid, entry.gid, entry.mtime]
    row += [entry.link, entry.digest.removeprefix("sha256:")]
    if entry.xattrs or entry.device != (0, 0):
        row += [entry.xattrs, entry.device]
    return row


def _entry(row: list[Any]) -> Entry:
    row[8] = row[8] and "sha256:" + row[8]
    if len(row) > 9:
        row[9:] = [tuple((name, value) for name, value in row[9]), (row[10][0], row[10][1])]
    return Entry(*row)
