"""Exercise 3's checks on good, partial, wrong and hostile work: several images, notes, a score, a case."""

import json

import pytest
from drydock.record import lines
from drydock_grading import detective, golf, leaderboard, reading
from drydock_grading.artifact import ABOUT, ARCHIVE, nonce
from drydock_grading.checks.services import seal
from drydock_grading.claims import recipe_of
from drydock_grading.misconceptions import MISCONCEPTIONS
from thin import ROOT, Work, archive, blob, judged, recipe

EX3 = ROOT / "exercises" / "ex3-play"
CODE = nonce("ex3", "ada")
GOLF = ("Dockerfile", "Readme.txt", "game.py", "index.py", "install.py", "packages.txt", "selftest.py", "words.txt")
HEAD = "FROM drydock/python\nWORKDIR /game\n"
INSTALL = "COPY install.py packages.txt ./\nRUN python3 install.py\n"
INDEX = "COPY index.py words.txt ./\nRUN python3 index.py\n"
TEST = "COPY game.py selftest.py Readme.txt ./\nRUN python3 selftest.py\n"
BEST = HEAD + INSTALL + INDEX + TEST
GIVEN = (EX3 / "golf" / "Dockerfile").read_text()
DB_ENV, WEB_ENV = (f"COURSE_CODE={CODE}",), ("DB=http://ex3-db:7433",)


def files(folder, *names, **other):
    return {f"{folder}/{name}": other.get(name.partition(".")[0], (EX3 / folder / name).read_bytes()) for name in names}


V2 = (EX3 / "web" / "web.py").read_bytes().replace(b'"v1"', b'"v2"')
HEAVY = ("COPY catalogue.json ./", files("web", "catalogue.json"))


def web(*steps, env=WEB_ENV, cmd=("python3", "web.py")):
    return Work("ex3", steps=steps, cmd=cmd, env=env, workdir="/web", pushed="")


DB = Work(
    "ex3", steps=(("COPY db.py stock.json ./", files("db", "db.py", "stock.json")),), cmd=("python3", "db.py"),
    env=DB_ENV, workdir="/db",
)  # fmt: skip
V1 = web(HEAVY, ("COPY web.py ./", files("web", "web.py")))
NEW = web(HEAVY, ("COPY web.py ./", files("web", "web.py", web=V2)))
COPIES = [line for line in BEST.splitlines() if line.split()[0] in ("COPY", "RUN")]
PLAYED = Work(
    "ex3",
    steps=tuple(
        (one if one[0] == "C" else f"/bin/sh -c {one[4:]}", {f"game/{n}": b"x"}) for n, one in enumerate(COPIES)
    ),
)


def receipt(db, version, start, code=CODE):
    line = f"db={db * 8} answer=1 web={version}/{start * 8}"
    return f"{line} seal={seal(code, line)}"


STORY = (receipt("a", "v1", "c"), receipt("b", "v1", "c"), receipt("b", "v2", "d"))


def findings(**changes):
    found = detective.mystery(CODE).truth | changes
    return "\n".join(f"{name} = {json.dumps(said)}" for name, said in found.items())


def written(folder, main=NEW, db=DB, v1=V1, played=PLAYED, best=BEST, visits=None, found=None, rows=None):
    """Write a whole piece of work; None leaves a part out."""
    index, blobs, said = [], {}, {"schema": 1}
    for part, work in (("", main), ("db", db), ("v1", v1), ("golf", played)):
        if work is not None:
            more, manifest, about = work.blobs()
            blobs |= more
            index.append({"digest": manifest, "annotations": {reading.PART: part} if part else {}})
            said = said if part else about
    members = [("index.json", json.dumps({"manifests": index if rows is None else rows(index)}).encode())]
    (folder / ARCHIVE).write_bytes(archive([*members, *((blob(name), body) for name, body in blobs.items())]))
    notes = {
        "visits.txt": "\n".join(STORY) if visits is None else visits,
        "findings.toml": findings() if found is None else found,
    }
    cards = {"golf/Dockerfile": recipe(best, EX3 / "golf", GOLF)} if best else {}
    (folder / ABOUT).write_text(json.dumps({**said, "dockerfiles": cards, "notes": notes}))
    return folder


def test_good_work_earns_all_points(tmp_path):
    found = judged(written(tmp_path), "ex3")
    assert {k: r.reason for k, r in found.items() if not r.passed} == {}
    assert sum(r.points for r in found.values()) == 20


def named(address):
    return web(*V1.steps, env=(f"DB={address}",))


ONE_COPY = web(("COPY . .", HEAVY[1] | files("web", "web.py")))
ONE_COPY_NEW = web(("COPY . .", HEAVY[1] | files("web", "web.py", web=V2)))
STRANGER = nonce("ex3", "bob")
HALF = HEAD + INSTALL + "COPY . .\nRUN python3 index.py\nRUN python3 selftest.py\n"
MADE = HEAD.replace("python\n", "python AS made\n") + INSTALL + INDEX
MISTAKES = {  # what: (changes, {check: points}, words of the reason, misconception)
    "no db": ({"db": None}, {"db": 0}, "The image db was not handed in", ""),
    "db.py changed": ({"db": DB.but(steps=(("C", files("db", "db.py", "stock.json", db=b"#")),))}, {"db": 0}, "/db/db.py is not the file", ""),
    "db without code": ({"db": DB.but(env=())}, {"db": 1}, "does not hold your code", "arg-stays"),
    "somebody's db": ({"db": DB.but(env=(f"COURSE_CODE={STRANGER}",))}, {"db": 1}, "holds another code than yours", ""),
    "db starts nothing": ({"db": DB.but(cmd=("python3",))}, {"db": 1}, "no CMD of its own", "run-is-cmd"),
    "localhost": ({"v1": named("http://localhost:7433")}, {"web": 1, "upgrade": 2}, "has a localhost of its own", "expose-publishes"),
    "loopback": ({"v1": named("http://127.0.0.1:7433")}, {"web": 1}, "has a localhost of its own", "expose-publishes"),
    "an address": ({"v1": named("http://172.18.0.3:7433")}, {"web": 2}, "is an address", ""),
    "another port": ({"v1": named("http://ex3-db:80")}, {"web": 2}, "does not listen at that port", "expose-publishes"),
    "no address": ({"v1": web(*V1.steps, env=())}, {"web": 2}, "does not say where db is", ""),
    "an address that is none": ({"v1": named("http://[")}, {"web": 1}, "is no address", ""),
    "shell form": ({"v1": web(*V1.steps, cmd=("/bin/sh", "-c", "python3 web.py"))}, {"web": 2.5}, "by way of a shell", ""),
    "no v1": ({"v1": None}, {"web": 0, "upgrade": 0}, "The image v1 was not handed in", ""),
    "not upgraded": ({"main": V1}, {"upgrade": 0}, "says v1, not v2", "image-runs"),
    "address in the program": ({"main": web(HEAVY, ("C", files("web", "web.py", web=V2 + b"\nDB = 'http://10.0.0.7'\n")))}, {"upgrade": 1}, "10.0.0.7", "expose-publishes"),
    "all in one layer": ({"v1": ONE_COPY, "main": ONE_COPY_NEW}, {"upgrade": 1}, "comes a second time", "order-is-free"),
    "nothing heavy": ({"main": web(NEW.steps[1])}, {"upgrade": 0}, "/web/catalogue.json is not in the new image", ""),
    "no v2": ({"main": None}, {"upgrade": 0}, "had not been built", ""),
    "no visits": ({"visits": ""}, {"receipts": 0}, "has no receipt of db", "expose-publishes"),
    "somebody's receipts": ({"visits": receipt("a", "v1", "c", STRANGER)}, {"receipts": 0}, "sealed with another code", "arg-stays"),
    "a receipt changed": ({"visits": STORY[0].replace("v1", "v2")}, {"receipts": 0}, "sealed with another code", "arg-stays"),
    "visited once": ({"visits": STORY[0]}, {"receipts": 1}, "no receipt tells", "light-vm"),
    "never killed": ({"visits": "\n".join((receipt("a", "v1", "c"), receipt("a", "v2", "d")))}, {"receipts": 2}, "gone and come back", "light-vm"),
    "both restarted": ({"visits": "\n".join((*STORY[:2], receipt("e", "v2", "d")))}, {"receipts": 2}, "the same start of db", ""),
    "golf as given": ({"best": GIVEN, "played": None}, {"golf": 0}, "A week of edits costs 246.4 s", "order-is-free"),
    "golf half-way": ({"best": HALF, "played": None}, {"golf": 1}, "98 s", "order-is-free"),
    "golf never built": ({"played": None}, {"golf": 3}, "Nothing shows that it builds", ""),
    "golf edited later": ({"best": HEAD + INSTALL + INDEX + TEST.replace("./\n", "./\nRUN true\n", 1)}, {"golf": 0}, "was not built from", "image-runs"),
    "golf not handed in": ({"best": ""}, {"golf": 0}, "was not handed in", ""),
    "decoy": ({"found": findings(secret=detective.mystery(CODE).decoy)}, {"secret": 1}, "any container can read", "rm-shrinks"),
    "somebody's secret": ({"found": findings(secret=detective.mystery(STRANGER).secret)}, {"secret": 0}, "in no layer of your image", ""),
    "no token": ({"found": findings(secret="hunter2")}, {"secret": 0}, "is not the token", "rm-shrinks"),
    "wrong base": ({"found": findings(base="alpine")}, {"base": 0}, "does not stand on alpine", ""),
    "three of four": ({"found": findings(removed=99)}, {"steps": 1.5}, "not yet: removed", "rm-shrinks"),
    "numbers as texts": ({"found": findings(layers="7", settings=True)}, {"steps": 1}, "not yet: layers, settings", "line-is-layer"),
    "no TOML": ({"found": "base = = ["}, {"base": 0, "steps": 0, "secret": 0}, "cannot be read", ""),
    "TOML without end": ({"found": "a = " + "[" * 9000}, {"base": 0, "steps": 0, "secret": 0}, "cannot be read", ""),
}  # fmt: skip


@pytest.mark.parametrize("what", MISTAKES)
def test_each_mistake_costs_its_points_and_has_its_reason(tmp_path, what):
    changes, points, words, misconception = MISTAKES[what]
    found = judged(written(tmp_path, **changes), "ex3")
    assert {k: r.points for k, r in found.items() if k in points} == points
    said = [found[key] for key in points if words in found[key].reason]
    assert said, {key: found[key].reason for key in points}
    assert misconception in {result.misconception for result in said}
    assert {r.misconception for r in found.values()} - {""} <= set(MISCONCEPTIONS)


def test_no_hint_gives_the_answer_away(tmp_path):
    truth = detective.mystery(CODE).truth
    for changes, *_ in MISTAKES.values():
        for result in judged(written(tmp_path, **changes), "ex3").values():
            if not result.passed:
                said = f"{result.reason} {result.hint}"
                assert truth["secret"] not in said and "docker " not in result.hint and "EXPOSE 7433" not in said


def test_of_several_images_each_has_a_name_and_no_two_the_same(tmp_path):
    for rows in (lambda index: index * 2, lambda index: [index[0]] * 2, lambda index: [*index, {}], lambda index: []):
        found = judged(written(tmp_path, rows=rows), "ex3")
        assert {found[key].points for key in ("db", "web", "upgrade")} == {0}
        assert "images in its index, not one" in found["db"].reason


def test_what_several_images_unpack_to_is_counted_together(tmp_path, monkeypatch):
    first = sum(len(body) for _, some in NEW.steps for body in some.values())
    room = {"left": 10_240 + first, "entries": 50_000}  # a tar has 10 kB at least
    monkeypatch.setattr(reading.Room, "__init__", lambda self: self.__dict__.update(room))
    assert reading.read(written(tmp_path, db=None, v1=None, played=None)).image is not None
    assert reading.read(written(tmp_path)).image is None


def test_notes_without_end_or_of_a_wrong_type_cost_what_hangs_on_them(tmp_path):
    written(tmp_path)
    about = json.loads((tmp_path / ABOUT).read_text())
    for notes in ({str(n): "" for n in range(30)}, {"visits.txt": "x" * 30_000}, {"visits.txt": ["x"] * 30_000}):
        (tmp_path / ABOUT).write_text(json.dumps(about | {"notes": notes}))
        found = judged(tmp_path, "ex3")
        assert {k for k, r in found.items() if r.points} == {"db", "web", "upgrade"}
        assert "has more than" in found["receipts"].reason
    for notes in ([], 7, {"visits.txt": 7, "findings.toml": None}):
        (tmp_path / ABOUT).write_text(json.dumps(about | {"notes": notes}))
        assert "was not handed in" in judged(tmp_path, "ex3")["receipts"].reason


CARDS = {
    "given": (GIVEN, 246.4),
    "best": (BEST, 38.6),
    "one RUN for all": (HEAD + "COPY . .\nRUN python3 install.py && python3 index.py && python3 selftest.py\n", 246.4),
    "two stages": (MADE + "FROM made\n" + TEST, 38.6),
    "copied from a stage": (MADE + HEAD + "COPY --from=made /game ./\n" + TEST, 39.2),
}  # fmt: skip
WRONG = {
    "no parse": ("FORM x", "cannot be built"),
    "program left out": (HEAD + INSTALL + INDEX + "COPY game.py Readme.txt ./\n", "selftest.py's work is missing"),
    "before its files": (
        HEAD + "RUN python3 install.py\n" + BEST,
        "line 3 runs install.py, and install.py is not there yet",
    ),
    "before its input": (HEAD + INSTALL.replace(" packages.txt", "") + INDEX + TEST, "packages.txt is not there yet"),
    "before another": (HEAD + INDEX + INSTALL + TEST, "line 4 runs index.py, and install.py's work is not there yet"),
    "Readme left out": (BEST.replace(" Readme.txt", ""), "Readme.txt is missing"),
    "made elsewhere": (BEST + "FROM drydock/python\n", "game.py is missing"),
    "files by a mount": (
        HEAD + "RUN --mount=type=bind,target=. python3 install.py\n" + INDEX + TEST,
        "is not there yet",
    ),
    "variables without end": (HEAD + "ENV A=x\n" + "ENV A=$A$A\n" * 60, "variables made of variables"),
}


def card(text, names=GOLF):
    return golf.play(recipe_of(recipe(text, EX3 / "golf", names)))


@pytest.mark.parametrize("what", CARDS)
def test_a_week_costs_what_the_rule_and_the_table_say(what):
    text, seconds = CARDS[what]
    assert card(text).week == pytest.approx(seconds), card(text).picture()


@pytest.mark.parametrize("what", WRONG)
def test_a_dockerfile_that_cannot_work_has_no_score(what):
    text, words = WRONG[what]
    assert words in card(text).wrong and card(text).holes == ()


def test_a_file_that_no_build_sees_is_asked_for():
    assert "words.txt is not in the folder" in card(BEST, [name for name in GOLF if name != "words.txt"]).wrong


def test_the_leaderboard_keeps_tries_in_order_marks_the_best_and_takes_no_clock_s_word(tmp_path, monkeypatch):
    monkeypatch.setenv("DRYDOCK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DRYDOCK_LEARNER", "ada")
    place = tmp_path / "golf"
    place.mkdir()
    for name in GOLF:
        (place / name).write_bytes((EX3 / "golf" / name).read_bytes())
    for text in (
        GIVEN,
        BEST,
        BEST,
        "FORM x",
        HALF,
    ):
        (place / "Dockerfile").write_text(text)
        board = leaderboard.play(place)
    assert board.rows() == [(1, 246.4, ""), (2, 38.6, "best, under par"), (3, 98.0, "")]
    bundle = board._repr_mimebundle_()
    assert "try   2    38.6 s a week  best, under par" in bundle["text/plain"] and "<caption>" in bundle["text/html"]
    assert all("time" not in row for row in lines.read("golf"))
    lines.change(
        "golf",
        lambda rows: [
            *rows,
            {"learner": "ada", "seconds": "<b>0"},
            {"learner": "ada"},
            {"learner": "bob", "seconds": 1},
        ],
    )
    assert leaderboard.play(place).rows() == board.rows()


def test_every_case_can_be_solved_and_is_another_s(tmp_path):
    seen = set()
    for number in range(200):
        about = detective.mystery(f"{number:012x}")
        truth = about.truth
        assert about.below <= truth["brought"] < truth["removed"] < about.below + truth["layers"]
        held = {path: body for step in about.steps for path, body in (step.files or {}).items()}
        assert about.secret.encode() in held[about.place] and about.decoy.encode() in held["srv/config.ini"]
        seen.add(about.secret)
    assert len(seen) == 200
