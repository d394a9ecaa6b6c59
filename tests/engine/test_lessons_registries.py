"""Lesson 8's registries begin when they are named, lie where they should, and end with whoever started them."""

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import docker
import drydock
import pytest
from drydock.lessons import colleague, pack, registries, wire
from drydock.lessons.ancestors import ancestors
from drydock.lessons.wire import Answer, NoSocket, request
from drydock.registry.server import process
from drydock.serving.waiting import waited

pytestmark = pytest.mark.slow

NOTHING = "sha256:" + "0" * 64


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home of one's own, and no Docker Desktop to ask for."""
    monkeypatch.setenv("DRYDOCK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DRYDOCK_ENGINE", "drydock")
    return tmp_path / "home"


@pytest.fixture(scope="module")
def client(embedded):
    with contextlib.closing(docker.DockerClient(base_url=embedded)) as one:
        yield one


@pytest.fixture
def rooms(client):
    with contextlib.closing(registries.Registries(client)) as one:
        yield one


@pytest.fixture
def elsewhere(monkeypatch):
    """Where the first registry begins: at a port that another program has not just taken."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(registries, "PORTS", range(port, port + 20))
    return port


def answers(address):
    with contextlib.suppress(OSError):
        return request(address, "GET /v2/").status == 200
    return False


def test_registries_begin_when_they_are_named_and_leave_nothing(client, home, elsewhere, capsys):
    rooms = registries.Registries(client)
    near, far = rooms.near, rooms.far
    assert (near, rooms.near) == (f"localhost:{elsewhere}",) * 2 and answers(near) and answers(far) and near != far
    assert "it runs inside this notebook, and ends with it" in capsys.readouterr().out
    rooms.close()
    rooms.close()
    assert not answers(near) and not answers(far) and list((home / registries.FOLDER).iterdir()) == []
    with pytest.raises(drydock.RegistryUnavailable, match=r"put away already.\nTry: run the cell again"):
        _ = rooms.near


def test_a_taken_port_is_said_and_another_one_taken(client, rooms, elsewhere, capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", elsewhere))
        other.listen()
        assert rooms.near != f"localhost:{elsewhere}" and answers(rooms.near)
    assert f"Port {elsewhere}, where the course's registry usually answers, is taken" in capsys.readouterr().out


def test_a_class_registry_that_runs_is_used_and_only_the_lessons_own_is_removed(client, home, rooms, capsys):
    there = process.start(home, port=0)
    try:
        for name in ("lab/shop", "lab/mine"):
            colleague._push(there.address, name, "1", colleague._image({"made": pack.layer({"a": b"a"})}, "amd64"))
        assert rooms.near == there.address
        assert request(there.address, "GET /v2/lab/shop/tags/list").json["tags"] == []
        colleague.hello(there.address)
        rooms.close()
        assert "leaves it as it was" in capsys.readouterr().out
        assert request(there.address, "GET /v2/_catalog").json == {"repositories": ["lab/mine"]}
    finally:
        process.stop(home)


KILLED = """
import docker, sys
from drydock.lessons import registries
registries.PORTS = [0]
rooms = registries.Registries(docker.DockerClient(base_url=sys.argv[1]))
print(rooms.near, flush=True)
sys.stdin.read()
"""


def test_a_kernel_that_is_killed_takes_its_registries_with_it_and_the_next_run_their_disk(
    client, embedded, home, rooms, elsewhere
):
    command = [sys.executable, "-c", KILLED, embedded]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as kernel:
        said = [kernel.stdout.readline(), kernel.stdout.readline()]
        address = said[-1].strip()
        assert answers(address), said
        kernel.send_signal(signal.SIGKILL)
        kernel.wait()
    assert waited(lambda: not answers(address))
    (left,) = (home / registries.FOLDER).iterdir()
    old = time.time() - 2 * registries.YOUNG
    os.utime(left, (old, old))
    assert answers(rooms.near) and not left.exists()


def test_a_class_registry_that_was_stopped_meanwhile_does_not_keep_the_rest_from_being_put_away(client, home, rooms):
    process.start(home, port=0)
    near, far = rooms.near, rooms.far
    process.stop(home)
    rooms.close()
    assert not answers(near) and not answers(far)


def test_an_engine_that_hangs_up_on_the_liar_leaves_nothing_in_the_notebook(rooms, capsys):
    host, _, port = rooms.liar.partition(":")
    before = threading.active_count()
    for _ in range(20):
        with socket.create_connection((host, int(port)), 10) as hasty:
            hasty.sendall(b"GET /v2/ HTTP/1.1\r\n")
            hasty.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
    assert waited(lambda: threading.active_count() <= before)
    assert capsys.readouterr().err == ""


def test_the_liar_changes_one_byte_of_a_layer_and_nothing_else(rooms, elsewhere):
    colleague.gallery(rooms.near)
    path = "GET /v2/lab/gallery/manifests/1"
    true, told = request(rooms.near, path), request(rooms.liar, path)
    assert true.body == told.body and told.headers["Docker-Content-Digest"] == true.headers["Docker-Content-Digest"]
    layer, config = true.json["layers"][0]["digest"], true.json["config"]["digest"]
    bodies = [request(where, f"GET /v2/lab/gallery/blobs/{layer}").body for where in (rooms.near, rooms.liar)]
    assert sum(a != b for a, b in zip(*bodies, strict=True)) == 1
    assert pack.digest(request(rooms.liar, f"GET /v2/lab/gallery/blobs/{config}").body) == config


def test_bytes_under_another_digest_are_refused_as_the_learner_sees_it(rooms, elsewhere):
    said = colleague.upload(rooms.near, "lab/forged", b"these bytes have another digest", NOTHING).picture()
    assert "< 400 Bad Request" in said and "DIGEST_INVALID" in said


def test_names_that_a_cut_run_left_go_and_a_neighbours_stay(client, rooms, elsewhere, capsys):
    image = pack.image("lab/xt-neighbour:1", {"made": pack.layer({"a": b"xt"})}, {}, "amd64", ["/none"])
    client.images.load(pack.archive([image]))
    for name in ("lab/shop:1", "localhost:4/lab/shop:1", "localhost:4/lab/mine:1", "example.org/lab/shop:1"):
        registries.tag(client, "lab/xt-neighbour:1", name)
    assert "docker tag lab/xt-neighbour:1 lab/shop:1" in capsys.readouterr().out

    def tags():
        return sorted(client.images.get("lab/xt-neighbour:1").tags)

    registries.Registries(client)
    assert tags() == ["example.org/lab/shop:1", "lab/shop:1", "lab/xt-neighbour:1", "localhost:4/lab/mine:1"]
    registries.forget(client)
    assert "lab/shop:1" not in tags()
    for name in tags():
        client.images.remove(name)
    with pytest.raises(registries.NoImage, match=r"There is no image lab/shop:1 here.*\nTry: run the cells above"):
        registries.tag(client, "lab/shop:1", "localhost:4/lab/shop:1")


def test_an_answer_that_says_no_is_shown_with_its_words(client):
    answer = request(client, "POST /containers/nobody-xt/start")
    assert answer.status == 404 and answer.json == {"message": "No such container: nobody-xt"}
    assert answer.picture().startswith("> POST /containers/nobody-xt/start\n< 404 ")


def test_a_long_or_hostile_answer_is_shown_in_few_clean_lines():
    said = Answer("GET /", 200, "OK", {"Location": "\x1b[2J"}, b'["a", "\\u001b"' + b', "b"' * 90 + b"]").picture()
    assert "\x1b" not in said and said.endswith("... and 80 more lines")


def test_an_engine_without_a_plain_socket_says_what_to_try(monkeypatch):
    monkeypatch.setattr(wire, "address", lambda: "ssh://me@example.org")
    with pytest.raises(NoSocket, match=r"which is no plain socket.*\nTry: request"):
        wire.dial()


def container(pid, program="sleep"):
    return SimpleNamespace(name="c", attrs={"State": {"Pid": pid}, "Path": f"/bin/{program}"}, reload=lambda: None)


def proc(folder, *rows):
    for pid, name, parent, words in rows:
        (folder / str(pid)).mkdir(parents=True)
        (folder / str(pid) / "stat").write_text(f"{pid} ({name}) S {parent} 1 1")
        (folder / str(pid) / "cmdline").write_bytes(words)
    return folder


def test_the_parents_of_a_container_are_told_from_the_first_down(tmp_path):
    rows = (1, "init", 0, b"init"), (7, "odd) (name", 1, b"x\0-m\0drydock.engine\0"), (9, "sleep", 7, b"sleep\x0060")
    assert ancestors(container(9), proc(tmp_path, *rows)).splitlines() == [
        "init  (process 1)",
        "  odd) (name: the kit's engine  (process 7)",
        "    sleep  (process 9)",
    ]


def test_a_process_of_another_machine_is_not_taken_for_the_containers(tmp_path):
    here = proc(tmp_path, (1, "init", 0, b"init"), (9, "editor", 1, b"editor"))
    assert "is not in this machine's process table" in ancestors(container(9), here)
    assert "is not in this machine's process table" in ancestors(container(88), here)
    assert ancestors(container(0), here) == "c does not run, so there is no process."
