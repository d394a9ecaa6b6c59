"""The badge names the engine that answers; what it cannot do is said in a sentence, and nothing else is hidden."""

import pytest
from docker.errors import APIError
from drydock import badge
from drydock.lessons import bases, bundle
from drydock.lessons.bundle import BadBundle


class Engine:
    """What `docker version` and `docker info` say; an engine that has no image."""

    def __init__(self, rung=None):
        status = [["rung", rung], ["executes", "false" if rung == "D" else "true"]] if rung else [["Backing", "extfs"]]
        self.rung = rung
        self.told = {"DriverStatus": status}
        self.images = self.api = self
        self.left = ["older"]

    def version(self):
        rung = self.rung
        return {"Version": "0.1.0", "Platform": {"Name": f"Drydock engine 0.1, rung {rung}" if rung else ""}}

    def info(self):
        return self.told

    def list(self, name):
        return []

    def containers(self, all, filters):
        assert (all, filters) == (True, {"status": "created"})
        return [{"Id": id} for id in self.left]

    def remove_container(self, id):
        self.left.remove(id)


@pytest.mark.parametrize(
    ("rung", "line"),
    [
        (None, "Docker 0.1.0"),
        ("C", "Drydock engine 0.1, rung C"),
        ("D", badge.NOTHING_RUNS.format(name="Drydock engine 0.1, rung D")),
    ],
)
def test_the_badge_says_which_engine_and_which_rung(rung, line):
    assert badge.badge(Engine(rung)) == line


@pytest.mark.parametrize("status", [None, [], [["odd"]], [["driver-type", "io.containerd.snapshotter.v1"]]])
def test_an_engine_that_says_nothing_of_rungs_is_docker_and_executes(status):
    engine = Engine()
    engine.told = {"DriverStatus": status}
    assert badge.executes(engine) and badge.badge(engine) == "Docker 0.1.0"


def test_where_nothing_is_executed_an_attempt_says_so_and_goes_on(capsys):
    engine = Engine("D")
    with badge.attempt(engine):
        engine.left.append("made and never started")
        raise APIError("503")
    assert engine.left == ["older"]
    assert capsys.readouterr().out.startswith("No container was started: this machine lets the engine execute nothing")


@pytest.mark.parametrize("rung", [None, "A", "C"])
def test_everywhere_else_a_failure_shows_as_it_is(rung, capsys):
    with pytest.raises(APIError), badge.attempt(Engine(rung)):
        raise APIError("500")
    assert capsys.readouterr().out == ""


def test_a_mistake_in_the_cell_is_never_taken_for_a_missing_engine():
    with pytest.raises(ZeroDivisionError), badge.attempt(Engine("D")):
        raise ZeroDivisionError


def test_where_nothing_is_executed_and_no_lesson_images_are_there_the_lesson_says_how_to_get_them(
    monkeypatch, tmp_path
):
    monkeypatch.setenv(bundle.PLACE, str(tmp_path / "nowhere"))
    with pytest.raises(BadBundle, match=r"drydock images make .*drydock images load FOLDER"):
        bases.ensure("alpine", Engine("D"))


def test_offline_no_registry_is_asked(monkeypatch):
    monkeypatch.setenv(bundle.OFFLINE, "1")
    monkeypatch.setattr(bases, "make", lambda *_: "this machine's busybox")
    base = bases.ensure("alpine", Engine("A"))
    assert base.note.startswith("alpine could not be pulled (DRYDOCK_OFFLINE is set). The lesson runs on drydock/base")
