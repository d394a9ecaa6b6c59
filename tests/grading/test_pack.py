"""Packing an image from a real engine: thin, the same bytes each time, the same image whichever engine sends it."""

import json
import os
import re
import shutil
import subprocess
from hashlib import sha256

import docker
import pytest
import registries
from drydock import read
from drydock_grading import archive, bases, notebook, packing, reading, remote
from drydock_grading.__main__ import main
from drydock_grading.artifact import ABOUT, ARCHIVE, nonce
from drydock_grading.assignments import UnknownCheck
from thin import ROOT, given

BASE, NAME = "g1-base-of-a-test", "g1-work-of-a-test"
TEXT = f'FROM {BASE}\nCOPY Question.py Readme.txt /course/\nENV A=1\nCMD ["cat", "/course/Readme.txt"]\n'


def built(client, folder, text, **files):
    """Build an image of these files on the base, and return its ID and its layers' diff IDs."""
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text(text)
    for path, body in given("Question.py", "Readme.txt").items():
        (folder / path.rpartition("/")[2]).write_bytes(body)
    for name, body in files.items():
        (folder / name).write_bytes(body)
    image, _ = client.images.build(path=str(folder), tag=NAME, forcerm=True)
    return image.id, image.attrs["RootFS"]["Layers"]


@pytest.fixture(scope="module")
def kit(embedded):
    client = docker.DockerClient(base_url=embedded, timeout=120)
    yield client
    client.close()


def prepared(client, bare):
    if not client.images.list(BASE):
        client.api.import_image_from_data(bare, repository=BASE, tag="latest")
    return bases.Bases((bases.KnownBase("drydock/python", tuple(client.images.get(BASE).attrs["RootFS"]["Layers"])),))


def gone(client):
    for name in (NAME, BASE):
        if client.images.list(name):
            client.images.remove(name, force=True)


@pytest.fixture
def engine(kit, bare_busybox):
    yield kit, prepared(kit, bare_busybox)
    gone(kit)


@pytest.fixture
def dockerd(daemon, bare_busybox):
    yield daemon, prepared(daemon, bare_busybox)
    gone(daemon)


def packs_what_the_engine_has(client, known, folder):
    _, diff_ids = built(client, folder / "context", TEXT)
    found = packing.pack("ex2", "ada", client, NAME, folder, dockerfiles=["context/Dockerfile"], known=known)
    assert found.no_image == found.no_about == "" and list(found.diff_ids) == diff_ids
    assert found.carried == len(known.known[0].diff_ids) and len(found.image.layers) == found.carried + 1
    whole = read.image(client, NAME)
    assert found.image.layers[-1].entries == whole.layers[-1].entries
    assert (found.image.config, found.image.history) == (whole.config, whole.history)
    assert found.text("course/Readme.txt") == given("Readme.txt")["course/Readme.txt"].decode()
    assert [f.path for f in found.about.recipes["context/Dockerfile"].context.files] == [
        "Dockerfile",
        "Question.py",
        "Readme.txt",
    ]
    before = (folder / ARCHIVE).read_bytes(), (folder / ABOUT).read_bytes()
    again = packing.pack("ex2", "ada", client, NAME, folder, dockerfiles=["context/Dockerfile"], known=known)
    assert again.same(found) and ((folder / ARCHIVE).read_bytes(), (folder / ABOUT).read_bytes()) == before
    assert sorted(p.name for p in folder.iterdir()) == [ABOUT, ARCHIVE, "context"]


def test_the_kits_engine_packs_thin_and_the_same_each_time(engine, tmp_path):
    packs_what_the_engine_has(*engine, tmp_path)


@pytest.mark.docker
def test_docker_packs_thin_and_the_same_each_time(dockerd, tmp_path):
    packs_what_the_engine_has(*dockerd, tmp_path)


def test_another_reader_of_oci_layouts_takes_a_whole_artifact(engine, tmp_path):
    client, _ = engine
    built(client, tmp_path / "context", TEXT)
    packing.pack("ex2", "ada", client, NAME, tmp_path, known=bases.Bases())
    if shutil.which("skopeo") is None:
        pytest.skip("no skopeo")
    said = subprocess.run(
        ["skopeo", "inspect", f"oci-archive:{tmp_path / ARCHIVE}"], capture_output=True, text=True, check=True
    )
    assert json.loads(said.stdout)["Env"][-1] == "A=1"


def test_an_image_is_found_by_its_id_and_without_a_name(engine, tmp_path):
    client, known = engine
    id, _ = built(client, tmp_path / "context", TEXT)
    named = packing.pack("ex2", "ada", client, id, tmp_path, known=known)
    client.api.tag(BASE, NAME)
    client.api.remove_image(NAME)
    assert named.same(packing.pack("ex2", "ada", client, id, tmp_path, known=known))


def test_a_base_nobody_knows_travels_with_the_work(engine, tmp_path):
    client, known = engine
    built(client, tmp_path / "context", TEXT)
    found = packing.pack("ex2", "ada", client, NAME, tmp_path, known=bases.Bases())
    assert found.carried == 0 and found.about.base == ""
    assert found.same(packing.pack("ex2", "ada", client, NAME, tmp_path, known=known))


def test_layers_that_do_not_fit_are_left_out_from_the_base_up(engine, tmp_path, monkeypatch):
    client, _ = engine
    monkeypatch.setattr(archive, "LARGEST", archive.RESERVE + 1_000_000)
    built(
        client, tmp_path / "context", TEXT + "COPY big /big\nCOPY small /small\n", big=os.urandom(900_000), small=b"s"
    )
    found = packing.pack("ex2", "ada", client, NAME, tmp_path, known=bases.Bases())
    assert found.carried == 1 and (tmp_path / ARCHIVE).stat().st_size < 1_100_000
    before = (tmp_path / ARCHIVE).read_bytes()
    built(client, tmp_path / "context", TEXT + "COPY big /big\n", big=os.urandom(1_200_000))
    with pytest.raises(reading.BadArtifact, match="last layer packs to more than"):
        packing.pack("ex2", "ada", client, NAME, tmp_path, known=bases.Bases())
    assert (tmp_path / ARCHIVE).read_bytes() == before


def test_an_image_that_is_not_there_is_said_with_what_to_try(engine, tmp_path):
    with pytest.raises(LookupError, match=r"no image 'nobody/has:this'(.|\n)*Try: docker images"):
        packing.pack("ex1", "ada", engine[0], "nobody/has:this", tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def registry():
    """The reference registry on a port of its own."""
    if registries.program() is None:
        pytest.skip("no docker-registry")
    with registries.registry() as address:
        yield address


@pytest.mark.docker
def test_what_was_pushed_is_the_image_until_it_is_changed(dockerd, registry, tmp_path):
    client, known = dockerd
    there = f"{registry}/ada/ac295_playground"
    built(client, tmp_path / "context", TEXT)
    assert client.api.tag(NAME, there, "latest")
    said = client.images.push(there, "latest")
    assert "error" not in said, said
    found = packing.pack("ex2", "ada", client, NAME, tmp_path, pushed=f"{there}:latest", known=known)
    assert found.about.pushed.config == found.config
    assert remote.manifest(f"{there}@{found.about.pushed.digest}") == (
        found.about.pushed.digest,
        found.about.pushed.manifest,
    )
    built(client, tmp_path / "context", TEXT + "ENV B=2\n")
    changed = packing.pack("ex2", "ada", client, NAME, tmp_path, pushed=f"{there}:latest", known=known)
    assert changed.about.pushed.config != changed.config
    client.images.remove(there, force=True)


def test_a_registry_that_has_nothing_or_is_away_is_said_and_the_work_goes_without(engine, registry, tmp_path, capsys):
    client, known = engine
    built(client, tmp_path / "context", TEXT)
    for there, why in ((f"{registry}/ada/nothing", "answers 404"), ("127.0.0.1:1/ada/x", "does not answer")):
        found = packing.pack("ex2", "ada", client, NAME, tmp_path, pushed=there, known=known)
        assert found.about.pushed is None and found.image is not None
        assert re.search(f"{why}(.|\n)*Push the image, then pack once more", capsys.readouterr().out)
    with pytest.raises(remote.NotThere, match="no image name"):
        remote.manifest("Not A Name")


def test_the_notebooks_calls_know_the_learner_and_the_check(engine, tmp_path, monkeypatch, capsys):
    client, _ = engine
    monkeypatch.setenv("DRYDOCK_HOME", str(tmp_path / "home"))  # where nobody has given a name
    monkeypatch.delenv("JUPYTERHUB_USER", raising=False)
    monkeypatch.delenv("DRYDOCK_LEARNER", raising=False)
    with pytest.raises(notebook.NoLearner, match='me = "ada"'):
        notebook.nonce("ex1")
    monkeypatch.setenv("BINDER_REQUEST", "v2/gh/course/drydock/main")
    monkeypatch.setenv("JUPYTERHUB_USER", "course-drydock-k3jx8q2v")  # Binder makes it up
    with pytest.raises(notebook.NoLearner):
        notebook.nonce("ex1")
    monkeypatch.setenv("DRYDOCK_LEARNER", "ada")
    assert notebook.nonce("ex1") == nonce("ex1", "ada")
    with pytest.raises(LookupError, match="Try: one of ex1, ex2"):
        notebook.nonce("ex9")
    with pytest.raises(UnknownCheck, match=r'Try: check\("ex1.answer"\)'):
        notebook.check("ex1.anser")
    built(client, tmp_path / "context", TEXT)
    notebook.pack("ex1", NAME, folder=tmp_path, client=client)
    score = notebook.check("ex1.course", folder=tmp_path)
    assert score == score.result.points == 0 and "not the file you were given" in score.result.reason
    assert "not yet: 0 of 2 points" in str(score)


def test_an_instructor_accepts_a_base_by_a_command(engine, embedded, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DOCKER_HOST", embedded)
    monkeypatch.setattr(bases, "LIST", tmp_path / "bases.json")
    monkeypatch.setattr(bases.add, "__defaults__", (tmp_path / "bases.json",))
    (tmp_path / "bases.json").write_text('{"bases": []}')
    assert main(["accept", BASE, "python:3.12-slim"]) == 0
    assert "python:3.12-slim: accepted, 1 layer." in capsys.readouterr().out
    assert main(["accept", "nobody/has:this"]) == 1
    assert "Try: docker pull nobody/has:this" in capsys.readouterr().err


def test_the_exercises_files_are_the_ones_that_the_checks_know():
    from drydock_grading.assignments import ex1, ex2, ex3

    given = {"ex1-pull-modify-push/course": ex1.GIVEN, "ex2-build-push/playground": ex2.GIVEN}
    given |= {"ex3-play/db": ex3.DB, "ex3-play/web": ex3.WEB}
    for folder, table in given.items():
        for path, digest in table.items():
            body = (ROOT / "exercises" / folder / path.rpartition("/")[2]).read_bytes()
            assert digest == "sha256:" + sha256(body).hexdigest()
