"""Shop: the store as one box and as boxes with wires, slice by slice, under the same customers."""

import json
from dataclasses import replace

import pytest
from drydock.model.shop import DEEDS, PARTS, Comparison, Event, Part, Plan, Request, Run
from drydock.model.shop_rule import predict, simulated
from drydock_widgets.shop import BUDGET, ROWS, SLICES, Shop

CRASH = Plan("crash")


def says(widget, **message):
    widget._heard(widget, message, [])


def figures(widget, n):
    return {name: said for name, said, _ in widget.state["runs"][n]["figures"]}


def test_both_designs_stand_side_by_side_and_a_model_says_that_it_is_one():
    widget = Shop(predict(CRASH))
    whole, several = widget.state["runs"]
    assert [part["name"] for part in whole["parts"]] == ["monolith"]
    assert whole["parts"][0]["inside"] == list(PARTS)
    assert [part["name"] for part in several["parts"]] == ["front", *PARTS]
    assert figures(widget, 0)["went well"] == "0 % of 90" and figures(widget, 1)["went well"] == "37 % of 90"
    assert widget.state["sentence"] == predict(CRASH).sentence()
    assert widget.state["source"] == "model, not measured here" and not widget.state["measured"]
    measured = Comparison(tuple(replace(r, measured=True, engine="Docker 26") for r in predict(CRASH).runs))
    assert Shop(measured).state["source"] == "Docker 26" and Shop(measured).state["measured"]


def test_a_stream_is_one_picture_that_grows_and_each_part_keeps_what_became_of_it():
    widget = Shop()
    last = widget.watch(simulated(CRASH))
    assert widget.comparisons == [last] and widget.state["rows"] == []
    spans = {part["name"]: part["spans"] for part in widget.state["runs"][1]["parts"]}
    assert [state for _, _, state, _ in spans["recommendations"]] == ["running", "dead"]
    assert spans["recommendations"][1][0] == pytest.approx(CRASH.at, abs=0.3)
    assert [state for _, _, state, _ in spans["cart"]] == ["running"]


def test_what_is_watched_next_is_the_next_row_of_small_pictures():
    widget = Shop([predict(Plan(deed)) for deed in DEEDS[:3]])
    assert [row["label"] for row in widget.state["rows"]] == [
        "nothing (model)",
        *(f"{deed}: recommendations (model)" for deed in DEEDS[1:3]),
    ]
    assert widget.state["focus"] == 0
    says(widget, focus=1)
    assert widget.state["sentence"] == predict(CRASH).sentence()
    widget.watch(simulated(Plan("leak")))
    assert widget.state["count"] == 4 and widget.state["focus"] == 3
    assert "leak: recommendations" in widget.picture() and len(widget.still()[2]) == 8


def test_a_run_that_was_interrupted_keeps_its_row():
    half = [*simulated(Plan("slow"))][5]
    assert not half.done
    widget = Shop([predict(CRASH), half, predict(Plan("leak"))])
    assert [one.plan.deed for one in widget.comparisons] == ["crash", "slow", "leak"]


def test_before_anybody_asks_it_says_what_it_takes_to_be_open():
    parts = (Part("front", memory=30_000_000, started=0.4), Part("cart", memory=31_000_000, started=0.7))
    widget = Shop(Run("services", Plan(), parts=parts))
    assert widget.state["sentence"] == "services: 2 processes, open after 0.70 s, 61MB of memory."
    assert "61MB of memory" in widget.picture() and Shop().state["sentence"] == "Nothing was run yet."


def test_a_long_run_is_thinned_out_and_a_peak_is_not_lost():
    asked = tuple(Request(n / 50, "pay", True, 400.0 if 725 <= n < 750 else 8.0) for n in range(1500))
    text = "<img src=x>\x1b[31m" * 40
    parts = tuple(Part(text, inside=(text,) * 9) for _ in range(50))
    events = tuple(Event(n / 10, "crash", "cart", text) for n in range(200))
    run = Run("services", Plan(seconds=30), text, parts=parts, requests=asked, events=events, now=30.0, done=True)
    widget = Shop([Comparison((run, run))] * 60)
    windows = widget.state["runs"][0]["windows"]
    assert len(windows) <= SLICES and sum(w[2] for w in windows) == 1500 and max(w[6] for w in windows) == 400
    sent = json.dumps(widget.state)
    assert len(sent.encode()) < BUDGET and "\\u001b" not in sent and len(widget.state["rows"]) == ROWS
    bundle = widget._repr_mimebundle_()
    assert len(bundle["text/html"]) <= 30_000 and "<img src=x" not in bundle["text/html"]
    assert "\x1b" not in bundle["text/plain"]


@pytest.mark.parametrize("message", [{"focus": 9}, {"focus": -1}, {"focus": "x"}, {"focus": True}, {}])
def test_a_message_that_makes_no_sense_changes_nothing(message):
    widget = Shop([predict(Plan()), predict(CRASH)])
    before = {**widget.state, "seq": 0}
    says(widget, **message)
    assert {**widget.state, "seq": 0} == before


def test_what_is_no_run_is_refused():
    for wrong in ("crash", 3, {"deed": "crash"}, None):
        with pytest.raises(TypeError, match="Shop shows runs of the store, not a"):
            Shop(wrong)
    with pytest.raises(TypeError, match="Shop does not know the argument 'runs'"):
        Shop(runs=[])


def held(*bytes_):
    run = predict(Plan(seconds=30)).runs[1]
    return replace(run, held=tuple((n / 2, size) for n, size in enumerate(bytes_)))


def test_of_a_finished_run_only_the_end_was_seen_and_no_part_is_called_dead_before_it_died():
    for widget in (Shop(predict(CRASH)), Shop([predict(CRASH), predict(Plan())])):
        spans = {part["name"]: part["spans"] for part in widget.state["runs"][1]["parts"]}["recommendations"]
        assert [(at, state) for at, _, state, _ in spans] == [(0.0, "not seen"), (4.0, "dead")]


def test_what_a_part_is_at_the_end_falls_into_the_last_slice_however_long_the_engine_took():
    late = Comparison(tuple(replace(run, now=7.3) for run in predict(CRASH).runs))
    assert Shop(late).state["runs"][1]["parts"][4]["spans"][-1][0] == 4.0


def test_a_crash_is_not_lost_among_the_changes_of_memory():
    run, widget = predict(Plan("crash", seconds=12)).runs[1], Shop()
    for n in range(24):
        part = Part("cart", "dead" if 2 <= n < 6 else "running", memory=30_000_000 + n * 1_000_000)
        widget.take(replace(run, parts=(part,), now=n / 2, done=False))
        widget.refresh()
        spans = widget.state["runs"][0]["parts"][0]["spans"]
        assert len(spans) == min(n + 1, 8)  # none goes while there is room
    assert len(spans) == 8 and spans[0][0] == 0.0 and spans[-1][0] == 11.5
    assert [state for _, _, state, _ in spans][:3] == ["running", "dead", "running"]


@pytest.mark.parametrize("count", [41, 60, 61, 121, 242])
def test_thinned_memory_keeps_its_peak_and_its_end(count):
    for peak in (1, count // 2, count - 2):
        sizes = [900 if n == peak else 100 for n in range(count - 1)] + [7]
        shown = Shop(held(*sizes)).state["runs"][0]["held"]
        assert len(shown) <= SLICES + 1 and max(size for _, size, _ in shown) == 900
        assert shown[-1] == [(count - 1) / 2, 7, "7B"] and shown == sorted(shown)


def test_a_bar_is_to_the_scale_of_the_greater_design():
    runs = predict(Plan("patch", "cart")).runs
    slow = [replace(run, parts=tuple(replace(part, started=took) for part in run.parts), shipped=size)
            for run, took, size in zip(runs, (7.0, 14.0), (40_000_000, 4_000_000), strict=True)]  # fmt: skip
    drawn = Shop(Comparison(tuple(slow))).state["runs"]
    shares = [{name: share for name, _, share in run["figures"]} for run in drawn]
    assert [share["start-up"] for share in shares] == [0.5, 1.0]
    assert [share["shipped"] for share in shares] == [1.0, 0.1]
