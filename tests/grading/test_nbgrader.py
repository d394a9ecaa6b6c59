"""A small course through nbgrader itself: honest work is scored, whatever else comes in gains nothing and stops nobody."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from drydock_grading import bases
from drydock_grading.artifact import ARCHIVE
from drydock_grading.result import CheckResult, Score
from IPython.core.formatters import DisplayFormatter
from nbformat import v4
from nbgrader.utils import determine_grade
from thin import COURSE, GOOD1, ROOT, answered

pytestmark = pytest.mark.slow

NAME, BOOK = "ex1-demo", "demo"
ESSAY = "Explain what a commit is."


def mark(grade_id, kind, points=0):
    grade, solution = kind in ("test", "manual"), kind in ("do", "manual")
    return {
        "grade_id": grade_id, "grade": grade, "solution": solution, "locked": not solution, "schema_version": 3, "task": False,
        **({"points": points} if grade else {}),
    }  # fmt: skip


def source():
    """Return the source notebook: a cell that does, two checks, one with a hidden check, a plain test, an essay."""
    rows = [
        ("import", "from drydock_grading import check", mark("import", "locked")),
        ("do", "### BEGIN SOLUTION\nprint('DONE HERE')\n### END SOLUTION", mark("do", "do")),
        ("base", 'check("ex1.base")', mark("base", "test", 2)),
        ("answer", 'check("ex1.answer")', mark("answer", "test", 4)),
        ("mixed", 'check("ex1.cmd")\n### BEGIN HIDDEN TESTS\ncheck("ex1.nonce")\n### END HIDDEN TESTS', mark("mixed", "test", 2)),
        ("number", "### BEGIN SOLUTION\nnumber = 42\n### END SOLUTION", mark("number", "do")),
        ("plain", "assert number\n### BEGIN HIDDEN TESTS\nassert number == 42, 'SECRET TEST'\n### END HIDDEN TESTS", mark("plain", "test", 3)),
    ]  # fmt: skip
    nb = v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}})
    for _, text, about in rows:
        nb.cells.append(v4.new_code_cell(text, metadata={"nbgrader": about}))
    nb.cells[1].metadata["tags"] = ["drydock-do"]
    nb.cells.append(v4.new_markdown_cell(ESSAY, metadata={"nbgrader": mark("essay", "manual", 1)}))
    return nb


BIN = str(Path(sys.executable).parent)  # nbgrader calls alembic by its name
ENV = dict(
    os.environ, PATH=f"{BIN}{os.pathsep}{os.environ['PATH']}", PYTHONWARNINGS="ignore", JUPYTER_PLATFORM_DIRS="1"
)


@dataclass
class Course:
    """A course in a folder of its own, with the kit's own configuration."""

    root: Path
    released: dict = field(default_factory=dict)

    def run(self, *words, check=True):
        env = ENV | {"DRYDOCK_COURSE": str(self.root)}
        command = [sys.executable, "-m", "nbgrader", *words]
        done = subprocess.run(command, cwd=self.root, env=env, capture_output=True, text=True, timeout=1500)
        assert done.returncode == 0 or not check, done.stderr[-4000:]
        return done

    def submit(self, student, notebook, work=None):
        folder = self.root / "grading" / "submitted" / student / NAME
        folder.mkdir(parents=True)
        text = notebook if isinstance(notebook, bytes) else json.dumps(notebook).encode()
        (folder / f"{BOOK}.ipynb").write_bytes(text)
        if work is not None:
            work.write(folder)
        return folder

    def scores(self):
        """Return the points of each test cell by student, None where a human has to look."""
        from nbgrader.api import Gradebook

        with Gradebook(f"sqlite:///{self.root}/grading/gradebook.db") as book:
            return {
                s.student.id: {
                    g.name: None if g.needs_manual_grade else g.auto_score for n in s.notebooks for g in n.grades
                }
                for s in book.assignment_submissions(NAME)
            }


def mine(student):
    """Return work that earns all, on a base of the course's own list."""
    below = bases.load().known[0].diff_ids
    return GOOD1.but(learner=student, below=below, steps=(*COURSE, ("python3 Question.py", answered(student))))


def done(released, *, number="number = 42", **edit):
    """Return the released notebook as a student leaves it: the texts of cells by grade_id changed."""
    nb = json.loads(json.dumps(released))
    edit = {"number": number, "essay": "A commit makes an image of a container.", **edit}
    for cell in nb["cells"]:
        name = cell["metadata"].get("nbgrader", {}).get("grade_id")
        if name in edit:
            cell["source"] = edit[name]
    return nb


def cell(nb, name):
    return next(c for c in nb["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == name)


FULL = {"base": 2, "answer": 4, "mixed": 2, "plain": 3}
NONE = dict.fromkeys(FULL, 0)
UNDONE = FULL | {"plain": 0}  # the checks see the artifact, and the plain test a number that is wrong
BLANK = NONE


def forged_outputs(nb):
    for one in nb["cells"]:
        if one["cell_type"] == "code":
            one["execution_count"] = 7
            one["outputs"] = [
                {"output_type": "execute_result", "data": {"text/plain": "4.0"}, "metadata": {}, "execution_count": 7}
            ]
    return nb


def edited(nb, name, **metadata):
    cell(nb, name)["metadata"]["nbgrader"].update(metadata)
    return nb


def copied(nb, name, times=2):
    nb["cells"] += [json.loads(json.dumps(cell(nb, name))) for _ in range(times)]
    return nb


def removed(nb, *names):
    nb["cells"] = [c for c in nb["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") not in names]
    return nb


def retyped(nb, name, kind="markdown"):
    one = cell(nb, name)
    one["cell_type"] = kind
    one.pop("outputs", None), one.pop("execution_count", None)
    return nb


def turned(nb):
    nb["cells"].reverse()
    return nb


def tagged(nb, name, tag="drydock-do"):
    cell(nb, name)["metadata"]["tags"] = [tag]
    return nb


def set_to(nb, name, value):
    cell(nb, name)["metadata"]["nbgrader"] = value
    return nb


CHEAT = (
    "import drydock_grading, builtins\ncheck = lambda id: 99.0\ndrydock_grading.check = check\n"
    "import drydock_grading.checks.case as case\ncase.run = lambda *a: None\n"
    "get_ipython().showtraceback = lambda *a, **k: None\nprint('4.0')\n"
)
SWAP = (  # while it runs, the submission takes the place of what was handed in by another
    "import pathlib\nfor p in pathlib.Path('../../../submitted/swaps_artifact').glob('*/artifact.*'):\n    p.unlink()\nnumber = 42"
)


def students(released):
    """Return student -> (notebook, work, expected points)."""

    def fresh(**edit):
        return done(released, **edit)

    blank = json.loads(json.dumps(released))
    cheat = fresh(number=CHEAT + "number = 0")
    return {
        "good": (fresh(), mine("good"), FULL),
        "blank": (blank, None, BLANK),
        "no_artifact": (fresh(), None, NONE | {"plain": 3}),
        "partial": (fresh(), mine("partial").but(cmd=("ls",)), FULL | {"mixed": 1.6}),
        "not_an_image": (fresh(), "no tar", NONE | {"plain": 3}),
        "somebody_elses": (fresh(), mine("good"), FULL | {"mixed": 0.8}),
        "claims": (cheat, None, NONE),
        "claims_with_work": (cheat, mine("claims_with_work"), UNDONE),
        "forged_outputs": (forged_outputs(blank | {}), None, NONE),
        "says_do": (fresh(do="print('DONE HERE')\nraise SystemExit"), mine("says_do"), FULL),
        "do_untagged": (tagged(fresh(do="raise SystemExit"), "do", "x"), mine("do_untagged"), FULL),
        "skips_test": (tagged(fresh(number="number = 0"), "plain"), mine("skips_test"), UNDONE),
        "copied": (copied(fresh(), "base"), mine("copied"), FULL),
        "copied_answer": (copied(fresh(), "number"), mine("copied_answer"), FULL),
        "deleted": (removed(fresh(), "base", "plain", "mixed"), mine("deleted"), FULL),
        "deleted_all": (removed(fresh(), *FULL, "import", "do", "essay"), mine("deleted_all"), FULL),
        "retyped": (retyped(retyped(fresh(), "answer"), "plain", "raw"), mine("retyped"), FULL),
        "turned": (turned(fresh()), mine("turned"), UNDONE),
        "renamed_cell": (edited(fresh(), "base", grade_id="easy"), mine("renamed_cell"), FULL),
        "more_points": (edited(fresh(), "base", points=1000), mine("more_points"), FULL),
        "unlocked": (edited(fresh(base="2.0"), "base", locked=False, solution=True), mine("unlocked").but(below=()), FULL | {"base": 0}),
        "odd_metadata": (set_to(fresh(), "base", [1, {"grade_id": "x"}]), mine("odd_metadata"), FULL),
        "old_schema": (edited(fresh(), "base", schema_version=-7), mine("old_schema"), FULL),
        "new_schema": (edited(fresh(), "base", schema_version=99), mine("new_schema"), FULL),
        "edited_test": (fresh(plain="pass", base="print(2.0)"), mine("edited_test").but(below=()), FULL | {"base": 0}),
        "kernel_dies": (fresh(number="import os\nos._exit(0)"), mine("kernel_dies"), UNDONE),
        "broken_json": (b'{"cells": [', mine("broken_json"), UNDONE),
        "deep_json": (b"[" * 100_000, mine("deep_json"), UNDONE),
        "not_a_notebook": (b"PK\3\4 a zip", mine("not_a_notebook"), UNDONE),
        "link": (fresh(), None, NONE | {"plain": 3}),
        "pipe": (fresh(), mine("pipe"), FULL),
        "bad_time": (fresh(), mine("bad_time"), FULL),
        "swaps_artifact": (fresh(number=SWAP), mine("good"), FULL | {"mixed": 0.8}),
    }  # fmt: skip


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """The course after release, thirty submissions, autograde and feedback."""
    root = tmp_path_factory.mktemp("course")
    (root / "grading" / "source" / NAME).mkdir(parents=True)
    text = f'load_subconfig("nbgrader_config.py", path={str(ROOT / "grading")!r})\n'
    (root / "nbgrader_config.py").write_text(text)
    (root / "grading" / "source" / NAME / f"{BOOK}.ipynb").write_text(json.dumps(source()))
    made = Course(root)
    made.run("generate_assignment", NAME)
    made.released = json.loads((root / "grading" / "release" / NAME / f"{BOOK}.ipynb").read_text())
    for student, (notebook, work, _) in students(made.released).items():
        folder = made.submit(student, notebook, None if isinstance(work, str) else work)
        if isinstance(work, str):
            (folder / ARCHIVE).write_text(work)
    link = root / "grading" / "submitted" / "link" / NAME
    for name in (ARCHIVE, "artifact.json"):
        (link / name).symlink_to(root / "grading" / "submitted" / "good" / NAME / name)
    (link / "passwords").symlink_to("/etc/passwd")
    os.mkfifo(root / "grading" / "submitted" / "pipe" / NAME / "notes.txt")
    (root / "grading" / "submitted" / "bad_time" / NAME / "timestamp.txt").write_text("tomorrow, or so")
    made.log = made.run("autograde", NAME).stderr
    made.run("generate_feedback", NAME)
    return made


def test_every_submission_is_graded_and_none_stops_the_others(course):
    expected = {student: points for student, (_, _, points) in students(course.released).items()}
    scores = course.scores()
    assert {s: {k: v for k, v in points.items() if k != "essay"} for s, points in scores.items()} == {
        student: pytest.approx(points) for student, points in expected.items()
    }


def test_what_was_wrong_with_a_notebook_is_noted_for_student_and_instructor(course):
    said = {
        s: feedback(course, s)
        for s in ("copied", "deleted", "retyped", "renamed_cell", "broken_json", "edited_test", "good")
    }
    assert "the cell <code>base</code> is there 3 times: cell" in said["copied"]
    assert "the cell <code>plain</code> was missing and was put back" in said["deleted"]
    assert "was made a markdown cell; it is a code cell again" in said["retyped"]
    assert "a cell calls itself <code>easy</code>" in said["renamed_cell"]
    assert "The notebook could not be read" in said["broken_json"]
    assert "<code>base</code> was changed; the test that counts is the course" in said["edited_test"]
    assert "Noted when this work came in" not in said["good"]
    assert "copied, demo: the cell `base` is there 3 times" in course.log


def feedback(course, student):
    return (course.root / "grading" / "feedback" / student / NAME / f"{BOOK}.html").read_text()


def test_feedback_gives_the_reason_and_never_what_hidden_checks_say(course):
    other, good, wrong = (feedback(course, s) for s in ("somebody_elses", "good", "claims_with_work"))
    assert "A container starts with cat Answer.txt" in good
    assert "A hidden check: 0 of 3 points." in other and "A hidden check: 3 of 3 points." in good
    for page in (other, good, wrong):
        assert "is not yours" not in page and "ex1.nonce" not in page and "HIDDEN TESTS" not in page
        assert "SECRET TEST" not in page and "The code in it is yours" not in page
    assert "There is no artifact.oci.tar beside the notebook" in feedback(course, "no_artifact")


def test_a_verdict_is_shown_once_and_its_points_are_no_line_of_their_own(course):
    page = feedback(course, "good")
    assert page.count("A container starts with cat Answer.txt") == 1
    folder = course.root / "grading" / "autograded" / "good" / NAME
    base = cell(json.loads((folder / f"{BOOK}.ipynb").read_text()), "base")
    assert ["".join(output["data"]["text/plain"]) for output in base["outputs"]] == ["2"]
    assert "2 of 2 points." in page and not re.search(r"<pre>\s*[\d.]+\s*</pre>", page)


def test_a_checks_value_shows_its_verdict_and_is_partial_credit_to_nbgrader():
    data, _ = DisplayFormatter().format(Score(CheckResult(1.5, 2, False, "`CMD` is nearly right")))
    assert data["text/html"].endswith("1.5 of 2 points. <code>CMD</code> is nearly right</div>")
    output = v4.new_output("execute_result", data=data)
    graded = v4.new_code_cell('check("ex1.base")', metadata={"nbgrader": mark("base", "test", 2)}, outputs=[output])
    assert determine_grade(graded) == (1.5, 2)


def test_cells_that_do_are_not_executed_and_keep_their_text(course):
    folder = course.root / "grading" / "autograded" / "says_do" / NAME
    nb = json.loads((folder / f"{BOOK}.ipynb").read_text())
    cell_do = cell(nb, "do")
    assert "DONE HERE" in "".join(cell_do["source"]) and cell_do["outputs"] == []
    assert cell_do["metadata"]["tags"] == ["drydock-do"]


def test_a_submissions_links_are_not_followed_into_the_graded_folder(course):
    folder = course.root / "grading" / "autograded" / "link" / NAME
    assert sorted(p.name for p in folder.iterdir()) == [f"{BOOK}.ipynb"]


def test_marks_are_exported_and_grading_again_changes_nothing(course, tmp_path):
    before = course.scores()
    course.run("autograde", NAME, "--force", "--student", "copied")
    assert course.scores() == before
    course.run("export", "--to", str(tmp_path / "marks.csv"))
    rows = {row["student_id"]: row for row in csv.DictReader((tmp_path / "marks.csv").read_text().splitlines())}
    assert float(rows["good"]["raw_score"]) == sum(FULL.values()) and float(rows["blank"]["raw_score"]) == 0
    assert len(rows) == len(students(course.released))


def test_validate_runs_the_same_checks_beside_the_students_notebook(course, tmp_path):
    shutil.copytree(course.root / "grading" / "submitted" / "good" / NAME, tmp_path / "mine")
    env = ENV | {"DRYDOCK_LEARNER": "good"}
    command = [sys.executable, "-m", "nbgrader", "validate", f"{BOOK}.ipynb"]
    done = subprocess.run(command, cwd=tmp_path / "mine", env=env, capture_output=True, text=True, timeout=400)
    assert "Success! Your notebook passes all the tests." in done.stdout, done.stdout + done.stderr
    (tmp_path / "mine" / ARCHIVE).unlink()
    done = subprocess.run(command, cwd=tmp_path / "mine", env=env, capture_output=True, text=True, timeout=400)
    assert "VALIDATION FAILED ON 3 CELL(S)" in done.stdout, done.stdout + done.stderr
