"""What a container of the image starts with when nothing is said, and whether it can be told otherwise."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Sequence

from drydock.model.dockerfile import Dockerfile, Instruction, parse
from drydock.model.layer import shown
from drydock.model.lines import DockerfileError

from drydock_grading.checks.case import Case, Judge
from drydock_grading.result import CheckResult, full, none, part

WHICH = "Which instruction runs during the build, and which when a container starts?"
NOTHING = "What should a container do when nothing is said?"
SHELLS = (["/bin/sh", "-c"], ["/bin/bash", "-c"], ["sh", "-c"])


def starts(most: float, path: str, shell: float = 0, before: tuple[str, ...] = ()) -> Judge:
    """Return the check that CMD starts (or shows) the file at `path`; the shell form loses `shell` points.

    `before` is the CMD that the image had when it was given out.
    `docker run IMAGE other words` replaces CMD and never ENTRYPOINT, so what a user may want to change belongs in CMD.
    """
    name = path.rpartition("/")[2]

    def judge(case: Case) -> CheckResult:
        config = case.image.config
        entry, command = _words(config.entrypoint), _words(config.cmd)
        if _names(entry, name):
            why = f"ENTRYPOINT starts {name}: `docker run IMAGE sh` starts it too, with `sh` as its argument."
            hint = "Which of the two do the words after the image's name replace?"
            return part(most - max(1, shell), most, why, "arguments-replace-entrypoint", hint)
        if not _names(command, name):
            return _wrong(case, most, name, before)
        word = next(word for word in command if posixpath.basename(word) == name)
        place = posixpath.normpath(posixpath.join("/", config.workdir, word)).lstrip("/")
        if place not in case.tree:
            why = f"A container starts in {shown(config.workdir) or '/'} and finds no /{shown(place)} there."
            hint = f"In which folder does {name} stand, and in which does a container start?"
            return part(round(most / 3), most, why, "", hint)
        if list(config.cmd[:2]) in SHELLS and shell:
            why = f"CMD starts {name}, by way of a shell: the shell is process 1 and gets the signals."
            return part(most - shell, most, why, "", "There are two ways to write CMD. Which one needs no shell?")
        return full(most, f"A container starts with {shown(' '.join([*entry, *command]))}, and can be told otherwise.")

    return judge


def _wrong(case: Case, most: float, name: str, before: tuple[str, ...]) -> CheckResult:
    config = case.image.config
    inherited = list(config.cmd) in ([], ["python3"], ["sh"], ["/bin/sh"], ["bash"])
    told = [row.instruction for row in case.image.history]
    ran = [text for text in told if text.startswith("RUN") and name in text]
    if ran:
        why = f"{name} ran while the image was built (`{shown(ran[0])[:80]}`), and a container does not start it."
        return none(most, why, "run-is-cmd", WHICH)
    if inherited:
        said = shown(" ".join(config.cmd)) or "nothing"
        why = f"The image has no CMD of its own: a container starts with {said}."
        return none(most, why, "run-is-cmd", NOTHING)
    why = f"A container starts with {shown(' '.join(config.cmd))[:80]}, not with {name}."
    earned = 0 if config.cmd == before else round(most / 3)
    return part(earned, most, why, "", "Start a container without any words after the image's name. What comes?")


def _words(command: Sequence[str]) -> list[str]:
    """Return the words of a command; the shell form is one text that a shell would split."""
    if list(command[:2]) not in SHELLS or len(command) != 3:
        return list(command)
    try:
        return shlex.split(command[2])
    except ValueError:
        return command[2].split()


def _names(words: Sequence[str], name: str) -> bool:
    return any(posixpath.basename(word) == name for word in words)


def repaired(most: float, path: str, program: str) -> Judge:
    """Return the check that a Dockerfile starts the program by CMD when a container starts, and never by RUN."""

    def judge(case: Case) -> CheckResult:
        recipe = case.artifact.about.recipes.get(path)
        if recipe is None:
            return none(most, f"{path} was not handed in.", "", "Which Dockerfiles does the cell that packs name?")
        try:
            dockerfile = parse(recipe.text)
        except DockerfileError as error:
            return none(most, f"{path} cannot be built. {shown(str(error))[:200]}")
        run, start = (_lines(dockerfile, program, *keys) for keys in (("RUN",), ("CMD", "ENTRYPOINT")))
        if start and not run:
            return full(most, f"{path}: a container starts {program}, and the build does not.")
        if start:
            why = f"{path} starts {program} in a container, but line {run[0].lines[0]} also runs it while building."
            hint = "When does a RUN run, and whom does its output reach?"
            return part(most * 2 / 3, most, why, "run-is-cmd", hint)
        if run:
            why = f"{path}: {program} runs in line {run[0].lines[0]}, while the image is built, and in no container."
            return none(most, why, "run-is-cmd", WHICH)
        return none(most, f"{path}: nothing starts {program}.", "run-is-cmd", NOTHING)

    return judge


def _lines(dockerfile: Dockerfile, program: str, *keywords: str) -> list[Instruction]:
    """Return the instructions of the stage that becomes the image that name the program; of several CMDs the last."""
    mine = [i for i in dockerfile.stages[-1].instructions if i.keyword in keywords]
    if "RUN" not in keywords:
        mine = list({i.keyword: i for i in mine}.values())
    return [i for i in mine if program in i.arguments]
