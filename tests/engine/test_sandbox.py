"""A program in an image's files, on each rung of the sandbox ladder that executes."""

import os
import shutil
import signal
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from drydock.engine.run import CannotStart, Mount, Process, Root, Sandbox, Spec
from drydock.engine.run.listener import OWNER

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
def box(letter, tmp_path):
    """A place to run programs on one rung."""
    made = Box(letter, tmp_path)
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
    assert not [line for line in sleeping() if "1000" in line]


def test_what_runs_ends_with_the_sandbox(box):
    with box.running("sleep", "1001") as (running, output):
        box.sandbox.close()
        assert output.read() == b""  # the last to hold the other end is gone
        assert running.wait() == 137
    assert not [line for line in sleeping() if "1001" in line]


def sleeping():
    """Return the command lines of all `sleep` on this machine."""
    found = []
    for one in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = one.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"sleep" in words[:2]:
            found.append(b" ".join(words).decode())
    return found
