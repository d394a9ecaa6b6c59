"""Snapshots: layers unpacked and merged, writable copies of them, and what changed there as a new layer."""

from drydock.engine.snapshots.beneath import Beneath
from drydock.engine.snapshots.change import New, with_parents
from drydock.engine.snapshots.copying import copy_out
from drydock.engine.snapshots.journal import OWNER, Journal
from drydock.engine.snapshots.layers import EMPTY, Layers
from drydock.engine.snapshots.overlay import OverlaySnapshot
from drydock.engine.snapshots.packed import Packed
from drydock.engine.snapshots.snapshot import Snapshot
from drydock.engine.snapshots.store import Snapshots
from drydock.engine.snapshots.tree import TreeSnapshot
from drydock.engine.snapshots.view import Level, View

__all__ = [
    "EMPTY",
    "OWNER",
    "Beneath",
    "Journal",
    "Layers",
    "Level",
    "New",
    "OverlaySnapshot",
    "Packed",
    "Snapshot",
    "Snapshots",
    "TreeSnapshot",
    "View",
    "copy_out",
    "with_parents",
]
