"""Lesson images in a class registry: pushed in one command, had in one command, and nothing taken on trust."""

import io
import json
import os
import secrets
import tarfile
from contextlib import closing

import pytest
from drydock.cli import main
from drydock.lessons import bases, bundle, pack
from drydock.lessons.bundle import BadBundle
from drydock.lessons.room import FOLDER, TITLE, NoRoom, Room
from drydock.registry.server import accounts
from lyingregistry import LyingRegistry, cut_after
from ownregistry import registry

NAME = "drydock/base-of-a-room"
ELSEWHERE = os.environ.get("DRYDOCK_TEST_REGISTRY", "")


@pytest.fixture
def folder(tmp_path):
    """A small bundle, made without an engine: a base, and nothing built on it."""
    layer = pack.layer({"bin/sh": b"\x7fELF", "own": secrets.token_bytes(50_000)})
    base = pack.image(f"{NAME}:latest", {"made": layer}, {}, "amd64", ["sh"])
    with tarfile.open(fileobj=io.BytesIO(pack.archive([base]))) as tar:
        tar.extractall(tmp_path / "images", filter="data")
    told = {"schema": 1, "made_on": "a test", "built": []}
    (tmp_path / "images" / bundle.LIST).write_text(json.dumps(told))
    return tmp_path / "images"


@pytest.fixture(scope="module")
def server():
    with registry() as one:
        yield one


@pytest.fixture(params=["the kit's", "Debian's"])
def address(request, server):
    """Both registries, one after the other."""
    if request.param == "the kit's":
        return server.address
    if not ELSEWHERE:
        pytest.skip("no docker-registry: set DRYDOCK_TEST_REGISTRY to its host and port")
    return ELSEWHERE


def files(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_folder_comes_out_as_it_went_in(address, folder, tmp_path):
    with Room(address) as room:
        first, *_ = room.push(bundle.opened(folder))
        assert first == f"{address}/{NAME}:latest"
        made = room.pull(tmp_path / "there")
    assert files(tmp_path / "there") == files(folder) and made.names == (f"{NAME}:latest",)


def test_a_second_push_and_a_second_pull_send_no_blob(folder, tmp_path):
    with LyingRegistry() as lying, Room(lying.host) as room:
        list(room.push(bundle.opened(folder)))
        room.pull(tmp_path / "there")
        lying.calls.clear()
        list(room.push(bundle.opened(folder)))
        assert not lying.asked("POST", "")
        room.pull(tmp_path / "there")
        assert not lying.asked("GET", "/blobs/")


def test_the_folders_blobs_are_taken_from_the_images_that_were_pushed_before(folder):
    with LyingRegistry() as lying, Room(lying.host) as room:
        list(room.push(bundle.opened(folder)))
        sent = [one.path.rpartition("digest=")[2] for one in lying.asked("PUT", "/uploads/")]
    assert len(sent) == len(set(sent)) and lying.asked("POST", f"from={NAME.replace('/', '%2F')}")


def test_a_pull_goes_on_where_one_before_was_cut(folder, tmp_path):
    blob = max(bundle.opened(folder).blobs(), key=lambda path: path.stat().st_size)
    with LyingRegistry() as lying:
        with Room(lying.host) as room:
            list(room.push(bundle.opened(folder)))
            lying.lie("GET", blob.name, cut_after(20_000))
            lying.lie("GET", blob.name, lambda call: call.refuse(400, "UNSUPPORTED"))
            with pytest.raises(NoRoom, match="unsupported: no"):
                room.pull(tmp_path / "there")
        with Room(lying.host) as room:
            room.pull(tmp_path / "there")
        assert lying.asked("GET", blob.name)[-1].headers["range"] == "bytes=20000-"
    assert files(tmp_path / "there") == files(folder)


def test_a_blob_that_is_not_its_digests_is_refused_and_the_old_folder_stays(folder, tmp_path):
    with LyingRegistry() as lying, Room(lying.host) as room:
        list(room.push(bundle.opened(folder)))
        room.pull(tmp_path / "there")
        before = files(tmp_path / "there")
        victim = max(bundle.opened(folder).blobs(), key=lambda path: path.stat().st_size)
        (tmp_path / "there" / "blobs" / "sha256" / victim.name).unlink()
        lying.lie("GET", victim.name, lambda call: call.say(200, bytes(victim.stat().st_size)), times=2)
        with pytest.raises(NoRoom, match="is not what its name says"):
            room.pull(tmp_path / "there")
    del before[f"blobs/sha256/{victim.name}"]
    assert files(tmp_path / "there") == before


def test_the_images_can_be_pulled_by_name(server, folder):
    with Room(server.address) as room:
        list(room.push(bundle.opened(folder)))
    value = server.ask("GET", f"/v2/{NAME}/manifests/latest").json
    assert value["config"]["digest"] == json.loads((folder / "manifest.json").read_text())[0]["Config"].replace(
        "blobs/sha256/", "sha256:"
    )


def test_a_damaged_folder_is_not_given_away(server, folder):
    victim = max(bundle.opened(folder).blobs(), key=lambda path: path.stat().st_size)
    victim.write_bytes(b"x")
    with Room(server.address) as room, pytest.raises(BadBundle, match="copy the folder again"):
        list(room.push(bundle.opened(folder)))


@pytest.fixture
def hostile(folder):
    """Push the folder to a registry of the test's own, with its list of files changed by a function."""
    with registry() as one, Room(one.address) as room:
        list(room.push(bundle.opened(folder)))

        def change(how):
            value = one.ask("GET", f"/v2/{FOLDER}/manifests/latest").json
            how(value["layers"])
            assert one.manifest(FOLDER, "latest", json.dumps(value).encode()).status == 201
            return room

        yield change


@pytest.mark.parametrize("name", ["../outside", "/etc/cron.d/x", "blobs/sha256/../../../x", "blobs/sha256/" + 64 * "0"])
def test_a_file_name_that_leads_elsewhere_is_refused(hostile, name, tmp_path):
    room = hostile(lambda rows: rows[-1]["annotations"].update({TITLE: name}))
    with pytest.raises(NoRoom, match="the list of its files"):
        room.pull(tmp_path / "there")
    assert not (tmp_path / "there").exists()


def test_a_list_that_is_not_the_folders_is_refused_and_the_old_folder_stays(hostile, folder, tmp_path):
    room = hostile(lambda rows: None)
    room.pull(tmp_path / "there")
    before = files(tmp_path / "there")
    room = hostile(lambda rows: rows.remove(max(rows, key=lambda row: row["size"])))  # a layer is lost
    with pytest.raises(BadBundle):
        room.pull(tmp_path / "there")
    assert files(tmp_path / "there") == before


def test_no_registry_no_images_and_no_password_are_told(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "config"))
    with Room("localhost:1") as room, pytest.raises(NoRoom, match="drydock registry start"):
        room.pull(tmp_path / "there")
    with pytest.raises(NoRoom, match="no address"):
        Room("the room's")
    accounts.save(tmp_path / "passwords", "ann", accounts.entry("secret"))
    with registry() as one, Room(one.address) as room, pytest.raises(NoRoom, match="drydock images push HOST"):
        room.pull(tmp_path / "there")
    with registry("--auth", str(tmp_path / "passwords")) as one:
        assert main(["images", "push", one.address, "--folder", str(folder)]) == 1
        assert f"Try: docker login {one.address}" in capsys.readouterr().err
        (tmp_path / "config").mkdir()
        auths = {one.address: {"auth": "YW5uOnNlY3JldA=="}}
        (tmp_path / "config" / "config.json").write_text(json.dumps({"auths": auths}))
        assert main(["images", "push", one.address, "--folder", str(folder)]) == 0


def test_a_registry_that_speaks_no_tls_is_told_with_a_way_out(server, tmp_path):
    with Room(f"https://{server.address}") as room, pytest.raises(NoRoom, match=f"Try: http://{server.address}"):
        room.pull(tmp_path / "there")


@pytest.mark.docker
def test_an_engine_gets_the_lesson_images_from_the_room(
    daemon, daemon_url, server, folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("DOCKER_HOST", daemon_url)
    assert main(["images", "push", server.address, "--folder", str(folder)]) == 0
    assert main(["images", "pull", server.address, "--folder", str(tmp_path / "there")]) == 0
    assert f"{NAME}:latest" in capsys.readouterr().out and daemon.images.list(NAME)
    daemon.images.remove(NAME, force=True)


@pytest.mark.docker
def test_a_lesson_finds_the_lectures_image_in_the_room(daemon, server, monkeypatch):
    with closing(daemon.api.post(f"{daemon.api.base_url}/v1.41/auth", json={})) as answer:
        if answer.status_code == 501:
            pytest.skip("this engine has no registry client")
    wanted = f"lecture/of-{secrets.token_hex(4)}"
    made = pack.image(f"{wanted}:latest", {"made": pack.layer({"f": b"x"})}, {}, "amd64", ["sh"])
    daemon.images.load(pack.archive([made]))
    bases.to_room(daemon, wanted, server.address)
    assert server.ask("GET", f"/v2/{wanted}/tags/list").json["tags"] == ["latest"]
    id = daemon.images.get(wanted).id
    daemon.images.remove(wanted, force=True)
    monkeypatch.delenv("DRYDOCK_OFFLINE", raising=False)
    monkeypatch.setenv("DRYDOCK_REGISTRY", server.address)
    base = bases.ensure(wanted, daemon)
    assert (base.name, base.standin) == (wanted, False) and "from the class registry" in base.note
    assert daemon.images.get(wanted).id == id
    for tag in daemon.images.get(wanted).tags:
        daemon.images.remove(tag, force=True)
