"""Is the image that was handed in the one in the registry? Extra evidence: what counts is the archive."""

from __future__ import annotations

import json

from drydock.model.layer import shown
from drydock.model.reference import InvalidReference, Reference

from drydock_grading.checks.case import Case, Judge
from drydock_grading.remote import NotThere
from drydock_grading.result import CheckResult, full, none, part

COURSE = ("course", "ac295", "library")  # whose repositories nobody pushes to but their owners


def equal(most: float) -> Judge:
    """Return the check that a registry had this very image, under a name of one's own, when it was packed.

    The manifest that the registry gave travels with the work; its digest binds it to the image's configuration. Where
    the grader may ask the registry itself (`case.seen`), it asks by that digest: a tag may have moved since.
    """

    def judge(case: Case) -> CheckResult:
        pushed = case.artifact.about.pushed
        if pushed is None:
            why = case.artifact.no_about or "Nothing says that the image was pushed."
            return none(most, why, "push-sends-all", "Where does the image's name say that it belongs?")
        name = shown(pushed.reference)[:120]
        try:
            reference = Reference.parse(pushed.reference)
        except InvalidReference:
            return none(most, f"{name!r} is no image name.")
        owner, _, repository = reference.path.rpartition("/")
        if owner in COURSE:
            why = f"{name} is the course's repository, not yours."
            return none(most, why, "", "Whose name must stand before the slash?")
        if pushed.config != case.artifact.config or _layers(pushed.manifest) != len(case.artifact.diff_ids):
            why = (
                f"{name} holds another image than the one you hand in: it was changed after the push, or the tag moved."
            )
            return none(
                most, why, "push-sends-all", "Does a name in the registry follow what happens to the image here?"
            )
        if repository != case.assignment.repository:
            why = f"{name} holds this image, but the repository is {repository}, not {case.assignment.repository}."
            return part(most / 2, most, why, "", "What does the exercise say about the name?")
        return full(most, f"{name} holds this very image. {_now(case, reference, pushed.digest)}".rstrip())

    return judge


def _now(case: Case, reference: Reference, digest: str) -> str:
    """Return what the registry says today, where it may be asked; it changes no points: work was pushed in time."""
    if case.seen is None:
        return ""
    try:
        case.seen(f"{reference.name}@{digest}")
    except NotThere as error:
        return f"(The registry cannot confirm it now: {shown(str(error))[:120]})"
    return "The registry confirms it."


def _layers(manifest: str) -> int:
    rows = json.loads(manifest).get("layers")
    return len(rows) if isinstance(rows, list) else -1
