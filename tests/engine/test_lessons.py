"""A lesson always finds a base to build on, says which, and never changes the course's own files."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from docker.errors import ImageNotFound
from drydock.lessons import bases, folder, machine

ROOT = Path(__file__).parents[2]
NOWHERE = "registry.invalid/ac295:latest"


@pytest.fixture
def standin(monkeypatch, daemon):
    """A stand-in under a name of this test's own: other tests build on the real one at the same time."""
    name = "drydock/base-of-a-test"
    monkeypatch.setattr(bases, "STANDIN", name)
    yield name
    if daemon.images.list(name):
        daemon.images.remove(name, force=True)


@pytest.fixture
def lesson(tmp_path):
    (tmp_path / "05" / "nmap").mkdir(parents=True)
    for name in ("Dockerfile", "Dockerfile.standin"):
        (tmp_path / "05" / "nmap" / name).write_text((ROOT / "notebooks/05/nmap" / name).read_text())
    return tmp_path


def make(daemon, **other):
    return bases.ensure(NOWHERE, daemon, **other)


@pytest.mark.docker
def test_a_base_that_cannot_be_pulled_is_made_here_and_the_note_says_so(daemon, standin):
    base = make(daemon)
    assert base.standin and base.name == standin
    why = "no network|this engine does not pull yet"
    assert re.match(rf"{NOWHERE} could not be pulled \(({why})\). The lesson runs on {standin}", base.picture())


@pytest.mark.docker
def test_the_standin_installs_a_package_without_a_network(daemon, standin):
    make(daemon)
    command = ["sh", "-c", "pkg update && pkg install portscan && portscan --version"]
    said = daemon.containers.run(standin, command, remove=True, network_mode="none").decode()
    assert said == "60001 packages listed\nportscan installed\nportscan 1.0: knows 65535 ports\n"


@pytest.mark.docker
def test_the_standin_refuses_to_install_before_it_has_a_list(daemon, standin):
    make(daemon)
    command = ["sh", "-c", "pkg install portscan 2>&1 || true"]
    assert b"run `pkg update` first" in daemon.containers.run(standin, command, remove=True)


@pytest.mark.docker
def test_making_the_standin_again_keeps_the_image_and_so_the_build_cache(daemon, standin):
    make(daemon)
    first = daemon.images.get(standin).id
    make(daemon)
    assert daemon.images.get(standin).id == first


@pytest.mark.docker
def test_without_busybox_the_machines_own_programs_make_the_standin(daemon, standin, monkeypatch):
    monkeypatch.setattr(machine, "busybox", lambda: None)
    make(daemon)
    said = daemon.containers.run(standin, ["sh", "-c", "pkg update && seq 1 3 | sha256sum | cut -c1-8"], remove=True)
    assert said == b"60001 packages listed\n14c5e74c\n"


@pytest.mark.docker
def test_an_image_that_the_daemon_has_is_used_as_it_is(daemon, standin):
    make(daemon)
    base = bases.ensure(standin, daemon)
    assert not base.standin and base.note == f"{standin} is here: the Dockerfile builds on it as it stands."


@pytest.mark.docker
def test_an_image_whose_packages_are_out_of_reach_is_not_enough_for_a_lesson_that_installs(daemon, standin):
    make(daemon)
    daemon.images.get(standin).tag("drydock/no-packages")
    try:
        base = bases.ensure("drydock/no-packages", daemon, packages="apt-get")
    finally:
        daemon.images.remove("drydock/no-packages")
    assert base.standin and "cannot reach its packages (it has no apt-get)" in base.note


@pytest.mark.docker
def test_no_base_is_made_for_a_daemon_of_another_kind(daemon, standin, monkeypatch):
    monkeypatch.setattr(bases.platform, "machine", lambda: "riscv64")
    with pytest.raises(bases.NoBase, match=rf"(?s)riscv64.*docker pull {NOWHERE}"):
        make(daemon)


@pytest.mark.docker
def test_a_fresh_folder_is_buildable_and_keeps_the_lectures_file(daemon, standin, lesson, monkeypatch, capsys):
    (lesson / "05/nmap/Dockerfile").write_text(f"FROM {NOWHERE}\nRUN apt-get update && apt-get install -y nmap\n")
    copy = folder.fresh("05/nmap", daemon, lesson)
    assert copy == lesson / "work/05/nmap"
    assert "pkg install portscan" in (copy / "Dockerfile").read_text()
    assert NOWHERE in (copy / "Dockerfile.lecture").read_text()
    assert not (copy / "Dockerfile.standin").exists()
    assert "could not be pulled" in capsys.readouterr().out


@pytest.mark.docker
def test_a_second_fresh_folder_keeps_what_the_learner_changed(daemon, standin, lesson, capsys):
    (lesson / "05/nmap/Dockerfile").write_text("FROM scratch\n")
    copy = folder.fresh("05/nmap", daemon, lesson)
    (copy / "mine.txt").write_text("an hour of work")
    folder.fresh("05/nmap", daemon, lesson)
    assert not (copy / "mine.txt").exists()
    assert (lesson / "work/05/nmap.before/mine.txt").read_text() == "an hour of work"
    assert "Your earlier copy is kept as" in capsys.readouterr().out


def test_a_missing_lesson_folder_says_where_to_open_the_notebook(tmp_path):
    with pytest.raises(folder.NoLesson, match="open it from the course's `notebooks` folder"):
        folder.fresh("05/nmap", client=None, here=tmp_path)


@pytest.mark.parametrize("name", ["pkg", "portscan"])
def test_the_standins_own_programs_are_sound_shell(name):
    assert subprocess.run(["sh", "-n", machine.PROGRAMS / name], check=False).returncode == 0
    assert os.access(machine.PROGRAMS / name, os.R_OK)


def test_a_base_given_by_an_argument_is_left_to_the_build():
    text = "ARG BASE=alpine\nFROM $BASE\nFROM --platform=linux/amd64 debian:12 AS b\nFROM b"
    assert folder.outside(text) == ["debian:12"]


def test_only_the_whole_name_is_replaced_in_from_lines():
    assert folder.rebase("FROM alpine:3\nFROM alpine", "alpine", "x") == "FROM alpine:3\nFROM x"


@pytest.mark.docker
def test_a_pull_that_fails_leaves_no_image_under_the_wanted_name(daemon, standin):
    make(daemon)
    with pytest.raises(ImageNotFound):
        daemon.images.get(NOWHERE)


def test_a_copy_has_the_modes_of_the_course_whatever_your_umask(lesson):
    (lesson / "05/nmap/Dockerfile").write_text("FROM scratch\n")
    (lesson / "05/nmap/Dockerfile").chmod(0o600)
    (lesson / "05/nmap/run").write_text("#!/bin/sh\n")
    copy = folder.fresh("05/nmap", object(), lesson)
    modes = [(copy / name).stat().st_mode & 0o777 for name in ("", "Dockerfile", "run")]
    assert modes == [0o755, 0o644, 0o755]
