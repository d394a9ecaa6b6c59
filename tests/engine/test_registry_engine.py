"""The embedded engine with a registry that may lie: what is pulled is whole, what is pushed is sent once."""

import contextlib
import gzip
import hashlib
import io
import json
import random
import threading
import time
from pathlib import Path

import docker
import pytest
import zstandard
from docker.errors import APIError, ImageNotFound, NotFound
from drydock import read
from lyingregistry import CONFIG, ME, LyingRegistry, cut_after, digest, endless, layer, status

NOISE = random.Random(3).randbytes(1_500_000)
BASE, TOP = layer({"base": NOISE[:400_000]}), layer({"top": NOISE})


@pytest.fixture(scope="module")
def engine(own):
    with own() as one:
        yield one


@pytest.fixture
def registry():
    with LyingRegistry() as one:
        yield one


@pytest.fixture
def client(engine, registry):
    """The engine's client; what it has of the registry is removed afterwards."""
    yield engine.client
    for image in engine.client.api.images(all=True):
        with contextlib.suppress(APIError):
            engine.client.images.remove(image["Id"], force=True)


def pull(client, name, **more):
    """Pull, and return all that is told; raise where that is an error."""
    told = list(client.api.pull(name, stream=True, decode=True, **more))
    if "error" in told[-1]:
        raise RuntimeError(told[-1]["error"])
    return told


def push(client, name, **more):
    """Push, and return all that is told; raise where that is an error."""
    told = list(client.api.push(name, stream=True, decode=True, **more))
    if "error" in told[-1]:
        raise RuntimeError(told[-1]["error"])
    return told


def zipped(raw):
    """Return a layer packed so that the same gives the same."""
    return gzip.compress(raw, mtime=0)


def words(told, *leave):
    """Return what is told of each layer, in order, progress and numbers left out."""
    found = [(row["status"], row.get("id", "")) for row in told if "status" in row]
    return list(dict.fromkeys(row for row in found if row[0] not in leave))


def blobs(engine):
    """Return the digests of all blobs that the engine has, each checked."""
    found = {path.name: path.read_bytes() for path in (engine.home / "blobs/blobs/sha256").iterdir()}
    assert all(hashlib.sha256(raw).hexdigest() == name for name, raw in found.items())
    return {f"sha256:{name}" for name in found}


# Pull


def test_a_pull_tells_what_dockerd_tells(client, registry):
    name, (base, top) = f"{registry.host}/app", [digest(zipped(one))[7:19] for one in (BASE, TOP)]
    image_id = registry.image("app", "1", BASE, TOP, pack=zipped)
    told = pull(client, name, tag="1")
    document = digest(registry.manifests["app", "1"][1])
    assert words(told, "Downloading", "Extracting")[:3] == [
        ("Pulling from app", "1"),
        ("Pulling fs layer", base),
        ("Pulling fs layer", top),
    ]
    for one in (base, top):
        steps = [text for text, what in words(told) if what == one]
        assert steps == [
            *("Pulling fs layer", "Downloading", "Verifying Checksum", "Download complete", "Extracting"),
            "Pull complete",
        ]
    assert words(told)[-2:] == [
        (f"Digest: {document}", ""),
        (f"Status: Downloaded newer image for {name}:1", ""),
    ]
    assert client.images.get(f"{name}:1").id == image_id
    assert client.images.get(f"{name}@{document}").attrs["RepoDigests"] == [f"{name}@{document}"]
    assert read.image(client, f"{name}:1").layers[1].entries[0].path == "top"


def test_an_image_that_is_here_is_not_fetched_again(client, registry):
    registry.image("app", "1", BASE)
    pull(client, f"{registry.host}/app", tag="1")
    registry.calls.clear()
    told = pull(client, f"{registry.host}/app", tag="1")
    assert told[-1]["status"] == f"Status: Image is up to date for {registry.host}/app:1"
    assert [(call.method, call.path) for call in registry.calls] == [
        ("GET", "/v2/"),
        ("HEAD", "/v2/app/manifests/1"),  # which counts as no pull at Docker Hub
    ]


def test_layers_that_are_here_are_not_fetched(client, registry):
    registry.image("app", "1", BASE)
    registry.image("app", "2", BASE, TOP)
    pull(client, f"{registry.host}/app", tag="1")
    registry.calls.clear()
    told = words(pull(client, f"{registry.host}/app", tag="2"))
    assert [text for text, _ in told][1:3] == ["Already exists", "Pulling fs layer"]
    assert len(registry.asked("GET", "/blobs/")) == 2  # config and one layer


def test_a_tag_that_moved_is_pulled_anew(client, registry):
    name = f"{registry.host}/app"
    old = registry.image("app", "1", BASE)
    pull(client, name, tag="1")
    new = registry.image("app", "1", TOP)
    pull(client, name, tag="1")
    assert client.images.get(f"{name}:1").id == new
    assert client.images.get(old).tags == []


def test_all_tags_and_a_digest_can_be_pulled(client, registry):
    name = f"{registry.host}/app"
    ids = [registry.image("app", "1", BASE), registry.image("app", "2", TOP)]
    pull(client, name, all_tags=True)
    assert [client.images.get(f"{name}:{tag}").id for tag in ("1", "2")] == ids
    client.images.remove(ids[1], force=True)
    document = digest(registry.manifests["app", "2"][1])
    pull(client, f"{name}@{document}")
    assert client.images.get(f"{name}@{document}").tags == []


@pytest.mark.parametrize("pack", [lambda raw: raw, zstandard.ZstdCompressor().compress, zipped])
def test_layers_come_packed_or_plain(pack, client, registry, engine):
    registry.image("app", "1", BASE, TOP, pack=pack)
    pull(client, f"{registry.host}/app", tag="1")
    read.image(client, f"{registry.host}/app:1")
    client.images.get(f"{registry.host}/app:1").tag(f"{registry.host}/copy", "1")
    registry.has = {row for row in registry.has if row[0] != "app"}  # so that nothing can be mounted
    push(client, f"{registry.host}/copy", tag="1")
    for row in json.loads(registry.manifests["copy", "1"][1])["layers"]:
        assert registry.blobs[row["digest"]] in (pack(BASE), pack(TOP))  # the very blob that came
        assert row["size"] == len(registry.blobs[row["digest"]])
    assert blobs(engine)


def test_another_platform_is_pulled_where_it_is_asked_for(client, registry):
    rows = []
    for name in ("amd64", "s390x"):
        registry.image("app", name, layer({name: b""}), architecture=name)
        raw = registry.manifests["app", name][1]
        rows.append({"digest": digest(raw), "size": len(raw), "platform": {"os": "linux", "architecture": name}})
    index = json.dumps({"schemaVersion": 2, "manifests": rows}).encode()
    registry.document("app", "1", index, "application/vnd.oci.image.index.v1+json")
    pull(client, f"{registry.host}/app", tag="1", platform="linux/s390x")
    assert client.images.get(f"{registry.host}/app:1").attrs["Architecture"] == "s390x"
    assert client.images.get(f"{registry.host}/app:1").attrs["RepoDigests"] == [f"{registry.host}/app@{digest(index)}"]
    with pytest.raises(APIError, match="no matching manifest for linux/ppc64le in the manifest list entries"):
        pull(client, f"{registry.host}/app", tag="1", platform="linux/ppc64le")


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        (lambda call: call.say(200, b"x" * int(call.server.registry.size)), "verification failed"),
        (endless, "longer than its manifest says"),
        (lambda call: call.say(200, b"short"), "5 bytes there"),
    ],
)
def test_a_lie_leaves_nothing_behind(lie, said, client, registry, engine):
    before = blobs(engine)
    registry.image("app", "1", BASE, TOP)
    top = json.loads(registry.manifests["app", "1"][1])["layers"][1]
    registry.size = top["size"]
    registry.lie("GET", top["digest"], lie, times=9)
    with pytest.raises(RuntimeError, match=said):
        pull(client, f"{registry.host}/app", tag="1")
    with pytest.raises(ImageNotFound):
        client.images.get(f"{registry.host}/app:1")
    assert blobs(engine) == before
    registry.lies.clear()
    pull(client, f"{registry.host}/app", tag="1")


def test_layers_other_than_the_configs_are_refused(client, registry, engine):
    before = blobs(engine)
    registry.image("app", "1", BASE, rootfs={"type": "layers", "diff_ids": [digest(b"another layer")]})
    with pytest.raises(RuntimeError, match="layers from manifest don't match image configuration"):
        pull(client, f"{registry.host}/app", tag="1")
    registry.image("app", "2", BASE, rootfs={"type": "layers", "diff_ids": [digest(BASE), digest(TOP)]})
    with pytest.raises(RuntimeError, match="layers from manifest don't match image configuration"):
        pull(client, f"{registry.host}/app", tag="2")
    assert blobs(engine) == before


def test_a_cut_pull_goes_on_where_it_was(client, registry):
    registry.image("app", "1", TOP)
    blob = json.loads(registry.manifests["app", "1"][1])["layers"][0]["digest"]
    registry.lie("GET", blob, cut_after(700_001))
    told = pull(client, f"{registry.host}/app", tag="1")
    assert ("Retrying in 1 second", blob[7:19]) in words(told)
    assert [call.headers.get("range") for call in registry.asked("GET", blob)] == [None, "bytes=700001-"]


def test_a_pull_that_was_given_up_goes_on_where_it_was(client, registry, engine):
    registry.image("app", "1", TOP)
    blob = json.loads(registry.manifests["app", "1"][1])["layers"][0]["digest"]
    arrived, over = threading.Event(), threading.Event()

    def half(call):
        raw = registry.blobs[blob]
        call.send_response(200)
        call.send_header("Content-Length", str(len(raw)))
        call.end_headers()
        call.wfile.write(raw[:800_000])
        arrived.set()
        over.wait(30)

    registry.lie("GET", blob, half)
    query = {"fromImage": f"{registry.host}/app", "tag": "1"}
    answer = client.api._post(client.api._url("/images/create"), params=query, stream=True)
    assert arrived.wait(20)
    part = engine.home / "engine" / "downloads" / blob.removeprefix("sha256:")
    end = time.monotonic() + 20
    while not (part.exists() and part.stat().st_size > 300_000):
        assert time.monotonic() < end
        time.sleep(0.01)
    answer.close()
    registry.calls.clear()
    pull(client, f"{registry.host}/app", tag="1")
    ranges = [call.headers.get("range") for call in registry.asked("GET", blob)]
    assert len(ranges) == 1 and int(ranges[0].removeprefix("bytes=").rstrip("-")) > 300_000
    over.set()


def test_two_pulls_of_one_layer_fetch_it_once(client, registry, engine):
    registry.image("app", "1", TOP, pack=zipped)
    registry.image("app", "2", TOP, pack=zipped, config={"Cmd": ["other"]})
    blob = json.loads(registry.manifests["app", "1"][1])["layers"][0]["digest"]
    gate = threading.Barrier(2)

    def one(tag):
        own_client = docker.DockerClient(base_url=engine.url, timeout=60)
        gate.wait(20)
        done.append(pull(own_client, f"{registry.host}/app", tag=tag)[-1]["status"])
        own_client.close()

    done = []
    threads = [threading.Thread(target=one, args=[tag]) for tag in ("1", "2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(done) == 2
    assert len(registry.asked("GET", blob)) == 1


def test_a_missing_image_says_so_as_dockerd_does(client, registry):
    with pytest.raises(NotFound) as caught:
        pull(client, f"{registry.host}/app", tag="1")
    told = f"manifest for {registry.host}/app:1 not found: manifest unknown: manifest unknown"
    assert caught.value.explanation == told
    registry.lie("GET", "/manifests/", lambda call: call.refuse(403, "DENIED", "access denied"), times=9)
    registry.lie("HEAD", "/manifests/", lambda call: call.refuse(404, ""), times=9)
    with pytest.raises(NotFound, match=r"pull access denied for .*/app, repository does not exist or may require"):
        pull(client, f"{registry.host}/app", tag="1")


def test_a_limit_reached_is_explained(client, registry):
    registry.lie("HEAD", "/manifests/", status(429, Retry_After="7200"))
    with pytest.raises(APIError, match=r"Ask again in 2 hours.*docker login"):
        pull(client, f"{registry.host}/app", tag="1")


# Who asks


def test_credentials_are_used_and_kept_nowhere(client, registry, engine):
    registry.login = (ME,)
    registry.image("app", "1", BASE)
    login = {"username": "me", "password": "secret"}
    with pytest.raises(APIError, match="no basic auth credentials"):
        pull(client, f"{registry.host}/app", tag="1")
    with pytest.raises(APIError, match="authentication required") as caught:
        pull(client, f"{registry.host}/app", tag="1", auth_config={"username": "me", "password": "hunter2wrong"})
    assert "hunter2wrong" not in str(caught.value)
    pull(client, f"{registry.host}/app", tag="1", auth_config=login)
    client.images.get(f"{registry.host}/app:1").tag(f"{registry.host}/copy", "1")
    with pytest.raises(RuntimeError, match="no basic auth credentials"):
        push(client, f"{registry.host}/copy", tag="1")
    push(client, f"{registry.host}/copy", tag="1", auth_config=login)
    for path in engine.home.rglob("*"):
        if path.is_file() and path.stat().st_size < 10_000_000:
            raw = path.read_bytes()
            assert b"hunter2wrong" not in raw and b"bWU6c2VjcmV0" not in raw, path
    assert "secret" not in Path(f"/proc/{engine.process.pid}/cmdline").read_text()


def test_login_tells_right_from_wrong(client, registry):
    registry.login = (ME,)
    assert client.login("me", "secret", registry=registry.host, reauth=True)["Status"] == "Login Succeeded"
    with pytest.raises(APIError, match="401 Unauthorized"):
        client.login("me", "wrong", registry=registry.host, reauth=True)


# Push


def built(client, registry, name="app", files=("a", "b")):
    """Build an image with one layer for each file, and return its name."""
    lines = ["FROM scratch", *(f"COPY {one} /{one}" for one in files)]
    context = layer({"Dockerfile": "\n".join(lines).encode(), **{one: one.encode() * 9000 for one in files}})
    tag = f"{registry.host}/{name}:1"
    for row in client.api.build(fileobj=io.BytesIO(context), custom_context=True, tag=tag, decode=True):
        assert "error" not in row, row
    return tag


def test_a_push_sends_layers_and_config_and_last_the_manifest(client, registry):
    name = built(client, registry)
    told = words(push(client, name), "Pushing")
    layers = client.images.get(name).attrs["RootFS"]["Layers"]
    short = [one[7:19] for one in reversed(layers)]
    assert told[:3] == [
        (f"The push refers to repository [{registry.host}/app]", ""),
        ("Preparing", short[0]),
        ("Preparing", short[1]),
    ]
    assert sorted(told[3:5]) == sorted(("Pushed", one) for one in short)
    kind, raw = registry.manifests["app", "1"]
    assert told[5:] == [(f"1: digest: {digest(raw)} size: {len(raw)}", "")]
    assert client.images.get(name).attrs["RepoDigests"] == [f"{registry.host}/app@{digest(raw)}"]
    written = json.loads(raw)
    assert kind == written["mediaType"]
    assert json.dumps(written, indent=3).encode() == raw  # as dockerd indents it
    plain = [digest(gzip.decompress(registry.blobs[row["digest"]])) for row in written["layers"]]
    assert plain == layers
    assert registry.calls[-1].method == "PUT" and "/manifests/" in registry.calls[-1].path


def test_a_push_where_nothing_changed_sends_nothing(client, registry):
    name = built(client, registry)
    first = push(client, name)
    registry.calls.clear()
    told = words(push(client, name))
    assert [text for text, _ in told[3:]] == ["Layer already exists"] * 2 + [first[-2]["status"]]
    assert {call.method for call in registry.calls} == {"GET", "HEAD", "PUT"}
    assert [call.path for call in registry.calls if call.method == "PUT"] == ["/v2/app/manifests/1"]


def test_only_a_changed_layer_is_sent(client, registry):
    push(client, built(client, registry))
    registry.calls.clear()
    told = words(push(client, built(client, registry, files=("a", "c"))), "Pushing")
    assert sorted(text for text, _ in told[3:5]) == ["Layer already exists", "Pushed"]
    assert len(registry.asked("POST", "/uploads/")) == 2  # the layer and the config


def test_a_layer_is_mounted_from_another_repository(client, registry):
    push(client, built(client, registry))
    registry.calls.clear()
    client.images.get(f"{registry.host}/app:1").tag(f"{registry.host}/team/copy", "2")
    told = words(push(client, f"{registry.host}/team/copy", tag="2"))
    assert {text for text, what in told if what and text != "Preparing"} == {"Mounted from app"}
    assert sum(call.sent for call in registry.calls if "/uploads/" in call.path) < 3000  # the config


def test_a_mount_that_is_turned_down_is_an_upload(client, registry):
    push(client, built(client, registry))
    registry.has.clear()
    client.images.get(f"{registry.host}/app:1").tag(f"{registry.host}/copy", "1")
    told = words(push(client, f"{registry.host}/copy", tag="1"), "Pushing")
    assert [text for text, _ in told[3:5]] == ["Pushed", "Pushed"]


def test_the_same_layer_is_always_packed_the_same(client, registry, engine):
    name = built(client, registry)
    push(client, name)
    first = json.loads(registry.manifests["app", "1"][1])
    client.images.remove(name, force=True)
    push(client, built(client, registry))
    assert json.loads(registry.manifests["app", "1"][1])["layers"] == first["layers"]


def test_a_registrys_claim_about_a_layer_is_never_pushed(client, registry):
    name = built(client, registry)
    layers = client.images.get(name).attrs["RootFS"]["Layers"]
    evil = gzip.compress(layer({"a": b"evil"}))
    config = json.dumps({"os": "linux", "rootfs": {"type": "layers", "diff_ids": layers[:1]}}).encode()
    rows = [{"size": len(raw), "digest": registry.keep("evil", raw)} for raw in (config, evil)]
    whole = {"schemaVersion": 2, "config": {"mediaType": CONFIG, **rows[0]}, "layers": rows[1:]}
    registry.document("evil", "1", json.dumps(whole).encode())
    assert "Already exists" in {text for text, _ in words(pull(client, f"{registry.host}/evil", tag="1"))}
    push(client, name)
    assert digest(evil) not in registry.manifests["app", "1"][1].decode()


def test_what_cannot_be_pushed_says_why(client, registry):
    with pytest.raises(RuntimeError, match=f"An image does not exist locally with the tag: {registry.host}/app$"):
        push(client, f"{registry.host}/app")
    built(client, registry)
    with pytest.raises(RuntimeError, match=f"tag does not exist: {registry.host}/app:2$"):
        push(client, f"{registry.host}/app", tag="2")
    with pytest.raises(RuntimeError, match=r"connection refused.*drydock registry start"):
        client.images.get(f"{registry.host}/app:1").tag("127.0.0.1:9/app", "1")
        push(client, "127.0.0.1:9/app", tag="1")
    client.images.remove("127.0.0.1:9/app:1")


# Builds, and looking from afar


def test_a_build_pulls_its_base(client, registry):
    registry.image("base", "1", BASE)
    dockerfile = io.BytesIO(f"FROM {registry.host}/base:1\nLABEL a=b\n".encode())
    told = list(client.api.build(fileobj=dockerfile, tag=f"{registry.host}/app", decode=True))
    assert ("Pulling from base", "1") in words(told)
    registry.calls.clear()
    list(client.api.build(fileobj=dockerfile, tag=f"{registry.host}/app", decode=True))
    assert not registry.calls
    newer = registry.image("base", "1", TOP)
    dockerfile.seek(0)
    list(client.api.build(fileobj=dockerfile, tag=f"{registry.host}/app", decode=True, pull=True))
    assert client.images.get(f"{registry.host}/base:1").id == newer
    assert client.images.get(f"{registry.host}/app").attrs["RootFS"]["Layers"] == [digest(TOP)]


def test_a_registry_is_looked_at_from_afar(client, registry):
    registry.image("app", "1", BASE)
    found = client.images.get_registry_data(f"{registry.host}/app:1")
    assert found.attrs["Descriptor"]["digest"] == digest(registry.manifests["app", "1"][1])
    assert found.attrs["Platforms"] == [{"architecture": "amd64", "os": "linux"}]
    with pytest.raises(APIError, match="cannot be searched"):
        client.images.search(f"{registry.host}/app")
    rows = [{"name": "app", "star_count": 7, "is_official": True}, {"name": "other", "star_count": 1}]
    registry.lie("GET", "/v1/search", lambda call: call.say(200, json.dumps({"results": rows}).encode()), times=2)
    assert [one["name"] for one in client.images.search(f"{registry.host}/app")] == ["app", "other"]
    found = client.api._get(client.api._url("/images/search"), params={"term": f"{registry.host}/a", "filters": STARS})
    assert [one["name"] for one in found.json()] == ["app"]


STARS = json.dumps({"stars": ["3"]})
