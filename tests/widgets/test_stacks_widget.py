"""Stacks: a VM and a container side by side, every figure with how it is known, and what so many of them cost."""

import json
from dataclasses import replace

import pytest
from drydock.lessons.stacks import CITED, machine
from drydock.model.stacks import NEEDS, Figure, Stack, Stratum, answer
from drydock_widgets.stacks import BUDGET, Stacks

VM = machine()  # nothing was booted: all its figures are cited
BOX = Stack(
    "container",
    (
        Stratum("app", "sleep", "app"),
        Stratum("libraries", "alpine", "image", 8_000_000),
        Stratum("engine", "Docker", "machine", passed=False),
        Stratum("host kernel", "Linux 6.1", "machine"),
    ),
    Figure(0.25, "s", "measured", "median of 5"),
    Figure(1_000_000, "B", "measured", "the engine's count"),
    Figure(8_000_000, "B", "measured", "the image's files"),
    Figure(1000, "B", "measured", "docker ps --size"),
)


def test_both_columns_say_how_often_each_stratum_is_there_and_what_a_write_passes():
    vm, box = Stacks(vm=VM, container=BOX).state["columns"]
    assert [s["name"] for s in vm["strata"] if s["times"] == "app"] == ["app", "guest kernel", "hypervisor"]
    assert [s["name"] for s in box["strata"] if s["times"] == "app"] == ["app"]
    assert vm["path"] == "app → libraries → guest kernel → hypervisor → host kernel → hardware" and vm["kernels"] == 2
    assert box["path"] == "app → libraries → host kernel" and box["kernels"] == 1


def test_what_so_many_of_them_take_is_said_and_drawn():
    widget = Stacks(vm=VM, container=BOX)
    assert widget.state["sentence"] == (
        "50 virtual machines (cited): 10.4GB of memory, 16.2MB of disk, each ready in 3.87 s; 16GB hold 76. "
        "50 containers (measured here): 50MB of memory, 8.05MB of disk, each ready in 0.25 s; 16GB hold 16,000."
    )
    alone = Stacks(vm=VM, container=BOX, count=1).state["sentence"]
    assert "1 container (measured here): 1MB of memory, 8MB of disk, ready in 0.25 s" in alone


def test_what_is_measured_and_what_is_cited_are_never_drawn_to_one_scale():
    cited = replace(BOX, **dict(zip(("start", "memory", "image", "own"), CITED["container"], strict=True)))
    mixed, like = Stacks(vm=VM, container=BOX), Stacks(vm=VM, container=cited)
    assert (mixed.state["alike"], like.state["alike"]) == (False, True)
    assert [mark.size for mark in mixed.still()[2] if mark.state == "memory"] == [0, 0]
    assert next(mark.size for mark in like.still()[2] if mark.state == "memory") == 1
    assert "be ready within a second?  VM: no (cited), container: yes (measured here)" in mixed.picture()


def test_every_figure_carries_how_it_is_known_also_on_paper():
    widget = Stacks(vm=VM, container=BOX)
    figures = [column[name] for column in widget.state["columns"] for name in ("start", "memory", "image", "own")]
    assert {figure["known"] for figure in figures} == {"measured", "computed", "cited"}
    html = widget._repr_mimebundle_()["text/html"]
    assert "measured for the course" in html and "median of 5" in html and len(html) <= 30_000
    assert (
        '3.87 s  " cited: measured for the course' in widget.picture()
        and "0.25 s  = measured: median of 5" in widget.picture()
    )


def test_a_figure_that_nobody_measured_stays_unknown_everywhere():
    unknown = replace(BOX, start=None, memory=None, image=None, own=None)
    widget = Stacks(vm=VM, container=unknown)
    assert widget.state["sentence"].endswith("50 containers: nothing was measured.")
    assert widget.state["columns"][1]["memory"] is None
    assert "be ready within a second?  VM: no (cited), container: not measured" in widget.picture()


@pytest.mark.parametrize(("rule", "stack", "truth"), [
    ("second", BOX, True), ("second", replace(BOX, start=Figure(2, "s", "measured", "")), False),
    ("fit", VM, True), ("fit", replace(VM, memory=Figure(1e9, "B", "measured", "")), False),
])  # fmt: skip
def test_two_needs_are_answered_from_the_figures(rule, stack, truth):
    need = next(one for one in NEEDS if one.rule == rule)
    assert answer(need, stack) is truth


def test_the_browser_says_where_slider_and_memory_were_left_and_nothing_else_is_believed():
    widget = Stacks(vm=VM, container=BOX)
    widget._heard(widget, {"count": 10, "memory": 8_000_000_000}, [])
    assert (
        widget.state["sentence"].startswith("10 virtual machines (cited): ")
        and "8GB hold 38" in widget.state["sentence"]
    )
    for nonsense in ({"count": 0}, {"count": 51}, {"count": "9"}, {"memory": -1}, {"memory": 1 << 60}, {}):
        widget._heard(widget, nonsense, [])
    assert (widget.count, widget.memory) == (10, 8_000_000_000)


def test_names_of_strangers_stay_text_within_the_snapshot():
    nasty = "<img src=x onerror=alert(1)>\x1b[2J\u202e" * 40
    strata = tuple(Stratum("libraries", nasty, "image", 1) for _ in range(40))
    widget = Stacks(vm=VM, container=replace(BOX, strata=strata, start=Figure(1, "s", "measured", nasty)))
    assert len(json.dumps(widget.state).encode()) < BUDGET
    bundle = widget._repr_mimebundle_()
    assert "<img src=x" not in bundle["text/html"] and len(bundle["text/html"]) <= 30_000
    assert "\x1b" not in bundle["text/plain"]


def test_what_is_no_such_stack_is_refused():
    with pytest.raises(TypeError, match="a vm's stack as vm=, not a container"):
        Stacks(vm=BOX, container=VM)
    with pytest.raises(TypeError, match="a container's stack as container=, not a NoneType"):
        Stacks(vm=VM)
    with pytest.raises(TypeError, match="Did you mean 'container'"):
        Stacks(vm=VM, contaner=BOX)
