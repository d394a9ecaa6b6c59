"""Cache golf as a check: the score is drawn from the Dockerfile that was handed in, by the model's own rule."""

from __future__ import annotations

from drydock.model.dockerfile import parse
from drydock.model.layer import shown

from drydock_grading import golf
from drydock_grading.checks.cache import built_from
from drydock_grading.checks.case import Case, Judge
from drydock_grading.result import CheckResult, full, none, part

LIMITS = ((golf.PAR, 4), (60.0, 3), (120.0, 2), (240.0, 1))  # at most so many s a week: so many quarters of the points
NO_IMAGE = " Nothing shows that it builds: no image of it was handed in."


def played(most: float, path: str, image: str) -> Judge:
    """Return the check of a golf Dockerfile; where no `image` shows that it builds, a quarter of the points is kept."""

    def judge(case: Case) -> CheckResult:
        recipe = case.artifact.about.recipes.get(path)
        if recipe is None:
            return none(most, f"{path} was not handed in.", "", "Which Dockerfiles does the cell that packs name?")
        found = golf.play(recipe)
        if found.wrong:
            why = f"{path}: {shown(found.wrong)}"
            return none(most, why, "", "What does each program read, and which step brings it?")
        built = case.part(image)
        if built is not None and not built_from(built, parse(recipe.text)):
            why = f"The image {image} was not built from {path} as it is now: its history tells of other steps."
            return none(most, why, "image-runs", "What has to happen after an edit of a Dockerfile?")
        quarters = next((n for limit, n in LIMITS if found.week <= limit), 0) - (built is None)
        said = f"A week of edits costs {found.week:g} s, par is {golf.PAR:g}.{NO_IMAGE if built is None else ''}"
        if quarters == 4:
            return full(most, said)
        worst = found.worst
        why = f"{said} Most of it are edits of {worst.path}: {worst.steps} steps run again, from line {worst.line}."
        hint = f"Which steps below the first that sees {worst.path} need it, and which only stand there?"
        return part(most * max(0, quarters) / 4, most, why, "order-is-free" if found.week > golf.PAR else "", hint)

    return judge
