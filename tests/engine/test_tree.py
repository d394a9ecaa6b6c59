"""Rules of merged trees."""

from drydock.model.image import Image, ImageConfig
from drydock.model.layer import Entry, Layer
from drydock.model.tree import Appearance, FileChange, changes, compare, efficiency, hidden, thread, tree_at


def folder(path, **more):
    return Entry(path, "directory", mode=0o755, **more)


def file(path, size, digest="d"):
    return Entry(path, "file", size, digest=digest)


def layer(name, *entries, whiteouts=(), opaque=()):
    return Layer(name, name, sum(one.size for one in entries), entries, whiteouts, opaque)


def image(*layers):
    return Image("", (), "linux/amd64", ImageConfig(), (), layers)


BASE = layer("base", folder("a"), file("a/x", 10), file("a/y", 20), file("z", 5))


def test_a_whiteout_hides_a_file_and_the_bytes_stay():
    one = image(BASE, layer("rm", folder("a"), whiteouts=("a/x",)))
    assert one.size == 35 and hidden(one) == (10, 0)
    assert "a/x" not in tree_at(one) and "a/x" in tree_at(one, 0)
    assert changes(one, 1) == (FileChange("a/x", "removed", 0, 10),)


def test_a_whiteout_of_a_directory_hides_all_that_is_in_it():
    one = image(BASE, layer("rm", whiteouts=("a",)))
    assert set(tree_at(one).nodes) == {"z"} and hidden(one) == (30, 0)
    assert changes(one, 1) == (FileChange("a", "removed", 0, 30),)


def test_an_opaque_directory_keeps_only_what_its_own_layer_wrote():
    one = image(BASE, layer("new", folder("a"), file("a/x", 3, "e"), opaque=("a",)))
    assert set(tree_at(one).nodes) == {"a", "a/x", "z"} and hidden(one) == (30, 0)
    assert changes(one, 1) == (FileChange("a/x", "changed", 3, 10), FileChange("a/y", "removed", 0, 20))


def test_a_file_takes_the_place_of_a_directory_and_back():
    one = image(BASE, layer("f", file("a", 1)), layer("d", folder("a"), file("a/new", 2)))
    assert set(tree_at(one, 1).nodes) == {"a", "z"}
    assert set(tree_at(one).nodes) == {"a", "a/new", "z"}


def test_a_directory_written_again_is_no_change_but_its_mode_is():
    assert changes(image(BASE, layer("t", folder("a"))), 1) == ()
    other = Entry("a", "directory", mode=0o700)
    assert [one.kind for one in changes(image(BASE, layer("t", other)), 1)] == ["changed"]


def test_a_thread_follows_one_file_through_all_layers():
    one = image(
        BASE,
        layer("same", file("a/x", 10)),
        layer("change", file("a/x", 11, "e")),
        layer("rm", whiteouts=("a",)),
        layer("again", file("a/x", 1)),
        layer("opaque", folder("a"), opaque=("a",)),
    )
    kinds = [(step.layer, step.kind) for step in thread(one, "/a/x")]
    assert kinds == [(0, "added"), (1, "same"), (2, "changed"), (3, "removed"), (4, "added"), (5, "removed")]
    assert thread(one, "a/x")[2] == Appearance(2, "changed", 11, "e", 0o644)
    assert thread(one, "nowhere") == ()


def test_a_file_with_two_names_is_hidden_only_when_both_are():
    base = layer("b", file("a", 10), Entry("b", "hardlink", link="a"))
    assert hidden(image(base, layer("rm", whiteouts=("a",)))) == (0, 0)
    assert hidden(image(base, layer("rm", whiteouts=("a", "b")))) == (10, 0)


def test_hard_links_that_loop_end():
    loop = layer("b", Entry("a", "hardlink", link="b"), Entry("b", "hardlink", link="a"))
    assert hidden(image(loop)) == (0,)


def test_efficiency_is_dives_figure():
    # dive: each path at its smallest / all bytes; a removed file counts 0, a removed directory what was in it
    assert efficiency(image(BASE)) == 1.0
    assert efficiency(image(BASE, layer("rm", whiteouts=("z",)))) == 30 / 35
    assert efficiency(image(BASE, layer("c", file("z", 15)))) == 35 / 50
    assert efficiency(image(BASE, layer("rm", whiteouts=("a",)))) == 65 / 65
    assert efficiency(image()) == 1.0


def test_two_images_share_their_base_and_differ_in_files():
    one = image(BASE, layer("1", file("app", 7)))
    two = image(BASE, layer("2", file("app", 8, "e"), file("new", 1), whiteouts=("z",)))
    both = compare(one, two)
    assert (both.shared, both.shared_size, both.only_a, both.only_b) == (1, 35, 7, 9)
    assert [(f.path, f.kind) for f in both.files] == [("app", "changed"), ("new", "added"), ("z", "removed")]
    assert both.picture().splitlines()[-1] == "- z"


def test_an_opaque_root_hides_everything_below():
    one = image(BASE, layer("new", file("n", 1), opaque=("",)))
    assert set(tree_at(one).nodes) == {"n"} and thread(one, "z")[-1].kind == "removed"


def test_a_file_under_a_file_of_an_older_layer_makes_a_directory_there():
    one = image(layer("f", file("a", 1)), layer("in", file("a/b", 2)))
    assert set(tree_at(one).nodes) == {"a/b"}
