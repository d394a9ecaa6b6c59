"""The whole course, unattended: from the source to the CSV, with a class that makes every mistake that is listed.

What each submission must earn is written by hand in expected_ex1.csv and its like.
"""

import csv
import functools
import html
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import marks
import pytest
import submissions
from drydock.lessons import bases
from drydock.model.prose import as_text
from drydock.registry.server import process

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
FOLDERS = {"ex1": "ex1-pull-modify-push", "ex2": "ex2-build-push", "ex3": "ex3-play"}
EACH = pytest.mark.parametrize("name", FOLDERS)
NO_BYTECODE = ["ENV PYTHONDONTWRITEBYTECODE=1"]  # as drydock/python has it: what a step imports would be junk
HEARS = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # whoever started the tests may have muted it
ZIPPED = 10  # so many hand in a .zip, two fetch and submit through the exchange, the others' folders lie there
EXCHANGED = ("key", "explained")


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """The kit's own registry, empty."""
    home = tmp_path_factory.mktemp("registry")
    yield process.start(home, port=0).address
    process.stop(home)


@pytest.fixture
def own_home(tmp_path, monkeypatch):
    """A DRYDOCK_HOME of the test's own: what it builds is remembered there."""
    monkeypatch.setenv("DRYDOCK_HOME", str(tmp_path / "home"))


@EACH
@pytest.mark.docker
def test_the_answer_key_earns_full_marks_on_docker(name, daemon_url, registry, own_home, tmp_path):
    full_marks(name, daemon_url, registry, tmp_path)


@EACH
def test_the_answer_key_earns_full_marks_on_the_kits_own_engine(name, embedded, registry, own_home, tmp_path):
    full_marks(name, embedded, registry, tmp_path)


def full_marks(name, url, registry, tmp_path):
    """Run the key as its users do."""
    environment = os.environ | {"DOCKER_HOST": url, "DRYDOCK_REGISTRY": registry, "DRYDOCK_LEARNER": "ada"}
    done = subprocess.run(
        [sys.executable, ROOT / "grading" / "keys" / f"{name}.py"],
        env=environment, capture_output=True, text=True, cwd=tmp_path, timeout=600, check=False,
    )  # fmt: skip
    submissions.tidy(url, registry)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "20 of 20" in done.stdout


class Course:
    """One course in a folder of its own, with an exchange, and nbgrader as its instructor calls it."""

    def __init__(self, root):
        self.root, self.grading = root, root / "grading"
        self.exchange = root / "exchange"
        shutil.copytree(ROOT / "grading" / "source", root / "grading" / "source")
        self.exchange.mkdir(mode=0o777)
        self.exchange.chmod(0o777)
        self.environment = os.environ | {
            "DRYDOCK_COURSE": str(root), "DRYDOCK_EXCHANGE": str(self.exchange), "DRYDOCK_HOME": str(root / "home"),
            "JUPYTER_CONFIG_PATH": str(ROOT / "grading"), "JUPYTER_DATA_DIR": str(root / "jupyter"),
            "DOCKER_HOST": "unix:///nobody-listens-here", "IPYTHONDIR": str(root / "ipython"), "HOME": str(root),
        }  # fmt: skip

    def run(self, *command, cwd=None, code=0):
        done = subprocess.run(
            [sys.executable, "-m", *command],
            env=self.environment, cwd=cwd or self.root, capture_output=True, text=True, timeout=900, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout

    def short(self, *words, code=0):
        """Run one of the course's own four commands."""
        return self.run("drydock_grading.course", *words, code=code)

    def nbgrader(self, *words, cwd=None):
        return self.run("nbgrader", *words, "--log-level=ERROR", cwd=cwd)


@pytest.fixture(scope="module", params=["some", pytest.param("everybody", marks=pytest.mark.deep)])
def course(request, tmp_path_factory):
    """A course whose exercises were released; in make deep everybody's work then goes through nbgrader."""
    one = Course(tmp_path_factory.mktemp("course"))
    one.everybody = request.param == "everybody"
    one.said = one.short("release")
    return one


@pytest.fixture(scope="module")
def client(request, own):
    """A client of the kit's own engine, which every machine has; the keys run on Docker as well, above."""
    with own() as engine:
        for base in ("drydock/python", "drydock/base"):
            bases.make(engine.client, base)
        python = engine.client.containers.create("drydock/python")
        packed = b"".join(python.export())
        python.remove()
        engine.client.api.import_image_from_data(packed, repository="lab/other", changes=NO_BYTECODE)
        yield engine.client


@dataclass(frozen=True)
class Class:
    """Everybody's work on one exercise, and who of them handed it in: the others' artifacts are judged as they lie."""

    made: Path
    students: list[str]
    handed_in: list[str]


@pytest.fixture(scope="module")
def graded(course, client, registry, tmp_path_factory):
    """The exercises, handed in by a class in three ways, collected and graded: by some in make test, by all in deep.

    While one exercise's work is made on the engine, the one before is handed in and graded: two processors are used.
    """
    classes, running = {}, []
    before = os.environ.get("DRYDOCK_HOME")
    os.environ["DRYDOCK_HOME"] = str(course.root / "builds")
    try:
        with ThreadPoolExecutor(len(FOLDERS)) as others:
            for name, folder in FOLDERS.items():
                made = tmp_path_factory.mktemp(name)
                students = submissions.make(name, course.grading / "release" / folder, made, client, registry)
                some = students if course.everybody else sorted(submissions.through(name))
                classes[name] = Class(made, students, some)
                running.append(others.submit(handed_in_and_graded, course, folder, made, some))
            course.said = "".join(one.result() for one in running)
    finally:
        os.environ.pop("DRYDOCK_HOME") if before is None else os.environ.update(DRYDOCK_HOME=before)
    return classes


def handed_in_and_graded(course, folder, made, students):
    hand_in(course, folder, made, students)
    return course.short("grade", folder)


@pytest.fixture(scope="module")
def told(course, graded):
    """Everybody's feedback was written, and given back."""
    with ThreadPoolExecutor(len(FOLDERS)) as others:
        list(others.map(lambda folder: course.short("feedback", folder), FOLDERS.values()))


def hand_in(course, folder, made, students):
    """Hand in the folders: some by the exchange, some as .zip, the others as folders."""
    others = [s for s in students if s not in EXCHANGED]
    for student in EXCHANGED:
        fetched = made / "fetched" / student
        fetched.mkdir(parents=True)
        course.nbgrader("fetch_assignment", folder, cwd=fetched)
        shutil.copytree(made / student, fetched / folder, dirs_exist_ok=True)
        course.nbgrader("submit", folder, f"--student={student}", cwd=fetched)
    archive = course.grading / "downloaded" / folder / "archive"
    archive.mkdir(parents=True)
    for student in others[:ZIPPED]:
        shutil.make_archive(archive / student, "zip", made / student)
    (archive / "cut-short.zip").write_bytes(b"PK\x03\x04 and no more")
    for student in others[ZIPPED:]:
        shutil.copytree(made / student, course.grading / "submitted" / student / folder)
    course.nbgrader("zip_collect", folder)
    course.nbgrader("collect", folder)


def rows(name):
    with (Path(__file__).parent / f"expected_{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def earned(course, student, folder):
    """Return what each check earned, as the graded notebook has it."""
    (path,) = (course.grading / "autograded" / student / folder).glob("*.ipynb")
    points = {}
    for cell in json.loads(path.read_text())["cells"]:
        name = cell["metadata"].get("nbgrader", {}).get("grade_id", "")
        if name.startswith("test-"):
            (value,) = (o["data"]["text/plain"] for o in cell["outputs"] if o["output_type"] == "execute_result")
            points[name.removeprefix("test-")] = float("".join(value))
    return points


@EACH
def test_marks_are_those_of_the_table_written_by_hand(name, course, graded):
    expected = {row.pop("student"): row for row in rows(name)}
    assert graded[name].students == sorted(expected), "each submission has its row"
    wrong = {}
    for student, row in expected.items():
        row.pop("reason")
        if student in graded[name].handed_in:
            found = earned(course, student, FOLDERS[name])
        else:
            found = {check: points for check, (points, _) in judged(graded, name, student).items()}
        if found != pytest.approx({check: float(points) for check, points in row.items()}):
            wrong[student] = {c: (found.get(c), float(p)) for c, p in row.items() if found.get(c) != float(p)}
    assert wrong == {}


def judged(graded, name, student):
    """Return points and reason of each check on an artifact as it lies, by the grader's own function."""
    return marks.points(name, graded[name].made / student, student)


@EACH
def test_each_mistake_has_its_own_reason_in_the_feedback(name, course, graded, told):
    missing = {}
    for row in rows(name):
        if row["student"] in graded[name].handed_in:
            said = feedback(course, row["student"], FOLDERS[name])
        else:
            said = as_text(" ".join(reason for _, reason in judged(graded, name, row["student"]).values()))
        if row["reason"] not in said:
            missing[row["student"]] = row["reason"]
    assert missing == {}


def feedback(course, student, folder):
    (page,) = (course.grading / "feedback" / student / folder).glob("*.html")
    return html.unescape(re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8")))


@EACH
def test_feedback_shows_the_widgets_as_pictures_and_nothing_from_elsewhere(name, course, told):
    (page,) = (course.grading / "feedback" / "key" / FOLDERS[name]).glob("*.html")
    text = page.read_text(encoding="utf-8")
    assert "<figcaption>" in text and "data:image/svg+xml;base64," in text
    assert "vnd.jupyter.widget" not in text


def test_who_submitted_in_the_exchange_fetches_feedback_there(course, told, tmp_path):
    course.nbgrader("fetch_feedback", FOLDERS["ex2"], "--student=key", cwd=tmp_path)
    pages = [page.read_text(encoding="utf-8") for page in tmp_path.rglob("*.html")]
    assert pages and all("the step that runs prepare.py comes from the cache" in page for page in pages)


@EACH
def test_a_second_run_has_nothing_to_do_and_a_new_submission_is_graded_alone(name, course, graded):
    assert "0 to do" in course.short("grade", FOLDERS[name])
    os.utime(course.grading / "submitted" / "key" / FOLDERS[name] / "artifact.json")
    said = course.short("grade", FOLDERS[name])
    assert "1 to do" in said and re.search(r"1/1  key: 20 of 24", said)


def test_ctrl_c_stops_between_submissions_and_the_same_command_goes_on(course, graded):
    command = [sys.executable, "-m", "drydock_grading.course", "grade", "--again", FOLDERS["ex2"]]
    with subprocess.Popen(
        command, env=course.environment, cwd=course.root, stdout=subprocess.PIPE, text=True, preexec_fn=HEARS
    ) as running:
        while "1/" not in running.stdout.readline():
            assert running.poll() is None
        running.send_signal(signal.SIGINT)
        said = running.stdout.read()
    assert running.returncode == 130 and "the same command goes on" in said
    said = course.short("grade", FOLDERS["ex2"])
    assert re.search(r": [01] to do", said) and "FAILED" not in said


def test_the_marks_come_out_as_csv(course, graded):
    course.short("export")
    with (course.grading / "grades.csv").open(encoding="utf-8") as file:
        found = {(r["assignment"], r["student_id"]): float(r["score"]) for r in csv.DictReader(file)}
    for name, folder in FOLDERS.items():
        for row in (row for row in rows(name) if row["student"] in graded[name].handed_in):
            points = sum(float(v) for k, v in row.items() if k not in ("student", "reason"))
            assert found[folder, row["student"]] == points, row["student"]


def test_a_written_explanation_waits_for_a_person(course, graded):
    assert len(re.findall(r"explained: 20 of 24, the explanation waits for you", course.said)) == len(FOLDERS)


@EACH
def test_what_is_released_holds_no_answer(name, course):
    folder = course.grading / "release" / FOLDERS[name]
    text = "\n".join(p.read_text(encoding="utf-8") for p in folder.rglob("*") if p.is_file())
    assert "Protopapas" not in text and "SOLUTION" not in text and "HIDDEN" not in text
    assert 'CMD ["python3", "hello.py"]' not in text and "raise NotImplementedError" not in text
    assert (course.grading / "release" / f"{FOLDERS[name]}.zip").is_file()


def test_an_exercise_that_does_not_exist_is_answered_with_those_that_do(course):
    said = course.short("grade", "ex9", code=2)
    assert "no assignment 'ex9'" in said and "ex2-build-push" in said


@EACH
def test_the_exercise_is_written_as_the_course_promises(name):
    notebook = json.loads((ROOT / "grading" / "source" / FOLDERS[name] / f"{FOLDERS[name]}.ipynb").read_text())
    cells = notebook["cells"]
    code = [c for c in cells if c["cell_type"] == "code"]
    marked = [c["metadata"]["nbgrader"]["grade_id"] for c in cells if "nbgrader" in c["metadata"]]
    assert len(marked) == len(set(marked)) and all(c["outputs"] == [] for c in code)
    engine = re.compile(r"client\b|drydock\.(build|push|pull|plan|image)\(|again\(|talk\(")
    tags = {c["id"]: c["metadata"].get("tags", []) for c in code if engine.search("".join(c["source"]))}
    assert [id for id, tag in tags.items() if "drydock-do" not in tag] == []
    last = "again(pushed=image)" if "push" in FOLDERS[name] else "again()"
    assert last in "".join(code[-1]["source"]), "the last cell shows what will be graded"
    words = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    assert [w for w in ("minutes", "What you can do now", "**Challenge", "**Where next") if w not in words] == []
