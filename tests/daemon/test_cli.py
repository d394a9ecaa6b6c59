"""`drydock doctor` and `drydock clean`, against real engines and against none."""

import io
import sys
import tarfile

import pytest
from docker.errors import APIError
from drydock import cli
from drydock.cli import clean, doctor

LAB = "org.drydock.lab"
MINE = "dd-cli"


@pytest.fixture
def here(daemon_url, monkeypatch):
    """The command line, talking to the engine under test."""
    monkeypatch.setenv("DOCKER_HOST", daemon_url)
    return daemon_url


@pytest.fixture
def things(daemon, monkeypatch):
    """One labelled and one unlabelled thing of every kind; `clean` sees only these: other tests share the engine."""
    made = []
    for word, labels in (("lab", {LAB: MINE}), ("other", {})):
        name = f"{MINE}-{word}"
        daemon.api.import_image_from_data(
            _tar(), repository=name, changes=[f"LABEL {k}={v}" for k, v in labels.items()]
        )
        daemon.api.tag(name, f"{name}-twin")
        made += [
            daemon.containers.create(f"{name}:latest", ["none"], name=name, labels=labels),
            daemon.networks.create(name, labels=labels),
            daemon.volumes.create(name, labels=labels),
        ]
    monkeypatch.setattr(clean, "LAB", f"{LAB}={MINE}")
    yield
    for thing in made:
        _quietly(thing.remove)
    for word in ("lab", "other", "lab-twin", "other-twin"):
        _quietly(daemon.images.remove, f"{MINE}-{word}")


def _tar():
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("hello.txt"))
    return written.getvalue()


def _quietly(call, *arguments):
    try:
        call(*arguments)
    except APIError as error:
        assert error.status_code == 404, error


def left(client):
    """Return the names of this test's things that are still there."""
    names = [c.name for c in client.containers.list(all=True)] + [n.name for n in client.networks.list()]
    names += [v.name for v in client.volumes.list()] + [t for i in client.images.list() for t in i.tags]
    return sorted(name for name in names if name.startswith(MINE))


ALL_OTHERS = [f"{MINE}-other"] * 3 + [f"{MINE}-other-twin:latest", f"{MINE}-other:latest"]


@pytest.mark.docker
def test_doctor_names_the_engine_its_builder_and_its_store(here, daemon, capsys):
    assert cli.main(["doctor"]) == 0
    said = capsys.readouterr().out
    name = daemon.version()["Platform"]["Name"]
    known = f"{name}, the kit's own," if name.startswith("Drydock") else f"Docker {daemon.version()['Version']}"
    assert f"{known} answers at {here}" in said
    modern = int(daemon.version()["Version"].split(".")[0]) >= 23
    assert ("BuildKit, the builder" in said) == modern
    assert ("the classic builder: one step" in said) != modern
    assert ("containerd image store" in said) == ("containerd" in str(daemon.info()["DriverStatus"]))
    assert "What works: builds" in said


def test_doctor_without_an_engine_says_what_to_try_and_fails(monkeypatch, capsys):
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    assert cli.main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "none answers" in said and "tcp://127.0.0.1:1" in said and "\nTry: " in said


def test_doctor_survives_a_docker_command_without_buildx(monkeypatch, tmp_path):
    command = tmp_path / "docker"
    command.write_text("#!/bin/sh\necho unknown command >&2; exit 1\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert doctor.buildx_version() is None
    command.write_text("#!/bin/sh\necho github.com/docker/buildx v0.13.1 abc\n")
    assert doctor.buildx_version() == "buildx v0.13.1"


@pytest.mark.docker
def test_clean_removes_what_is_labelled_and_nothing_else(here, daemon, things, capsys):
    assert cli.main(["clean", "--yes"]) == 0
    assert left(daemon) == ALL_OTHERS
    said = capsys.readouterr().out
    assert said.index(f"container  {MINE}-lab") < said.index("Removed 4 of 4.")
    assert f"{MINE}-other" not in said


@pytest.mark.docker
def test_clean_removes_nothing_unless_told(here, daemon, things, capsys, monkeypatch):
    before = left(daemon)
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))  # not a terminal: nobody answers
    assert cli.main(["clean"]) == 1
    assert "drydock clean --yes" in capsys.readouterr().out
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: "")
    assert cli.main(["clean"]) == 1
    assert left(daemon) == before


@pytest.mark.docker
def test_clean_asks_and_removes_on_yes(here, daemon, things, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: "y")
    assert cli.main(["clean"]) == 0
    assert left(daemon) == ALL_OTHERS


@pytest.mark.docker
def test_clean_keeps_an_image_that_a_container_of_yours_needs_and_says_so(here, daemon, things, capsys):
    labels = {LAB: "not this test"}  # a container has its image's labels unless it says otherwise
    mine = daemon.containers.create(f"{MINE}-lab", ["none"], name=f"{MINE}-user", labels=labels)
    try:
        daemon.images.remove(f"{MINE}-lab-twin")
        assert cli.main(["clean", "--yes"]) == 1
        assert f"kept image {MINE}-lab:latest" in capsys.readouterr().out
        assert f"{MINE}-lab:latest" in left(daemon)
    finally:
        mine.remove()


def test_clean_without_an_engine_fails_with_one_clear_message(monkeypatch, capsys):
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    assert cli.main(["clean", "--yes"]) == 1
    assert capsys.readouterr().err.startswith("No Docker engine answers at tcp://127.0.0.1:1")
