"""A container's own layer as each engine tells it, and the containers that lessons play with."""

import drydock
import pytest
from drydock.lessons import containers
from drydock.lessons.containers import NoContainer, create, put, remove, tidy, typed
from drydock.lessons.own import LAB
from drydock.read import container as reader

pytestmark = pytest.mark.docker
BASE = "drydock-test/containers"
LESSON = "test-containers"
LATER = ("graph",)  # the same Docker and builder as containerd, on the other image store


@pytest.fixture(scope="module")
def base(daemon, busybox):
    """A small image with the commands that are typed here."""
    busybox(BASE, "rm", "chmod", "head")
    yield
    daemon.images.remove(BASE)


@pytest.fixture
def made(daemon, base):
    """Make a lesson's container; afterwards all of the lesson's go."""
    yield lambda name="lab-test", **more: create(daemon, name, BASE, LESSON, command=["sleep", "600"], **more)
    tidy(daemon, LESSON)


def shown(container):
    return [(c.kind, c.path, c.size) for c in drydock.writable(container).changes if c.what != "directory"]


def test_each_line_typed_into_a_container_is_told_with_what_it_cost(made):
    box = made()
    box.start()
    empty, added, chmod, gone = typed(box, "echo hello > /note", "chmod 600 /etc/passwd", "rm /etc/group")
    assert (empty.changes, empty.size, empty.state) == ((), 0, "running")
    assert [(c.kind, c.path, c.size) for c in added.changes] == [("added", "note", 6)]
    copied = next(change for change in chmod.changes if change.path == "etc/passwd")
    assert copied.copied and copied.size == copied.below > 0 and copied.layer == 0
    hidden = next(change for change in gone.changes if change.path == "etc/group")
    assert (hidden.kind, hidden.size) == ("removed", 0) and hidden.below > 0
    assert gone.size == 6 + copied.size and gone.did == "rm /etc/group"


def test_a_container_that_never_ran_can_be_written_into_and_its_layer_goes_with_it(made, daemon):
    box = made()
    assert put(box, "/note", "hello\n").size == 6
    assert remove(box).sentence().startswith("`lab-test` is removed: its 6B are gone.")
    assert daemon.api.containers(all=True, filters={"name": "lab-test"}) == []


def test_more_files_than_are_asked_for_one_by_one_are_counted_by_the_engine(made, monkeypatch):
    monkeypatch.setattr(reader, "ASKED", 1)
    box = made()
    put(box, "/a", "12345")
    told = put(box, "/b", "12345")
    assert told.unmeasured == 1 and told.size == told.counted >= 10


def test_what_hangs_into_a_container_from_outside_is_not_in_its_layer(made, daemon):
    volume = daemon.volumes.create("lab-test-shelf", labels={LAB: LESSON})
    box = made(volumes=[f"{volume.name}:/data"])
    put(box, "/data/diary", "Dear diary\n")
    assert shown(box) == []


def test_a_second_container_of_a_name_takes_the_place_of_the_first(made, capsys):
    first = made()
    second = made()
    assert first.id != second.id and "of an earlier run is removed" in capsys.readouterr().out


def test_a_container_that_is_not_the_lessons_own_is_left_alone(made, daemon):
    theirs = daemon.containers.create(BASE, ["true"], name="lab-test-theirs")
    try:
        with pytest.raises(NoContainer, match="did not make, so it is left alone"):
            made("lab-test-theirs")
        theirs.reload()
    finally:
        theirs.remove(force=True)


def test_cells_run_out_of_order_are_told_what_to_run_first(made, daemon):
    with pytest.raises(NoContainer, match="There is no image lab/never here"):
        create(daemon, "lab-test", "lab/never", LESSON)
    box = made()
    with pytest.raises(NoContainer, match=r"does not run \(it is created\)"):
        list(typed(box, "true"))
    remove(box)
    for act in (lambda: list(typed(box, "true")), lambda: put(box, "/a", "b"), lambda: remove(box)):
        with pytest.raises(NoContainer, match="Container lab-test is gone"):
            act()


def test_what_a_command_prints_is_shown_without_control_characters_and_at_most_so_much(made, capsys):
    box = made()
    box.start()
    list(typed(box, "echo 'a\033[31mb'; head -c 9000 /dev/zero"))
    said = capsys.readouterr().out
    assert "a\\x1b[31mb" in said and "\x1b" not in said and len(said) < 4 * containers.SAID + 200
