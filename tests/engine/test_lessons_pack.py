"""Images made of bytes: equal files give equal images, and every reader finds its way in."""

import io
import json
import random
import tarfile

import pytest
from drydock import read
from drydock.lessons import machine, own, pack

pytestmark = pytest.mark.slow

FILES = {"bin/busybox": b"\x7fELF", "bin/sh": "busybox", "etc/motd": b"ahoy\n"}


def entries(tar):
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        return {entry.name: entry for entry in opened}


def packed(files=FILES, name="of/bytes:latest"):
    return pack.image(name, {"made": pack.layer(files)}, {"Env": ["A=b"]}, "arm64", ["sh"])


def test_the_same_files_in_another_order_make_the_same_image():
    names = list(FILES)
    random.Random(7).shuffle(names)
    assert packed({name: FILES[name] for name in names}).id == packed().id


def test_another_byte_makes_another_image():
    assert packed(FILES | {"etc/motd": b"ahoj\n"}).id != packed().id


def test_programs_can_be_executed_and_the_rest_can_be_read():
    modes = {name: entry.mode for name, entry in entries(pack.layer(FILES)).items()}
    assert (modes["bin/busybox"], modes["etc/motd"], modes["bin"]) == (0o755, 0o644, 0o755)


def test_everything_is_roots_and_of_one_time():
    seen = {(e.uid, e.gid, e.mtime) for e in entries(pack.layer(FILES)).values()}
    assert seen == {(0, 0, pack.MADE)}


def test_a_folder_of_a_layer_below_is_not_packed_again():
    assert "usr" not in entries(pack.layer({"usr/bin/env": "/bin/env"}, ["usr/bin/pkg"]))


def test_the_archive_is_dockers_and_an_oci_layout_at_once(tmp_path):
    image = packed()
    found = entries(pack.archive([image]))
    assert {"manifest.json", "index.json", "oci-layout", "blobs/sha256"} <= set(found)
    path = tmp_path / "image.tar"
    path.write_bytes(pack.archive([image]))
    assert read.archive(path).id == image.id
    with tarfile.open(path) as tar:
        tar.extractall(tmp_path / "layout", filter="data")
    (tmp_path / "layout" / "manifest.json").unlink()  # what is left is OCI alone
    assert [layer.diff_id for layer in read.folder(tmp_path / "layout").layers] == [
        layer.diff_id for layer in read.archive(path).layers
    ]


def test_the_image_says_what_it_is_for():
    config = json.loads(own.base()[0].config)
    assert config["config"]["Labels"]["org.drydock.lab"] == "base"
    assert config["rootfs"]["diff_ids"] == [pack.digest(layer) for layer in own.base()[0].layers]


def test_python_stands_on_the_very_layer_of_the_base():
    base, python = own.base()[0], own.python()[0]
    assert python.layers[0] == base.layers[0] and len(python.layers) == 2


def test_python_is_made_the_same_twice():
    assert own.python()[0].id == own.python()[0].id


def test_python_brings_no_tests_no_bytecode_and_no_packages_of_this_machine():
    names = list(machine.python()[0])
    assert [n for n in names if n.endswith(".pyc") or "-packages" in n or "/test/" in n or "__pycache__" in n] == []
    assert [n for n in names if n.startswith(("root/", "home/", "tmp/"))] == []


@pytest.fixture
def engine_on(request):
    """What starts the kit's own engine; `own` is the images' module here."""
    return request.getfixturevalue("own")


def python_runs(client):
    name = "drydock/python-of-a-test"
    client.images.load(pack.archive([own.python(name)[0]]))
    ask = "import ssl, http.server, sys, sqlite3; print(sys.prefix, *sqlite3.connect('').execute('select 7'))"
    try:
        assert client.containers.run(name, ["python3", "-c", ask], remove=True) == b"/usr/local (7,)\n"
        said = client.containers.run(name, ["sh", "-c", "/usr/bin/env python -c 'print(6 * 7)'"], remove=True)
        assert said == b"42\n"
    finally:
        client.images.remove(name, force=True)


@pytest.mark.docker
def test_python_runs_with_its_library_on_every_docker(daemon):
    python_runs(daemon)


@pytest.mark.parametrize("rung", ["A", "C"])
def test_python_runs_with_its_library_on_the_kits_engine(engine_on, rung):
    with engine_on("--rung", rung) as one:
        python_runs(one.client)
