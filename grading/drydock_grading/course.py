"""The course in four commands, each nbgrader's own for every assignment and student: release, grade, feedback, export.

A fifth, exercises, keeps what students get in the repository, for those who learn without an instructor.

One line for each submission; what goes wrong with one stops no other; stopped half-way, the same command goes on.
"""

from __future__ import annotations

import argparse
import logging
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from nbgrader.api import MissingEntry
from nbgrader.apps import NbGrader, NbGraderAPI
from nbgrader.plugins import CsvExportPlugin
from nbgrader.utils import capture_log
from sqlalchemy.exc import SAWarning

from drydock_grading import folders
from drydock_grading.progress import Progress

NO_ASSIGNMENT = "There is no assignment {name!r}. There are: {known}.\nTry: python3 run.py {command} {near}"
NOTHING = {
    "submitted": "Nothing was submitted: no student in {folder} has it.\nTry: python3 run.py nbgrader collect {name}",
    "autograded": "Nothing was graded: no student in {folder} has it.\nTry: python3 run.py grade {name}",
}
NO_EXCHANGE = "No exchange at {root}, so hand out the .zip, or the folder."
STOPPED = "Stopped. What was done stays; the same command goes on with the rest."


def api() -> NbGraderAPI:
    """Return nbgrader's own interface on the course that its configuration names."""
    warnings.filterwarnings("ignore", category=SAWarning)  # nbgrader's own use of its database: nothing to be done
    app = NbGrader()
    app.load_config_file()
    app.config.NbGraderAPI.log_level = "ERROR"
    course = NbGraderAPI(config=app.config)
    course.log.handlers[:] = [logging.NullHandler()]  # what it logs is in each result, and shown where it failed
    course.log.propagate = False
    return course


def release(course: NbGraderAPI, names: Sequence[str]) -> int:
    """Make what students get: a folder, a .zip of it, and a copy in the exchange where there is one."""
    failed = 0
    for name in names:
        result = course.generate_assignment(name)
        failed += _told(name, result, "made")
        if not result["success"]:
            continue
        folder = _path(course, "release", ".", name)
        print(f"  {shutil.make_archive(str(folder), 'zip', folder.parent, name)}")
        if not course.exchange_is_functional:
            print("  " + NO_EXCHANGE.format(root=course.exchange_root))
            continue
        about = {"coursedir": course.coursedir, "authenticator": course.authenticator, "parent": course}
        course.coursedir.assignment_id = name
        exchange = course.exchange.ReleaseAssignment(**about)
        exchange.force = True
        failed += _told(name, capture_log(exchange), f"released to {course.exchange_root}")
    return 1 if failed else 0


def exercises(course: NbGraderAPI, names: Sequence[str]) -> int:
    """Make the folder exercises anew: what students get, kept in the repository without a solution."""
    failed = 0
    for name in names:
        result = course.generate_assignment(name)
        failed += _told(name, result, f"made, and put into exercises/{name}")
        if result["success"]:
            place = Path(course.coursedir.root, "exercises", name)
            shutil.copytree(_path(course, "release", ".", name), place, dirs_exist_ok=True)
    return 1 if failed else 0


def grade(course: NbGraderAPI, names: Sequence[str], again: bool = False) -> int:
    """Autograde every submission that is new or was changed since, or all of them `again`."""

    def one(name: str, student: str) -> str:
        submitted = _path(course, "submitted", student, name)
        note = folders.complete(submitted, _path(course, "release", ".", name))
        _done(course.autograde(name, student, force=True))
        with course.gradebook as gradebook:
            found = gradebook.find_submission(name, student)
            waits = ", the explanation waits for you" if found.needs_manual_grade else ""
            return f"{found.score:g} of {found.max_score:g}{waits}{note}"

    def fresh(name: str, student: str) -> bool:
        places = [_path(course, step, student, name) for step in ("submitted", "autograded")]
        return again or folders.newer(*places) or not _known(course, name, student)

    return _each(course, names, "submitted", one, fresh)


def feedback(course: NbGraderAPI, names: Sequence[str]) -> int:
    """Write every graded student's feedback, and put it into the exchange for those who submitted there."""

    def one(name: str, student: str) -> str:
        _done(course.generate_feedback(name, student))
        came_by_exchange = (_path(course, "submitted", student, name) / "submission_secret.txt").is_file()
        if came_by_exchange and course.exchange_is_functional:
            _done(course.release_feedback(name, student))
        return str(_path(course, "feedback", student, name).relative_to(course.coursedir.root))

    return _each(course, names, "autograded", one, lambda name, student: True)


def export(course: NbGraderAPI, names: Sequence[str]) -> int:
    """Write the marks of all students as CSV."""
    to = Path(course.coursedir.root, "grading", "grades.csv")
    plugin = CsvExportPlugin(parent=course)
    plugin.to, plugin.assignment = str(to), list(names)
    with course.gradebook as gradebook:
        plugin.export(gradebook)
    print(f"{len(to.read_text(encoding='utf-8').splitlines()) - 1} rows: {to}")
    return 0


class Failed(RuntimeError):
    """nbgrader could not do its work on one submission; the message is its reason in one line."""


def _each(
    course: NbGraderAPI,
    names: Sequence[str],
    step: str,
    one: Callable[[str, str], str],
    fresh: Callable[[str, str], bool],
) -> int:
    """Do one thing for every student of these assignments, a line each, and return the exit code."""
    failed = 0
    for name in names:
        students = sorted(_students(course, step, name))
        todo = [student for student in students if fresh(name, student)]
        print(
            f"{name}: {len(todo)} to do" + f", {len(students) - len(todo)} as they were" * (len(todo) < len(students))
        )
        if not students:
            print(NOTHING[step].format(name=name, folder=_folder(course, step)))
        progress = Progress(len(todo))
        for student in todo:
            try:
                progress.step(student, one(name, student))
            except Failed as error:
                failed += 1
                progress.step(student, f"FAILED: {error}")
    if failed:
        print(f"{failed} failed: the reasons are above; the others are done.")
    return 1 if failed else 0


def _students(course: NbGraderAPI, step: str, name: str) -> Iterator[str]:
    root = _folder(course, step)
    for place in root.glob(f"*/{name}") if root.is_dir() else ():
        if place.is_dir() and not place.is_symlink():
            yield place.parent.name


def _path(course: NbGraderAPI, step: str, student: str, name: str) -> Path:
    directory = getattr(course.coursedir, f"{step}_directory")
    return Path(course.coursedir.format_path(directory, student, name))


def _folder(course: NbGraderAPI, step: str) -> Path:
    """Return the folder of one step: students' folders are in it."""
    return _path(course, step, "student", "assignment").parents[1]


def _known(course: NbGraderAPI, name: str, student: str) -> bool:
    """Return True where every test of a submission has its points: a power cut may have left some out."""
    with course.gradebook as gradebook:
        try:
            grades = [g for nb in gradebook.find_submission(name, student).notebooks for g in nb.grades]
        except MissingEntry:
            return False
        return all(g.auto_score is not None for g in grades if g.cell.cell_type == "code")


def _done(result: dict[str, Any]) -> None:
    """Raise what nbgrader caught: Failed with its reason, and the keyboard's interrupt, which it catches, too."""
    if result["success"]:
        return
    if "KeyboardInterrupt" in result["error"]:
        raise KeyboardInterrupt
    raise Failed(_reason(result))


def _reason(result: dict[str, Any]) -> str:
    """Return the line that says why.

    >>> _reason({"log": "[ERROR] Traceback\\n  File ...\\nValueError: odd\\n[ERROR] There was an error", "error": "x"})
    'ValueError: odd'
    """
    lines = [line for text in (result.get("log", ""), result["error"]) for line in text.splitlines()]
    errors = [line.strip() for line in lines if re.match(r" {0,4}[\w.]+(Error|Exception|Entry): ", line)]
    return str((errors or lines or ["no reason was given"])[0])[:300]


def _told(name: str, result: dict[str, Any], what: str) -> int:
    """Say how one step went, and return 1 where it failed."""
    try:
        _done(result)
    except Failed as error:
        print(f"{name}: FAILED: {error}")
        return 1
    print(f"{name}: {what}")
    return 0


COMMANDS = {"exercises": exercises, "release": release, "grade": grade, "feedback": feedback, "export": export}


def main(arguments: Iterable[str] | None = None) -> int:
    """Run one of these commands and return its exit code; Ctrl-C gives 130."""
    parser = argparse.ArgumentParser(prog="python3 run.py", description="Release, grade, give feedback, export marks.")
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("assignment", nargs="*", help="which; all of them where none is named")
    parser.add_argument("--again", action="store_true", help="grade: also what was graded before and is unchanged")
    asked = parser.parse_intermixed_args(None if arguments is None else list(arguments))
    course = api()
    known = sorted(course.get_source_assignments())
    for name in asked.assignment:
        if name not in known:
            near = next((one for one in known if one.startswith(name)), known[0] if known else "")
            print(NO_ASSIGNMENT.format(name=name, known=", ".join(known), command=asked.command, near=near))
            return 2
    options = {"again": asked.again} if asked.command == "grade" else {}
    try:
        return COMMANDS[asked.command](course, asked.assignment or known, **options)
    except KeyboardInterrupt:
        print(STOPPED)
        return 130


if __name__ == "__main__":
    sys.exit(main())
