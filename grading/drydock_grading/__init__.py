"""Checks of what a student really built: the same function shows the student and grades the submission."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drydock_grading.notebook import check as check
    from drydock_grading.notebook import learner as learner
    from drydock_grading.notebook import nonce as nonce
    from drydock_grading.notebook import pack as pack

__all__ = ["check", "learner", "nonce", "pack"]


def __getattr__(name: str) -> object:
    """Load what notebooks call only when it is asked for: the grader needs neither a page nor an engine."""
    if name not in __all__:
        raise AttributeError(f"drydock_grading has no {name!r}; it has {', '.join(__all__)}")
    from drydock_grading import notebook

    return getattr(notebook, name)
