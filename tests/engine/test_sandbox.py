"""A program in an image's files, on each rung of the sandbox ladder that executes."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from drydock.engine.run import CannotStart, Mount, Process, Root, Sandbox, Spec, landlock
from drydock.engine.run.listener import OWNER

pytestmark = pytest.mark.slow

PATH = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"


class Box:
    """One rung, a sandbox, and a root file system of busybox."""

    def __init__(self, letter, folder):
        self.letter, self.folder = letter, folder
        self.sandbox = Sandbox(folder / "sandbox", letter)
        folder.joinpath("sandbox").mkdir()
        self.root, self.written = make_root(folder, letter)

    @contextmanager
    def running(self, *args, stdin=b"", process=None, **fields):
        """Run a program; the sandbox's object and the file of its output."""
        read, write = os.pipe()
        given, feed = os.pipe()
        os.write(feed, stdin)
        os.close(feed)
        private = self.folder / "private"
        private.mkdir(exist_ok=True)
        program = Process(args, (PATH,), **(process or {}))
        spec = Spec("c1", self.root, program, private=str(private), **fields)
        try:
            running = self.sandbox.start(spec, given, write, write)
        except CannotStart:
            os.close(read)
            raise
        finally:
            os.close(write)
            os.close(given)
        with os.fdopen(read, "rb", buffering=0) as output:
            yield running, output
        running.kill()
        running.wait()
        running.join()
        self.last = running

    def run(self, *args, **fields):
        """Run a program and return its exit code and its output."""
        with self.running(*args, **fields) as (running, output):
            text = output.read().decode()
            return running.wait(), text


def make_root(folder, letter):
    """Make a root file system; return it and the folder in which what is written appears."""
    lower, upper, work = (folder / name for name in ("lower", "upper", "work"))
    for one in ("bin", "etc", "tmp", "root"):
        (lower / one).mkdir(parents=True)
    shutil.copy(shutil.which("busybox"), lower / "bin/busybox")
    names = subprocess.run(["busybox", "--list"], capture_output=True, text=True, check=True).stdout.split()
    for name in names:
        if name != "busybox":
            (lower / "bin" / name).symlink_to("busybox")
    (lower / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n")
    for one in (upper, work):
        one.mkdir()
    if letter == "A":
        return Root((str(lower),), str(upper), str(work)), upper
    return Root(tree=str(lower)), lower


@pytest.fixture(params=["A", "B", "C"], scope="module")
def letter(request):
    """Each rung that executes."""
    return request.param


@pytest.fixture
def place():
    """A folder that is not in /tmp, where PRoot 5.1 must be allowed to write."""
    with tempfile.TemporaryDirectory(prefix="drydock-test-", dir="/var/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def box(letter, place):
    """A place to run programs on one rung."""
    made = Box(letter, place)
    yield made
    made.sandbox.close()


def test_the_rung_proves_itself(box):
    assert box.sandbox.rung.letter == box.letter
    assert box.sandbox.proofs[box.letter].works


def test_a_program_sees_the_image_and_not_the_host(box):
    code, text = box.run("ls", "/")
    assert code == 0
    assert {"bin", "etc", "proc", "dev", "sys"} <= set(text.split())
    assert "boot" not in text.split()


def test_output_input_and_exit_code_are_the_programs(box):
    assert box.run("sh", "-c", "cat; echo err >&2; exit 7", stdin=b"in\n") == (7, "in\nerr\n")


def test_a_killed_program_ends_with_128_and_the_signal(box):
    with box.running("sleep", "1002") as (running, _):
        running.kill(9)
        assert running.wait() == 137
    with box.running("sh", "-c", "trap 'exit 3' USR1; echo; while :; do sleep 0.05; done") as (running, output):
        output.read(1)
        running.kill(signal.SIGUSR1)
        assert running.wait() == 3


def test_a_missing_program_is_told_in_runcs_words(box):
    with pytest.raises(CannotStart, match=r'exec: "nosuch": executable file not found in \$PATH: unknown') as error:
        box.run("nosuch")
    assert error.value.exit_code == 127
    with pytest.raises(CannotStart, match=r'exec: "/etc/passwd": permission denied: unknown') as error:
        box.run("/etc/passwd")
    assert error.value.exit_code == 126


def test_who_is_root_inside_may_do_what_root_does(box):
    code, text = box.run(
        "sh", "-c", "id -u; touch /f && chown 33:44 /f && mv /f /g && chmod 4755 /g && su app -c true && echo ok"
    )
    assert (code, text) == (0, "0\nok\n")
    assert os.getxattr(box.written / "g", OWNER) == b"33:44"


def test_a_change_of_owner_is_noted_by_path_where_a_file_takes_no_note(box):
    code, text = box.run(
        "sh", "-c", "ln -s /etc/passwd /l && chown -h 5:6 /l && mkdir d && cd d && mknod n c 1 3 && mkfifo p"
    )
    assert (code, text) == (0, "")
    journal = box.last.journal()
    assert journal.owners == {"l": (5, 6)}
    assert journal.devices == {"d/n": ("character device", 0o644, 1, 3)}
    assert (box.written / "d/p").is_fifo()


def test_a_change_of_owner_of_nothing_fails(box):
    code, text = box.run("chown", "1:1", "/nowhere")
    assert (code, "No such file" in text) == (1, True)


def test_another_user_is_who_the_image_says(box):
    _, text = box.run(
        "sh",
        "-c",
        "id -u; id -g; chown 0:0 /etc/passwd 2>/dev/null || echo refused",
        process={"uid": 1000, "gid": 1000},
    )
    assert text.splitlines()[:2] == ["1000", "1000"]


def test_folders_and_files_of_the_host_appear_where_they_are_mounted(box, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "in").write_text("from outside")
    mounts = (Mount("/new/place", str(shared)), Mount("/etc/one", str(shared / "in")))
    code, text = box.run("sh", "-c", "cat /new/place/in /etc/one; echo back >/new/place/out", mounts=mounts)
    assert (code, text) == (0, "from outsidefrom outside")
    assert (shared / "out").read_text() == "back\n"
    assert "new/place" not in box.last.main.made  # a change of the container, as in dockerd
    assert ".dockerenv" in box.last.main.made


def test_what_is_mounted_read_only_takes_no_writes(box, place):
    shared = place / "shared"
    shared.mkdir()
    can = box.letter != "C" or landlock.version() >= landlock.FIRST_USEFUL  # PRoot alone forbids nothing
    script = "touch /data/x 2>/dev/null && echo written; touch /root/x 2>/dev/null && echo root; echo end"
    mounts = (Mount("/data", str(shared), readonly=True),)
    assert box.run("sh", "-c", script, mounts=mounts, readonly=True) == (0, "end\n" if can else "written\nroot\nend\n")


def test_a_link_in_an_image_leads_no_mount_out_of_it(box, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    top = Path(box.root.lower[0] if box.letter == "A" else box.root.tree)
    (top / "etc/hosts").symlink_to(f"{'../' * 30}{outside}/hosts")
    (top / "data").symlink_to(outside)
    (tmp_path / "hosts").write_text("inside\n")
    mounts = (Mount("/etc/hosts", str(tmp_path / "hosts")), Mount("/data/deep", str(tmp_path / "hosts")))
    code, _ = box.run("true", mounts=mounts)
    assert code == 0
    assert not list(outside.iterdir())


def test_no_file_of_the_engine_is_open_in_the_container(box):
    code, text = box.run("sh", "-c", "ls /proc/self/fd")
    assert (code, [one for one in text.split() if int(one) > 3]) == (0, [])


def test_the_host_name_is_the_containers(box):
    assert box.run("sh", "-c", "hostname; uname -n", hostname="ship") == (0, "ship\nship\n")
    assert box.run("hostname", hostname="ship", uts="host") == (0, f"{socket.gethostname()}\n")


def test_a_programs_groups_are_the_images(box):
    assert box.run("id", "-G", process={"uid": 1000, "gid": 1000, "groups": (7, 1000)}) == (0, "1000 7\n")


def test_a_file_given_away_loses_its_privileges(box):
    script = "touch /f; chmod 6755 /f; chown 5:6 /f; stat -c %a /f; chmod 4755 /f; stat -c %a /f"
    assert box.run("sh", "-c", script) == (0, "755\n4755\n")


def test_a_terminal_is_one(box):
    script = "tty >/dev/null && stty size && read x && echo got $x"
    with box.running("sh", "-c", script, process={"tty": True, "size": (30, 90)}) as (running, _):
        terminal = running.main.terminal
        said = os.read(terminal, 100)
        os.write(terminal, b"word\n")
        assert running.wait() == 0
        while b"got word" not in said:
            said += os.read(terminal, 100)
        assert said.startswith(b"30 90\r\n")
        os.close(terminal)


def test_more_programs_run_in_a_running_container(box):
    with box.running("sh", "-c", "echo here >/mark; echo; sleep 1003", hostname="ship") as (running, output):
        output.read(1)
        read, write = os.pipe()
        null = os.open(os.devnull, os.O_RDWR)
        script = "cat /mark; hostname; id -u; exit 5"
        program = running.exec(Process(("sh", "-c", script), (PATH,), uid=7, gid=8), [null, write, write])
        missing = Process(("nosuch",), (PATH,))
        with pytest.raises(CannotStart, match="executable file not found"):
            running.exec(missing, [null, null, null])
        os.close(write)
        os.close(null)
        with os.fdopen(read, "rb") as said:
            assert said.read() == b"here\nship\n7\n"
        assert program.wait() == 5
        assert not running.ended


def test_a_paused_container_stands_still(box):
    with box.running("sh", "-c", "while :; do echo x; sleep 0.01; done") as (running, output):
        output.read(1)
        running.pause()
        os.set_blocking(output.fileno(), False)
        while output.read(4096):
            pass  # what was said before
        states = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] for pid in running.everyone()]
        assert states[0] in "Tt"
        assert set(states) <= {"T", "t", "Z"}  # Z: a child that had ended, and whom sh had no time to ask about
        running.unpause()
        os.set_blocking(output.fileno(), True)
        assert output.read(1) == b"x"


def test_nothing_outlives_a_killed_launcher(box):
    with box.running("sleep", "1004") as (running, _):
        os.kill(box.sandbox.launcher.pid, 9)
        assert running.wait() in (0, 137)
    assert box.run("echo", "again") == (0, "again\n")
    end = time.monotonic() + 20
    while [line for line in sleeping().values() if "1004" in line]:
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_journal_outlives_an_engine_that_is_killed(box):
    with box.running("sh", "-c", "ln -s x /l; chown -h 5:6 /l; echo; sleep 1005") as (running, output):
        output.read(1)
        running.hang_up()
        running.join()
    assert json.loads((box.folder / "private/journal.json").read_text())["owners"] == {"l": [5, 6]}


def test_devices_and_standard_streams_are_there(box):
    script = "echo x >/dev/null; head -c4 /dev/zero | wc -c; head -c4 /dev/urandom | wc -c; echo y >/dev/stdout; "
    script += "touch /dev/shm/a; ls /dev/pts >/dev/null; readlink /dev/fd"
    assert box.run("sh", "-c", script) == (0, "4\n4\ny\n/proc/self/fd\n")


def test_a_working_folder_is_made(box):
    assert box.run("pwd", process={"cwd": "/a/b"}) == (0, "/a/b\n")


def test_without_a_network_there_is_none(box):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        reach = f"nc -w 2 127.0.0.1 {port} -e true 2>/dev/null && echo reached || echo out of reach"
        assert box.run("sh", "-c", reach, network="host") == (0, "reached\n")
        assert box.run("sh", "-c", reach, network="none") == (0, "out of reach\n")


def test_nothing_is_left_when_the_main_program_has_ended(box):
    code, _ = box.run("sh", "-c", "(trap '' TERM HUP; sleep 1000) & sleep 0.1; exit 3")
    assert code == 3
    assert not [line for line in sleeping().values() if "1000" in line]


def test_what_runs_ends_with_the_sandbox(box):
    with box.running("sleep", "1001") as (running, output):
        box.sandbox.close()
        assert output.read() == b""  # the last to hold the other end is gone
        assert running.wait() == 137
    assert not [line for line in sleeping().values() if "1001" in line]


def sleeping():
    """Return the command lines of all `sleep` on this machine, by process."""
    found = {}
    for one in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = one.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"sleep" in words[:2]:
            found[int(one.parent.name)] = b" ".join(words).decode()
    return found
