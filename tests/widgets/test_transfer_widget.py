"""Transfer: blobs on two shelves, what moved, what was there already, and the replay."""

import json
from dataclasses import replace

import pytest
from drydock.model import transfer as moves
from drydock.model.transfer import Blob, ended, joined, with_blob
from drydock_widgets import transfer
from drydock_widgets.transfer import BUDGET, MOMENTS, PAGE, Transfer


def digest(letter):
    return f"sha256:{letter * 64}"


BASE = Blob(digest("a"), "layer", "exists", 3_000_000, share=1.0)
TOP = Blob(digest("b"), "layer", "sent", 1000, 1000, 1.0, 0.1)
CONFIG = Blob(digest("c"), "config", "sent", 500, 500, 1.0, estimated=True)
LIST = Blob(digest("d"), "manifest", "sent", 700, 700, 1.0)
START = moves.Transfer("push", "localhost:5055/app:2", "Docker 20.10")
PUSH = replace(START, blobs=(BASE, TOP, CONFIG, LIST), state="done", seconds=0.3, digest=digest("d"))


def says(widget, **message):
    widget._heard(widget, message, [])


def states(widget):
    return [row["state"] for row in widget.state["rows"]]


def test_each_blob_has_a_row_with_its_fingerprint_and_the_manifest_counts_no_byte():
    widget = Transfer(PUSH)
    assert states(widget) == ["exists", "sent", "sent", "sent"]
    assert widget.state["rows"][0]["id"].startswith("aaaaaaa ")
    assert (widget.state["size"], widget.state["moved"], widget.state["estimated"]) == (3_001_500, 1500, True)
    assert widget.state["sentence"] == "~1.5kB of 3MB sent in 0.3 s; 1 of 3 parts was there already."


@pytest.mark.parametrize(
    ("direction", "blob", "why"),
    [
        ("push", BASE, "The registry has a blob of this digest, so nothing was sent."),
        ("pull", BASE, "This machine has it, so nothing was fetched."),
        ("push", replace(BASE, state="mounted", source="lab/app"), "in its repository lab/app"),
        ("push", TOP, "all of it was sent: 1kB."),
        ("push", CONFIG, "worked out from the manifest (~)"),
        ("push", LIST, "The tag points at it."),
    ],
)
def test_a_blob_says_why_it_moved_or_did_not(direction, blob, why):
    assert why in Transfer(replace(PUSH, direction=direction, blobs=(blob,))).state["rows"][0]["why"]


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is moved."""
    times = [100.0]
    monkeypatch.setattr(transfer.time, "monotonic", lambda: times[0])
    return times


def test_a_push_can_be_replayed_though_the_manifest_gives_its_layers_other_names(clock):
    """Docker 20.10 calls a layer by its diff ID while it sends it, and the registry by its own digest."""

    def happens():
        now = START
        for at, state, moved in ((0, "waiting", 0), (1, "sending", 300), (1.01, "sending", 400), (2, "sent", 900)):
            clock[0] = 100 + at
            now = with_blob(now, Blob("e" * 12, "layer", state, moved=moved))
            yield now
        yield joined(ended(now, "done", None, 2.5), [TOP, CONFIG], [digest("e")], config_there=False)

    widget = Transfer(START)
    widget.watch(happens())
    layer, config = widget.state["rows"]
    assert layer["id"].startswith("bbbbbbb")
    assert layer["at"] == [[0.0, "waiting", 0], [1.0, "sending", 300], [2.0, "sent", 1000]]
    assert config["at"] == [[0, "waiting", 0], [2.0, "sent", 500]]
    assert widget.state["end"] == 2.5


def test_a_long_upload_keeps_few_moments_with_the_first_and_the_last(clock):
    def happens():
        for n in range(200):
            clock[0] = 100.0 + n
            yield with_blob(START, replace(TOP, state="sending", moved=n))
        yield with_blob(START, TOP)

    widget = Transfer(happens())
    widget.watch(widget._feed)
    times = widget._times[TOP.short]
    assert len(times) <= MOMENTS and times[0][1:] == ["sending", 0] and times[-1][1:] == ["sent", 1000]


def test_what_failed_is_shown_with_its_reason_and_the_kernel_goes_on():
    failed = ended(with_blob(START, replace(TOP, state="sending")), "failed", "It is damaged.\nTry: again", 1.0)
    widget = Transfer(START)
    assert widget.watch([START, failed]) == failed
    assert states(widget) == ["failed"] and "Try: again" in widget.state["problem"]


def test_many_blobs_of_strangers_are_paged_within_the_snapshot():
    nasty = "<img src=x onerror=alert(1)>\x1b[2J\u202e\udcff" * 9
    blobs = tuple(Blob(f"sha256:{n:064x}", "layer", "mounted", n, source=nasty, note=nasty) for n in range(1000))
    widget = Transfer(START)
    widget.watch([START, replace(PUSH, name=f"localhost/{nasty}", blobs=blobs, error=nasty * 9)])
    assert widget.state["count"] == 1000 and len(widget.state["rows"]) == PAGE
    text = json.dumps(widget.state, ensure_ascii=False)
    assert len(json.dumps(widget.state)) < BUDGET and "\x1b" not in text
    says(widget, page=999)
    assert widget.state["first"] == 990 and widget.state["rows"][-1]["n"] == 999
    bundle = widget._repr_mimebundle_()
    assert "<img src=x" not in bundle["text/html"] and len(bundle["text/html"]) <= 30_000
    assert "\x1b" not in bundle["text/plain"]


def test_on_paper_what_moved_is_solid_and_what_was_there_dashed():
    sentence, title, marks, _, cells = Transfer(PUSH).still()
    assert sentence == PUSH.sentence() and title.startswith("From this machine to the registry")
    assert [mark.dashed for mark in marks] == [True, False, False, False]
    assert [mark.note for mark in marks][:3] == ["0B of 3MB", "1kB of 1kB", "~500B of 500B"]
    assert cells[0][:3] == ["a" * 12, "layer", "= exists"]
    assert Transfer(PUSH).picture() == PUSH.picture()


@pytest.mark.parametrize("message", [{"page": "x"}, {"page": -9}, {}, {"other": 1}])
def test_a_message_that_makes_no_sense_changes_nothing(message):
    widget = Transfer(PUSH)
    before = {**widget.state, "seq": 0}
    says(widget, **message)
    assert {**widget.state, "seq": 0} == before


def test_what_is_no_transfer_is_refused_and_nothing_yet_is_no_error():
    with pytest.raises(TypeError, match=r"Transfer shows a pull or a push, not a str. Try: Transfer\(drydock.push"):
        Transfer("localhost:5055/app")
    with pytest.raises(TypeError, match="does not know the argument 'sourc'"):
        Transfer(PUSH, sourc=1)
    widget = Transfer(iter(()))
    assert widget.state["sentence"] == "Nothing has moved yet." and widget.picture() == "Nothing has moved yet."
    widget.still()
    with pytest.raises(TypeError, match="not a str"):
        widget.watch(["no"])
