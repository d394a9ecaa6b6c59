"""BuildCache: what it shows of a plan, of a build under way, and of an edit that was never made."""

import json
from dataclasses import replace

import pytest
from drydock.model.cache import HIT, MISS, Known, Plan
from drydock.model.context import Context, regular
from drydock.model.dockerfile import parse
from drydock.model.steps import Build, ended, planned, with_step
from drydock_widgets.buildcache import BUDGET, BuildCache, reordered

TEXT = "# syntax is plain\nFROM scratch\n# the program\nCOPY app.py /\nRUN first \\\n  second\nCMD app\n"
FILES = Context((regular("app.py", b"print(1)", 0o644), regular("notes.txt", b"hm", 0o644)))
PLAN = Plan(parse(TEXT), FILES)


class Run:
    """A build that is fed step by step, as `drydock.build` returns one."""

    def __init__(self, plan=PLAN, fail=False):
        self.plan, self.fail = plan, fail

    def __iter__(self):
        build = replace(planned(self.plan, "Docker 20.10"), state="running")
        for at in range(len(build.steps)):
            build = with_step(build, at, state="running", output=("working",))
            yield build
            if self.fail and at == 2:
                yield ended(build, "failed", "The command returned 7", 1.5)
                raise RuntimeError("The command returned 7")
            build = with_step(build, at, state="ran" if at else "cached", seconds=0.5)
            yield build
        yield ended(build, "done", None, 2.0)


def says(widget, **message):
    widget._heard(widget, message, [])


def words(widget):
    return [row["word"] for row in widget.state["rows"]]


def test_a_plan_shows_every_verdict_with_its_reason():
    widget = BuildCache(PLAN)
    assert words(widget) == [p.verdict for p in PLAN.predictions]
    assert all(row["why"] for row in widget.state["rows"]) and widget.state["sentence"] == PLAN.sentence()


def test_moving_a_line_asks_the_one_cache_rule_and_builds_nothing():
    widget = BuildCache(PLAN)
    says(widget, move=2, by=-1)
    assert [row["text"].split()[0] for row in widget.state["rows"]] == ["FROM", "RUN", "COPY", "CMD"]
    assert widget.state["sentence"].startswith("What if (lines moved): ") and widget.plan is PLAN
    says(widget, reset=True)
    assert words(widget) == [p.verdict for p in PLAN.predictions] and not widget.state["tried"]


def test_two_clicks_on_a_line_before_it_is_drawn_again_move_it_twice():
    widget = BuildCache(PLAN)
    for _ in range(2):
        says(widget, move=3, by=-1)
    assert [row["text"].split()[0] for row in widget.state["rows"]] == ["FROM", "CMD", "COPY", "RUN"]


def test_an_edit_that_would_not_build_is_told_and_taken_back(monkeypatch):
    widget = BuildCache(PLAN)
    with monkeypatch.context() as patched:
        patched.setattr(Plan, "edited", lambda self, **edit: parse("NONSENSE"))
        says(widget, move=2, by=-1)
    assert widget.state["sentence"].startswith("That would not build: ")
    assert words(widget) == [p.verdict for p in PLAN.predictions]
    says(widget, move=3, by=-1)
    assert [row["text"].split()[0] for row in widget.state["rows"]] == ["FROM", "COPY", "CMD", "RUN"]


def test_comments_and_continued_lines_travel_with_their_instruction():
    moved = reordered(PLAN.dockerfile, [0, 2, 1, 3])
    assert moved == "# syntax is plain\nFROM scratch\nRUN first \\\n  second\n# the program\nCOPY app.py /\nCMD app\n"
    assert reordered(PLAN.dockerfile, [0, 1, 2, 3]) == TEXT


def test_an_edited_file_makes_its_copy_miss(monkeypatch):
    asked = []
    original = Plan.edited
    monkeypatch.setattr(Plan, "edited", lambda self, **edit: asked.append(edit) or original(self, **edit))
    widget = BuildCache(PLAN)
    says(widget, edit="app.py")
    assert list(asked[-1]["files"]) == ["app.py"] and len(asked[-1]["files"]["app.py"]) == 9
    assert widget.state["sentence"].startswith("What if (`app.py` edited): ")
    assert words(widget)[1] == MISS
    says(widget, edit="app.py")
    assert not widget.state["tried"]


NONSENSE = [
    {"move": 0, "by": 1},
    {"move": 1, "by": -1},
    {"move": 3, "by": 1},
    {"move": "a", "by": 1},
    {"move": 3},
    {"edit": "nope"},
]
NONSENSE += [{"edit": "../etc/passwd"}, {"page": 99}, {"page": -5}, {}]


@pytest.mark.parametrize("message", NONSENSE)
def test_a_message_that_makes_no_sense_changes_nothing(message):
    widget = BuildCache(PLAN)
    before = {**widget.state, "seq": 0}
    says(widget, **message)
    assert {**widget.state, "seq": 0} == before


def test_a_build_is_watched_to_its_end_and_returned():
    widget = BuildCache(Run())
    assert widget.state["mode"] == "plan" and not widget.state["try"]
    last = widget.watch(widget._feed)
    assert last.state == "done" and words(widget) == ["cached", "ran", "ran", "ran"]
    assert widget.state["end"] == 2.0 and all(len(row["at"]) == 2 for row in widget.state["rows"])


def test_after_a_build_nothing_can_be_tried_on_the_old_plan():
    widget = BuildCache(Run())
    widget.watch(Run())
    says(widget, edit="app.py")
    assert not widget.state["try"] and not widget.state["tried"]


def test_a_failed_build_leaves_its_last_state_and_the_error():
    widget = BuildCache(Run())
    with pytest.raises(RuntimeError, match="returned 7"):
        widget.watch(Run(fail=True))
    assert words(widget) == ["cached", "ran", "failed", "waiting"]
    assert widget.state["problem"] == "The command returned 7" and widget.state["rows"][2]["output"] == ["working"]


def test_the_foretold_is_set_beside_what_happened():
    step = replace(planned(PLAN, "Docker").steps[1], state="cached")
    for verdict, said in ((HIT, "as foretold"), (MISS, "foretold: MISS")):
        right = replace(step, prediction=replace(step.prediction, verdict=verdict))
        assert BuildCache(Build("classic", "Docker", (right,))).state["rows"][0]["foretold"] == said


def test_shown_in_a_cell_it_builds_and_then_replaces_the_saved_picture(monkeypatch):
    shown = []

    class Handle:
        def update(self, bundle, raw):
            shown.append(bundle)

    monkeypatch.setattr(
        "drydock_widgets.base.display", lambda b, **how: shown.append(b) or (how["display_id"] and Handle())
    )
    widget = BuildCache(Run())
    widget._ipython_display_()
    assert len(shown) == 2 and "+ ran" in shown[1]["text/plain"] and "+ ran" not in shown[0]["text/plain"]
    widget._ipython_display_()
    assert len(shown) == 3


def test_outside_a_notebook_it_is_built_all_the_same(capsys):
    widget = BuildCache(Run())
    widget._ipython_display_()
    assert widget.build.state == "done" and "text/plain" in capsys.readouterr().out


def test_three_hundred_steps_of_strangers_text_stay_within_the_snapshot():
    nasty = "<img src=x onerror=alert(1)>\x1b[2J\u202e" * 20
    plan = Plan(parse("FROM scratch\n" + f"RUN {nasty}\n" * 300), FILES, Known())
    widget = BuildCache(plan)
    assert len(json.dumps(widget.state)) < BUDGET and widget.state["count"] == 301
    says(widget, page=120)
    assert widget.state["first"] == 120 and widget.state["rows"][0]["n"] == 121
    bundle = widget._repr_mimebundle_()
    assert "<img src=x" not in bundle["text/html"] and len(bundle["text/html"]) <= 30_000
    assert "\x1b" not in bundle["text/plain"] and "\x1b" not in json.dumps(widget.state)


def test_what_is_no_plan_is_refused():
    with pytest.raises(TypeError, match="a plan, a build or a running build, not a str"):
        BuildCache("Dockerfile")
