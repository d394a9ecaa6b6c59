"""A RUN step on each rung: output as it comes, what it changed with its owners, and nothing left behind."""

import io
import shutil
import subprocess
import tarfile
import tempfile
import threading
import time
from pathlib import Path

import pytest
from drydock.blobs import Blobs
from drydock.engine.run import CannotStart, NoSandbox, Sandbox, Steps
from drydock.engine.snapshots import Layers, Snapshots

pytestmark = pytest.mark.slow

ENV = ["PATH=/bin"]


def base():
    """A root file system of busybox, as a tar."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(shutil.which("busybox"), arcname="bin/busybox")
        for name in subprocess.run(["busybox", "--list"], capture_output=True, text=True, check=True).stdout.split():
            entry = tarfile.TarInfo(f"bin/{name}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            if name != "busybox":
                tar.addfile(entry)
        for path, text in {
            "etc/passwd": b"root:x:0:0::/root:/bin/sh\napp:x:7:8::/home/app:/bin/sh\n",
            "srv/a": b"a",
        }.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text))
    packed.seek(0)
    return packed


class Bench:
    """Layers, snapshots and steps of one rung, in one home."""

    def __init__(self, home, letter):
        (home / "engine/tmp").mkdir(parents=True)
        self.layers = Layers(home, Blobs(home / "blobs"))
        self.snapshots = Snapshots(home, self.layers)
        self.base = self.layers.add(base()).diff_id
        self.sandbox = Sandbox(home / "engine/tmp", letter)
        self.steps = Steps(self.sandbox)
        self.snapshot = self.snapshots.create("step", [self.base], self.sandbox.rung.kind)

    def run(self, script, user="", cancelled=lambda: False, **options):
        """Run a shell script and return its exit code, its output, and what it changed: path -> (kind, uid, gid)."""
        said = []
        code, journal = self.steps.run(
            *(self.snapshot, ["/bin/sh", "-c", script], ENV, "/", user, "host"),
            lambda stream, data: said.append(data),
            cancelled,
            **options,
        )
        entries = [one.entry for one in self.snapshot.changes(journal)]
        return code, b"".join(said).decode(), {one.path: (one.kind, one.uid, one.gid) for one in entries}


@pytest.fixture(params=["A", "B", "C"])
def bench(request):
    """One rung's bench."""
    with tempfile.TemporaryDirectory(prefix="drydock-test-", dir="/var/tmp") as folder:
        made = Bench(Path(folder), request.param)
        yield made
        made.sandbox.close()


def test_what_a_step_changed_has_the_owners_it_asked_for(bench):
    script = "echo b >/srv/b; chown 3:4 /srv/b; mv /srv/b /srv/c; chown -h 5 /srv/a; "
    script += "ln -s a /srv/l; chown -h 6:6 /srv/l; rm /bin/true"
    code, said, changed = bench.run(script)
    assert (code, said) == (0, "")
    assert changed.pop("srv")[0] == changed.pop("bin")[0] == "directory"
    assert changed == {
        "srv/a": ("file", 5, 0),
        "srv/c": ("file", 3, 4),
        "srv/l": ("symlink", 6, 6),
        "bin/true": ("whiteout", 0, 0),
    }


def test_a_steps_user_owns_what_it_makes(bench):
    _, said, changed = bench.run("id -u; id -g; echo $HOME; mkdir /tmp; chmod 777 /tmp")
    assert said == "0\n0\n/root\n"
    code, said, changed = bench.run("id -u; id -g; echo $HOME; echo x >/tmp/x", user="app")
    assert (code, said) == (0, "7\n8\n/home/app\n")
    assert changed["tmp/x"] == ("file", 7, 8)


def test_an_unknown_user_is_told_in_dockerds_words(bench):
    with pytest.raises(CannotStart, match="unable to find user nobody: no matching entries in passwd file"):
        bench.run("true", user="nobody")


def test_users_made_in_a_step_are_known_to_the_next(bench):
    assert bench.run("echo new:x:9:9::/new:/bin/sh >>/etc/passwd")[0] == 0
    assert bench.run("id -u; echo $HOME", user="new")[:2] == (0, "9\n/new\n")
    assert bench.run("rm /etc/passwd")[0] == 0
    with pytest.raises(CannotStart, match="unable to find user new"):
        bench.run("true", user="new")


def test_names_and_hosts_are_there_and_not_in_the_layer(bench):
    code, said, changed = bench.run(
        "cat /etc/hostname; grep -c there /etc/hosts; hostname", hostname="0123456789ab", extra_hosts=["there:1.2.3.4"]
    )
    assert (code, said, changed) == (0, "0123456789ab\n1\n0123456789ab\n", {})


def test_a_cancelled_step_ends_with_all_it_started(bench):
    cancel = threading.Event()

    def run():
        return bench.run("(sleep 1006 &) ; echo on; sleep 1007", cancelled=cancel.is_set)

    timer = threading.Timer(0.3, cancel.set)
    timer.start()
    assert run()[0] == 137
    timer.join()
    left = [one for one in Path("/proc").glob("[0-9]*/cmdline") if _sleeps(one)]
    assert not left


def _sleeps(cmdline):
    try:
        return any(number in cmdline.read_bytes().split(b"\0") for number in (b"1006", b"1007"))
    except OSError:
        return False


def open_files(pid):
    """Return how many files a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def test_nothing_is_left_after_many_steps(bench):
    bench.run("true")
    before = open_files("self")
    for _ in range(10):
        bench.run("echo x; (sleep 5 &)")
        with pytest.raises(CannotStart):
            bench.steps.run(bench.snapshot, ["/nosuch"], ENV, "/", "", "host", lambda stream, data: None)
    assert open_files("self") <= before  # what earlier tests left to the collector may go meanwhile
    launcher = bench.sandbox.launcher.pid
    children = Path(f"/proc/{launcher}/task/{launcher}/children")
    deadline = time.monotonic() + 20
    while children.read_text().split() and time.monotonic() < deadline:
        time.sleep(0.01)  # a shim says goodbye before it has quite ended
    assert not children.read_text().split()
    assert open_files(launcher) <= 5
    assert not list((bench.sandbox.folder).glob("step-*"))


def test_rung_d_says_in_one_sentence_why_nothing_runs(tmp_path):
    sandbox = Sandbox(tmp_path, "D")
    layers = Layers(tmp_path, Blobs(tmp_path / "blobs"))
    snapshot = Snapshots(tmp_path, layers).create("step", [], sandbox.rung.kind)
    with pytest.raises(NoSandbox, match=r"This machine lets no program run in an image \(rung D was asked for\)"):
        Steps(sandbox).run(snapshot, ["/x"], ENV, "/", "", "host", lambda stream, data: None)
    sandbox.close()
