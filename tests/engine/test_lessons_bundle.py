"""Lesson images in a folder: whole or refused, equal after the journey, and a cache only by its own list."""

import io
import json
import shutil
import tarfile
from pathlib import Path

import docker
import pytest
from drydock.cli import main
from drydock.lessons import bundle, pack
from drydock.lessons import own as kit
from drydock.lessons.bundle import BadBundle
from drydock.lessons.harvest import OtherIdentity, harvest

ROOTS = ("drydock/base-of-a-bundle",)


@pytest.fixture
def folder(tmp_path):
    """A small bundle, made without an engine: a base and one step on it."""
    base = pack.image(f"{ROOTS[0]}:latest", {"made": pack.layer({"bin/sh": b"\x7fELF"})}, {}, "amd64", ["sh"])
    added, config = pack.layer({"a": b"b"}), json.loads(base.config)
    config["rootfs"]["diff_ids"].append(pack.digest(added))
    config["history"].append({"created": pack.CREATED, "created_by": "/bin/sh -c echo -n b >/a"})
    step = pack.Packed((), json.dumps(config).encode(), (*base.layers, added))
    place = tmp_path / "images"
    with tarfile.open(fileobj=io.BytesIO(pack.archive([base]))) as tar:
        tar.extractall(place, filter="data")
    for content in (step.config, *step.layers):
        (place / pack.blob(pack.digest(content))).write_bytes(content)
    rows = [
        pack.entry(one.id, [pack.digest(layer) for layer in one.layers], names, parent)
        for one, names, parent in ((base, base.names, ""), (step, [], base.id))
    ]
    (place / "manifest.json").write_text(json.dumps(rows))
    told = {"schema": 1, "made_on": "a test", "built": [step.id]}
    (place / bundle.LIST).write_text(json.dumps(told))
    return place


def test_a_bundle_says_what_it_holds(folder):
    assert bundle.opened(folder).picture() == (
        f"{ROOTS[0]}:latest\n0 builds of the lessons, 1 steps below them, 0 MB, made on a test"
    )


def test_a_whole_bundle_is_sound(folder):
    bundle.opened(folder).verify()


def test_a_changed_byte_is_found_before_anything_is_sent(folder):
    victim = max(bundle.opened(folder).blobs(), key=lambda path: path.stat().st_size)
    victim.write_bytes(victim.read_bytes()[:-1] + b"x")
    with pytest.raises(BadBundle, match=f"{victim.name} is not what its name says"):
        bundle.opened(folder).verify()


@pytest.mark.parametrize("name", ["blobs/sha256/" + 64 * "0", "../outside", "/etc/passwd"])
def test_a_row_that_names_what_is_not_in_the_folder_is_refused(folder, name):
    rows = json.loads((folder / "manifest.json").read_text())
    rows[0]["Config"] = name
    (folder / "manifest.json").write_text(json.dumps(rows))
    with pytest.raises(BadBundle, match="copy the folder again"):
        bundle.opened(folder).verify()


def test_a_folder_without_lesson_images_says_how_to_get_some(tmp_path):
    with pytest.raises(BadBundle, match="drydock images make"):
        bundle.opened(tmp_path / "nowhere")


def test_a_list_of_a_later_kind_is_not_guessed_at(folder):
    (folder / bundle.LIST).write_text('{"schema": 2, "built": [], "made_on": ""}')
    with pytest.raises(BadBundle, match="schema 2 is not 1"):
        bundle.opened(folder)


def test_the_folder_is_sent_without_this_machines_users(folder, tmp_path):
    sent = tmp_path / "sent.tar"
    with sent.open("wb") as file:
        bundle.opened(folder).write(file)
    with tarfile.open(sent) as tar:
        assert {(e.uid, e.gid, e.uname, e.gname) for e in tar} == {(0, 0, "", "")}
        assert tar.getnames()[:2] == [bundle.LIST, "manifest.json"]


def test_the_place_is_what_the_environment_says_or_beside_the_notebooks(monkeypatch, tmp_path):
    monkeypatch.delenv(bundle.PLACE, raising=False)
    assert bundle.folder() == Path(__file__).parents[2] / "images"
    monkeypatch.setenv(bundle.PLACE, str(tmp_path))
    assert bundle.folder() == tmp_path


@pytest.fixture
def lesson(daemon, tmp_path):
    """What a lesson builds, on a base of this test's own; nothing of it is left afterwards."""
    yield from begun(daemon, tmp_path)


def begun(daemon, tmp_path):
    root = ROOTS[0]
    files = {"bin/sh": "busybox", "bin/date": "busybox", "bin/busybox": Path(shutil.which("busybox")).read_bytes()}
    env = {"Env": ["PATH=/bin"]}
    base = pack.image(f"{root}:latest", {"made": pack.layer(files)}, env, kit.architecture(), ["sh"])
    daemon.images.load(pack.archive([base]))
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(f"FROM {root}\nRUN date > /when\nCMD date\n")
    yield context
    for image in daemon.images.list(ROOTS[0]):
        daemon.images.remove(image.id, force=True)


def build(daemon, context):
    """Build with the classic builder, as docker-py does, and return what it said."""
    said = daemon.api.build(str(context), tag="lab/of-a-bundle", decode=True, rm=True)
    return "".join(line.get("stream", "") for line in said)


@pytest.mark.docker
def test_what_an_engine_built_travels_in_the_folder_and_is_the_same_there(daemon, lesson, tmp_path):
    build(daemon, lesson)
    built = daemon.images.get("lab/of-a-bundle")
    if "containerd" in str(daemon.info()["DriverStatus"]):  # another kind of ID: refused, in words
        with pytest.raises(OtherIdentity, match="names images by their manifests"):
            harvest(daemon, ROOTS, tmp_path / "images", "a test")
        daemon.images.remove("lab/of-a-bundle")
        return
    made, history = harvest(daemon, ROOTS, tmp_path / "images", "a test"), built.history()
    made.verify()
    name = f"{bundle.CACHE}{built.id[7:19]}"
    assert built.id in made.built and len(made.built) == 2 and name in made.names
    daemon.images.remove("lab/of-a-bundle")
    daemon.images.remove(ROOTS[0])
    made.load(daemon)
    try:
        assert daemon.images.get(name).id == built.id
        assert len(daemon.images.get(name).history()) == len(history)
    finally:
        daemon.images.remove(name)


@pytest.mark.docker
def test_every_engine_takes_the_folder(daemon, folder):
    said = bundle.opened(folder).load(daemon)
    try:
        assert f"Loaded image: {ROOTS[0]}:latest" in said
        assert daemon.images.get(ROOTS[0]).attrs["Config"]["Cmd"] == ["sh"]
    finally:
        daemon.images.remove(ROOTS[0])


@pytest.mark.docker
def test_steps_of_the_list_are_hits_where_the_engine_honours_it(daemon, lesson, tmp_path):
    """Docker 20.10 believes any Parent, later ones none; the kit's engine believes a bundle's own list."""
    said = build(daemon, lesson)
    info = daemon.info()
    honours = "rung" in dict(info["DriverStatus"]) or daemon.version()["Version"].startswith("20.10")
    if not honours:
        daemon.images.remove("lab/of-a-bundle")
        return
    made = harvest(daemon, ROOTS, tmp_path / "images", "a test")
    name = next(n for n in made.names if n.startswith(bundle.CACHE))
    daemon.images.remove("lab/of-a-bundle")
    daemon.images.remove(ROOTS[0])
    made.load(daemon)
    try:
        assert "Using cache" not in said and build(daemon, lesson).count("Using cache") == 2
        daemon.images.remove("lab/of-a-bundle")
    finally:
        daemon.images.remove(name)


@pytest.fixture
def client(embedded):
    """A client of the kit's own engine, which every machine has."""
    client = docker.DockerClient(base_url=embedded, timeout=120)
    yield client
    client.close()


def moved(client, tmp_path):
    """Build a lesson, take it out of the engine into a folder, and return (the lesson's files, the folder)."""
    lesson = next(files := begun(client, tmp_path))
    build(client, lesson)
    made = harvest(client, ROOTS, tmp_path / "images", "a test")
    client.images.remove("lab/of-a-bundle")
    client.images.remove(ROOTS[0])
    return files, lesson, made


def left(client, made, files):
    for name in ("lab/of-a-bundle", *made.names):
        if client.images.list(name):
            client.images.remove(name)
    next(files, None)


def test_the_kits_engine_takes_steps_from_a_bundle_and_runs_none_of_them(client, tmp_path):
    files, lesson, made = moved(client, tmp_path)
    made.load(client)
    assert build(client, lesson).count("Using cache") == 2
    left(client, made, files)


def test_the_same_folder_loaded_as_any_other_archive_fills_no_cache(client, tmp_path):
    """CVE-2024-24557: what was merely loaded never counts as built here."""
    files, lesson, made = moved(client, tmp_path)
    with (tmp_path / "any.tar").open("w+b") as archive:
        made.write(archive)
        archive.seek(0)
        client.images.load(archive.read())
    assert "Using cache" not in build(client, lesson)
    left(client, made, files)


def test_a_step_that_is_not_on_the_list_fills_no_cache(client, tmp_path):
    files, lesson, made = moved(client, tmp_path)
    told = json.loads((made.folder / bundle.LIST).read_text())
    (made.folder / bundle.LIST).write_text(json.dumps(told | {"built": []}))
    bundle.opened(made.folder).load(client)
    assert "Using cache" not in build(client, lesson)
    left(client, made, files)


def test_the_command_lists_a_folder_and_says_how_to_get_one(folder, tmp_path, capsys):
    assert main(["images", "list", str(folder)]) == 0
    assert capsys.readouterr().out == bundle.opened(folder).picture() + "\n"
    assert main(["images", "list", str(tmp_path / "nowhere")]) == 1
    assert "drydock images make" in capsys.readouterr().err


def test_the_command_gives_a_folder_to_the_engine_that_answers(folder, client, embedded, monkeypatch, capsys):
    monkeypatch.setenv("DOCKER_HOST", embedded)
    assert main(["images", "load", str(folder)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Drydock engine") and f"{ROOTS[0]}:latest" in said
    client.images.remove(ROOTS[0])


def test_where_nothing_is_executed_no_lesson_images_can_be_made(own, tmp_path, capsys):
    with own("--rung", "D") as engine:
        assert main(["images", "make", str(tmp_path / "images"), "--host", engine.url]) == 1
    assert "To fill the cache the lessons' steps must run once" in capsys.readouterr().err
    assert not (tmp_path / "images").exists()
