"""One process in one root file system: the sandbox ladder, and the life of a container."""

from drydock.engine.run.rungs import LADDER, Proof, Rung
from drydock.engine.run.sandbox import Running, Sandbox, Started
from drydock.engine.run.spec import CannotStart, Mount, NoSandbox, Process, Root, Spec
from drydock.engine.run.steps import Steps

__all__ = [
    "LADDER",
    "CannotStart",
    "Mount",
    "NoSandbox",
    "Process",
    "Proof",
    "Root",
    "Rung",
    "Running",
    "Sandbox",
    "Spec",
    "Started",
    "Steps",
]
