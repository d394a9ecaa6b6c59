"""Layers: unpacked safely whatever the archive, and written with dockerd's own bytes."""

import gzip
import importlib.util
import io
import os
import stat
from pathlib import Path

import pytest
from drydock.blobs import Blobs
from drydock.engine.snapshots import EMPTY, Layers, New, View
from drydock.engine.snapshots.disk import DiskFull, remove_tree
from drydock.model.layer import Entry
from drydock.read.layer import Limits, read_layer
from drydock.read.tarstream import BadArchive
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

spec = importlib.util.spec_from_file_location("archives", Path(__file__).with_name("archives.py"))
archives = importlib.util.module_from_spec(spec)
spec.loader.exec_module(archives)
member, tar = archives.member, archives.tar

NOON = 1795554126
# What dockerd 20.10.24 on overlay2 wrote for these changes: the digests of its own layer.tar
BY_DOCKERD = {
    "0fab718835bb1b33f3ad3a042d2ebbd5faa9542944bdcff9ad11783ce0e647e7": [
        New(Entry("a", "directory", mode=0o755, mtime=NOON)),
        New(Entry("a/b", "directory", mode=0o755, mtime=1577912526)),
        New(Entry("a/b/f", "file", mode=0o4755, mtime=NOON), b"1\n"),
        New(Entry("a/b/g", "hardlink", mode=0o4755, mtime=NOON, link="a/b/f")),
        New(Entry("a/b/s", "symlink", mode=0o777, mtime=NOON, link="f")),
    ],
    "5a52a7d2c7177c1e1b402c991f3478a61dceea31de37de8f1519b5a9b1ce03f7": [
        New(Entry("etc/apk/y", "file", mode=0o644, mtime=NOON), b"x\n"),
        New(Entry("etc/apk", "directory", mode=0o755, mtime=NOON)),
        New(Entry("etc", "directory", mode=0o755, mtime=NOON)),
        New(Entry("a/é", "file", mode=0, mtime=NOON), "hé\n".encode()),
        New(Entry("a/" + "n" * 120, "file", mode=0o644, mtime=NOON), b"longer\n"),
        New(Entry("a/c", "character device", mode=0o644, mtime=NOON, device=(1, 3))),
        New.whiteout("a/b/f", mtime=NOON),
        New(Entry("a/b", "directory", mode=0o755, mtime=NOON)),
        New(Entry("a", "directory", mode=0o755, mtime=NOON)),
    ],
    "7c8834ee0e8c940d44c3a040c071e5a66386ef74d84c12d4865d835c2e4e78f4": [
        New(Entry("x", "directory", mode=0o755, mtime=NOON)),
        New(Entry("x/y", "directory", mode=0o755, mtime=NOON)),
        New(Entry("x/y/f", "file", mode=0o644, mtime=1795553539), b"hi\n"),
    ],
}


@pytest.fixture
def layers(tmp_path):
    return Layers(tmp_path, Blobs(tmp_path / "blobs"))


@pytest.mark.parametrize("digest", BY_DOCKERD)
def test_a_layer_written_here_has_the_bytes_of_one_written_by_dockerd(layers, digest):
    assert layers.write(BY_DOCKERD[digest]).diff_id == f"sha256:{digest}"


def test_no_change_is_the_empty_layer(layers):
    empty = layers.write(())
    assert empty.diff_id == EMPTY and layers.blobs.read(EMPTY) == bytes(1024) and empty.entries == ()


def test_a_layer_is_what_the_model_reads_of_its_tar(layers):
    source = tar(
        member("./etc/", "directory", mode=0o755, uid=1, gid=2),
        member("./etc/shadow", content=b"secret", mode=0, uid=3, gid=42),
        member("etc/link", "symlink", link="/nowhere/../x"),
        member("etc/same", "hardlink", link="./etc/shadow"),
        member("gone/.wh.old"),
        member("fresh/", "directory", mode=0o700),
        member("fresh/.wh..wh..opq"),
        member("pipe", "fifo", mode=0o600),
        member("null", "character device", device=(1, 3)),
        member("ping", content=b"x", pax={"SCHILY.xattr.security.capability": "\1\0\0\2\0 \0\0"}),
    )
    layer = layers.add(source)
    source.seek(0)
    assert layer == read_layer(source.read, "it")
    assert layer.by_path["ping"].xattrs == (("security.capability", "\1\0\0\2\0 \0\0"),)
    assert Layers(layers.folder.parent.parent, layers.blobs).get(layer.diff_id) == layer, "and after a restart"


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_packed_layer_is_stored_unpacked(layers, mode):
    members = [member(f"d{n}/f", content=os.urandom(10) * 5000) for n in range(20)]
    layer = layers.add(tar(*members, mode=mode))
    assert layers.blobs.size(layer.diff_id) == layer.stored > layer.size == 1_000_000
    assert layer.digest == layer.diff_id


def test_the_same_layer_twice_is_one(layers):
    first = layers.add(tar(member("a", content=b"a")))
    assert layers.add(tar(member("a", content=b"a")), seldom_new=True) == first
    assert list(layers.all()) == [first.diff_id] and not list(layers.scratch.iterdir())


def test_on_disk_a_file_can_be_read_and_in_the_layer_it_has_its_true_mode(layers):
    layer = layers.add(tar(member("d/", "directory", mode=0), member("d/f", content=b"x", mode=0)))
    root = layers.root(layer.diff_id)
    assert stat.S_IMODE((root / "d").stat().st_mode) == 0o700
    assert stat.S_IMODE((root / "d" / "f").stat().st_mode) == 0o400
    assert {entry.mode for entry in layer.entries} == {0}


def test_whiteouts_are_as_overlayfs_wants_them(layers):
    layer = layers.add(tar(member("a/.wh.b"), member("c/", "directory"), member("c/.wh..wh..opq"), member(".wh.c")))
    root = layers.root(layer.diff_id)
    info = (root / "a" / "b").lstat()
    assert stat.S_ISCHR(info.st_mode) and info.st_rdev == 0
    assert os.getxattr(root / "c", "user.overlay.opaque") == b"y"
    assert layers.mountable(layer.diff_id)


OUT = "outside its own root"
HOSTILE = {
    "up and out": ([member("../evil")], OUT),
    "up in the middle": ([member("a/../../evil")], OUT),
    "absolute": ([member("/etc/evil")], OUT),
    "whiteout out": ([member("../.wh.etc")], OUT),
    "hard link out": ([member("a", "hardlink", link="../../etc/passwd")], OUT),
    "absolute hard link": ([member("a", "hardlink", link="/etc/passwd")], OUT),
    "hard link to nothing": ([member("a", "hardlink", link="b")], "does not have as a file"),
    "hard link to a directory": (
        [member("b", "directory"), member("a", "hardlink", link="b")],
        "does not have as a file",
    ),
    "hard link through a link": (
        [member("b", "symlink", link="/etc"), member("a", "hardlink", link="b/passwd")],
        "does not",
    ),
    "hard link to itself": ([member("a", "hardlink", link="a")], "does not have as a file"),
    "a name of 300 bytes": ([member("n" * 300)], "no file system takes"),
    "a whiteout of nothing": ([member("a/.wh.")], "whiteout of nothing"),
    "a path of 5000": ([member("d/" * 2500 + "f")], "no file system takes"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_archive_is_refused_and_leaves_nothing(layers, what):
    members, words = HOSTILE[what]
    with pytest.raises(BadArchive, match=words):
        layers.add(tar(*members))
    assert list(layers.all()) == list(layers.blobs.all()) == list(layers.scratch.iterdir()) == []


def test_nothing_is_written_through_a_link(layers, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("mine")
    layer = layers.add(
        tar(
            member("way", "symlink", link=str(outside)),
            member("way/evil", content=b"x"),
            member("file", "symlink", link=str(outside / "kept")),
            member("file", content=b"theirs"),
            member("deep", "symlink", link=str(outside)),
            member("deep/er/", "directory"),
            member("deep/.wh.kept"),
            member("up", "symlink", link="../../../../../../../../" + str(outside)),
            member("up/.wh..wh..opq"),
        )
    )
    assert [path.name for path in outside.iterdir()] == ["kept"] and (outside / "kept").read_text() == "mine"
    root = layers.root(layer.diff_id)
    assert (root / "way").is_dir() and not (root / "way").is_symlink() and (root / "file").read_bytes() == b"theirs"


def test_of_two_members_of_one_name_the_last_counts(layers):
    layer = layers.add(
        tar(
            member("a", content=b"1"),
            member("b", "hardlink", link="a"),
            member("c", "hardlink", link="a"),
            member("a", content=b"22"),
            member("d/x/y", content=b"z"),
            member("d", content=b"now a file"),
            member("e", content=b"was a file"),
            member("e/f", content=b"now below"),
        )
    )
    view = layers.view([layer.diff_id])
    assert [view.read(path) for path in ("a", "b", "c", "d", "e/f")] == [b"22", b"1", b"1", b"now a file", b"now below"]
    assert layer.by_path["b"].kind == "file" and layer.by_path["c"].link == "b" and "d/x/y" not in layer.by_path
    assert view.lookup("e").kind == "directory"


def test_attributes_of_the_file_system_itself_are_not_taken_from_an_archive(layers):
    evil = {
        "SCHILY.xattr.user.overlay.redirect": "/",
        "SCHILY.xattr.user.drydock.owner": "0:0",
        "SCHILY.xattr.user.x": "1",
    }
    layer = layers.add(tar(member("d/", "directory", pax=evil), member("f", pax=evil)))
    for name in ("d", "f"):
        assert os.listxattr(layers.root(layer.diff_id) / name) == ["user.x"]


def test_a_bomb_is_refused_before_it_fills_the_disk(tmp_path):
    layers = Layers(tmp_path, Blobs(tmp_path / "blobs"), Limits(ratio=10, free=1_000_000, entries=1000))
    bomb = gzip.compress(tar(member("zeros", content=bytes(20_000_000))).getvalue())
    with pytest.raises(BadArchive, match="bomb"):
        layers.add(io.BytesIO(bomb))
    with pytest.raises(BadArchive, match="more than 1000 files"):
        layers.add(tar(*(member(f"f{n}") for n in range(1001))))
    assert not list(layers.scratch.iterdir()) and not list(layers.blobs.all())


@pytest.mark.slow
def test_a_hundred_thousand_entries_are_survived(layers):
    head = member("d/f000000")[0]
    blocks = []
    for number in range(100_000):
        head.name = f"d/f{number:06}"
        blocks.append(head.tobuf(format=0))
    layer = layers.add(io.BytesIO(b"".join(blocks) + bytes(1024)))
    assert len(layer.entries) == 100_000
    layers.remove(layer.diff_id)


def test_a_truncated_layer_leaves_nothing(layers):
    whole = tar(member("a", content=b"a" * 3000), member("b")).getvalue()
    for length in range(100, 4000, 173):
        if length % 512:
            with pytest.raises(BadArchive):
                layers.add(io.BytesIO(whole[:length]))
    assert list(layers.all()) == list(layers.scratch.iterdir()) == []


def test_a_full_disk_says_so(layers, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(DiskFull, match="DRYDOCK_HOME"):
        layers.add(tar(member("a", content=b"a")))
    monkeypatch.undo()
    assert list(layers.all()) == list(layers.scratch.iterdir()) == []


def test_the_engines_folder_is_closed_to_others(layers):
    assert stat.S_IMODE(layers.folder.parent.stat().st_mode) == 0o700, "images hold setuid programs, here the user's"


def test_collect_removes_only_what_nobody_holds(layers):
    one, two = (layers.add(tar(member(name))).diff_id for name in "ab")
    layers.holders.append(lambda: {one})
    with layers.pinned():
        three = layers.add(tar(member("c"))).diff_id
        assert layers.collect([one, two, three]) == [two]
    assert layers.collect([one, three]) == [three] and list(layers.all()) == [one] == list(layers.blobs.all())


def test_recover_removes_what_is_half_made(layers):
    kept, hurt, lost = (layers.add(tar(member(name))).diff_id for name in "abc")
    (layers.folder / hurt[7:] / "entries.json").unlink()
    layers.blobs.remove(lost)
    (layers.scratch / "half" / "made").mkdir(parents=True)
    (layers.scratch / "file").write_text("half")
    layers.recover()
    assert list(layers.all()) == [kept] and not list(layers.scratch.iterdir())


def test_a_tree_of_any_depth_and_mode_can_be_removed(tmp_path):
    top = at = tmp_path / "deep"
    fd = os.open(tmp_path, os.O_RDONLY)
    for name in ["deep", *["d" * 100] * 1200]:  # deeper than PATH_MAX, and than Python's stack
        os.mkdir(name, dir_fd=fd)
        below = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    (at / "locked").mkdir()
    (at / "locked" / "file").touch()
    (at / "locked").chmod(0)
    remove_tree(top)
    assert not top.exists()


# property tests

NAMES = st.sampled_from(["a", "b", "c", "\udcff", "é", "n" * 110])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
KINDS = st.sampled_from(["file", "directory", "symlink", "fifo", "whiteout", "opaque"])
ENTRIES = st.builds(
    lambda path, kind, mode, uid, mtime, link, content: New(
        Entry(
            path,
            kind,
            mode={"whiteout": 0o600, "opaque": 0o755, "symlink": 0o777}.get(kind, mode),
            uid=uid if kind not in ("whiteout", "opaque") else 0,
            mtime=mtime,
            link=link if kind == "symlink" else "",
        ),
        content if kind == "file" else None,
    ),
    PATHS,
    KINDS,
    st.integers(0, 0o7777),
    st.sampled_from([0, 7, 2_097_151, 2_097_152, 3_000_000_000]),
    st.sampled_from([0, 1_700_000_000, 2**33, 2**34]),
    st.sampled_from(["a", "../../b", "/c", "x" * 150, "\udcfe"]),
    st.binary(max_size=1030),
)


def coherent(changes):
    """Leave out what no file system can have, such as a file below a file."""
    kinds = {}
    kept = []
    for change in changes:
        path, kind = change.entry.path, change.entry.kind
        above = [path.rsplit("/", n)[0] for n in range(1, path.count("/") + 1)]
        below = any(one.startswith(path + "/") for one in kinds)
        solid = kind not in ("directory", "opaque")
        if path in kinds or (solid and below) or any(kinds.get(one, "directory") != "directory" for one in above):
            continue
        kinds[path] = "directory" if kind == "opaque" else kind
        kept.append(change)
    return kept


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(changes=st.lists(ENTRIES, max_size=12).map(coherent))
def test_what_is_written_is_read_again(layers, changes):
    layer = layers.write(changes)
    with layers.blobs.open(layer.diff_id) as file:
        assert read_layer(file.read, "it") == layer, "by the reader"
    with layers.blobs.open(layer.diff_id) as file:
        assert layers.add(file) == layer, "and by the unpacker"
    kept = {c.entry.path: c for c in changes if c.entry.kind not in ("whiteout", "opaque")}
    assert {e.path: (e.kind, e.mode, e.uid, e.mtime, e.link) for e in layer.entries} == {
        path: (c.entry.kind, c.entry.mode, c.entry.uid, c.entry.mtime, c.entry.link) for path, c in kept.items()
    }
    assert set(layer.whiteouts) == {c.entry.path for c in changes if c.entry.kind == "whiteout"}
    view = layers.view([layer.diff_id])
    for path, change in kept.items():
        if change.entry.kind == "file":
            assert view.read(path) == (change.source or b"")


def apply(state, changes):
    """The simplest model of layers: a dict of paths, and the words of the OCI specification."""
    state = dict(state)
    for change in changes:
        path, kind = change.entry.path, change.entry.kind
        if kind == "opaque":
            state = {one: value for one, value in state.items() if not one.startswith(path + "/")}
        elif kind == "whiteout":
            state = {one: value for one, value in state.items() if one != path and not one.startswith(path + "/")}
    for change in changes:
        path, kind = change.entry.path, change.entry.kind
        if kind in ("opaque", "whiteout"):
            continue
        if kind != "directory":
            state = {one: value for one, value in state.items() if not one.startswith(path + "/")}
        for n in range(path.count("/"), 0, -1):
            above = path.rsplit("/", n)[0]
            if state.get(above, "directory") != "directory":
                del state[above]
            state.setdefault(above, "directory")
        state[path] = "directory" if kind == "directory" else (kind, change.entry.link or change.source or b"")
    return state


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(stack=st.lists(st.lists(ENTRIES, max_size=8).map(coherent), max_size=4))
def test_a_view_is_what_the_specification_says(layers, stack):
    state, chain = {}, []
    for changes in stack:
        state = apply(state, changes)
        chain.append(layers.write(changes).diff_id)
    view = layers.view(chain)
    seen = {}
    for entry in view.walk():
        if entry.path and entry.kind == "directory":
            seen[entry.path] = "directory"
        elif entry.path:
            content = view.read(entry.path) if entry.kind == "file" else entry.link or b""
            seen[entry.path] = (entry.kind, content)
    assert seen == state


# views


@pytest.fixture
def view(layers) -> View:
    layer = layers.add(
        tar(
            member("usr/bin/sh", content=b"#!"),
            member("bin", "symlink", link="usr/bin"),
            member("usr/bin/bash", "hardlink", link="usr/bin/sh"),
            member("usr/up", "symlink", link="../.."),
            member("etc/mtab", "symlink", link="/proc/mounts"),
            member("out", "symlink", link="../../../../etc"),
            member("loop", "symlink", link="loop"),
        )
    )
    return layers.view([layer.diff_id])


@pytest.mark.parametrize(
    ("path", "resolved"),
    [
        ("/bin/sh", "usr/bin/sh"),
        ("bin/../bin/sh", "usr/bin/sh"),
        ("/usr/up/usr/up/bin", "usr/bin"),
        ("out/mtab", "proc/mounts"),
        ("../../..", ""),
        ("not/there", "not/there"),
        ("/", ""),
    ],
)
def test_links_lead_where_they_would_lead_a_process_and_never_out(view, path, resolved):
    assert view.resolve(path) == resolved


def test_a_view_answers_by_path(view):
    assert view.read("/bin/bash") == b"#!" and view.lookup("bin/bash").kind == "file"
    assert view.lookup("bin", follow=False).link == "usr/bin" and view.lookup("bin").kind == "directory"
    assert view.children("/bin") == ("bash", "sh") and view.lookup("").kind == "directory"
    assert view.lookup("loop") is None and view.lookup("bin/none") is None
    assert [entry.path for entry in view.walk("usr")] == ["usr", "usr/bin", "usr/bin/bash", "usr/bin/sh", "usr/up"]
    for path, error in {"usr": IsADirectoryError, "none": FileNotFoundError, "loop": OSError}.items():
        with pytest.raises(error):
            view.open(path)


def test_a_view_is_made_once(layers, view):
    chain = list(layers.all())
    assert layers.view(chain) is view and layers.view(tuple(chain)) is view
    assert isinstance(layers.root(chain[0]), Path)
