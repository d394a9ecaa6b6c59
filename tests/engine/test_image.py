"""Rules of images and layers."""

from drydock.model.image import HistoryRow, Image, ImageConfig, join_history
from drydock.model.layer import Entry, Layer, human, shown


def test_a_layer_of_zero_bytes_is_still_a_layer():
    rows = join_history([{"created_by": "WORKDIR /app"}, {"created_by": "ENV a=1", "empty_layer": True}], 1)
    assert [row.layer for row in rows] == [0, None]


def test_history_that_is_shorter_or_longer_than_the_layers_loses_none():
    assert [row.layer for row in join_history([{}, {}, {}], 2)] == [0, 1, None]
    assert [row.layer for row in join_history([], 2)] == [0, 1]


def test_a_picture_shows_hostile_text_escaped():
    image = Image("sha256:1", ("\x1b[31mx",), "linux/amd64", ImageConfig(), (HistoryRow("RUN \x07"),), ())
    assert "\x1b" not in image.picture() and "\x07" not in image.picture()


def test_configuration_of_wrong_types_is_read_as_absent():
    assert ImageConfig.parse({"Env": 3, "Labels": ["a"], "Volumes": {"/v": {}}}) == ImageConfig(volumes=("/v",))


def test_sizes_are_decimal_with_three_digits():
    assert [human(n) for n in (1000, 1_234_000, 999_999_999)] == ["1kB", "1.23MB", "1GB"]


def test_names_that_are_not_text_can_be_printed():
    name = b"caf\xe9\n".decode("utf-8", "surrogateescape")
    assert shown(name).encode() == b"caf\\xe9\\n"


def test_the_content_reader_does_not_count_when_images_are_compared():
    layer = Layer("d", "d", 1, (Entry("a", "file", 1),))
    one = Image("i", (), "p", ImageConfig(), (), (layer,), content=lambda n, p: b"")
    assert one == Image("i", (), "p", ImageConfig(), (), (layer,)) and "content" not in repr(one)
    assert one.size == 1
