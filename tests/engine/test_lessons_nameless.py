"""A lesson takes its own nameless images with it, and nobody else's."""

import drydock
import pytest
from drydock.lessons import bases
from drydock.lessons.nameless import remove_nameless
from drydock.lessons.own import LAB

pytestmark = pytest.mark.docker
TAG = "lab/nameless-of-a-test"


@pytest.fixture
def lesson(daemon, tmp_path, monkeypatch):
    """A lesson's folder as `fresh` makes it, with a record of its own."""
    monkeypatch.setenv("DRYDOCK_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    bases.make(daemon, bases.STANDIN)
    for number in ("05", "06"):
        folder = tmp_path / "work" / number
        folder.mkdir(parents=True)
        (folder / "Dockerfile").write_text(f"FROM {bases.STANDIN}\nRUN echo {number} {tmp_path} > /a\nRUN date > /b\n")
    yield tmp_path / "work"
    for number in ("05", "06"):
        if daemon.images.list(TAG):
            daemon.images.remove(TAG, force=True)
        remove_nameless(daemon, number)


def build(daemon, folder, **more):
    return drydock.build(folder, tag=TAG, client=daemon, builder="classic", **more).run()


def listed(daemon):
    """Return the IDs of what `docker images` lists without a name."""
    return {r["Id"] for r in daemon.api.images() if set(r.get("RepoTags") or []) <= {"<none>:<none>"}}


def test_what_lost_its_name_to_another_build_of_the_lesson_is_removed(daemon, lesson, capsys):
    before = listed(daemon)
    for _ in range(3):
        build(daemon, lesson / "05", nocache=True)
    assert listed(daemon) - before
    daemon.images.remove(TAG)
    remove_nameless(daemon, "05")
    assert listed(daemon) - before == set()
    assert "without a name" in capsys.readouterr().out


def test_what_another_lesson_built_and_what_a_container_needs_stay(daemon, lesson):
    before = listed(daemon)
    build(daemon, lesson / "06", nocache=True)
    other = daemon.images.get(TAG).id
    build(daemon, lesson / "05", nocache=True)
    used = daemon.images.get(TAG).id
    box = daemon.containers.create(TAG, labels={LAB: "nameless"})
    try:
        build(daemon, lesson / "05", nocache=True)
        daemon.images.remove(TAG)
        remove_nameless(daemon, "05")
        assert {other, used} <= listed(daemon) - before
    finally:
        box.remove(force=True)
    remove_nameless(daemon, "05")
    assert used not in listed(daemon) and other in listed(daemon)


def test_a_commit_whose_name_was_taken_is_known_by_the_lessons_label(daemon, lesson):
    before = listed(daemon)
    build(daemon, lesson / "05")
    box = daemon.containers.create(TAG, labels={LAB: "07"})
    try:
        for _ in range(2):
            box.commit(TAG, changes=[f"LABEL {LAB}=07"])
    finally:
        box.remove(force=True)
    daemon.images.remove(TAG)
    remove_nameless(daemon, "07")
    remove_nameless(daemon, "05")
    assert listed(daemon) - before == set()
