"""The registry when things go wrong: cut connections, kills, many clients at once, cleaning meanwhile, full sharing."""

import hashlib
import os
import random
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path

import pytest
from drydock.registry.server import upload
from drydock.registry.server.clean import clean
from drydock.registry.server.refusals import Refusal
from drydock.registry.server.server import MOST
from drydock.registry.server.store import Store
from drydock.serving.waiting import waited
from ownregistry import digest, manifest, registry

pytestmark = pytest.mark.slow

CLIENTS = 50
TRIES = 100  # requests for one blob, most of them cut


@pytest.fixture
def server():
    with registry() as one:
        yield one


def cut_request(server, text, body, most):
    """Send a request and hang up after so many bytes of its body."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as line:
        line.sendall(f"{text} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body[:most])


def push_with_cuts(server, name, data, chance):
    """Push a blob whose connections are cut at random bytes, going on each time where the registry says."""
    place = server.ask("POST", f"/v2/{name}/blobs/uploads/").headers["location"]
    for _ in range(TRIES):
        said = server.ask("GET", place).headers["range"]
        have = int(said.partition("-")[2]) + 1 if said != "0-0" else 0
        rest = data[have:]
        if rest and chance.random() < 0.7:
            cut_request(server, f"PATCH {place}", rest, chance.randrange(len(rest) + 1))
            continue
        sent = {"Content_Range": f"{have}-{len(data) - 1}"} if rest else {}
        answer = server.ask("PUT", f"{place}?digest={digest(data)}", rest, **sent)
        if answer.status == 201:
            return
        assert answer.status in (400, 416), answer  # the cut request's last bytes came in between
        if answer.status == 400:
            place = server.ask("POST", f"/v2/{name}/blobs/uploads/").headers["location"]
    pytest.fail("the push did not come to its end")


def pull_with_cuts(server, name, d, size, chance):
    """Pull a blob whose connections are cut at random bytes, going on each time where the last one ended."""
    data = b""
    for _ in range(TRIES):
        connection = server.connect()
        try:
            connection.request("GET", f"/v2/{name}/blobs/{d}", headers={"Range": f"bytes={len(data)}-"})
            reply = connection.getresponse()
            assert reply.status == 206
            data += reply.read(chance.randrange(1, size + 1) if chance.random() < 0.7 else None)
        finally:
            connection.close()
        if len(data) == size:
            return data
    pytest.fail("the pull did not come to its end")


def whole(server):
    """Assert that every file among the blobs is what its name says, and every tag leads to a whole image."""
    folder = server.home / "registry" / "blobs" / "sha256"
    for path in folder.iterdir():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    for name in server.ask("GET", "/v2/_catalog").json["repositories"]:
        for tag in server.ask("GET", f"/v2/{name}/tags/list").json["tags"]:
            answer = server.ask("GET", f"/v2/{name}/manifests/{tag}")
            assert answer.status == 200 and digest(answer.body) == answer.headers["docker-content-digest"]
            for row in answer.json["layers"]:
                assert digest(server.ask("GET", f"/v2/{name}/blobs/{row['digest']}").body) == row["digest"]


def test_fifty_clients_push_and_pull_at_once_over_a_bad_line(server):
    shared = random.Random(0).randbytes(100_000)

    def client(number):
        chance = random.Random(number)
        own, name = chance.randbytes(chance.randrange(1, 200_000)), f"class/{number % 10}"
        for data in (own, shared):
            push_with_cuts(server, name, data, chance)
        server.blob(name, b"{}")
        assert server.manifest(name, f"v{number}", manifest(own, shared)).status == 201
        for data in (own, shared):
            assert pull_with_cuts(server, name, digest(data), len(data), chance) == data

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(client, range(CLIENTS)))
    whole(server)
    tags = [server.ask("GET", f"/v2/class/{n}/tags/list").json["tags"] for n in range(10)]
    assert sum(map(len, tags)) == CLIENTS
    assert not (server.home / "registry" / "log").exists()


def kill_at_random_moments(server, times):
    """Push images without end, kill the registry again and again, and look each time at what is there."""
    chance = random.Random(times)
    acknowledged = {}

    def pusher(number, ended):
        rng = random.Random(f"{number} {len(acknowledged)} {chance.random()}")
        try:
            while not ended.is_set():
                layers = [rng.randbytes(rng.randrange(1, 300_000)) for _ in range(2)]
                tag = f"v{rng.randrange(5)}"
                d = server.image(f"kill/{number}", tag, *layers)
                acknowledged[d] = f"kill/{number}"
        except (OSError, HTTPException):  # killed: what was acknowledged counts
            return

    for _ in range(times):
        ended = threading.Event()
        with ThreadPoolExecutor(4) as pool:
            for number in range(4):
                pool.submit(pusher, number, ended)
            time.sleep(chance.random() * 0.3)  # the moment is what is random here
            server.kill()
            ended.set()
        server.start()
        whole(server)
        for d, name in acknowledged.items():
            assert server.ask("HEAD", f"/v2/{name}/manifests/{d}").status == 200
    assert acknowledged
    for number in range(4):
        server.image(f"kill/{number}", "again", b"after all that")


def test_ten_kills_during_pushes_lose_nothing_that_was_acknowledged(server):
    kill_at_random_moments(server, 10)


@pytest.mark.deep
def test_a_hundred_kills_during_pushes_lose_nothing_that_was_acknowledged(server):
    kill_at_random_moments(server, 100)


def test_a_tag_that_moves_means_a_whole_image_at_every_moment(server):
    both = {server.image("a", "v1", layer): layer for layer in (b"one", b"two")}
    ended = threading.Event()

    def move():
        while not ended.is_set():
            for layer in both.values():
                assert server.manifest("a", "v1", manifest(layer)).status == 201

    with ThreadPoolExecutor(1) as pool:
        moving = pool.submit(move)
        try:
            seen = [server.ask("HEAD", "/v2/a/manifests/v1") for _ in range(300)]
        finally:
            ended.set()
        moving.result()
    assert {answer.headers.get("docker-content-digest") for answer in seen} == set(both)


def test_an_upload_goes_on_after_a_kill(server):
    data = random.Random(1).randbytes(300_000)
    place = server.ask("POST", "/v2/a/blobs/uploads/").headers["location"]
    assert server.ask("PATCH", place, data[:200_000]).status == 202
    server.kill()
    server.start()
    assert server.ask("GET", place).headers["range"] == "0-199999"
    answer = server.ask("PUT", f"{place}?digest={digest(data)}", data[200_000:], Content_Range="200000-299999")
    assert answer.status == 201 and server.ask("GET", answer.headers["location"]).body == data


def test_an_upload_that_waits_longer_than_a_day_is_removed_at_start(server):
    old, new = (server.ask("POST", "/v2/a/blobs/uploads/").headers["location"] for _ in range(2))
    path = server.home / "registry" / "repositories" / "a" / "_uploads" / old.rpartition("/")[2]
    server.stop()
    os.utime(path, (time.time() - 25 * 3600,) * 2)
    server.start()
    assert (server.ask("GET", old).status, server.ask("GET", new).status) == (404, 204)


def test_uploads_that_nobody_continues_fill_the_registry_for_a_day_at_most(tmp_path, monkeypatch):
    monkeypatch.setattr(upload, "MOST", 2)
    store = Store(tmp_path)
    repository = store.repository("a")
    old = [store.begin(repository) for _ in range(2)]
    with pytest.raises(Refusal, match="wait to be continued"):
        store.begin(repository)
    for id in old:
        os.utime(repository.uploads / id, (time.time() - 25 * 3600,) * 2)
    monkeypatch.setattr(store, "_swept", -1e9)
    store.begin(repository)
    assert len(list(repository.uploads.iterdir())) == 1


def test_what_a_kill_leaves_half_written_is_removed_at_start(server):
    server.image("a", "v1", b"x")
    server.kill()
    left = [
        server.home / "registry" / "repositories" / "a" / "_tags" / ".0123",
        server.home / "registry" / "blobs" / ".new" / "0123",
    ]
    for path in left:
        path.write_text("half")
    server.start()
    assert not any(path.exists() for path in left)
    assert server.ask("GET", "/v2/a/tags/list").json["tags"] == ["v1"]


# Cleaning


def links(server, name):
    return {p.name for p in (server.home / "registry" / "repositories" / name / "_blobs").iterdir()}


def age(server, name, *blobs):
    """Let some links look as if nobody had asked for them in two days."""
    for data in blobs:
        path = server.home / "registry" / "repositories" / name / "_blobs" / digest(data)[7:]
        os.utime(path, (time.time() - 48 * 3600,) * 2)


def test_cleaning_removes_what_no_image_names_and_nobody_asked_for(server):
    d = server.image("a", "v1", b"kept")
    for data in (b"dropped", b"fresh", b"asked for"):
        server.blob("a", data)
    age(server, "a", b"kept", b"{}", b"dropped", b"asked for")
    assert server.ask("HEAD", f"/v2/a/blobs/{digest(b'asked for')}").status == 200
    assert clean(Store(server.home)).blobs == 1
    assert server.ask("GET", f"/v2/a/blobs/{digest(b'dropped')}").status == 404
    for data in (b"kept", b"fresh", b"asked for"):
        assert server.ask("GET", f"/v2/a/blobs/{digest(data)}").body == data
    assert server.ask("DELETE", f"/v2/a/manifests/{d}").status == 202
    age(server, "a", b"kept", b"{}")
    assert clean(Store(server.home)).blobs == 3  # the layer, the configuration, the manifest


def test_cleaning_while_others_push_breaks_no_push(server):
    ended = threading.Event()
    store = Store(server.home)

    def cleaner():
        while not ended.is_set():
            clean(store)

    with ThreadPoolExecutor(5) as pool:
        cleaning = pool.submit(cleaner)
        try:
            for number in range(30):
                list(pool.map(lambda n, one=number: server.image(f"c/{n}", "v", b"%d %d" % (n, one)), range(3)))
        finally:
            ended.set()
        cleaning.result()
    whole(server)


# One disk, two owners


def engine_blob(server, data, path_of=None):
    path = server.home / "blobs" / "blobs" / "sha256" / digest(path_of or data)[7:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_a_blob_that_the_engine_has_lies_on_the_disk_once_and_either_may_remove_it(server):
    for remove_first in ("engine", "registry"):
        data = b"layer of both, " + remove_first.encode()
        theirs = engine_blob(server, data)
        d = server.blob("a", data)
        mine = server.home / "registry" / "blobs" / "sha256" / d[7:]
        assert mine.samefile(theirs)
        if remove_first == "engine":
            theirs.unlink()
            assert server.ask("GET", f"/v2/a/blobs/{d}").body == data
        else:
            mine.unlink()
            assert theirs.read_bytes() == data and server.ask("GET", f"/v2/a/blobs/{d}").status == 404


def test_a_damaged_file_of_the_engines_is_not_taken(server):
    theirs = engine_blob(server, b"damaged bytes", path_of=b"right bytes")
    d = server.blob("a", b"right bytes")
    assert server.ask("GET", f"/v2/a/blobs/{d}").body == b"right bytes"
    assert theirs.read_bytes() == b"damaged bytes"


def test_memory_does_not_grow_with_the_blob(server):
    status = Path(f"/proc/{server.process.pid}/status")
    if not status.exists():
        pytest.skip("no /proc here")

    def peak():
        return int(status.read_text().partition("VmHWM:")[2].split()[0])

    server.blob("a", b"x")
    before, piece = peak(), bytes(1 << 20)
    place = server.ask("POST", "/v2/a/blobs/uploads/").headers["location"]
    assert server.ask("PATCH", place, (piece for _ in range(100))).status == 202
    d = digest(bytes(100 << 20))
    assert server.ask("PUT", f"{place}?digest={d}").status == 201
    assert digest(server.ask("GET", f"/v2/a/blobs/{d}").body) == d
    assert peak() - before < 10_000  # kB


def test_too_many_connections_are_hung_up_and_the_rest_is_served(server):
    lines = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(MOST)]
    try:
        for line in lines:
            line.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
            assert line.recv(1000).startswith(b"HTTP/1.1 200")
        with pytest.raises((OSError, HTTPException)):
            server.ask("GET", "/v2/")
    finally:
        for line in lines:
            line.close()
    assert waited(lambda: answered(server))


def answered(server):
    try:
        return server.ask("GET", "/v2/").status == 200
    except (OSError, HTTPException):
        return False
