"""One process in one root file system: the sandbox ladder, and the life of a container.

Nothing is loaded before it is asked for: the launcher, which every container is a copy of, needs the smaller half.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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

_FROM = {
    "Attachment": "stdio",
    "CannotStart": "spec",
    "Container": "container",
    "Containers": "containers",
    "Exec": "execs",
    "LADDER": "rungs",
    "Mount": "spec",
    "NoSandbox": "spec",
    "Process": "spec",
    "Proof": "rungs",
    "Root": "spec",
    "Rung": "rungs",
    "Running": "sandbox",
    "Sandbox": "sandbox",
    "Spec": "spec",
    "Started": "sandbox",
    "Steps": "steps",
}


def __getattr__(name: str) -> object:
    """Load a name's module when the name is first used."""
    if name not in _FROM:
        raise AttributeError(f"drydock.engine.run has no {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"{__name__}.{_FROM[name]}"), name)
