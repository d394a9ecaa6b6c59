"""Blobs: what is in is whole, and is what its name says."""

import hashlib
import json
import multiprocessing
from pathlib import Path

import pytest
from drydock.blobs import BadDigest, Blobs, NoSuchBlob
from hypothesis import given
from hypothesis import strategies as st

HELLO = "sha256:" + hashlib.sha256(b"hello").hexdigest()


def test_a_blob_comes_back_under_its_digest(tmp_path):
    blobs = Blobs(tmp_path)
    assert blobs.put(b"hello") == HELLO
    assert blobs.read(HELLO) == b"hello" and blobs.size(HELLO) == 5 and list(blobs.all()) == [HELLO]
    with blobs.open(HELLO) as file:
        assert file.read() == b"hello"


def test_the_folder_is_an_oci_image_layout(tmp_path):
    Blobs(tmp_path).put(b"hello")
    assert json.loads((tmp_path / "oci-layout").read_text())["imageLayoutVersion"] == "1.0.0"
    assert json.loads((tmp_path / "index.json").read_text()) == {"schemaVersion": 2, "manifests": []}
    assert (tmp_path / "blobs" / "sha256" / HELLO[7:]).read_bytes() == b"hello"


def test_without_commit_nothing_stays(tmp_path):
    blobs = Blobs(tmp_path)
    with blobs.writer() as writer:
        writer.write(b"hello")
    assert not blobs.has(HELLO) and not list((tmp_path / "blobs" / ".new").iterdir())


def test_a_blob_that_is_not_what_was_expected_is_refused_and_not_kept(tmp_path):
    blobs = Blobs(tmp_path)
    with blobs.writer() as writer, pytest.raises(BadDigest, match="get it again"):
        writer.write(b"hullo")
        writer.commit(HELLO)
    assert list(blobs.all()) == []


def test_a_blob_that_the_disk_changed_is_not_believed(tmp_path):
    blobs = Blobs(tmp_path)
    blobs.put(b"hello")
    blobs.path(HELLO).write_bytes(b"hullo")
    with pytest.raises(BadDigest, match="changed on disk"):
        blobs.read(HELLO)


@pytest.mark.parametrize("digest", ["", "sha256:", "sha256:../../etc/passwd", "sha256:" + "A" * 64, "md5:" + "0" * 64])
def test_a_text_that_is_no_digest_is_never_a_path(tmp_path, digest):
    with pytest.raises(BadDigest):
        Blobs(tmp_path).path(digest)


def test_a_blob_that_is_not_there_is_named(tmp_path):
    blobs = Blobs(tmp_path)
    blobs.remove(HELLO)
    with pytest.raises(NoSuchBlob, match=HELLO):
        blobs.open(HELLO)


def test_what_a_killed_writer_left_is_cleaned(tmp_path):
    blobs = Blobs(tmp_path)
    (tmp_path / "blobs" / ".new" / "half").write_bytes(b"hel")
    blobs.recover()
    assert not list((tmp_path / "blobs" / ".new").iterdir())


def _put_many(root: Path) -> None:
    blobs = Blobs(root)
    for number in range(200):
        blobs.put(b"%d" % (number % 20))


@pytest.mark.slow
def test_several_processes_can_write_the_same_blobs(tmp_path):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_put_many, args=(tmp_path,)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    blobs = Blobs(tmp_path)
    found = list(blobs.all())
    assert len(found) == 20
    for digest in found:
        blobs.read(digest)
    assert not list((tmp_path / "blobs" / ".new").iterdir())


@given(pieces=st.lists(st.binary(max_size=300), max_size=20))
def test_the_digest_does_not_depend_on_the_pieces(tmp_path_factory, pieces):
    blobs = Blobs(tmp_path_factory.mktemp("blobs"))
    with blobs.writer() as writer:
        for piece in pieces:
            writer.write(piece)
        digest = writer.commit()
    assert blobs.read(digest) == b"".join(pieces)


def test_a_blob_of_two_folders_lies_on_the_disk_once_and_a_damaged_one_is_not_taken(tmp_path):
    mine, theirs = Blobs(tmp_path / "mine"), Blobs(tmp_path / "theirs")
    for blobs in (mine, theirs):
        blobs.put(b"hello")
    assert mine.share(HELLO, theirs.path(HELLO)) and mine.path(HELLO).samefile(theirs.path(HELLO))
    theirs.remove(HELLO)
    assert mine.read(HELLO) == b"hello" and not mine.share(HELLO, theirs.path(HELLO))
    theirs.path(HELLO).write_bytes(b"hallo")
    assert not mine.share(HELLO, theirs.path(HELLO)) and mine.read(HELLO) == b"hello"
    assert not list((tmp_path / "mine" / "blobs" / ".new").iterdir())
