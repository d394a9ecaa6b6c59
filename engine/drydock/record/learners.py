"""Who is learning: what a hub says, else the name that notebook 00 asked for, else nobody by name."""

from __future__ import annotations

import os
import re
import time

from drydock.record import lines

NOBODY = "me"  # what the answers of a learner without a name are kept under
# What BinderHub's spawner sets in a pod (its binderspawner_mixin.py); JUPYTERHUB_USER is a name that it makes up.
# BINDER_SERVICE_HOST is not among them: Kubernetes sets that beside any service called binder.
BINDER = ("BINDER_LAUNCH_HOST", "BINDER_REPO_URL", "BINDER_REF_URL", "BINDER_REQUEST", "BINDER_PERSISTENT_REQUEST")
NAME = re.compile(r"\w(?:[\w .@+-]{0,62}\w)?")
ODD_NAME = (
    "{name!r} cannot be kept as a name: it has at most 64 letters, digits, spaces, and . _ - @ + between them.\n"
    'Try: name = "ada"'
)
NAMELESS = "You have no name here, and need none: your answers are kept all the same. An exercise asks for your id."
KNOWN = "Your answers are kept under the name {name}."
GIVEN = "Your answers are kept under the name {name}: {setting} says so, and it is asked first."


class OddName(ValueError):
    """A name that cannot be kept; the message says what one looks like."""


def learner() -> str:
    """Return who is learning: `$DRYDOCK_LEARNER`, else `$JUPYTERHUB_USER`, else the name once given, else "me".

    On Binder JUPYTERHUB_USER does not count.
    """
    setting = _setting()
    return os.environ[setting] if setting else _kept()


def _setting() -> str | None:
    """Return the variable that says who is learning, or None."""
    if os.environ.get("DRYDOCK_LEARNER"):
        return "DRYDOCK_LEARNER"
    binder = any(os.environ.get(name) for name in BINDER)
    return "JUPYTERHUB_USER" if os.environ.get("JUPYTERHUB_USER") and not binder else None


def _kept() -> str:
    names = [row["name"] for row in lines.read("learner") if isinstance(row.get("name"), str)]
    return names[-1] if names and NAME.fullmatch(names[-1]) else NOBODY


def call_me(name: str = "") -> str:
    """Keep the learner's name, and what was answered without one under it; with no name, say what is known.

    Raises: OddName.
    """
    name = name.strip()
    if name and not NAME.fullmatch(name):
        raise OddName(ODD_NAME.format(name=name[:80]))
    if name and name != _kept():
        lines.change("learner", lambda rows: [{"name": name, "time": time.time()}])
        lines.change("predictions", lambda rows: [_renamed(row, name) for row in rows])
    if setting := _setting():
        return GIVEN.format(name=learner(), setting=f"${setting}")
    return NAMELESS if learner() == NOBODY else KNOWN.format(name=learner())


def _renamed(row: lines.Row, name: str) -> lines.Row:
    return row | {"learner": name} if row.get("learner") == NOBODY else row
