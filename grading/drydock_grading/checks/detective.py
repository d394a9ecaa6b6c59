"""The layer detective's findings against the truth, which is drawn from the learner's code once more."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping

from drydock.model.layer import shown

from drydock_grading.checks.case import Case, Judge
from drydock_grading.detective import mystery
from drydock_grading.result import CheckResult, full, none, part

NOTE = "findings.toml"
TOKEN = re.compile(r"tea-[0-9a-f]{16}")
WHERE = {  # what a wrong finding is asked back: never the answer
    "layers": ("line-is-layer", "Which of the steps above the base changed a file?"),
    "settings": ("line-is-layer", "Which of the steps above the base changed no file at all?"),
    "brought": ("", "In which layer does a file first appear that no container sees?"),
    "removed": ("rm-shrinks", "In which layer does the file stand as removed?"),
}


class NoFindings(ValueError):
    """The findings cannot be read; the message says why."""


def _findings(case: Case) -> Mapping[str, object]:
    text = case.artifact.about.notes.get(NOTE)
    if text is None:
        raise NoFindings(case.artifact.no_about or f"{NOTE} was not handed in: it is empty, or not written yet.")
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise NoFindings(f"{NOTE} cannot be read: {shown(str(error))[:120]}") from None


def base(most: float) -> Judge:
    """Return the check that the base of the image was found."""

    def judge(case: Case) -> CheckResult:
        try:
            said = str(_findings(case).get("base") or "").removesuffix(":latest")
        except NoFindings as error:
            return none(most, str(error))
        if said == mystery(case.nonce).base:
            return full(most, f"The image stands on {said}.")
        what = f"The image does not stand on {shown(said)[:60]}." if said else f"{NOTE} names no base."
        return none(
            most, what, "", "Two images stand on the same base when their lowest layers are the same: how many?"
        )

    return judge


def steps(most: float) -> Judge:
    """Return the check of the counts: layers, settings, which layer brought the secret, and which removed it."""

    def judge(case: Case) -> CheckResult:
        try:
            said = _findings(case)
        except NoFindings as error:
            return none(most, str(error))
        truth = mystery(case.nonce).truth
        wrong = [name for name in WHERE if type(said.get(name)) is not int or said[name] != truth[name]]
        if not wrong:
            return full(most, "All four numbers are right.")
        right = len(WHERE) - len(wrong)
        why = f"{right} of {len(WHERE)} numbers are right; not yet: {', '.join(wrong)}."
        return part(most * right / len(WHERE), most, why, *WHERE[wrong[0]])

    return judge


def secret(most: float) -> Judge:
    """Return the check of the secret: of the learner's own image, and the one that a layer hides."""

    def judge(case: Case) -> CheckResult:
        try:
            said = str(_findings(case).get("secret") or "").strip()
        except NoFindings as error:
            return none(most, str(error))
        about = mystery(case.nonce)
        if said == about.secret:
            return full(most, "That is the token that a later layer hides: whoever has the image can read it.")
        if said == about.decoy:
            why = f"{said} is a token of the image, but any container can read that one: nothing hides it."
            return part(most / 3, most, why, "rm-shrinks", "Which file is in a layer, and in no container?")
        if TOKEN.fullmatch(said):
            why = (
                f"{said} is in no layer of your image: it was found in somebody else's, or under another name of yours."
            )
            return none(most, why, "", "Under which name do you submit, and which name does the notebook know you by?")
        what = f"{shown(said)[:40]!r} is not the token." if said else f"{NOTE} names no secret."
        return none(most, what, "rm-shrinks", "A file that was removed is still somewhere. Where?")

    return judge
