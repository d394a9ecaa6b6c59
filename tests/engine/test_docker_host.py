"""Where `docker` goes: as Docker's own command chooses, else to the kit's engine; and what a process passes on."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from drydock import client, docker_host, server_extension
from drydock.cli import doctor, main
from drydock.engine import process
from jupyter_server.serverapp import ServerApp
from traitlets.config import Config

CLI = shutil.which("docker")
NO_CLI = "no docker command: apt-get install docker.io"
CHOICES = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_BUILDKIT", "DRYDOCK_ENGINE")


@pytest.fixture
def home(monkeypatch):
    """A home of the test's own (a short path: a socket's may have 107 bytes) on a machine without Docker."""
    folder = Path(tempfile.mkdtemp(prefix="dd-"))
    monkeypatch.setenv("DRYDOCK_HOME", str(folder))
    monkeypatch.setenv("DOCKER_CONFIG", str(folder / "docker"))
    monkeypatch.setattr(docker_host, "DEFAULT", f"unix://{folder}/no-docker.sock")
    for name in CHOICES:
        monkeypatch.delenv(name, raising=False)
    yield folder
    process.stop(folder)
    shutil.rmtree(folder)


def cli(*words):
    """Run Docker's own command as a `!` cell would, and return what it printed."""
    if CLI is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(NO_CLI)
    return subprocess.run([CLI, *words], capture_output=True, text=True, check=True).stdout.strip()


def own(home):
    return f"unix://{home}/engine/docker.sock"


# The engine that is at work


def test_where_no_docker_listens_it_is_the_kits_own_at_a_fixed_place_and_none_is_started(home):
    assert docker_host.address() == own(home) and process.found(home) is None


def test_what_docker_host_names_stays_and_set_to_nothing_it_is_not_set(home, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    assert docker_host.address() == "unix:///nowhere/docker.sock"
    monkeypatch.setenv("DOCKER_HOST", "")
    assert docker_host.address() == own(home)
    docker_host.pass_on("unix:///var/run/docker.sock")
    assert "DOCKER_HOST" not in os.environ


@pytest.mark.parametrize("how", ["use", "variable"])
def test_a_context_is_read_as_docker_reads_it(home, monkeypatch, embedded, how):
    cli("context", "create", "elsewhere", "--docker", f"host={embedded}")
    if how == "use":
        cli("context", "use", "elsewhere")
    else:
        monkeypatch.setenv("DOCKER_CONTEXT", "elsewhere")
    assert docker_host.address() == embedded
    assert docker_host.address() == cli("context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
    with closing(client.connect()) as connected:
        assert connected.info()["ID"] == cli("info", "--format", "{{.ID}}")
    assert not {"DOCKER_HOST", "DOCKER_BUILDKIT"} & set(os.environ)


def test_a_context_on_another_machine_is_not_replaced(home):
    cli("context", "create", "far", "--docker", "host=tcp://127.0.0.1:1")
    cli("context", "use", "far")
    assert docker_host.address() == "tcp://127.0.0.1:1"
    with pytest.raises(client.EngineUnavailable, match=r"tcp://127\.0\.0\.1:1"):
        client.connect()


def test_a_damaged_configuration_of_docker_is_none(home):
    (home / "docker").mkdir()
    (home / "docker" / "config.json").write_text('{"currentContext": ["cut o')
    assert docker_host.address() == own(home)


# What a process passes on


@pytest.mark.slow
def test_after_connect_docker_reaches_the_same_engine(home):
    with closing(client.connect()) as connected:
        assert cli("info", "--format", "{{.ID}}") == connected.info()["ID"]
    assert os.environ["DOCKER_BUILDKIT"] == "0"
    context = home / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    assert "Successfully built" in cli("build", str(context))


@pytest.mark.slow
@pytest.mark.parametrize("end", ["stop", "kill"])
def test_the_kits_own_engine_is_started_again_though_docker_host_names_it(home, end):
    client.connect().close()
    first = process.found(home)
    if end == "stop":
        process.stop(home)
    else:
        os.kill(first.pid, signal.SIGKILL)
        while process.found(home):
            pass
    assert os.environ["DOCKER_HOST"] == own(home)
    with closing(client.connect()) as connected:
        assert client.embedded(connected.version()) and process.found(home).pid != first.pid


@pytest.mark.slow
def test_two_that_start_the_engine_at_once_find_the_same(home):
    code = "from drydock import client; print(client.connect().info()['ID'])"
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [one.communicate(timeout=60)[0] for one in both]
    assert said[0] == said[1] != "" and [one.returncode for one in both] == [0, 0]


@pytest.mark.slow
def test_where_docker_does_not_answer_and_the_kits_own_cannot_start_the_reason_is_dockers(home):
    (home / "engine").write_text("in the way")
    with pytest.raises(client.EngineUnavailable, match=r"no-docker\.sock \(nothing listens there\)(?s:.)*own engine"):
        client.connect()


@pytest.mark.docker
def test_where_docker_answers_nothing_is_passed_on(home, daemon_url, monkeypatch):
    monkeypatch.setattr(docker_host, "DEFAULT", daemon_url)
    server_extension._link_jupyter_server_extension(ServerApp())
    client.connect().close()
    assert not {"DOCKER_HOST", "DOCKER_BUILDKIT"} & set(os.environ) and process.found(home) is None


# The doctor


@pytest.mark.slow
def test_the_doctor_prints_a_line_with_which_docker_works_in_any_shell(home, capsys):
    assert main(["doctor", "--json"]) == 0
    line = json.loads(capsys.readouterr().out)["findings"]["Other shells"]
    for name in CHOICES:
        os.environ.pop(name, None)
    told = subprocess.run(
        ["sh", "-c", f"{line}; {CLI} info --format '{{{{.DockerRootDir}}}}'; echo $DOCKER_BUILDKIT"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout.split() == [f"{home}/engine", "0"]


def test_the_doctor_names_the_docker_command_or_says_how_to_get_it(monkeypatch, tmp_path):
    said = cli("--version")
    assert doctor.command() == f"{said}, at {CLI}"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert doctor.command().startswith("not installed. The notebooks need none")


@pytest.mark.docker
def test_where_docker_is_found_without_help_the_doctor_says_so(home, daemon_url, monkeypatch):
    monkeypatch.setattr(docker_host, "DEFAULT", daemon_url)
    found = dict(doctor.doctor().findings)
    own_engine = found["Engine"].startswith("Drydock")
    assert found["Other shells"] == (
        f"export DOCKER_HOST={daemon_url} DOCKER_BUILDKIT=0" if own_engine else "`docker` finds this engine by itself"
    )


# JupyterLab's server


@pytest.fixture
def lost(home, monkeypatch):
    """A server in the background, with a PATH on which there is no `drydock`, and a login shell that sets it anew."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(home))
    (home / ".profile").write_text("PATH=/usr/bin:/bin\nexport MINE='by the profile'\n")
    return ServerApp()


def test_the_server_sets_what_its_terminals_and_kernels_inherit(home, lost):
    server_extension._link_jupyter_server_extension(lost)
    assert os.environ["DOCKER_HOST"] == own(home) and os.environ["DOCKER_BUILDKIT"] == "0"
    assert shutil.which("drydock") == str(Path(sys.executable).parent / "drydock")


@pytest.mark.parametrize("shell", [name for name in ("bash", "sh", "zsh", "fish") if shutil.which(name)])
def test_a_terminal_finds_drydock_and_has_what_the_login_files_set(lost, monkeypatch, shell):
    monkeypatch.setenv("SHELL", shutil.which(shell))
    server_extension._link_jupyter_server_extension(lost)
    command = lost.terminado_settings["shell_command"]
    ask = "command -v drydock; echo $DOCKER_HOST $MINE; exit\n"
    done = subprocess.run(command, input=ask, capture_output=True, text=True, timeout=60, check=False)
    mine = "" if shell in ("zsh", "fish") else "by the profile"  # these two have login files of other names
    assert done.stdout.splitlines() == [shutil.which("drydock"), f"{os.environ['DOCKER_HOST']} {mine}".strip()]


def test_a_login_shell_that_finds_drydock_stays_one(lost, home, monkeypatch):
    monkeypatch.setenv("SHELL", shutil.which("bash"))
    folder = shlex.quote(str(Path(sys.executable).parent))
    (home / ".bash_profile").write_text(f"PATH={folder}:/usr/bin:/bin\nactivate() {{ echo activated; }}\n")
    command = server_extension.terminal(server_extension.scripts())
    ask = "shopt -q login_shell && activate\n"
    done = subprocess.run(command, input=ask, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "activated\n"


def test_a_terminal_that_somebody_chose_stays(lost):
    chosen = ["/bin/sh", "-i"]
    server = ServerApp(config=Config(ServerApp={"terminado_settings": {"shell_command": chosen}}))
    server_extension._link_jupyter_server_extension(server)
    assert server.terminado_settings["shell_command"] == chosen


def test_an_engine_that_does_not_start_is_a_line_in_the_log(home, lost, capsys):
    (home / "engine").write_text("in the way")
    server_extension._load_jupyter_server_extension(lost)
    assert "`docker` in a terminal will not answer. The engine did not start" in capsys.readouterr().err
