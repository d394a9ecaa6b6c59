"""A student's terminal: the docker command on a pseudo-terminal, each release that is here, on the kit's own engine."""

import os
import shutil
import signal
import subprocess

import pexpect
import pytest

CI = os.environ.get("CI") == "true"
NO_COMMAND = "no docker command: apt install docker-cli, or docker.io"


def commands():
    """Return every docker command on the path, each release once."""
    found = {}
    for folder in os.get_exec_path():
        path = shutil.which("docker", path=folder)
        if path:
            found.setdefault(os.path.realpath(path), path)
    return list(found.values()) or [None]


def heeding():
    """Let SIGINT end the program about to start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture(scope="module", params=commands(), ids=lambda path: path or "none")
def docker(request, embedded, bare_busybox):
    """Run the docker command, on a terminal of its own or not."""
    if request.param is None:
        (pytest.fail if CI else pytest.skip)(NO_COMMAND)
    environment = {**os.environ, "DOCKER_HOST": embedded, "HOME": "/nonexistent"}

    def run(*words, terminal=None):
        if terminal is None:
            return subprocess.run([request.param, *words], env=environment, capture_output=True, text=True, check=False)
        size = {"dimensions": terminal, "timeout": 30, "encoding": "utf-8"}
        # A terminal's programs hear Ctrl-C, also where the tests run in a background that ignores it.
        return pexpect.spawn(request.param, list(words), env=environment, preexec_fn=heeding, **size)

    made = subprocess.run(
        [request.param, "import", "-c", "CMD sh", "-", "term-box:latest"],
        env=environment,
        input=bare_busybox,
        capture_output=True,
        check=True,
    )
    assert made.stdout.startswith(b"sha256:")
    yield run
    for id in run("ps", "-aq", "--filter", "ancestor=term-box").stdout.split():
        run("rm", "-f", id)


def ends(terminal):
    """Wait for the command's end and return its exit code."""
    terminal.expect(pexpect.EOF)
    terminal.close()
    return terminal.exitstatus


def test_run_it_has_the_terminals_size_follows_it_and_can_be_left_and_found_again(docker):
    shell = docker("run", "-it", "--name", "term-shell", "term-box", "sh", terminal=(33, 99))
    shell.expect("#")
    shell.sendline("until stty size | grep 99; do sleep 0.05; done")
    shell.expect("33 99")
    shell.setwinsize(44, 111)
    shell.sendline("until stty size | grep 111; do sleep 0.05; done")
    shell.expect("44 111")
    # Ready to be interrupted is who says so itself: between `echo` and a next command the shell would take Ctrl-C.
    shell.sendline(
        "sh -c 'trap \"echo 4$((1+2)); exit\" INT; echo 4$((1+1)); while :; do sleep 0.1; done'; echo 4$((2+2))"
    )
    shell.expect("42\r\n")
    shell.sendintr()
    shell.expect("43\r\n")
    shell.expect("44\r\n")
    shell.send("\x10\x11")
    assert ends(shell) == 0
    assert docker("inspect", "-f", "{{.State.Status}}", "term-shell").stdout == "running\n"
    again = docker("attach", "term-shell", terminal=(24, 80))
    again.sendline("echo found $((40+2)); exit 7")
    again.expect("found 42")
    assert ends(again) == 7
    docker("rm", "-f", "term-shell")


def test_exec_it_is_a_terminal_of_its_own(docker):
    docker("run", "-d", "--name", "term-exec", "term-box", "sleep", "100")
    shell = docker("exec", "-it", "term-exec", "sh", terminal=(20, 70))
    shell.expect("#")
    shell.sendline("until stty size | grep 70; do sleep 0.05; done; tty")
    shell.expect("20 70")
    shell.expect("/dev/pts/")
    shell.sendline("exit 5")
    assert ends(shell) == 5
    docker("rm", "-f", "term-exec")


def test_logs_f_is_left_with_ctrl_c_and_the_container_goes_on(docker):
    docker("run", "-d", "--name", "term-logs", "term-box", "sh", "-c", "echo begun; sleep 100")
    logs = docker("logs", "-f", "term-logs", terminal=(24, 80))
    logs.expect("begun")
    logs.sendintr()
    ends(logs)
    assert docker("inspect", "-f", "{{.State.Status}}", "term-logs").stdout == "running\n"
    docker("rm", "-f", "term-logs")


def test_run_rm_exits_as_the_program_and_leaves_nothing(docker):
    assert docker("run", "--rm", "--name", "term-gone", "term-box", "sh", "-c", "exit 3").returncode == 3
    assert docker("run", "--rm", "--name", "term-gone", "term-box", "nosuch").returncode == 127
    assert docker("ps", "-aq", "--filter", "name=term-gone").stdout == ""


def test_version_and_info_say_honestly_what_answers(docker):
    assert "Drydock engine 0.1, rung " in docker("version").stdout
    said = docker("info")
    assert "Storage Driver: drydock" in said.stdout and "Operating System: " in said.stdout
    assert "not enforced" in said.stdout + said.stderr and "No memory limit support" in said.stdout + said.stderr
