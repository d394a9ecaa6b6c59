"""Every check on good, partial and wrong work: each mistake has its own points and its own reason."""

from pathlib import Path

import pytest
from drydock_grading import bases
from drydock_grading.artifact import nonce
from drydock_grading.assignments import ASSIGNMENTS
from drydock_grading.misconceptions import MISCONCEPTIONS
from drydock_grading.remote import NotThere
from thin import (
    BASE,
    BASES,
    CODE,
    COURSE,
    GOOD1,
    GOOD2,
    HELLO,
    PREPARE,
    RIGHT,
    WORKDIR,
    answered,
    course_files,
    given,
    judged,
    recipes,
)  # fmt: skip

ANSWERED = ("python3 Question.py", answered())
TOKEN = b"dckr_pat_of-no-use-to-anybody-0001\n"


def with_files(work, **at):
    """Return the work with files laid over one of its steps, by its number: s3={"path": b"..."}."""
    steps = list(work.steps)
    for place, files in at.items():
        text, before = steps[int(place[1:])]
        steps[int(place[1:])] = (text, {**(before or {}), **files})
    return work.but(steps=tuple(steps))


def plus(work, *steps):
    return work.but(steps=(*work.steps, *steps))


def squashed(work):
    files = {}
    for _, some in work.steps:
        files |= some or {}
    return work.but(below=(), steps=(("", files),))


def test_good_work_earns_all_points_and_says_why(tmp_path):
    for work in (GOOD1, GOOD2):
        found = judged(work.write(tmp_path), work.assignment)
        assert {k: r.reason for k, r in found.items() if not r.passed} == {}
        assert sum(r.points for r in found.values()) == ASSIGNMENTS[work.assignment].points == 20
        assert all(r.reason and not r.hint for r in found.values())


STRANGER = nonce("ex1", "somebody else")
MISTAKES1 = {  # what: (work, {check: points}, words of the reason, misconception of the first)
    "squashed": (squashed(GOOD1), {"base": 0, "layer": 0}, "one layer", "commit-makes-images"),
    "another base": (GOOD1.but(below=("sha256:" + "d" * 64,)), {"base": 0}, "not those of drydock/python", ""),
    "nothing changed": (GOOD1.but(steps=COURSE, cmd=("cat", "Readme.txt")), {"layer": 0, "answer": 0, "nonce": 0, "cmd": 0, "clean": 0, "secret": 0}, "no layer of yours", "image-runs"),
    "course image not underneath": (
        GOOD1.but(steps=(("/bin/sh -c x", {"course": None}), ANSWERED)), {"course": 0, "layer": 0}, "not there", "",
    ),
    "all in one layer": (
        GOOD1.but(steps=(COURSE[0], ("COPY", course_files() | answered()))), {"layer": 0}, "no layer of yours", "image-runs",
    ),
    "Question.py changed": (with_files(GOOD1, s3={"course/Question.py": b"#"}), {"course": 1}, "is not the file you were given", ""),
    "Readme.txt removed": (
        plus(GOOD1, ("rm", {"course/.wh.Readme.txt": b""})), {"course": 1}, "a later one removed it", "",
    ),
    "wrong answer": (GOOD1.but(steps=(*COURSE, ("q", answered(professor="Ada")))), {"answer": 0}, "says 'Ada'", ""),
    "first name only": (GOOD1.but(steps=(*COURSE, ("q", answered(professor="Pavlos")))), {"answer": 2}, "first name alone", ""),
    "by hand": (
        with_files(GOOD1, s3={"course/Answer.txt": f"it is protopapas, code: \ncode: {nonce('ex1', 'ada')}".encode()}),
        {"answer": 2}, "not as Question.py writes it", "",
    ),
    "wrong place": (
        GOOD1.but(steps=(*COURSE, ("q", answered(path="root/answer.txt")))),
        {"answer": 1, "layer": 1, "nonce": 0, "cmd": 1}, "stands in /root/answer.txt", "",
    ),
    "answer removed": (
        plus(GOOD1, ("rm", {"course/.wh.Answer.txt": b""})), {"answer": 0, "nonce": 0, "cmd": 1}, "a later layer removed it", "rm-shrinks",
    ),
    "somebody else's": (GOOD1.but(steps=(*COURSE, ("q", answered("somebody else")))), {"nonce": 0}, f"{STRANGER} is not yours", ""),
    "no code": (with_files(GOOD1, s3={"course/Answer.txt": b"professor: Pavlos Protopapas\n"}), {"nonce": 0}, "no line `code: ...`", ""),
    "a code that is none": (
        with_files(GOOD1, s3={"course/Answer.txt": b"professor: Protopapas\ncode: 1234\n"}), {"nonce": 0}, "is no code", "",
    ),
    "CMD not changed": (GOOD1.but(cmd=("cat", "Readme.txt")), {"cmd": 0}, "starts with cat Readme.txt", ""),
    "CMD of something else": (GOOD1.but(cmd=("ls",)), {"cmd": 1}, "starts with ls", ""),
    "no CMD": (GOOD1.but(cmd=()), {"cmd": 0}, "no CMD of its own", "run-is-cmd"),
    "ENTRYPOINT": (GOOD1.but(cmd=(), entrypoint=("cat", "Answer.txt")), {"cmd": 1}, "ENTRYPOINT", "arguments-replace-entrypoint"),
    "other folder": (GOOD1.but(workdir="/"), {"cmd": 1}, "finds no /Answer.txt there", ""),
    "junk": (with_files(GOOD1, s3={"course/__pycache__/x.pyc": b"x"}), {"clean": 0}, "Python's bytecode", ""),
    "hidden junk": (
        plus(with_files(GOOD1, s3={"course/.git/HEAD": b"x"}), ("rm", {"course/.wh..git": b""})),
        {"clean": 0}, "A later layer hides it", "rm-shrinks",
    ),
    "secret": (with_files(GOOD1, s3={"course/mine.txt": TOKEN}), {"secret": 0}, "a Docker Hub token: /course/mine.txt", ""),
    "hidden secret": (
        plus(with_files(GOOD1, s3={"root/.env": b"A=1"}), ("rm", {"root/.wh..env": b""})),
        {"secret": 0}, "whoever has the image can read it", "rm-shrinks",
    ),
    "too many layers": (plus(GOOD1, *[("x", {f"course/{n}": b"x"}) for n in range(3)]), {"layer": 1}, "4 layers on top", "commit-makes-images"),
    "not pushed": (GOOD1.but(pushed=""), {"pushed": 0}, "Nothing says", "push-sends-all"),
    "pushed before the change": (GOOD1.but(pushed_config="sha256:" + "e" * 64), {"pushed": 0}, "another image", "push-sends-all"),
    "pushed to the course": (GOOD1.but(pushed="localhost:5055/course/ac295_playground"), {"pushed": 0}, "the course's repository", ""),
    "pushed under another name": (GOOD1.but(pushed="ada/playground"), {"pushed": 1}, "the repository is playground", ""),
}  # fmt: skip


def built(text, *steps, **more):
    return GOOD2.but(steps=(WORKDIR, *steps), recipes=recipes(text), **more)


AS_GIVEN = "FROM drydock/python\nWORKDIR /course\nCOPY . .\nRUN python3 prepare.py\n"
ALL = ("COPY dir:1 in . ", given("Question.py", "Readme.txt", "names.txt", "prepare.py"))
README_LATE = RIGHT.replace("COPY prepare.py names.txt ./", "COPY prepare.py names.txt Question.py ./")
MISTAKES2 = {
    "hello runs at build": (GOOD2.but(recipes=recipes(hello=HELLO.replace("CMD", "RUN"))), {"hello": 0}, "line 4, while the image is built", "run-is-cmd"),
    "hello runs twice": (GOOD2.but(recipes=recipes(hello=HELLO.replace("CMD", "RUN python3 hello.py\nCMD"))), {"hello": 2}, "also runs it", "run-is-cmd"),
    "hello starts nothing": (GOOD2.but(recipes=recipes(hello="FROM drydock/python\nCOPY hello.py .\n")), {"hello": 0}, "nothing starts hello.py", "run-is-cmd"),
    "hello CMD overridden": (GOOD2.but(recipes=recipes(hello=HELLO + "CMD true\n")), {"hello": 0}, "nothing starts hello.py", "run-is-cmd"),
    "hello does not parse": (GOOD2.but(recipes=recipes(hello="FORM x")), {"hello": 0}, "cannot be built", ""),
    "no Dockerfiles": (GOOD2.but(recipes={}), {"hello": 0, "cache": 0}, "was not handed in", ""),
    "variables without end": (GOOD2.but(recipes=recipes(RIGHT.replace("ARG C", "ENV A=x\n" + "ENV A=$A$A\n" * 60 + "ARG C", 1))), {"cache": 0}, "variables made of variables", ""),
    "no CMD": (GOOD2.but(cmd=("python3",)), {"cmd": 0}, "no CMD of its own", "run-is-cmd"),
    "question asked while building": (
        GOOD2.but(cmd=("python3",), steps=(*GOOD2.steps[:-1], ("/bin/sh -c python3 Question.py", {"x": b""}))),
        {"cmd": 0, "cache": 0}, "ran while the image was built", "run-is-cmd",
    ),
    "shell form": (GOOD2.but(cmd=("/bin/sh", "-c", "python3 Question.py")), {"cmd": 2}, "by way of a shell", ""),
    "ENTRYPOINT": (GOOD2.but(cmd=(), entrypoint=("python3", "Question.py")), {"cmd": 2}, "ENTRYPOINT", "arguments-replace-entrypoint"),
    "starts something else": (GOOD2.but(cmd=("python3", "prepare.py")), {"cmd": 1}, "not with Question.py", ""),
    "not prepared": (
        GOOD2.but(steps=tuple(s for s in GOOD2.steps if s is not PREPARE), recipes=recipes(RIGHT.replace("RUN python3 prepare.py\n", ""))),
        {"files": 1, "cache": 0}, "/course/names.json is not there", "",
    ),
    "order as given": (built(AS_GIVEN, ALL, PREPARE), {"cache": 0}, "runs prepare.py, runs again", "order-is-free"),
    "half an order": (
        built(README_LATE, ("COPY 1", given("prepare.py", "names.txt", "Question.py")), PREPARE, ("COPY 2", given("Question.py", "Readme.txt"))),
        {"cache": 1}, "runs again", "order-is-free",
    ),
    "Dockerfile edited after the build": (built(RIGHT, ALL, PREPARE), {"cache": 0}, "was not built from playground/Dockerfile", "image-runs"),
    "token left in": (with_files(GOOD2, s1={"course/token.txt": TOKEN}), {"secret": 0}, "a Docker Hub token: /course/token.txt", ""),
    "token removed later": (
        GOOD2.but(steps=(*with_files(GOOD2, s1={"course/token.txt": TOKEN}).steps, ("rm", {"course/.wh.token.txt": b""}))),
        {"secret": 0, "cache": 0}, "whoever has the image can read it", "rm-shrinks",
    ),
    "secret in ENV": (GOOD2.but(env=(CODE, "HUB_TOKEN=hunter22")), {"secret": 0}, "HUB_TOKEN", "arg-stays"),
    "no code": (GOOD2.but(env=(), steps=tuple(s for s in GOOD2.steps if "ENV" not in s[0])), {"nonce": 0}, "not in the image", ""),
    "code as build argument": (
        GOOD2.but(env=(), steps=tuple((s[0].replace("ENV", "ARG"), s[1]) for s in GOOD2.steps)), {"nonce": 1}, "does not know it any more", "arg-stays",
    ),
    "code of somebody else": (
        GOOD2.but(env=("COURSE_CODE=" + nonce("ex2", "bob"),), steps=tuple(s for s in GOOD2.steps if "ENV" not in s[0])), {"nonce": 0}, "is not yours", "",
    ),
    "large": (with_files(GOOD2, s5={"course/data": bytes(1_500_000)}), {"size": 0}, "1.5MB", "sizes-add-up"),
    "large and hidden": (
        GOOD2.but(steps=(*with_files(GOOD2, s5={"course/data": bytes(1_500_000)}).steps, ("rm", {"course/.wh.data": b""}))),
        {"size": 0, "cache": 0}, "no container can see", "rm-shrinks",
    ),
    "notebooks": (with_files(GOOD2, s5={"course/.ipynb_checkpoints/a": b"x"}), {"clean": 0}, "notebooks", ""),
    "package lists": (with_files(GOOD2, s5={"var/lib/apt/lists/main": b"x"}), {"clean": 0}, "package lists", ""),
}  # fmt: skip
CASES = [(name, *row) for table in (MISTAKES1, MISTAKES2) for name, row in table.items()]


@pytest.mark.parametrize(
    ("name", "work", "points", "words", "misconception"), CASES, ids=[f"{c[1].assignment} {c[0]}" for c in CASES]
)
def test_each_mistake_costs_its_points_and_has_its_reason(tmp_path, name, work, points, words, misconception):
    found = judged(work.write(tmp_path), work.assignment)
    lost = {key: result.points for key, result in found.items() if not result.passed}
    assert {key: pytest.approx(value) for key, value in points.items()} == lost or {**lost, **points} == pytest.approx(
        lost
    )
    reasons = {key: found[key].reason for key in points}
    assert any(words in reason for reason in reasons.values()), reasons
    told = {found[key].misconception for key in points if words in found[key].reason}
    assert misconception in told
    assert told - {""} <= set(MISCONCEPTIONS)


def test_hints_never_name_the_command_and_secrets_are_never_repeated(tmp_path):
    for _, work, *_ in CASES:
        for result in judged(work.write(tmp_path), work.assignment).values():
            assert (
                "docker commit" not in result.hint
                and "docker push" not in result.hint
                and "--change" not in result.hint
            )
            assert "no-use-to-anybody" not in result.picture() and "hunter22" not in result.picture()


def test_texts_made_to_be_slow_to_search_are_searched_in_time(tmp_path):
    slow = b'"auths":{' * 100_000 + b"-----BEGIN " * 90_000 + b"PASSWORD" * 100_000
    steps = [(f"RUN {'TOKEN' * 100_000}", {f"course/{n}": slow[n:]}) for n in range(3)]
    work = with_files(GOOD2, s5={f"course/c{n}.txt": b"abcdef012345" * 800 for n in range(300)})
    found = judged(plus(work, *steps).write(tmp_path), "ex2")
    assert found["nonce"].passed and found["secret"].reason


def test_an_entrypoint_that_is_only_the_interpreter_leaves_cmd_to_be_overridden(tmp_path):
    work = GOOD2.but(entrypoint=("python3",), cmd=("Question.py",))
    assert judged(work.write(tmp_path), "ex2")["cmd"].passed


def test_the_code_may_stand_in_a_file_too(tmp_path):
    work = with_files(GOOD2, s5={"course/code.txt": CODE.partition("=")[2].encode()}).but(env=())
    assert judged(work.write(tmp_path), "ex2")["nonce"].passed


def test_a_multi_stage_dockerfile_is_judged_by_what_an_edit_reruns(tmp_path):
    text = (
        "FROM drydock/python AS made\nWORKDIR /course\nCOPY prepare.py names.txt ./\nRUN python3 prepare.py\n"
        'FROM made\nCOPY Question.py Readme.txt ./\nCMD ["python3", "Question.py"]\n'
    )
    work = built(text, GOOD2.steps[1], PREPARE, GOOD2.steps[5])
    assert judged(work.write(tmp_path), "ex2")["cache"].passed


def test_a_buildkit_history_is_understood(tmp_path):
    steps = (
        ("WORKDIR /course", {"course": None}),
        ("COPY prepare.py names.txt ./ # buildkit", given("prepare.py", "names.txt")),
        ("RUN /bin/sh -c python3 prepare.py # buildkit", PREPARE[1]),
        ("ARG COURSE_CODE", None),
        (f"ENV {CODE}", None),
        ("COPY Question.py Readme.txt ./ # buildkit", given("Question.py", "Readme.txt")),
        ('CMD ["python3" "Question.py"]', None),
    )
    found = judged(GOOD2.but(steps=steps).write(tmp_path), "ex2")
    assert sum(r.points for r in found.values()) == 20


def test_the_learner_is_who_submits_and_not_who_artifact_json_says(tmp_path):
    GOOD1.write(tmp_path)
    assert not judged(tmp_path, "ex1", learner="bob")["nonce"].passed


def test_a_registry_that_is_away_or_has_moved_its_tag_costs_nothing_and_is_told(tmp_path):
    def away(name):
        assert name.startswith("localhost:5055/ada/ac295_playground@sha256:")
        raise NotThere("localhost:5055 does not answer.")

    GOOD1.write(tmp_path)
    found = judged(tmp_path, "ex1", seen=away)["pushed"]
    assert found.passed and "cannot confirm it now: localhost:5055 does not answer" in found.reason
    found = judged(tmp_path, "ex1", seen=lambda name: (name, "{}"))["pushed"]
    assert found.passed and "The registry confirms it." in found.reason


def test_accepted_bases_are_added_once_and_known_by_their_layers(tmp_path):
    path = tmp_path / "bases.json"
    path.write_text('{"schema": 1, "bases": []}')
    new = bases.KnownBase("python:3.12-slim", BASE.diff_ids)
    assert bases.add(new, path) and not bases.add(new, path)
    found = judged(GOOD1.write(tmp_path), "ex1", known=bases.load(path))
    assert found["base"].passed and "python:3.12-slim" in found["base"].reason
    with pytest.raises(ValueError, match="no layers"):
        bases.add(bases.KnownBase("scratch", ()), path)


def test_the_list_of_bases_holds_the_exercises_own():
    names = {base.name for base in bases.load().known}
    assert {"drydock/python", "drydock/base"} <= names
    assert BASES.under(BASE.diff_ids) is BASE
    assert Path(bases.LIST).is_file()
