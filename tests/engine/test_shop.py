"""The store's values and its model: every sentence of the lesson follows from one rule, and follows again each time."""

import io
import tarfile
from itertools import pairwise
from pathlib import Path

import pytest
from drydock.lessons.shop.images import BROKEN, context
from drydock.lessons.shop.modelled import ModelStore
from drydock.model import shop
from drydock.model.shop import DEEDS, PARTS, REMEDIES, Comparison, Plan, Request, Run
from drydock.model.shop_control import disturbance, lost, unrest
from drydock.model.shop_rule import orders, predict, simulated
from hypothesis import given, settings
from hypothesis import strategies as st

FOLDER = Path(__file__).parents[2] / "notebooks/02/shop"
plans = st.builds(
    Plan,
    st.sampled_from([deed for deed in DEEDS if deed != "other stack"]),
    st.sampled_from(PARTS),
    st.lists(st.sampled_from(REMEDIES), unique=True).map(tuple),
    st.floats(1.5, 5),
    st.floats(0, 1.4),
    st.integers(1, 100),
    st.integers(0, 9),
)


def success(deed, *remedies, design="services", part="recommendations"):
    return predict(Plan(deed, part, remedies)).run(design).after.success


def test_the_same_plan_is_the_same_prediction():
    assert predict(Plan("slow")) == predict(Plan("slow"))
    assert predict(Plan("slow")) != predict(Plan("slow", seed=1))


def test_both_designs_get_the_same_customers():
    kinds = [[request.kind for request in run.requests] for run in predict(Plan("crash")).runs]
    assert kinds[0] == kinds[1] == [order.kind for order in orders(Plan("crash"))]


def test_the_network_costs_time():
    whole, apart = predict(Plan()).runs
    assert whole.after.p50 < apart.after.p50


def test_a_crash_takes_the_whole_monolith_but_one_service():
    assert success("crash", design="monolith") == 0
    assert 0.3 < success("crash") < 0.5
    assert success("crash", part="payment") > success("crash", part="catalogue")


def test_a_slow_part_is_worse_than_a_dead_one():
    assert success("slow") < success("crash")
    assert predict(Plan("slow")).run("services").after.left > 0 == predict(Plan("crash")).run("services").after.left


def test_only_timeout_and_fallback_together_contain_a_slow_part():
    assert success("slow", "fallback") == success("slow")
    assert success("slow", "timeout") < 0.5
    assert success("slow", "timeout", "fallback") == 1
    assert success("slow", "timeout", "fallback", design="monolith") == success("slow", design="monolith")


def test_trying_again_makes_a_slow_part_worse():
    assert success("slow", "timeout", "retry") < success("slow", "timeout")


def test_a_replica_of_a_slow_part_does_not_help_those_who_wait_for_it():
    assert success("slow", "replica") == success("slow")
    assert success("slow", "replica", design="monolith") > success("slow", design="monolith")


def test_a_replica_saves_a_release_in_both_designs():
    for design in shop.DESIGNS:
        assert success("bad release", "replica", design=design) == 1 > success("bad release", design=design)


def test_a_payment_cannot_be_made_up():
    assert success("crash", "fallback", part="payment") == success("crash", part="payment") < 1
    assert success("crash", "fallback") == 1


@settings(max_examples=60, deadline=None)
@given(plans)
def test_every_customer_is_counted_once(plan):
    for run in predict(plan).runs:
        assert sum(window.sent for window in run.windows) == len(run.requests) == len(orders(plan))
        assert run.before.sent + run.after.sent == len(run.requests) or plan.deed == "nothing"
        assert sum(kind.ok for kind in run.by_kind().values()) == run.after.ok
        for window in run.windows:
            assert window.ok + window.left <= window.sent
            assert window.p50 is None or window.p50 <= window.p95 <= shop.PATIENCE * 1000


@settings(max_examples=20, deadline=None)
@given(plans)
def test_what_grows_ends_as_what_was_predicted(plan):
    values = list(simulated(plan))
    assert values[-1] == predict(plan)
    for earlier, later in pairwise(values):
        for one, two in zip(earlier.runs, later.runs, strict=True):
            assert set(one.requests) <= set(two.requests) and not one.done


@pytest.mark.parametrize(
    "wrong", [{"deed": "crush"}, {"part": "cellar"}, {"remedies": ("hope",)}, {"deed": "other stack", "part": "cart"}]
)
def test_a_word_that_no_plan_knows_is_refused_with_the_nearest(wrong):
    with pytest.raises(ValueError, match=r"(?s)There is no .*Try:"):
        Plan(**wrong)


@pytest.mark.parametrize("wrong", [{"seconds": 31.0}, {"rate": 101}, {"rate": 0}, {"at": 4.0}, {"seconds": 0.0}])
def test_a_load_is_bounded(wrong):
    with pytest.raises(ValueError, match="at most 30 seconds at 100"):
        Plan(**wrong)


def test_a_model_says_that_it_is_one():
    told = predict(Plan("crash"))
    assert not any(run.measured for run in told.runs)
    assert told.picture().count("model, not measured here") == 2


def test_a_picture_has_parts_slices_events_and_what_became_of_it():
    parts = (shop.Part("cart", "dead", replicas=0),)
    asked = (Request(0.2, "add", True, 8.0), Request(0.6, "add", False, 500.0, True))
    events = (shop.Event(0.5, "crash", "cart", "cart is killed."),)
    run = Run("services", Plan("crash", "cart", at=0.5), "Docker", True, parts, asked, events, now=1.0)
    assert Comparison((run,)).picture().splitlines() == [
        "services  Docker  crash: cart, 0.5 s into 4 s of 30 requests a second.",
        "  cart             dead       1.0",
        "  0.0 s  ##########    1 of 1   p50    8 ms   p95    8 ms",
        "  0.5 s  ..........    0 of 1   1 gave up",
        "  0.5 s  cart is killed.",
        "services: 0 % of 1 requests went well after crash in cart; 1 customer gave up after 0.5 s.",
    ]


def files(packed: io.BytesIO) -> dict[str, bytes]:
    with tarfile.open(fileobj=packed) as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar}


def test_equal_files_are_equal_builds():
    assert context(FOLDER).getvalue() == context(FOLDER).getvalue()
    assert not [name for name in files(context(FOLDER)) if "/test/" in name or "__pycache__" in name]


def test_a_release_changes_one_file():
    before, after = files(context(FOLDER)), files(context(FOLDER, "cart", "1.2", broken=True))
    assert [name for name in after if after[name] != before[name]] == ["parts/cart.py"]
    assert b'VERSION = "1.2"' in after["parts/cart.py"] and after["parts/cart.py"].endswith(BROKEN.encode())


def asked(ms, count=30, ok=True, left=False):
    return tuple(Request(n / 30, "pay", ok, ms, left) for n in range(count))


def both(plan, requests, control=()):
    runs = tuple(Run(name, plan, "Docker", requests=requests, now=plan.seconds) for name in shop.DESIGNS)
    return Comparison(runs, control)


def test_a_run_in_which_nothing_happens_is_calm_only_where_nearly_all_are_served_in_good_time():
    plan = Plan(seconds=1.5)
    assert unrest(both(plan, asked(20))) == ""
    assert unrest(both(plan, asked(20, 45) + asked(500, 5, False, True))) == "the monolith served 90 % of 50"
    assert unrest(both(plan, asked(80))) == "the monolith needed 80 ms (p95) for a page"
    assert unrest(both(plan.stretched(2), asked(80))) == ""  # there it is well within the time of that lesson
    assert lost(both(plan, asked(500, 3, False, True))) and not lost(both(plan, asked(500, 2, False, True)))


def test_a_run_is_disturbed_where_what_nobody_touched_fared_badly():
    plan, visits = Plan("slow", seconds=2.0), tuple(Request(n / 10, "users", True, 5.0) for n in range(20))
    assert disturbance(both(plan, asked(20), visits)) == ""
    late = tuple(Request(n / 10, "users", True, 60.0) for n in range(5))
    assert "5 took longer than 50 ms" in disturbance(both(plan, asked(20), visits[5:] + late))
    stalled = (*visits, Request(1.9, "users", True, 300.0))
    assert "one 300 ms" in disturbance(both(plan, asked(20), stalled))
    crowd = asked(20, 20) + asked(500, 10, False, True)
    assert disturbance(both(plan, crowd, visits)) == "the monolith served 67 % of 30 before anything happened"
    hurt = asked(20) + tuple(Request(1.0 + n / 30, "pay", False, 500.0, True) for n in range(30))
    assert disturbance(both(plan, hurt, visits)) == ""  # what the deed does is the lesson


def test_stretched_times_leave_the_lesson_as_it_is():
    for deed in ("crash", "slow", "leak"):
        for remedies in ((), ("timeout", "fallback")):
            quiet, slow = (predict(Plan(deed, remedies=remedies).stretched(n)) for n in (1, 8))
            for one, other in zip(quiet.runs, slow.runs, strict=True):
                assert len(one.requests) == len(other.requests)
                assert abs(one.after.success - other.after.success) < 0.1


def test_a_model_in_the_place_of_a_measurement_says_why_and_nobody_can_be_asked():
    store = ModelStore("the machine is busy.")
    for values in (store.start(), store.calm(), store.play("crash")):
        for one in values:
            assert one.provenance == "Model, not measured here: the machine is busy. " and not one.runs[0].measured
    assert "nobody can be asked (model, not measured here)" in store.visit("add")
