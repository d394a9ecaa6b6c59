"""The stack itself: is the base really underneath, are the right layers on it, and nothing besides."""

from __future__ import annotations

import re
from collections.abc import Iterable

from drydock.model.layer import human, shown
from drydock.model.tree import hidden

from drydock_grading.checks.case import Case, Judge
from drydock_grading.result import CheckResult, full, none, part

JUNK = (
    (r"(^|/)\.git(/|$)", "a Git repository"),
    (r"(^|/)__pycache__(/|$)|\.pyc$", "Python's bytecode"),
    (r"(^|/)\.ipynb_checkpoints(/|$)|\.ipynb$", "notebooks"),
    (r"^var/lib/apt/lists/.+|^var/cache/(apt|apk)/.+|^var/lib/apk/.*cache", "package lists"),
    (r"(^|/)\.cache(/|$)|(^|/)node_modules(/|$)|(^|/)\.venv(/|$)", "a cache or an environment of your machine"),
    (r"(^|/)(Dockerfile(\.\w+)?|\.dockerignore)$", "the recipe"),  # it is for building; no container reads it
    (r"(^|/)artifact\.(oci\.tar|json)$", "the artifact itself"),
    (r"(^|/)(\.DS_Store|Thumbs\.db)$|\.(swp|bak|orig)$|~$", "an editor's or a file browser's leftovers"),
    (r"^(var/)?tmp/.+", "temporary files"),
)


def base(most: float) -> Judge:
    """Return the check that the first layers are those of an accepted base, by their diff IDs."""

    def judge(case: Case) -> CheckResult:
        if case.base:
            made = f", made from {shown(case.base.note)}" if case.base.note else ""
            return full(most, f"The image stands on {case.base.name}{made}.")
        count = len(case.artifact.diff_ids)
        if count == 1:
            why = "The image is one layer: its base is not in it any more. It was probably squashed, or imported."
            return none(most, why, "commit-makes-images", "Which command keeps the layers below, and which makes one?")
        wanted = " or ".join(case.assignment.bases)
        why = f"The lowest layers ({case.artifact.diff_ids[0][:19]} first) are not those of {wanted}."
        return none(most, why, "", "Compare the lowest layer of your image with the lowest of the one you were given.")

    return judge


def junk(most: float) -> Judge:
    """Return the check that no layer above the base carries what only its maker's machine needs."""

    def judge(case: Case) -> CheckResult:
        found = [
            (kind, entry.path, number)
            for number, layer in enumerate(case.image.layers[case.above :], case.above)
            for entry in layer.entries
            if entry.kind != "directory"
            for pattern, kind in JUNK
            if re.search(pattern, entry.path)
        ]
        if not found:
            return full(most, "No layer of yours carries anything that has no business in it.")
        kind, path, number = found[0]
        more = f", and {len(found) - 1} more such files" if len(found) > 1 else ""
        why = f"Layer {number} carries {kind}: /{shown(path)}{more}."
        if path not in case.tree:
            why += " A later layer hides it, but it is stored and sent all the same."
            return none(most, why, "rm-shrinks", "In which step did it come in? It must never get into that layer.")
        return none(most, why, "", "Does a container need it? Look at what was in the folder, or in the container.")

    return judge


def small(most: float, limit: int) -> Judge:
    """Return the check that the layers above the base hold at most `limit` bytes, hidden ones included."""

    def judge(case: Case) -> CheckResult:
        if case.base is None:
            return none(most, "What you added cannot be weighed: the base below it is not one of the course's.")
        sizes = {n: layer.size for n, layer in enumerate(case.image.layers) if n >= case.above}
        total = sum(sizes.values())
        if total <= limit:
            return full(most, f"Your layers hold {human(total)}.")
        largest = max(sizes, key=lambda n: sizes[n])
        why = (
            f"Your layers hold {human(total)}, more than {human(limit)}; layer {largest} alone {human(sizes[largest])}."
        )
        lost = sum(hidden(case.image)[case.above :])
        if lost > total / 2:
            why += f" {human(lost)} of it no container can see."
            return none(most, why, "rm-shrinks", "What was removed later is still in the layer that brought it.")
        return none(most, why, "sizes-add-up", "Which step brought the most bytes?")

    return judge


def changed(below: Iterable[str], judge: Judge, most: float) -> Judge:
    """Return a check that looks only where there is a layer of one's own above those that wrote `below`."""
    below = tuple(below)

    def first(case: Case) -> CheckResult:
        course = _writers(case, below)
        if case.base and course and max(course) == len(case.image.layers) - 1:
            return none(most, "There is no layer of yours to look at: nothing was changed in the image.", "image-runs")
        return judge(case)

    return first


def own(most: float, path: str, below: Iterable[str], limit: int = 3) -> Judge:
    """Return the check that a layer of one's own, above those that wrote `below`, brought `path`."""
    below = tuple(below)

    def judge(case: Case) -> CheckResult:
        course = _writers(case, below)
        if not course:
            return none(most, "The course image is not underneath: its files are in none of the layers.", "image-runs")
        top = max(course)
        mine = range(top + 1, len(case.image.layers))
        if not mine:
            why = "There is no layer of yours on top of the course image: nothing was changed in it."
            return none(most, why, "image-runs", "You changed a container. What makes an image of it?")
        if not any(path in case.image.layers[n].by_path for n in mine):
            where = "it came in together with the course's own files" if path in case.tree else "none of them has it"
            why = f"Of your {len(mine)} layers none brought /{path}: {where}."
            return part(most / 2, most, why, "image-runs", "In which container did you write the answer?")
        if len(mine) > limit:
            why = f"/{path} is there, but you have {len(mine)} layers on top of the course image; one is enough."
            return part(most / 2, most, why, "commit-makes-images", "What do the other layers bring?")
        return full(most, f"Layer {mine[-1]} is yours and stands on the course image.")

    return judge


def _writers(case: Case, paths: tuple[str, ...]) -> set[int]:
    """Return the lowest layer above the base that brought each of the paths."""
    found = set()
    for path in paths:
        numbers = [n for n in range(case.above, len(case.image.layers)) if path in case.image.layers[n].by_path]
        if not numbers:
            return set()
        found.add(numbers[0])
    return found
