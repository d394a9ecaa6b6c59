"""One process in one root file system: the sandbox ladder, and the life of a container."""

from drydock.engine.run.container import Container
from drydock.engine.run.containers import Containers
from drydock.engine.run.execs import Exec
from drydock.engine.run.rungs import LADDER, Proof, Rung
from drydock.engine.run.sandbox import Running, Sandbox, Started
from drydock.engine.run.spec import CannotStart, Mount, NoSandbox, Process, Root, Spec
from drydock.engine.run.stdio import Attachment
from drydock.engine.run.steps import Steps

__all__ = [
    "LADDER",
    "Attachment",
    "CannotStart",
    "Container",
    "Containers",
    "Exec",
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
