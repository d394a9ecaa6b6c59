"""A tree is left, or becomes a layer and is left: killed before its first, second, ... write, the next start mends all.

A process of its own, since it forks: killed_trees.py FOLDER left|kept. It prints how many kills there were.
"""

import importlib.util
import itertools
import os
import sys
from pathlib import Path

spec = importlib.util.spec_from_file_location("test_snapshots", Path(__file__).with_name("test_snapshots.py"))
snapshots = importlib.util.module_from_spec(spec)
spec.loader.exec_module(snapshots)

WRITES = {"os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.symlink"}
WRITES |= {"os.chmod", "os.utime", "os.setxattr", "os.removexattr"}


def prepared(home):
    """Return a home with two trees, one of them with harm done to files that both share with a layer."""
    home.mkdir()
    ground = snapshots.Ground(home, "tree")
    one, _ = ground.new("one"), ground.new("other")
    for name in ("usr/a", "usr/l", "etc/hosts"):
        with (one.tree / name).open("ab") as file:
            file.write(b"more")
    (one.tree / "f/g").unlink()
    (one.tree / "new").mkdir()
    return ground


def killed(ground, number):
    """Leave the harmed tree in a child that ends before its write of that number; return whether it came so far."""
    child = os.fork()
    if child == 0:
        left = iter(range(1, number))

        def hook(event, arguments):
            creates = event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_CREAT
            if (event in WRITES or creates) and next(left, None) is None:
                os._exit(9)

        sys.addaudithook(hook)
        if sys.argv[2] == "kept":
            one = ground.snapshots.get("one")
            one.keep([*ground.chain, ground.layers.write(one.changes(last=True)).diff_id])
        ground.snapshots.leave("one")
        ground.snapshots.settle()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def check(home):
    """Start again as the engine does, and look at all that could be harmed."""
    layers = snapshots.Layers(home, snapshots.Blobs(home / "blobs"))
    again = snapshots.Snapshots(home, layers)
    layers.recover()
    alive = {"one", "other"} & set(again.all())  # whether `one` was left is the containers' to know: here, if it moved
    again.recover(alive)
    if "one" in alive:
        again.get("one").remove()
    chain = again.get("other").chain
    view = layers.view(chain)
    # The time of a directory, changed by the repair and not yet put back, is all that a kill may leave.
    assert {change.entry.kind for change in again.get("other").changes()} <= {"directory"}
    two = again.create("two", chain, "tree")
    assert two.changes() == ()
    for tree in (two.tree, again.get("other").tree):
        assert {str(path.relative_to(tree)) for path in tree.rglob("*")} == {e.path for e in view.walk()} - {""}
        for entry in view.walk():
            if entry.kind == "file":
                expected = CONTENT[entry.path]
                assert (tree / entry.path).read_bytes() == view.read(entry.path) == expected, entry.path
    assert list(layers.scratch.iterdir()) == []


CONTENT = {"old": b"old", "d/x": b"x", "d/y": b"y", "e/1": b"1", "e/2": b"2", "f/g": b"g"}
CONTENT |= {"usr/a": b"a", "usr/b": b"b", "usr/l": b"b", "etc/hosts": b"hosts"}


def main():
    """Kill before one write after another, until none is left, and check each time."""
    for number in itertools.count(1):
        home = Path(sys.argv[1]) / str(number)
        ground = prepared(home)
        if not killed(ground, number):
            return number - 1
        try:
            check(home)
        except BaseException:
            print(f"killed before write {number}", file=sys.stderr)
            raise


if __name__ == "__main__":
    print(main())
