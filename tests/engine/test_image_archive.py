"""Images as files: what is saved here loads everywhere, and what is loaded is what its digests say."""

import gzip
import importlib.util
import io
import json
import multiprocessing
import os
import random
import signal
import tarfile
import time
from hashlib import sha256
from pathlib import Path

import pytest
from drydock.blobs import Blobs
from drydock.engine.images import Catalogue, NoSuchImage, archive, made
from drydock.engine.snapshots import Layers, Snapshots
from drydock.read import archive as read_archive
from drydock.read import image as read_image
from drydock.read.tarstream import BadArchive
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

spec = importlib.util.spec_from_file_location("archives", Path(__file__).with_name("archives.py"))
archives = importlib.util.module_from_spec(spec)
spec.loader.exec_module(archives)
member, tar, docker_archive = archives.member, archives.tar, archives.docker_archive

ONE = tar(member("a/", "directory"), member("a/b", content=b"one")).getvalue()
TWO = tar(member("c", content=b"two"), member("a/.wh.b")).getvalue()
CONFIG = {"architecture": "amd64", "os": "linux", "config": {"Cmd": ["sh"]}, "history": [{"created_by": "1"}]}
MORE = CONFIG | {"history": [{"created_by": "1"}, {"created_by": "2"}]}


def opened(home) -> Catalogue:
    layers = Layers(home, Blobs(home / "blobs"))
    return Catalogue(home, layers.blobs, layers)


@pytest.fixture
def images(tmp_path):
    return opened(tmp_path)


def load(images, stream, **options):
    return [message["stream"] for message in archive.load(images, stream, **options) if "stream" in message]


@pytest.mark.parametrize("digest_names", [True, False], ids=["docker 25", "docker 20.10"])
@pytest.mark.parametrize("packed", [False, True])
def test_an_archive_is_loaded_whole(images, digest_names, packed):
    stream = docker_archive((["x:1", "x:2"], CONFIG, [ONE, TWO]), (None, MORE, [ONE]), digest_names=digest_names)
    if packed:
        stream = io.BytesIO(gzip.compress(stream.getvalue()))
    said = load(images, stream)
    assert said[:2] == ["Loaded image: x:1\n", "Loaded image: x:2\n"]
    assert said[2].startswith("Loaded image ID: sha256:")
    view = images.layers.view(images.get("x:1").layers)
    assert view.read("c") == b"two" and view.lookup("a/b") is None and view.lookup("a").kind == "directory"
    assert len(list(images.layers.all())) == 2 and not images.get("x:1").built, "a loaded image is no cache hit"


def test_progress_is_told_of_new_layers_only(images):
    stream = docker_archive((["x:1"], CONFIG, [ONE, TWO]))
    first = [message for message in archive.load(images, stream) if "status" in message]
    assert [message["id"] for message in first] == [sha256(layer).hexdigest()[:12] for layer in (ONE, TWO)]
    stream.seek(0)
    assert load(images, stream) == ["Loaded image: x:1\n"]
    stream.seek(0)
    assert not [message for message in archive.load(images, stream) if "status" in message]


def test_a_name_that_moves_is_told(images):
    load(images, docker_archive((["x:1"], CONFIG, [ONE])))
    old = images.get("x:1").id
    said = load(images, docker_archive((["x:1"], MORE, [ONE])))
    assert said[0] == f"The image x:1 already exists, renaming the old one with ID {old} to empty string\n"
    assert images.tags(old) == [] and images.get("x:1").id != old


def with_parents(bundle=()):
    """An archive of two images, the second made from the first, perhaps as a bundle of which these count as built."""
    stream = docker_archive((None, CONFIG, [ONE]), (["x:1"], MORE, [ONE, TWO]))
    with tarfile.open(fileobj=stream) as old:
        members = [(info, old.extractfile(info).read()) for info in old]
    rows = json.loads(members[-1][1])
    ids = ["sha256:" + row["Config"].rpartition("/")[2] for row in rows]
    rows[1]["Parent"] = ids[0]
    members[-1] = member("manifest.json", content=json.dumps(rows).encode())
    content = {"schema": 1, "built": [ids[number] for number in bundle]}
    members.append(member("drydock-bundle.json", content=json.dumps(content).encode()))
    return tar(*members), ids


def test_a_parent_in_the_archive_is_known_again(images):
    stream, (base, top) = with_parents()
    load(images, stream)
    assert images.get(top).parent == base and not images.get(base).built


def test_only_a_trusted_bundle_says_what_was_built_here(images):
    stream, (base, top) = with_parents(bundle=[0, 1])
    load(images, stream)
    assert not images.get(top).built
    stream.seek(0)
    load(images, stream, trusted=True)
    assert images.get(top).built and images.get(base).built and images.get(top).parent == base


def test_a_parent_that_cannot_be_one_is_none(images):
    stream, (_, top) = with_parents()
    changed = stream.getvalue().replace(b'"created_by": "1"}, {"cre', b'"created_by": "9"}, {"cre')
    load(images, docker_archive((None, CONFIG, [ONE])))
    with pytest.raises(BadArchive):
        load(images, io.BytesIO(changed))
    assert not images.has(top)


# hostile and broken


def rebuilt(stream, change):
    """The archive with its members changed."""
    with tarfile.open(fileobj=stream) as old:
        members = {info.name: old.extractfile(info).read() for info in old}
    return tar(*(member(name, content=content) for name, content in change(dict(members)).items()))


def manifest(**changes):
    def change(members):
        rows = json.loads(members["manifest.json"])
        rows[0] |= changes
        return members | {"manifest.json": json.dumps(rows).encode()}

    return change


def layer_of(members):
    return next(name for name in members if name.startswith("blobs") and members[name][257:262] == b"ustar")


BROKEN = {
    "no manifest": (
        lambda m: {k: v for k, v in m.items() if k != "manifest.json"},
        "neither manifest.json nor index.json",
    ),
    "a layer changed": (lambda m: m | {layer_of(m): m[layer_of(m)].replace(b"one", b"eno")}, "not what its name"),
    "a layer missing": (lambda m: {k: v for k, v in m.items() if k != layer_of(m)}, "missing, or is not"),
    "layers in another order": (lambda m: manifest(Layers=[])(m), "missing, or is not"),
    "a config that is not there": (manifest(Config="nowhere.json"), "lacks 'nowhere.json'"),
    "a config out of the archive": (manifest(Config="../../etc/passwd"), "outside its own root"),
    "a bad name": (manifest(RepoTags=["Not A Name"]), "bad name"),
    "a name that is no text": (manifest(RepoTags=[{"a": 1}]), "bad name"),
    "a manifest that is no JSON": (lambda m: m | {"manifest.json": b"{"}, "is no JSON"),
    "layers that are no list": (manifest(Layers=5), "missing, or is not"),
    "a config that is a layer": (lambda m: manifest(Config=layer_of(m))(m), "lacks"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_archive_names_nothing(images, what):
    change, words = BROKEN[what]
    with pytest.raises(BadArchive, match=words):
        load(images, rebuilt(docker_archive((["x:1"], CONFIG, [ONE, TWO])), change))
    assert images.all() == [] and not images.has("x:1")
    images.recover()
    assert list(images.layers.all()) == [], "and what it left is swept away"


def test_an_archive_of_docker_export_is_told_apart(images):
    with pytest.raises(BadArchive, match="docker import"):
        load(images, tar(member("etc/passwd", content=b"root")))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(data=st.data())
def test_a_damaged_archive_is_refused_or_loads_the_same(images, data):
    """Whatever bit of an archive changes, nothing is loaded that is not what its digest says."""
    whole = bytearray(docker_archive((["x:1"], CONFIG, [ONE, TWO])).getvalue())
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        load(images, io.BytesIO(bytes(whole)))
    except BadArchive:
        return
    for record in images.all():
        assert record.id == "sha256:" + sha256(record.raw).hexdigest()
        for diff_id in record.layers:
            with images.blobs.open(diff_id) as file:
                assert "sha256:" + sha256(file.read()).hexdigest() == diff_id


# out again


def test_what_is_saved_is_what_was_loaded(images, tmp_path):
    load(images, docker_archive((["x:1", "y:1"], CONFIG, [ONE, TWO]), (["x:2"], MORE, [ONE])))
    whole = b"".join(archive.save(images, ["x", images.get("y:1").id]))
    other = opened(tmp_path / "other")
    assert load(other, io.BytesIO(whole)) == ["Loaded image: x:1\n", "Loaded image: x:2\n"]
    assert {record.id for record in other.all()} == {record.id for record in images.all()}
    assert b"".join(archive.save(other, ["x:1"])) == b"".join(archive.save(images, ["x:1"])), (
        "the same bytes every time"
    )


def test_a_saved_archive_is_an_oci_layout_and_dockers_at_once(images, tmp_path):
    load(images, docker_archive((["x:1"], CONFIG, [ONE, TWO])))
    path = tmp_path / "x.tar"
    path.write_bytes(b"".join(archive.save(images, ["x:1"])))
    with tarfile.open(path) as saved:
        index = json.load(saved.extractfile("index.json"))
        note = index["manifests"][0]["annotations"]
        assert note["io.containerd.image.name"] == "docker.io/library/x:1"
        for info in saved:
            if info.name.startswith("blobs/"):
                assert sha256(saved.extractfile(info).read()).hexdigest() == info.name.rpartition("/")[2]
    assert read_archive(path).id == images.get("x:1").id
    without = rebuilt(io.BytesIO(path.read_bytes()), lambda m: {k: v for k, v in m.items() if k != "manifest.json"})
    other = opened(tmp_path / "oci")
    assert load(other, without) == ["Loaded image: x:1\n"] and other.get("x:1").id == images.get("x:1").id


def test_saving_what_is_not_there_fails_before_the_first_byte(images):
    with pytest.raises(NoSuchImage, match=r"No such image: none$"):
        archive.save(images, ["none"])


def test_an_imported_file_system_is_an_image_of_one_layer(images):
    messages = list(archive.import_(images, io.BytesIO(gzip.compress(ONE)), tag="x", config={"Cmd": ["sh"]}))
    record = images.get("x")
    assert messages == [{"status": record.id}] and record.layers == ("sha256:" + sha256(ONE).hexdigest(),)
    assert record.config["history"][0]["comment"] == record.config["comment"] == "Imported from -"


# killed


def big(number: int) -> bytes:
    generator = random.Random(number)
    return tar(*(member(f"d{number}/f{n}", content=generator.randbytes(3000)) for n in range(150))).getvalue()


def _load_for_ever(home: Path, path: Path) -> None:
    images = opened(home)
    while True:
        for _ in archive.load(images, io.BytesIO(path.read_bytes())):
            pass
        images.remove("x:1", force=True)


def survives(tmp_path: Path, moments: int) -> None:
    """Kill a process that loads and removes, again and again; what has a name must be whole every time."""
    path = tmp_path / "x.tar"
    path.write_bytes(docker_archive((["x:1"], MORE, [ONE, big(1), big(2)]), digest_names=False).getvalue())
    home = tmp_path / "home"
    load(opened(home), docker_archive((["kept:1"], CONFIG, [ONE])))
    context = multiprocessing.get_context("fork")
    for moment in range(moments):
        worker = context.Process(target=_load_for_ever, args=(home, path))
        worker.start()
        time.sleep(random.Random(moment).uniform(0.005, 0.25))  # a random moment, not a wait for something
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()
        images = opened(home)
        images.blobs.recover()
        images.layers.recover()
        Snapshots(home, images.layers).recover(())
        images.recover()
        assert not list(images.layers.scratch.iterdir())
        for record in images.all():
            for diff_id in record.layers:
                with images.blobs.open(diff_id) as file:
                    assert "sha256:" + sha256(file.read()).hexdigest() == diff_id
            for entry in images.layers.view(record.layers).walk():
                if entry.kind == "file":
                    content = images.layers.view(record.layers).read(entry.path)
                    assert "sha256:" + sha256(content).hexdigest() == entry.digest
        assert images.has("kept:1")
        needed = {diff_id for record in images.all() for diff_id in record.layers}
        assert set(images.layers.all()) == needed, "nothing half made is left"
    assert "Loaded image: x:1\n" in load(opened(home), io.BytesIO(path.read_bytes()))


@pytest.mark.slow
def test_a_kill_at_any_moment_damages_nothing(tmp_path):
    survives(tmp_path, 20)


@pytest.mark.deep
def test_two_hundred_kills_damage_nothing(tmp_path):
    survives(tmp_path, 200)


# real engines


@pytest.mark.docker
def test_an_image_goes_through_here_and_comes_back_as_the_same(daemon, busybox, images, tmp_path):
    """Built by a real daemon, saved, loaded here, saved, loaded there: the same ID, and it runs."""
    name = "drydock-store-roundtrip:1"
    busybox("drydock-store-base")
    dockerfile = (
        "FROM drydock-store-base\n"
        "RUN busybox mkdir -p /a/b && echo 1 >/a/b/f && busybox ln /a/b/f /a/b/g && busybox chmod 4750 /a/b/f\n"
        "RUN busybox rm -r /a/b && busybox mkdir /a/b && echo n >/a/b/n\n"
        "RUN busybox chown 7:8 /a/b/n && busybox ln -s n /a/b/s\n"
    )
    image, _ = daemon.images.build(fileobj=io.BytesIO(dockerfile.encode()), tag=name)
    saved = b"".join(image.save(named=name))
    load(images, io.BytesIO(saved))
    record = images.get(name)
    daemon.images.remove(name, force=True)
    again = b"".join(archive.save(images, [name]))
    (loaded,) = daemon.images.load(again)
    try:
        assert loaded.tags == [name]
        path = tmp_path / "again.tar"
        path.write_bytes(b"".join(loaded.save(named=name)))
        assert read_archive(path).id == record.id
        assert daemon.containers.run(name, "cat /a/b/s", remove=True) == b"n\n"
    finally:
        daemon.images.remove(name, force=True)


@pytest.mark.docker
def test_a_layer_made_here_is_what_a_daemon_unpacks(daemon, busybox, images):
    """A layer written here on a daemon's base, loaded there: the daemon's own entries are those that were written."""
    from drydock.engine.snapshots import New
    from drydock.model.layer import Entry

    busybox("drydock-store-base")
    base = daemon.images.get("drydock-store-base")
    load(images, io.BytesIO(b"".join(base.save(named=True))))
    record = images.get("drydock-store-base")
    layer = images.layers.write(
        [
            New(Entry("etc/x", "file", mode=0o4640, uid=33, gid=44, mtime=1_700_000_000), b"x"),
            New(Entry("etc", "directory", mode=0o755, mtime=1_700_000_000)),
            New.whiteout("bin/sort"),
            New(Entry("bin", "directory", mode=0o755)),
        ]
    )
    raw = made(record.config, layer, config={"Cmd": ["ls"]}, created_by="here")
    images.add(raw, tags=["drydock-store-made:1"])
    daemon.images.load(b"".join(archive.save(images, ["drydock-store-made:1"])))
    try:
        entry = read_image(daemon, "drydock-store-made:1").layers[-1].by_path["etc/x"]
        assert (entry.mode, entry.uid, entry.gid, entry.mtime) == (0o4640, 33, 44, 1_700_000_000)
        # Whose it is a program is told by a root daemon only: an ordinary user's name space has one user.
        shown = daemon.containers.run("drydock-store-made:1", ["busybox", "stat", "-c", "%a %Y", "/etc/x"], remove=True)
        assert shown == b"4640 1700000000\n"
        assert b"sort" not in daemon.containers.run("drydock-store-made:1", "ls /bin", remove=True).split()
    finally:
        daemon.images.remove("drydock-store-made:1", force=True)
