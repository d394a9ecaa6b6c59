"""WritableLayer: containers as thin layers on one image, each change with its cost, the last steps replayed."""

import json
from dataclasses import replace

import pytest
from drydock.model.change import Change, Writable, joined
from drydock.model.image import HistoryRow, Image, ImageConfig
from drydock.model.layer import Entry, Layer
from drydock_widgets.writablelayer import BUDGET, MOMENTS, PAGE, ROWS, WritableLayer

BASE = Layer(
    f"sha256:1{'0' * 63}",
    "",
    120,
    (Entry("bin", "directory"), Entry("bin/sh", "file", 100), Entry("bin/ash", "hardlink", link="bin/sh")),
)
BIG = Layer(f"sha256:2{'0' * 63}", "", 20_000_000, (Entry("shop/goods", "file", 20_000_000),))
ROWS_OF_HISTORY = (HistoryRow("ADD base", layer=0), HistoryRow("RUN make goods", layer=1))
IMAGE = Image("sha256:9", ("lab/box",), "linux/amd64", ImageConfig(), ROWS_OF_HISTORY, (BASE, BIG))
NOTE = Change("note", "added", "file", 16)
COPIED = Change("shop/goods", "changed", "file", 20_000_001, 20_000_000, 1)
FOLDER = Change("shop", "changed", "directory")
HIDDEN = Change("shop/goods", "removed", "file", 0, 20_000_000, 1)


def box(name="ada", *changes, **more):
    return Writable(f"id of {name}", name, IMAGE, changes, engine="Docker 20.10", **more)


def says(widget, **message):
    widget._heard(widget, message, [])


def listed(widget):
    return [(row["glyph"], row["path"], row["size"]) for row in widget.state["rows"]]


def test_a_container_is_a_thin_layer_on_layers_that_are_only_read():
    widget = WritableLayer(box("ada", NOTE), box("bob"))
    assert [one["spans"][-1][1:3] for one in widget.state["containers"]] == [["running", "16B"], ["running", "0B"]]
    assert [layer["size"] for layer in widget.state["image"]["layers"]] == ["120B", "20MB"]
    assert widget.state["engine"] == "Docker 20.10"
    assert widget.state["sentence"] == (
        "2 containers read the same 20MB, stored once, and have 16B of their own: 20MB on disk. Copies would be 40MB."
    )


def test_one_container_says_what_it_has_of_its_own_and_by_what():
    widget = WritableLayer(box("ada", FOLDER, COPIED, NOTE))
    assert widget.state["sentence"].endswith("on top of 20MB that it only reads: 1 added, 1 copied up whole.")
    assert listed(widget) == [("C", "shop/goods", "20MB"), ("A", "note", "16B"), ("C", "shop", "")]


def test_a_change_says_what_it_cost_and_from_which_layer_the_file_came():
    widget = WritableLayer(box("ada", NOTE, COPIED))
    says(widget, pick=0, listing=widget.state["listing"])
    assert widget.state["detail"]["from"] == 1 and widget.state["rows"][0]["picked"]
    assert "copied up from layer 1: 20MB in the container's layer, for 1 byte more" in widget.state["detail"]["why"]
    says(widget, focus=0)
    assert widget.state["detail"] is None


def test_a_click_on_a_change_counts_for_the_container_it_was_seen_in_while_another_one_writes():
    widget = WritableLayer()
    widget.take(box("ada", COPIED))
    widget.refresh()
    seen = widget.state["listing"]
    widget.take(box("bob", NOTE))
    widget.refresh()
    assert widget.state["chosen"] == "bob"
    says(widget, pick=0, listing=seen)
    assert widget.state["chosen"] == "ada" and widget.state["detail"]["path"] == "shop/goods"


def test_the_steps_of_a_stream_are_kept_for_the_replay_with_the_moments_of_each_change():
    widget = WritableLayer()
    states = [
        box(),
        box("ada", NOTE, did="echo"),
        box("ada", NOTE, COPIED, did="echo >>"),
        box("ada", HIDDEN, did="rm"),
    ]
    assert widget.watch(states) == states[-1]
    assert [did for did, _ in widget.state["moments"]] == ["", "echo", "echo >>", "rm"]
    spans = {(row["kind"], row["path"]): row["at"] for row in widget.state["rows"]}
    assert spans == {("changed", "shop/goods"): [2, 3], ("added", "note"): [1, 3], ("removed", "shop/goods"): [3, 4]}
    assert [size for _, _, size, _ in widget.state["containers"][0]["spans"]] == ["0B", "16B", "20MB", "0B"]


def test_a_removed_container_is_remembered_with_what_went_with_it_and_counts_no_more():
    widget = WritableLayer(box("ada"), box("bob", NOTE).removed())
    assert widget.size == 0 and widget.state["sentence"].endswith("1 removed, with all that it had written.")
    assert [mark.note for mark in widget.still()[2][:2]] == ["0B", "16B gone"]


def test_a_thousand_containers_are_paged_and_the_figure_follows_the_one_that_changes():
    widget = WritableLayer()
    widget.watch(box(f"guest-{n}", NOTE, did=f"docker cp {n}") for n in range(1000))
    assert widget.state["count"] == 1000 and widget.state["focus"] == 999 and widget.state["first"] == 980
    assert len(widget.state["containers"]) == PAGE and len(widget.state["moments"]) <= MOMENTS
    says(widget, page=40)
    assert widget.state["containers"][0]["name"] == "guest-40"
    assert widget.state["sentence"].startswith("1000 containers read the same 20MB")
    bundle = widget._repr_mimebundle_()
    assert len(bundle["text/html"]) <= 30_000 and "990 more containers" in widget.still()[2][10].text


def test_many_changes_of_strangers_are_paged_within_the_snapshot():
    nasty = "<img src=x onerror=alert(1)>\x1b[2J\u202e\udcff" * 8
    widget = WritableLayer()
    changes = [Change(f"{nasty}{n}", "added", "file", n) for n in range(400)]
    widget.watch(box(f"{nasty}{n % 30}", *changes[: n * 10], did=nasty) for n in range(41))
    assert widget.state["rowsCount"] >= 100 and len(widget.state["rows"]) == ROWS
    text = json.dumps(widget.state, ensure_ascii=False)
    assert len(text.encode()) < BUDGET and "\x1b" not in text
    says(widget, rows=ROWS)
    assert widget.state["from"] == ROWS
    bundle = widget._repr_mimebundle_()
    assert "<img src=x" not in bundle["text/html"] and len(bundle["text/html"]) <= 30_000
    assert "\x1b" not in bundle["text/plain"]


NONSENSE = [{"focus": 9}, {"focus": "x"}, {"focus": -1}, {"page": -3}, {"rows": 99}, {"pick": 0}, {"pick": 7}, {}]
NONSENSE += [{"pick": 0, "listing": "another"}, {"pick": "a"}]


@pytest.mark.parametrize("message", NONSENSE)
def test_a_message_that_makes_no_sense_changes_nothing(message):
    widget = WritableLayer(box("ada", NOTE))
    before = {**widget.state, "seq": 0}
    says(widget, **message)
    assert {**widget.state, "seq": 0} == before


def test_what_is_no_container_or_of_another_image_is_refused():
    with pytest.raises(TypeError, match="WritableLayer shows containers, not a str"):
        WritableLayer("lab-ada")
    with pytest.raises(TypeError, match="not a int"):
        WritableLayer(box(), 3)
    with pytest.raises(ValueError, match="bob is of another"):
        WritableLayer(box(), replace(box("bob"), image=replace(IMAGE, id="sha256:8")))
    assert WritableLayer().state["sentence"] == "No container yet."


def test_docker_diff_is_joined_with_the_images_files():
    rows = [
        {"Path": "/shop", "Kind": 0},
        {"Path": "/shop/goods", "Kind": 2},
        {"Path": "/bin/ash", "Kind": 0},
        {"Path": "/link", "Kind": 1},
        {"Path": "/bin", "Kind": 2},
    ]
    found = {"shop": ("directory", 4096), "bin/ash": ("file", 101), "link": ("symlink", 6)}
    told = {change.path: change for change in joined(IMAGE, rows, found)}
    assert told["shop/goods"] == HIDDEN and told["shop"].size == 0 and told["link"].size == 0
    assert told["bin/ash"].copied and (told["bin/ash"].size, told["bin/ash"].below) == (101, 100)
    assert (told["bin"].what, told["bin"].below) == ("directory", 100)
