"""LayerStack: bars for layers, files of a layer or of all, a file's thread, two images side by side."""

import json

import pytest
from drydock.model.image import HistoryRow, Image, ImageConfig
from drydock.model.layer import Entry, Layer
from drydock_widgets.layerstack import BUDGET, PAGE, LayerStack, fingerprint


def layer(n, *entries, **more):
    return Layer(f"sha256:{n:x}{'0' * 60}", "", sum(e.size for e in entries), entries, **more)


def image(*layers, name="lab/x", content=None):
    rows = [HistoryRow(f"RUN step {n}", layer=n) for n in range(len(layers))]
    rows.append(HistoryRow("CMD sh", empty=True))
    return Image("sha256:1", (name,), "linux/amd64", ImageConfig(), tuple(rows), layers, content=content)


BASE = layer(1, Entry("bin", "directory"), Entry("bin/sh", "file", 100, digest="sha256:aaaaaaaaa"))
BIG = layer(2, Entry("tmp/big", "file", 900), Entry("bin/sh", "file", 120, digest="sha256:bbbbbbbbb"))
GONE = layer(3, Entry("note", "file", 5), whiteouts=("tmp/big",))
IMAGE = image(BASE, BIG, GONE)


def says(widget, **message):
    widget._heard(widget, message, [])


def listed(widget):
    return [(file["glyph"], file["path"]) for file in widget.state["files"]]


def test_each_layer_is_a_bar_and_a_row_without_files_is_none():
    bars = LayerStack(IMAGE).state["stacks"][0]["bars"]
    assert [bar["layer"] for bar in bars] == [0, 1, 2, None]
    assert [bar.get("size") for bar in bars] == ["100B", "1.02kB", "5B", None]
    assert bars[1]["width"] == 1 and bars[1]["hidden"] == "900B" and bars[1]["lost"] == pytest.approx(0.8824, abs=1e-4)


def test_the_sentence_tells_what_is_hidden_and_shipped():
    assert LayerStack(IMAGE).state["sentence"].startswith("3 layers, 1.12kB. 1kB (89 %) are hidden by later layers")
    assert LayerStack(image(BASE)).state["sentence"] == "1 layer, 100B. Nothing in them is hidden by a later layer."


def test_a_layer_shows_what_it_wrote_and_hid_the_heaviest_first():
    widget = LayerStack(IMAGE)
    assert listed(widget) == [("-", "tmp/big"), ("+", "note")]
    says(widget, focus=[0, 1])
    assert listed(widget) == [("+", "tmp/big"), ("~", "bin/sh")]


def test_the_merged_view_is_the_file_system_as_of_that_layer():
    widget = LayerStack(IMAGE)
    says(widget, view="merged")
    assert [path for _, path in listed(widget)] == ["bin", "note", "tmp"]
    says(widget, focus=[0, 1])
    assert [path for _, path in listed(widget)] == ["tmp", "bin"]
    says(widget, file=0, listing=widget.state["listing"])
    assert listed(widget) == [("·", "tmp/big")] and widget.state["folder"] == "tmp"
    says(widget, up=True)
    assert widget.state["folder"] == ""


def test_a_file_is_followed_through_every_layer_with_its_content():
    widget = LayerStack(image(BASE, BIG, GONE, content=lambda n, path: f"{n} {path}\n\x1b[2J".encode()))
    says(widget, file=0, listing=widget.state["listing"])
    rows = widget.state["thread"]["rows"]
    assert [(row["layer"], row["kind"]) for row in rows] == [(1, "added"), (2, "removed")]
    says(widget, content=1)
    assert widget.state["thread"]["content"] == "1 tmp/big\n\ufffd[2J"


def test_content_that_cannot_be_read_is_said_in_a_sentence():
    def gone(layer, path):
        raise OSError("no such image")

    for content, said in ((None, "cannot be asked for"), (gone, "no such image")):
        widget = LayerStack(image(BASE, content=content))
        says(widget, file=0, listing=widget.state["listing"])
        says(widget, content=0)
        assert said in widget.state["thread"]["content"]


def test_two_images_show_the_layers_they_share():
    widget = LayerStack(image(BASE, BIG), image(BASE, GONE, name="lab/y"))
    shared = [[bar.get("shared") for bar in side["bars"]] for side in widget.state["stacks"]]
    assert shared == [[True, False, None]] * 2
    assert widget.state["sentence"].startswith("They share 1 layer (100B), stored once.")
    assert ("-", "tmp/big") in listed(widget) and ("+", "note") in listed(widget)
    says(widget, focus=[0, 1])
    assert widget.state["view"] == "layer" and ("+", "tmp/big") in listed(widget)


def test_files_are_found_by_a_part_of_their_path():
    widget = LayerStack(IMAGE)
    says(widget, find="big")
    assert listed(widget) == [("-", "tmp/big")]


def test_many_files_of_strangers_are_paged_within_the_snapshot():
    nasty = "<img src=x onerror=alert(1)>\x1b[2J\u202e\udcff" * 8
    big = image(
        *(layer(n + 1, *(Entry(f"{nasty}{n}/{m}", "file", m) for m in range(100))) for n in range(60)), name=nasty
    )
    widget = LayerStack(big)
    text = json.dumps(widget.state, ensure_ascii=False)
    assert len(text.encode()) < BUDGET and "\x1b" not in text
    assert widget.state["count"] == 100 and len(widget.state["files"]) == PAGE
    says(widget, page=80)
    assert len(widget.state["files"]) == 20
    says(widget, file=99, listing=widget.state["listing"])
    assert len(json.dumps(widget.state, ensure_ascii=False).encode()) < BUDGET
    bundle = widget._repr_mimebundle_()
    assert "<img src=x" not in bundle["text/html"] and len(bundle["text/html"]) <= 30_000
    assert "\x1b" not in bundle["text/plain"]


def test_a_click_on_a_row_of_the_list_before_chooses_what_stood_there():
    widget = LayerStack(IMAGE)
    seen, path = widget.state["listing"], widget.state["files"][0]["path"]
    says(widget, view="merged")
    assert widget.state["files"][0]["path"] != path
    says(widget, file=0, listing=seen)
    assert widget.state["folder"] == "" and widget.state["thread"]["path"] == path


def test_a_folder_of_the_list_before_is_not_opened_in_a_list_without_folders():
    widget = LayerStack(IMAGE)
    says(widget, view="merged")
    assert widget.state["files"][0]["kind"] == "folder"
    seen = widget.state["listing"]
    says(widget, view="layer")
    says(widget, file=0, listing=seen)
    assert widget.state["folder"] == "" and widget.state["view"] == "layer"


NONSENSE = [{"focus": [0, 9]}, {"focus": [5, 0]}, {"focus": "x"}, {"focus": ["a", "b"]}, {"view": "compare"}]
NONSENSE += [{"file": 999}, {"file": -1}, {"file": 0, "listing": "another"}]
NONSENSE += [{"page": -3}, {"find": 3}, {"content": "x"}, {}]


@pytest.mark.parametrize("message", NONSENSE)
def test_a_message_that_makes_no_sense_changes_nothing(message):
    widget = LayerStack(IMAGE)
    before = {**widget.state, "seq": 0}
    says(widget, **message)
    assert {**widget.state, "seq": 0} == before


def test_an_image_without_layers_is_drawn_too():
    widget = LayerStack(image())
    assert widget.state["count"] == 0 and "<figure>" in widget._repr_mimebundle_()["text/html"]
    says(widget, view="merged")


def test_equal_layers_look_equal_and_what_is_no_image_is_refused():
    assert fingerprint(BASE.diff_id) == fingerprint(image(BASE).layers[0].diff_id) != fingerprint(BIG.diff_id)
    with pytest.raises(TypeError, match="not a str"):
        LayerStack("alpine")
