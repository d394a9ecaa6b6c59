"""Artifacts: honest ones are the same bytes each time, hostile ones gain nothing and say why."""

import gzip
import json
import os
import random
import tarfile
import tracemalloc
from functools import cache
from pathlib import Path

import pytest
from drydock.lessons import machine, own
from drydock_grading import reading
from drydock_grading.artifact import ABOUT, ARCHIVE, Artifact
from hypothesis import given, settings
from hypothesis import strategies as st
from thin import BASE, GOOD1, GOOD2, archive, blob, digest, judged, kit_base, manifest_of


def layout(blobs, manifest, more=()):
    index = json.dumps({"manifests": [{"digest": manifest}]}).encode()
    return archive([("index.json", index), *((blob(d), b) for d, b in blobs.items()), *more])


def entry(name, kind=tarfile.REGTYPE, link="", size=0):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


def with_layer(body, diff_id=""):
    """Return an archive whose one layer is these bytes."""
    config = json.dumps({"rootfs": {"diff_ids": [diff_id or digest(body)]}}).encode()
    manifest = manifest_of(digest(config), [{"digest": digest(body)}])
    return layout({digest(b): b for b in (config, manifest, body)}, digest(manifest))


def deep(depth=100_000):
    return b"[" * depth + b"]" * depth


def swapped(old, new):
    blobs, manifest, _ = GOOD1.blobs()
    return layout({d: b.replace(old, new) for d, b in blobs.items()}, manifest)


def without(place):
    """Return the good archive without its blob of that place."""
    blobs, manifest, _ = GOOD1.blobs()
    return layout({d: b for n, (d, b) in enumerate(blobs.items()) if n != place}, manifest)


@cache
def bomb():
    packed = gzip.compress(bytes(700_000_000), 9)
    return with_layer(packed, "sha256:" + "0" * 64)


def many_files(count=60_000):
    header = tarfile.TarInfo("f0000000").tobuf()
    out = bytearray()
    for number in range(count):
        one = bytearray(header)
        one[:8] = f"f{number:07}".encode()
        total = sum(one) - sum(one[148:156]) + 256
        one[148:156] = f"{total:06o}\0 ".encode()
        out += one
    return with_layer(gzip.compress(bytes(out), 1), digest(bytes(out)))


def blobs_of_good():
    blobs, manifest, _ = GOOD1.blobs()
    return blobs, manifest


HOSTILE = {  # what: (bytes of the archive, words of the reason)
    "empty": (lambda: b"", "no index.json"),
    "not a tar": (lambda: b"x" * 2000, "no tar"),
    "a zip": (lambda: b"PK\3\4" + bytes(2000), "no tar"),
    "cut off": (lambda: layout(*blobs_of_good())[:3000], ""),
    "no image": (lambda: archive([("hello.txt", b"hi")]), "no index.json"),
    "docker export": (lambda: archive([("etc/passwd", b"root"), ("bin/sh", b"x")]), "no index.json"),
    "path escape": (lambda: layout(*blobs_of_good(), [("../../evil", b"x")]), "outside its own root"),
    "absolute path": (lambda: layout(*blobs_of_good(), [("/etc/evil", b"x")]), "outside its own root"),
    "symlink": (lambda: layout(*blobs_of_good(), [("x", entry("l", tarfile.SYMTYPE, "/etc/passwd"))]), "holds a symlink"),
    "hard link": (lambda: layout(*blobs_of_good(), [("x", entry("l", tarfile.LNKTYPE, "index.json"))]), "holds a hardlink"),
    "device": (lambda: layout(*blobs_of_good(), [("x", entry("d", tarfile.CHRTYPE))]), "holds a character device"),
    "pipe": (lambda: layout(*blobs_of_good(), [("x", entry("p", tarfile.FIFOTYPE))]), "holds a fifo"),
    "too many members": (lambda: archive([(f"f{n}", b"") for n in range(2000)]), "more than 600 members"),
    "changed configuration": (lambda: swapped(b"/course", b"/c0urse"), "not what its digest says"),
    "no manifest": (lambda: without(0), "lacks the manifest"),
    "no configuration": (lambda: without(1), "lacks the configuration"),
    "a layer missing in the middle": (lambda: without(3), "lacks a layer above one that it has"),
    "another layer than named": (lambda: with_layer(bytes(1024), "sha256:" + "0" * 64), "not the one that the configuration names"),
    "layer is no tar": (lambda: with_layer(b"hello" * 1000), "no tar"),
    "layer escapes": (lambda: with_layer(archive([("../etc/passwd", b"x")])), "outside its own root"),
    "damaged gzip": (lambda: with_layer(b"\x1f\x8b\x08" + bytes(500), "sha256:" + "0" * 64), "cannot be unpacked"),
    "bomb": (bomb, "compression bomb"),
    "many files": (many_files, "more than 50000 files"),
    "folders without end": (lambda: with_layer(archive([(f"{n}/" + "a/" * 1500 + "b", b"") for n in range(700)])), "folders in folders"),
    "two images": (lambda: archive([("index.json", b'{"manifests": [{}, {}]}')]), "2 images in its index"),
    "deep JSON": (lambda: archive([("index.json", b'{"a":' + deep() + b"}")]), "is no JSON"),
    "huge JSON": (lambda: archive([("index.json", b'{"a":"' + b"x" * 5_000_000 + b'"}')]), "of JSON, which is no"),
    "JSON of another kind": (lambda: archive([("index.json", b"[1, 2]")]), "no JSON object"),
    "digest is a path": (lambda: archive([("index.json", b'{"manifests": [{"digest": "../../etc/passwd"}]}')]), "is no digest"),
    "no layers": (lambda: with_config({"rootfs": {"diff_ids": []}}, []), "is no image"),
    "more layers than named": (lambda: with_config({"rootfs": {"diff_ids": ["sha256:" + "0" * 64]}}, []), "is no image"),
    "everything of a wrong type": (lambda: with_config({"rootfs": 7, "config": "x", "history": {}}, 5), "is no image"),
    "too many layers": (lambda: with_config({"rootfs": {"diff_ids": ["sha256:" + "0" * 64] * 200}}, 200), "is no image"),
}  # fmt: skip


def with_config(config, rows):
    body = json.dumps(config).encode()
    rows = [{"digest": "sha256:" + "0" * 64}] * rows if isinstance(rows, int) else rows
    manifest = manifest_of(digest(body), rows)
    return layout({digest(body): body, digest(manifest): manifest}, digest(manifest))


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_archive_earns_nothing_and_is_told_why(tmp_path, what):
    make, words = HOSTILE[what]
    GOOD1.write(tmp_path)
    (tmp_path / ARCHIVE).write_bytes(make())
    found = reading.read(tmp_path)
    assert found.image is None and words in found.no_image, found.no_image
    verdicts = judged(tmp_path, "ex1")
    assert sum(v.points for v in verdicts.values()) == 0
    assert {v.reason for v in verdicts.values()} == {found.no_image[:400]}


def test_a_bomb_is_given_up_before_it_fills_the_memory(tmp_path):
    (tmp_path / ARCHIVE).write_bytes(bomb())
    tracemalloc.start()
    reading.read(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60_000_000


ABOUTS = {
    "no JSON": (b"{", "is no JSON"),
    "deep": (b'{"schema":' + deep() + b"}", "is no JSON"),
    "a list": (b"[]", "is no JSON object"),
    "another schema": (b'{"schema": 2}', "has the schema '2'"),
    "a number without end": (b'{"schema": ' + b"9" * 100_000 + b"}", "is no JSON"),
    "huge": (b'{"a": "' + b"x" * 4_000_001 + b'"}', "is larger than 4MB"),
    "a size that is none": (b'{"schema": 1, "dockerfiles": {"a": {"context": [{"path": "x", "size": 1e999}]}}}', "no number"),
    "too many files": (json.dumps({"schema": 1, "dockerfiles": {"a": {"context": [{}] * 5001}}}).encode(), "more than 5000 files"),
    "too many Dockerfiles": (json.dumps({"schema": 1, "dockerfiles": dict.fromkeys(map(str, range(30)))}).encode(), "has 30 Dockerfiles"),
    "a forged push": (
        json.dumps({"schema": 1, "pushed": {"reference": "a/b", "digest": "sha256:" + "0" * 64, "manifest": "{}"}}).encode(),
        "not what its digest says",
    ),
    "half a character": (rb'{"schema": 1, "learner": "\ud800", "pushed": {"digest": "x", "manifest": "\ud800"}}', "not what its digest says"),
    "another image": (json.dumps({"schema": 1, "config": "sha256:" + "0" * 64}).encode(), "speaks of another image"),
}  # fmt: skip


@pytest.mark.parametrize("what", ABOUTS)
def test_what_artifact_json_claims_wrongly_costs_only_what_hangs_on_it(tmp_path, what):
    body, words = ABOUTS[what]
    GOOD2.write(tmp_path)
    (tmp_path / ABOUT).write_bytes(body)
    found = judged(tmp_path, "ex2")
    assert {k for k, r in found.items() if not r.passed} == {"hello", "cache", "pushed"}
    for key in ("hello", "cache", "pushed"):
        assert words in found[key].reason, found[key].reason
        assert found[key].points == 0


def test_artifact_json_without_types_is_read_without_a_fall(tmp_path):
    GOOD2.write(tmp_path)
    for said in ({"dockerfiles": 7}, {"dockerfiles": {"a": 7}}, {"pushed": [1]}, {"diff_ids": {"a": 1}}, {"base": 3}):
        (tmp_path / ABOUT).write_text(json.dumps({"schema": 1, **said}))
        assert reading.read(tmp_path).image is not None


@pytest.mark.parametrize("name", [ARCHIVE, ABOUT])
def test_a_link_a_pipe_a_folder_in_the_place_of_a_file_is_not_followed_and_not_waited_for(tmp_path, name):
    work, other = tmp_path / "work", tmp_path / "other"
    for folder in (work, other):
        folder.mkdir()
        GOOD2.write(folder)
    for replace, words in (
        (lambda p: p.symlink_to(other / name), "no file of its own but a link"),
        (os.mkfifo, "no file but a folder, a pipe or a device"),
        (Path.mkdir, "no file but a folder, a pipe or a device"),
        (lambda p: None, f"There is no {name}"),
    ):
        path = work / name
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
        replace(path)
        found = reading.read(work)
        assert words in (found.no_image if name == ARCHIVE else found.no_about)


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    with (tmp_path / ARCHIVE).open("wb") as file:
        file.truncate(60_000_000)
    assert "larger than 50MB" in reading.read(tmp_path).no_image


def test_with_one_of_the_two_files_gone_the_other_still_earns(tmp_path):
    GOOD2.write(tmp_path)
    (tmp_path / ARCHIVE).unlink()
    found = judged(tmp_path, "ex2")
    assert {k: r.points for k, r in found.items() if r.points} == {"hello": 3}
    assert "There is no artifact.oci.tar" in found["base"].reason


def test_nothing_handed_in_is_said_for_each_check(tmp_path):
    found = judged(tmp_path, "ex1")
    assert sum(r.points for r in found.values()) == 0
    assert all("There is no artifact.oci.tar beside the notebook" in r.reason for r in found.values())


def test_the_kits_own_base_from_another_machine_is_accepted_when_all_of_it_is_there(tmp_path):
    whole = GOOD1.but(below=(), steps=(*kit_base(), *GOOD1.steps))
    found = judged(marked(whole, tmp_path), "ex1")
    assert found["base"].passed and "Python 3.9.1" in found["base"].reason
    assert sum(r.points for r in found.values()) == 20


def marked(work, folder):
    """Write the work with the kit's label in its configuration."""
    blobs, manifest, about = work.blobs()
    config = json.loads(blobs[about["config"]])
    config["config"]["Labels"] = {own.RECIPE: own.recipe()}
    body = json.dumps(config).encode()
    rows = json.loads(blobs[manifest])["layers"]
    told = manifest_of(digest(body), rows)
    about |= {"config": digest(body), "manifest": digest(told)}
    about["pushed"] = {"reference": work.pushed, "digest": digest(told), "manifest": told.decode()}
    del blobs[manifest]
    (folder / ARCHIVE).write_bytes(layout({**blobs, digest(body): body, digest(told): told}, digest(told)))
    (folder / ABOUT).write_text(json.dumps(about))
    return folder


def test_a_base_that_only_says_it_is_the_kits_is_not_accepted(tmp_path):
    bottom, python = kit_base()
    forged = {
        "its layers left out": GOOD1.but(steps=(bottom, python, *GOOD1.steps)),
        "a file slipped in": GOOD1.but(
            below=(), steps=(bottom, (python[0], python[1] | {"course/x": b"x"}), *GOOD1.steps)
        ),
        "a kit's file changed": GOOD1.but(
            below=(), steps=((bottom[0], bottom[1] | {"usr/bin/pkg": b"#!"}), python, *GOOD1.steps)
        ),
        "no Python in it": GOOD1.but(
            below=(), steps=(bottom, (python[0], {"usr/local/bin/python3": "x"}), *GOOD1.steps)
        ),
        "one layer under its mark": GOOD1.but(below=(), steps=(bottom, *GOOD1.steps)),
    }
    for work in forged.values():
        work = work.but(below=() if not work.below else ("sha256:" + "9" * 64,))
        assert not judged(marked(work, tmp_path), "ex1")["base"].passed
    assert machine.PROGRAMS.is_dir()


def test_the_same_image_is_the_same_configuration_and_layers(tmp_path):
    one = reading.read(GOOD1.write(tmp_path))
    again = reading.read(GOOD1.but(pushed="").write(tmp_path))
    other = reading.read(GOOD1.but(cmd=("ls",)).write(tmp_path))
    assert one.same(again) and not one.same(other)


def test_what_will_be_graded_is_shown_as_text_and_html_with_nothing_that_acts(tmp_path):
    work = GOOD1.but(learner="<script>alert(1)</script>\x1b[2J", cmd=("cat", "<img src=x onerror=alert(1)>"))
    shown = reading.read(work.write(tmp_path))
    bundle = shown._repr_mimebundle_()
    assert (
        "\x1b" not in bundle["text/plain"]
        and "<script" not in bundle["text/html"]
        and "<img" not in bundle["text/html"]
    )
    assert "This is what will be graded" in bundle["text/plain"] and "<caption>" in bundle["text/html"]
    for verdict in judged(tmp_path, "ex1").values():
        assert "<img" not in verdict._repr_mimebundle_()["text/html"]


GOOD_BYTES = None


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 20))
def test_a_damaged_archive_never_falls_and_never_earns_more(seed, count):
    global GOOD_BYTES
    GOOD_BYTES = GOOD_BYTES or layout(*blobs_of_good())
    chance = random.Random(seed)
    body = bytearray(GOOD_BYTES)
    for _ in range(count):
        body[chance.randrange(len(body))] = chance.randrange(256)
    try:
        found = reading.image(bytes(body))
    except reading.FAILURES:
        return
    assert found.diff_ids[:2] == BASE.diff_ids  # only padding and headers that nobody reads were hit


def test_an_artifact_that_is_empty_has_a_picture():
    assert "nothing was handed in" in Artifact().picture()
