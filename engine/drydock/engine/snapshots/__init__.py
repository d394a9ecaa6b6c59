"""Snapshots: layers unpacked and merged, writable copies of them, and what changed there as a new layer."""

from drydock.engine.snapshots.change import Beneath, New, with_parents
from drydock.engine.snapshots.journal import OWNER, Journal
from drydock.engine.snapshots.layers import EMPTY, Layers
from drydock.engine.snapshots.view import Level, View

__all__ = [
    "EMPTY",
    "OWNER",
    "Beneath",
    "Journal",
    "Layers",
    "Level",
    "New",
    "View",
    "with_parents",
]
