"""Snapshots: what a program did to a file system, as its layer says it, on an overlay and in a tree alike."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from drydock.blobs import Blobs
from drydock.engine.errors import BadParameter, Conflict, NotFound
from drydock.engine.snapshots import Journal, Layers, New, Snapshots, copy_out
from drydock.engine.snapshots.farm import Print, survey
from drydock.model.layer import Entry

spec = importlib.util.spec_from_file_location("archives", Path(__file__).with_name("archives.py"))
archives = importlib.util.module_from_spec(spec)
spec.loader.exec_module(archives)
member, tar = archives.member, archives.tar

LOWER = (
    member("d/", "directory", mode=0o755, uid=5, gid=6),
    member("d/x", content=b"x", mode=0o640, uid=7, gid=8),
    member("d/y", content=b"y", mode=0, uid=7, gid=8),
    member("e/", "directory", mode=0o755),
    member("e/1", content=b"1"),
    member("e/2", content=b"2"),
    member("f/", "directory", mode=0o755),
    member("f/g", content=b"g"),
    member("usr/", "directory", mode=0o755),
    member("usr/a", content=b"a", uid=1, gid=2, pax={"SCHILY.xattr.security.capability": "\1\2\3"}),
    member("usr/b", content=b"b", mode=0o444),
    member("usr/l", "hardlink", link="usr/b"),
    member("etc/", "directory", mode=0o755),
    member("etc/hosts", content=b"hosts"),
    member("s", "symlink", link="d/x", uid=9),
)


class Ground:
    """A home with one image of two layers, and a way to run a script in a snapshot as a container would see it."""

    def __init__(self, home, kind):
        self.kind = kind
        self.layers = Layers(home, Blobs(home / "blobs"))
        self.snapshots = Snapshots(home, self.layers)
        base = self.layers.add(tar(member("old", content=b"old"), member("gone", content=b"gone")))
        self.chain = [base.diff_id, self.layers.add(tar(*LOWER, member(".wh.gone"))).diff_id]
        self.mounted = home / "mounted"
        self.mounted.mkdir()

    def new(self, key="one"):
        return self.snapshots.create(key, self.chain, self.kind)

    def run(self, snapshot, script):
        """Run a script inside a user namespace, with the snapshot as the current directory."""
        if self.kind == "overlay":
            lower = ":".join(map(str, snapshot.lower))
            options = f"userxattr,lowerdir={lower},upperdir={snapshot.upper},workdir={snapshot.work}"
            command = f"mount -t overlay overlay -o {options} {self.mounted} && cd {self.mounted} && "
        else:
            command = f"cd {snapshot.tree} && "
        subprocess.run(["unshare", "-Urm", "sh", "-ec", command + "\n" + script], check=True)


@pytest.fixture(params=["overlay", "tree"])
def ground(request, tmp_path):
    return Ground(tmp_path, request.param)


def lines(changes):
    """One line a change: what `tar tv` would show of it, but for sizes and times."""
    return [
        f"{c.name}{' -> ' + c.entry.link if c.entry.link else ''} {c.entry.mode:o} {c.entry.uid}:{c.entry.gid}"
        for c in changes
    ]


def test_a_program_that_changes_nothing_leaves_no_change(ground):
    snapshot = ground.new()
    ground.run(snapshot, "cat d/x >/dev/null; ls -lR >/dev/null")
    assert snapshot.changes() == () and snapshot.diff() == [] and snapshot.size() == 0


def test_changes_are_those_of_dockerds_layer(ground):
    snapshot = ground.new()
    ground.run(
        snapshot,
        "echo 2 >>d/x; chmod 600 d/y; rm -r e; mkdir e; echo n >e/n; rm -r f\n"
        "echo new >n; ln n m; rm s; mkdir z; chmod 0 n z",
    )
    assert lines(snapshot.changes(Journal(user=(1000, 100)))) == [
        "d/ 755 5:6",
        "d/x 640 7:8",
        "d/y 600 7:8",
        "e/ 755 1000:100",
        "e/.wh..wh..opq 755 1000:100",
        "e/n 644 1000:100",
        ".wh.f 600 0:0",
        "m 0 1000:100",
        "n -> m 0 1000:100",
        ".wh.s 600 0:0",
        "z/ 0 1000:100",
    ]
    assert [(row["Path"], row["Kind"]) for row in snapshot.diff()] == [
        *[("/d", 0), ("/d/x", 0), ("/d/y", 0), ("/e", 0)],
        *[("/e/1", 2), ("/e/2", 2), ("/e/n", 1), ("/f", 2)],
        *[("/m", 1), ("/n", 1), ("/s", 2), ("/z", 1)],
    ]


def test_the_layer_of_the_changes_gives_the_file_system_that_the_program_left(ground):
    snapshot = ground.new()
    ground.run(
        snapshot, "echo 2 >>d/x; rm -r e f; mkdir e; echo n >e/n; mv usr/a usr/moved; ln -s d/x t; echo h >etc/hosts"
    )
    layer = ground.layers.write(snapshot.changes())
    merged, live = ground.layers.view([*ground.chain, layer.diff_id]), snapshot.view()
    for view in (merged, live):
        assert view.read("d/x") == b"x2\n" and view.read("t") == b"x2\n" and view.read("usr/moved") == b"a"
        assert view.children("e") == ("n",) and view.lookup("f") is None and view.lookup("usr/a") is None
        assert view.read("etc/hosts") == b"h\n"
    assert ground.layers.view(ground.chain).read("d/x") == b"x", "and the layers below are what they were"


def test_owners_come_from_the_journal_the_mark_the_layer_below_and_the_user(ground):
    snapshot = ground.new()
    ground.run(snapshot, "echo n >n; echo 2 >>d/x; echo o >o; mkdir p; : >p/null")
    place = snapshot.upper if ground.kind == "overlay" else snapshot.tree
    os.setxattr(place / "o", "user.drydock.owner", b"33:44")
    journal = Journal(user=(1000, 100), owners={"n": (1, -1), "usr/b": (11, 12), "s": (-1, 13), "none": (1, 1)})
    journal.setxattr("n", "security.capability", b"\1\0")
    journal.mknod("p/null", "character device", 0o666, 1, 3)
    changes = {change.name: change for change in snapshot.changes(journal)}
    owners = {name: (change.entry.uid, change.entry.gid) for name, change in changes.items()}
    assert owners == {
        **{"d/": (5, 6), "d/x": (7, 8), "n": (1, 100), "o": (33, 44), "p/": (1000, 100), "p/null": (1000, 100)},
        **{"s": (9, 13), "usr/": (0, 0), "usr/b": (11, 12)},
    }
    assert changes["n"].entry.xattrs == (("security.capability", "\1\0"),)
    assert changes["p/null"].entry.device == (1, 3)
    layer = ground.layers.write(changes.values())
    view = ground.layers.view([*ground.chain, layer.diff_id])
    assert view.read("usr/b") == b"b" and view.lookup("usr/b").mode == 0o444


def test_a_file_keeps_its_owner_when_it_is_moved(ground):
    snapshot = ground.new()
    ground.run(snapshot, "mv d/x n; mv e/2 m; mv usr/a d/a; cp e/1 fresh")
    assert {line for line in lines(snapshot.changes(Journal(user=(1000, 100)))) if ".wh." not in line} == {
        *{"d/ 755 5:6", "n 640 7:8", "usr/ 755 0:0", "e/ 755 0:0", "m 644 0:0", "d/a 644 1:2", "fresh 644 1000:100"},
    }


def test_half_an_owner_is_the_half_that_was_changed(ground):
    snapshot = ground.new()
    ground.run(snapshot, "echo n >n; echo 2 >>d/x")
    place = snapshot.upper if ground.kind == "overlay" else snapshot.tree
    os.setxattr(place / "n", "user.drydock.owner", b"-1:44")
    os.setxattr(place / "d/x", "user.drydock.owner", b"3:-1")
    changes = {c.name: (c.entry.uid, c.entry.gid) for c in snapshot.changes(Journal(user=(1000, 100)))}
    assert (changes["n"], changes["d/x"]) == ((1000, 44), (3, 8))


def test_a_directory_in_the_place_of_a_file_hides_it_as_dockerd_says_it(ground):
    snapshot = ground.new()
    ground.run(snapshot, "rm old s; mkdir old s; echo n >old/n")
    assert lines(snapshot.changes()) == [
        *["old/ 755 0:0", "old/.wh..wh..opq 755 0:0", "old/n 644 0:0", "s/ 755 0:0", "s/.wh..wh..opq 755 0:0"],
    ]


def test_a_capability_stays_with_an_unwritten_file_and_goes_with_a_written_one(ground):
    one, two = ground.new("one"), ground.new("two")
    ground.run(one, "chmod 700 usr/a")
    assert {c.name: c.entry.xattrs for c in one.changes()}["usr/a"] == (("security.capability", "\1\2\3"),)
    ground.run(two, "echo more >>usr/a")
    assert {c.name: c.entry.xattrs for c in two.changes()}["usr/a"] == ()


def test_what_even_its_owner_may_not_read_is_read(ground):
    snapshot = ground.new()
    ground.run(snapshot, "rm -r e; mkdir -p e/i/j; echo secret >e/i/j/s; chmod 0 e/i/j/s e/i/j e/i e d/x")
    changes = snapshot.changes(Journal(user=(1, 2)))
    assert [line for line in lines(changes) if line.startswith(("e/", "d/x"))] == [
        *["d/x 0 7:8", "e/ 0 1:2", "e/.wh..wh..opq 0 1:2", "e/i/ 0 1:2", "e/i/j/ 0 1:2", "e/i/j/s 0 1:2"],
    ]
    layer = ground.layers.write(changes)
    assert ground.layers.view([layer.diff_id]).read("e/i/j/s") == b"secret\n"
    assert lines(snapshot.changes(Journal(user=(1, 2)))) == lines(changes), "and the modes are what they were"


def test_mount_points_that_the_sandbox_made_are_in_no_layer(ground):
    snapshot = ground.new()
    ground.run(
        snapshot, "mkdir -p proc run/x/y; touch etc/resolv.conf; echo real >real; mkdir dev; echo kept >dev/kept"
    )
    snapshot.ignore |= {"proc", "etc/resolv.conf", "run", "run/x", "run/x/y", "dev"}
    assert [change.name for change in snapshot.changes()] == ["dev/", "dev/kept", "real"]


def test_a_snapshot_outlives_the_engine(ground, tmp_path):
    snapshot = ground.new()
    ground.run(snapshot, "echo n >n")
    snapshot.ignore.add("ignored")
    snapshot.own.chown("n", 3, 4)
    snapshot.save()
    again = Snapshots(tmp_path, ground.layers).get("one")
    assert (
        lines(again.changes()) == ["n 644 3:4"] and again.ignore == {"ignored"} and again.chain == tuple(ground.chain)
    )


def test_a_snapshot_holds_its_layers(ground):
    snapshot = ground.new()
    assert ground.layers.collect(ground.chain) == []
    snapshot.remove()
    assert ground.layers.collect(ground.chain) == ground.chain


def test_a_removed_snapshot_leaves_nothing(ground):
    snapshot = ground.new()
    ground.run(snapshot, "mkdir -p a/b; chmod 0 a/b a; chmod 0 d")
    snapshot.remove()
    assert list(ground.snapshots.all()) == list(ground.layers.scratch.iterdir()) == []
    with pytest.raises(NotFound):
        ground.snapshots.get("one")


def test_a_key_can_be_used_again_for_another_kind(ground):
    ground.new().remove()
    other = "tree" if ground.kind == "overlay" else "overlay"
    assert ground.snapshots.create("one", ground.chain, other).kind == other == ground.snapshots.get("one").kind


def test_keys_are_names_and_taken_once(ground):
    ground.new("one")
    with pytest.raises(Conflict):
        ground.new("one")
    for key in ("", ".", "../up", "a/b", "x" * 200):
        with pytest.raises(BadParameter):
            ground.new(key)
    assert ground.snapshots.get("one") is ground.snapshots.get("one")


def test_recover_removes_what_no_container_owns(ground):
    for key in ("keep", "drop"):
        ground.new(key)
    ground.snapshots.recover({"keep"})
    assert list(ground.snapshots.all()) == ["keep"]


def test_the_engine_writes_as_a_program_would(ground):
    snapshot = ground.new()
    ground.run(snapshot, "rm -r f")
    snapshot.write(
        [
            New(Entry("d/sub/w", "file", mode=0o600, uid=1, gid=2, mtime=7), b"w"),
            New(Entry("f", "directory", mode=0o750, uid=3, gid=4, mtime=8)),
            New(Entry("d/x", "symlink", mode=0o777, uid=5, gid=6, link="y", mtime=9)),
            New.whiteout("e/1"),
            New(Entry("usr/b", "file", mode=0o755, mtime=10), b"other"),
        ]
    )
    assert lines(snapshot.changes(Journal(user=(1000, 1000)))) == [
        "d/ 755 5:6",
        "d/sub/ 755 1000:1000",
        "d/sub/w 600 1:2",
        "d/x -> y 777 5:6",
        "e/ 755 0:0",
        "e/.wh.1 600 0:0",
        "f/ 750 3:4",
        *(["f/.wh..wh..opq 750 3:4"]),
        "usr/ 755 0:0",
        "usr/b 755 0:0",
    ]
    assert ground.layers.view(ground.chain).read("usr/l") == b"b"


def test_copying_in_follows_the_containers_links_and_never_leads_out(ground, tmp_path):
    snapshot = ground.new()
    ground.run(snapshot, f"ln -s {tmp_path} out; ln -s /d way; echo x >file")
    snapshot.put("/way", tar(member("new/", "directory", mode=0o700, uid=1), member("new/f", content=b"f" * 100_000)))
    assert snapshot.view().read("d/new/f") == b"f" * 100_000
    snapshot.put("/", tar(member("out/evil", content=b"evil"), member("file", content=b"y")), owner=(3, 4))
    assert not (tmp_path / "evil").exists() and snapshot.view().lookup("file").uid == 3
    with pytest.raises(NotFound, match="Could not find the file /none"):
        snapshot.put("/none", tar(member("a")))
    with pytest.raises(BadParameter, match="not a directory"):
        snapshot.put("/file", tar(member("a")))
    with pytest.raises(BadParameter, match='cannot overwrite directory "/d" with non-directory "/"'):
        snapshot.put("/", tar(member("d")), no_overwrite_dir_non_dir=True)


def test_copying_out_gives_a_tar_of_what_is_there_now(ground):
    import io
    import tarfile

    snapshot = ground.new()
    ground.run(snapshot, "echo 2 >>d/x")
    with tarfile.open(fileobj=io.BytesIO(b"".join(copy_out(snapshot.view(), "/d")))) as archive:
        assert archive.getnames() == ["d", "d/x", "d/y"] and archive.extractfile("d/x").read() == b"x2\n"
        assert archive.getmember("d/x").uid == 7 and archive.getmember("d/y").mode & 0o7777 == 0
    with tarfile.open(fileobj=io.BytesIO(b"".join(copy_out(snapshot.view(), "/", "")))) as archive:
        assert archive.getnames()[:3] == ["d", "d/x", "d/y"]


# trees only: files shared with layers


@pytest.fixture
def wood(tmp_path):
    return Ground(tmp_path, "tree")


def seen(snapshot):
    """Return what every file of a tree looks like now."""
    return {one.path: Print.of(one.stat) for one in survey(snapshot.tree)}


@pytest.mark.parametrize(
    "harm",
    [
        "echo more >>usr/a",
        "chmod 777 usr/a",
        "touch -d 2001-01-01 usr/a",
        "cp -p usr/a /tmp/$$; printf X >usr/a; touch -r /tmp/$$ usr/a; rm /tmp/$$",
        ": >usr/a",
    ],
)
def test_a_layers_file_that_is_written_to_in_place_is_mended(wood, harm):
    one, two = wood.new("one"), wood.new("two")
    pristine = wood.layers.root(wood.chain[1]) / "usr/a"
    before = (pristine.read_bytes(), pristine.stat().st_mode, pristine.stat().st_mtime_ns)
    assert pristine.stat().st_ino == (one.tree / "usr/a").stat().st_ino, "it is shared"
    wood.run(one, harm)
    changed = {change.name: change for change in one.changes(Journal(user=(1000, 1000)))}
    assert set(changed) == {"usr/", "usr/a"} and changed["usr/a"].entry.uid == 1, "it is still the layer's file"
    assert (pristine.read_bytes(), pristine.stat().st_mode, pristine.stat().st_mtime_ns) == before
    assert two.changes() == () and (two.tree / "usr/a").read_bytes() == b"a", "the other tree got it back too"
    assert [change.name for change in one.changes()] == ["usr/", "usr/a"], "and the change is still there"


def test_a_shared_file_of_several_names_is_mended_under_all(wood):
    one, two = wood.new(), wood.new("two")
    wood.run(one, "echo more >>usr/l")
    assert "usr/l" in {change.name for change in one.changes()}
    root = wood.layers.root(wood.chain[1])
    assert (root / "usr/b").read_bytes() == (root / "usr/l").read_bytes() == b"b"
    assert (root / "usr/b").stat().st_ino == (root / "usr/l").stat().st_ino
    assert (one.tree / "usr/b").read_bytes() == b"bmore\n"
    assert (two.tree / "usr/b").read_bytes() == (two.tree / "usr/l").read_bytes() == b"b" and two.changes() == ()


def test_removing_a_tree_mends_what_it_harmed(wood):
    one = wood.new()
    wood.run(one, "echo more >>usr/a")
    one.remove()
    assert (wood.layers.root(wood.chain[1]) / "usr/a").read_bytes() == b"a"


def test_where_programs_write_in_place_files_are_copies(wood):
    one = wood.new()
    assert (one.tree / "etc/hosts").stat().st_ino != (wood.layers.root(wood.chain[1]) / "etc/hosts").stat().st_ino


def test_a_tree_that_became_a_layer_is_taken_for_the_next_step(wood):
    one = wood.new()
    wood.run(one, "echo n >n; rm -r f; echo more >>d/x")
    layer = wood.layers.write(one.changes())
    inode = one.tree.stat().st_ino
    one.keep([*wood.chain, layer.diff_id])
    assert one.changes() == ()
    one.remove()
    last = wood.layers.write([New(Entry("d/y", "file", mode=0o600), b"Y"), New.whiteout("n"), New(Entry("e", "fifo"))])
    two = wood.snapshots.create("two", [*wood.chain, layer.diff_id, last.diff_id], "tree")
    assert two.tree.stat().st_ino == inode and two.changes() == ()
    view = wood.layers.view(two.chain)
    for entry in view.walk():
        found = two.tree / entry.path
        assert found.is_dir() == (entry.kind == "directory") and found.is_fifo() == (entry.kind == "fifo")
        if entry.kind == "file":
            assert found.read_bytes() == view.read(entry.path)
    assert {str(path.relative_to(two.tree)) for path in two.tree.rglob("*")} == {e.path for e in view.walk()} - {""}


def test_what_is_left_is_gone_at_once_and_its_layers_can_go(ground):
    ground.new()
    ground.snapshots.leave("one")
    assert not ground.snapshots.has("one")
    with pytest.raises(NotFound):
        ground.snapshots.get("one")
    assert ground.layers.collect(ground.chain) == ground.chain


def test_who_comes_after_a_program_that_wrote_in_place_does_not_see_it(wood):
    one = wood.new()
    wood.run(one, "echo more >>usr/a; echo more >>usr/l; rm -r f d; mkdir -p d/new; echo n >n; echo h >etc/hosts")
    inode = one.tree.stat().st_ino
    wood.snapshots.leave("one")
    two = wood.new("two")
    assert two.tree.stat().st_ino == inode, "it has the same tree"
    view = wood.layers.view(wood.chain)
    assert {entry.path for entry in view.walk()} - {""} == seen(two).keys() == two.prints().keys()
    assert all((two.tree / e.path).read_bytes() == view.read(e.path) for e in view.walk() if e.kind == "file")
    assert all(was.alike(seen(two)[path]) for path, was in two.prints().items()) and two.changes() == ()


def test_a_spare_tree_is_surveyed_anew_only_where_another_trees_planting_made_it_stale(wood):
    wood.new().remove()
    (spare,) = wood.layers.nursery.all()
    written = (spare / "base.json").stat().st_ino
    two = wood.new("two")
    assert (two.folder / "base.json").stat().st_ino == written, "nothing happened: what was written is true"
    two.remove()
    wood.snapshots.create("other", wood.chain[:1], "tree")  # gives the base layer's files one more name
    two = wood.new("two")
    assert two.prints() == seen(two) and two.changes() == ()


def test_where_another_name_was_made_the_content_tells_whether_a_file_was_changed(wood):
    one = wood.new()
    wood.snapshots.create("other", wood.chain[:1], "tree")
    assert one.prints()["old"] != seen(one)["old"] and one.changes() == (), "another name is no change"
    pristine = wood.layers.root(wood.chain[0]) / "old"
    stamp = pristine.stat().st_mtime_ns
    (one.tree / "old").write_bytes(b"OLD")  # as long, and with the old time: only the content tells
    os.utime(one.tree / "old", ns=(stamp, stamp))
    assert [change.name for change in one.changes()] == ["old"] and pristine.read_bytes() == b"old"


def test_the_next_step_finds_what_the_last_one_made_unchanged(wood):
    one = wood.new()
    wood.run(one, "mkdir -p z/y; echo s >z/y/s; chmod 0 z/y/s z; mkdir w; mv e w/e; echo more >>usr/a")
    layer = wood.layers.write(one.changes(last=True))
    one.keep([*wood.chain, layer.diff_id])
    assert all(was.alike(seen(one)[path]) for path, was in one.prints().items())
    one.remove()
    two = wood.snapshots.create("two", [*wood.chain, layer.diff_id], "tree")
    assert two.changes() == ()
    wood.run(two, "echo t >z/y/t; rm w/e/1; echo u >w/u")
    names = ["w/", "w/e/", "w/e/.wh.1", "w/u", "z/", "z/y/", "z/y/t"]
    assert [change.name for change in two.changes()] == names, "no directory of the step before hides its content"


def test_what_the_engine_writes_after_keep_is_in_no_spare_tree(wood):
    one = wood.new()
    one.keep(wood.chain)
    one.write([New(Entry("w", "file", mode=0o600), b"w")])
    one.remove()
    assert not (wood.new("two").tree / "w").exists()


def test_recover_mends_what_a_killed_step_harmed(wood, tmp_path):
    wood.run(wood.new(), "echo more >>usr/a")
    Snapshots(tmp_path, wood.layers).recover(())
    assert (wood.layers.root(wood.chain[1]) / "usr/a").read_bytes() == b"a"


@pytest.mark.slow
@pytest.mark.parametrize("how", ["left", "kept"])
def test_a_kill_before_any_write_while_a_tree_is_laid_by_harms_nothing(tmp_path, how):
    script = Path(__file__).with_name("killed_trees.py")
    done = subprocess.run([sys.executable, script, tmp_path, how], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and int(done.stdout) > 30, done.stderr
