"""Drawings of stages and ancestry: the text twin says what the graph shows, and hostile names stay text."""

import re

import pytest
from drydock.model.change import Change, Writable
from drydock.model.image import Image, ImageConfig
from drydock.model.layer import Layer
from drydock_widgets import diagram

THREE = """\
FROM alpine AS words
RUN sort /a > /words
FROM alpine AS experiment
RUN sleep 1
FROM busybox
COPY --from=words /words /words
COPY --from=nginx:1 /etc/nginx /n
RUN --mount=type=bind,from=words,target=/w cat /w/words
"""


def image(name, *layers):
    """An image of layers given as (diff ID, size)."""
    held = tuple(Layer(digest, "", size) for digest, size in layers)
    return Image(f"sha256:{name * 12}"[:71], (name,) if name else (), "linux/amd64", ImageConfig(), (), held)


def test_stages_are_drawn_with_what_each_takes_from_where():
    assert diagram.stages(THREE).picture() == (
        "3 stages; the image is what stage 2 holds at its end. BuildKit leaves out stage 1: nothing needs it.\n"
        "stage 0 words\n"
        "  FROM alpine\n"
        "stage 1 experiment (not needed)\n"
        "  FROM alpine\n"
        "stage 2\n"
        "  FROM busybox\n"
        "  COPY --from stage 0\n"
        "  COPY --from nginx:1\n"
        "  RUN --from stage 0"
    )


def test_stages_can_be_drawn_before_it_is_told_which_are_needed():
    drawing, told = diagram.stages(THREE, verdict=False), diagram.stages(THREE)
    assert drawing.claim == "3 stages; the image is what stage 2 holds at its end."
    assert "needed" not in drawing.picture() + drawing.dot and "dashed" not in drawing.dot.partition("->")[0]
    assert told.text.replace(" (not needed)", "") == drawing.text
    assert diagram.stages(THREE, target="words", verdict=False).claim.startswith("3 stages; the image is what stage 0 ")


def test_a_target_makes_the_later_stages_unneeded():
    drawing = diagram.stages(THREE, target="words")
    assert drawing.claim.startswith("3 stages; the image is what stage 0 holds")
    assert "stage 2 (not needed)" in drawing.text


def test_a_stage_by_number_and_a_stage_on_a_stage_are_found():
    text = "FROM alpine AS a\nFROM A\nCOPY --from=0 /x /x\n"
    assert diagram.stages(text).text.splitlines()[2:] == ["stage 1", "  FROM stage 0", "  COPY --from stage 0"]


def test_stages_read_a_file(tmp_path):
    path = tmp_path / "Dockerfile"
    path.write_text(THREE)
    assert diagram.stages(path) == diagram.stages(THREE)


def test_ancestry_draws_shared_layers_once():
    base = ("sha256:b", 4_000_000)
    images = [
        image("base", base),
        image("app", base, ("sha256:1", 1_000_000)),
        image("twin", base, ("sha256:1", 1_000_000), ("sha256:2", 20)),
        image("alone", ("sha256:9", 10)),
    ]
    assert diagram.ancestry(images).picture() == (
        "4 images: 14MB if each stood alone, 5MB with layers shared.\n"
        "base: 1 layer, 4MB\n"
        "└─ app: 1 layer, 1MB\n"
        "   └─ twin: 1 layer, 20B\n"
        "alone: 1 layer, 10B"
    )


def test_layers_that_no_image_ends_on_are_named_shared():
    base = ("sha256:b", 4000)
    drawing = diagram.ancestry([image("a", base, ("sha256:1", 1)), image("b", base, ("sha256:2", 2))])
    assert drawing.text == "shared: 1 layer, 4kB\n├─ a: 1 layer, 1B\n└─ b: 1 layer, 2B"


def test_no_images_and_an_image_without_layers_are_drawn_as_nothing():
    assert diagram.ancestry([]).text == ""
    assert diagram.ancestry([image("empty")]).text == ""


def test_hostile_names_neither_move_the_cursor_nor_become_markup():
    drawing = diagram.ancestry([image('<script>"\x1b[2J\\N</script>', ("sha256:1", 1))])
    assert "\x1b" not in drawing.picture() + drawing.dot
    html = drawing._repr_mimebundle_().get("text/html", "")
    assert "<script" not in html


def test_a_drawing_shows_an_image_with_its_words_beside_it():
    drawing = diagram.stages(THREE)
    if drawing.svg is None:
        pytest.skip("no dot on this machine: the text twin is tested below")
    shown = drawing._repr_mimebundle_()
    assert re.search(r'<img alt="stage 0 words[^"]*" src="data:image/svg\+xml;base64,', shown["text/html"])
    assert shown["text/plain"] == drawing.picture()
    for word in (b"stage 0: words", b"not needed", b"nginx:1"):
        assert word in drawing.svg


def test_without_dot_the_words_stand_alone_and_say_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    shown = diagram.stages(THREE)._repr_mimebundle_()
    assert list(shown) == ["text/plain"]
    assert shown["text/plain"].startswith("3 stages;") and "apt install graphviz" in shown["text/plain"]


def container(name, of, state="running", own=0):
    changes = (Change("note", "added", "file", own),) if own else ()
    return Writable(f"id-{name}", name, of, changes, state)


def test_instances_hang_on_their_image_with_their_state_and_their_own_bytes():
    dish, hello = image("dish", ("sha256:b", 4000)), image("hello", ("sha256:b", 4000), ("sha256:1", 1))
    made = [container("one", dish, "exited"), container("two", dish, own=16), container("three", hello, "created")]
    assert diagram.instances(made).picture() == (
        "2 images, 3 containers: 1 exited, 1 running, 1 created.\n"
        "image dish: 1 layer, 4kB\n"
        "├─ one           exited    0B of its own\n"
        "└─ two           running   16B of its own\n"
        "image hello: 2 layers, 4kB\n"
        "└─ three         created   0B of its own"
    )


def test_no_instances_and_a_hostile_name_are_drawn_as_text():
    assert diagram.instances([]).picture() == "0 images, 0 containers: none.\n"
    drawing = diagram.instances([container('"\x1b[2J\\N', image("a", ("sha256:1", 1)))])
    assert "\x1b" not in drawing.picture() + drawing.dot
    assert drawing.svg is None or b"\\N" in drawing.svg
