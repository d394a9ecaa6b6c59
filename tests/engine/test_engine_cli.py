"""The engine as a process: started, found, stopped, killed; started on demand, and never instead of a chosen Docker."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path

import drydock
import pytest
from drydock import cli, client, docker_host
from drydock.cli import doctor
from drydock.engine import process
from drydock.engine.run import processes
from own import alive

pytestmark = pytest.mark.slow


@pytest.fixture
def home(monkeypatch):
    """A home of the test's own (a short path: a socket's may have 107 bytes), whose engine is stopped afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="dd-"))
    monkeypatch.setenv("DRYDOCK_HOME", str(folder))
    monkeypatch.setenv("MALLOC_ARENA_MAX", "2")
    yield folder
    process.stop(folder)
    shutil.rmtree(folder)


@pytest.fixture
def no_docker(monkeypatch, home):
    """A machine without Docker: nothing listens at the default socket."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DRYDOCK_ENGINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(home / "docker"))
    monkeypatch.setattr(docker_host, "DEFAULT", f"unix://{home}/no-docker.sock")


def engine(*words):
    return cli.main(["engine", *words])


def test_start_status_stop(home, capsys):
    assert engine("status") == 1 and "Try: drydock engine start" in capsys.readouterr().out
    assert engine("start") == 0
    said = capsys.readouterr().out
    assert f"export DOCKER_HOST=unix://{home}/engine/docker.sock" in said
    assert engine("status") == 0 and "answers at" in capsys.readouterr().out
    assert engine("stop") == 0 and not (home / "engine" / "docker.sock").exists()
    assert engine("status") == 1 and process.found(home) is None


def test_a_second_start_finds_the_first(home, capsys):
    engine("start")
    first = process.found(home)
    capsys.readouterr()
    assert engine("start") == 0 and capsys.readouterr().out.startswith("The engine runs already")
    assert process.found(home) == first


def test_a_second_engine_in_one_home_ends_and_says_why(home, capsys):
    engine("start")
    assert engine("run") == 1
    assert f"already lives here, process {process.found(home).pid}" in capsys.readouterr().err


def test_an_engine_killed_without_warning_leaves_a_socket_that_the_next_replaces(home, capsys):
    engine("start")
    first = process.found(home)
    os.kill(first.pid, signal.SIGKILL)
    while process.found(home):
        pass
    assert (home / "engine" / "docker.sock").exists()
    assert engine("start") == 0
    assert process.found(home).pid != first.pid and process.answers(process.found(home).socket)


def test_an_engine_takes_no_socket_from_another(home, capsys, embedded):
    path = embedded.removeprefix("unix://")
    assert engine("run", "--socket", path) == 1
    assert "another engine answers there" in capsys.readouterr().err
    assert process.answers(path)


def test_a_socket_of_ones_own_choice(home, capsys):
    where = home / "here" / "docker.sock"
    assert engine("start", "--socket", str(where)) == 0
    assert process.found(home).socket == str(where) and process.answers(str(where))


def test_a_home_that_cannot_be_written_is_one_line_and_no_traceback(ordinary):
    python, user, environment = ordinary
    command = [python, "-m", "drydock.engine", "--home", "/proc/nowhere", "--detach"]
    done = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, check=False, **user)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr and "/proc/nowhere" in done.stderr


def test_start_says_why_an_engine_does_not_start(home, capsys):
    (home / "engine").write_text("in the way")
    assert engine("start") == 1
    said = capsys.readouterr().err
    assert said.startswith("The engine did not start: ") and "\nTry: " in said


def test_nobody_is_needed_to_close_its_output(home, ordinary):
    """A terminal or a notebook that starts an engine gets its pipe's end at once, not when the engine stops."""
    command = [ordinary[0], "-m", "drydock.cli", "engine", "start", "--home", str(home)]
    done = subprocess.run(command, env=ordinary[2], capture_output=True, text=True, timeout=60, check=True)
    assert "The engine answers" in done.stdout


@pytest.mark.parametrize("how", ["option", "environment"])
def test_a_rung_can_be_asked_for(home, monkeypatch, how, capsys):
    if how == "environment":
        monkeypatch.setenv("DRYDOCK_RUNG", "D")
    assert engine("start", *(["--rung", "d"] if how == "option" else [])) == 0
    monkeypatch.setenv("DOCKER_HOST", process.found(home).url)
    with closing(client.connect()) as docker:
        assert ["rung", "D"] in docker.info()["DriverStatus"]
        assert docker.version()["Platform"]["Name"] == "Drydock engine 0.1, rung D"
    capsys.readouterr()
    assert cli.main(["doctor"]) == 0
    assert "D: nothing is executed here" in capsys.readouterr().out


# On demand


def test_connect_starts_the_engine_where_no_docker_answers(no_docker, home):
    with closing(client.connect()) as first:
        assert client.embedded(first.version())
    there = process.found(home)
    with closing(client.connect()) as second:
        assert second.info()["DockerRootDir"] == str(home / "engine")
    assert process.found(home) == there
    assert client.address() == there.url


def test_the_builder_of_the_kits_own_engine_is_the_classic_one(no_docker, tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    with closing(client.connect()) as docker:
        run = drydock.build(tmp_path, tag="classic-only", client=docker)
        assert run.plan.builder == "classic"
        built = run.run()
    assert built.state == "done" and built.engine.startswith("Drydock engine 0.1, rung ")


@pytest.mark.parametrize("chosen", [{"DOCKER_HOST": "unix:///nowhere/docker.sock"}, {"DRYDOCK_ENGINE": "docker"}])
def test_what_somebody_chose_is_never_replaced(no_docker, home, monkeypatch, chosen):
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(client.EngineUnavailable):
        client.connect()
    assert process.found(home) is None


def test_the_kits_own_engine_can_be_chosen(no_docker, home, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    monkeypatch.setenv("DRYDOCK_ENGINE", "drydock")
    with closing(client.connect()) as docker:
        assert client.embedded(docker.version())


def test_where_neither_answers_both_reasons_are_told(no_docker, home):
    (home / "engine").write_text("in the way")
    with pytest.raises(
        client.EngineUnavailable, match=r"(?s)No Docker engine answers.*own engine does not help either"
    ):
        client.connect()


def test_doctor_names_the_kits_own_engine_its_rung_and_why(no_docker, capsys):
    assert cli.main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["healthy"] and found["findings"]["Engine"].startswith("Drydock engine 0.1, rung ")
    assert found["findings"]["Rung"][:2] in ("A:", "B:", "C:", "D:")
    assert "the classic builder" in found["findings"]["Builder"]
    assert doctor.doctor().picture().count("Rung") >= 1


def test_state_survives_a_kill(own):
    with own() as engine:
        engine.client.volumes.create("kept", labels={"a": "b"})
        network = engine.client.networks.create("kept")
        engine.kill()
        engine.start()
        assert engine.client.volumes.get("kept").attrs["Labels"] == {"a": "b"}
        assert engine.client.networks.get("kept").id == network.id


@pytest.mark.parametrize("rung", ["A", "B", "C"])
def test_what_outlives_an_engine_whose_processes_are_all_killed_ends_when_the_next_one_starts(own, rung, bare_busybox):
    with own("--rung", rung) as engine:
        engine.client.api.import_image_from_data(bare_busybox, repository="box", tag="latest")
        container = engine.client.containers.run("box", "sleep 1006", detach=True)
        program = engine.client.api.top(container.id)["Processes"][0][1]
        others = [pid for pid in processes.below(engine.process.pid) if pid != int(program)]
        for pid in [engine.process.pid, *others]:
            with suppress(ProcessLookupError):  # it went with the one before
                os.kill(pid, signal.SIGKILL)
        engine.process.wait()
        engine.client.close()
        engine.start()
        end = time.monotonic() + 20
        while alive(int(program)):
            assert time.monotonic() < end
            time.sleep(0.01)
        assert engine.client.containers.get(container.id).status == "exited"


def test_a_container_whose_restarts_are_used_up_does_not_come_back_with_the_engine(own, bare_busybox):
    with own() as engine:
        engine.client.api.import_image_from_data(bare_busybox, repository="box", tag="latest")
        policy = {"Name": "on-failure", "MaximumRetryCount": 1}
        one = engine.client.containers.run("box", ["sh", "-c", "exit 4"], detach=True, restart_policy=policy)
        end = time.monotonic() + 20
        while (one.attrs["RestartCount"], one.status) != (1, "exited"):
            assert time.monotonic() < end
            time.sleep(0.01)
            one.reload()
        started = one.attrs["State"]["StartedAt"]
        engine.stop()
        engine.start()
        assert engine.client.containers.get(one.id).attrs["State"]["StartedAt"] == started


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_what_comes_back_with_the_engine_is_what_docker_brings_back(own, end, bare_busybox):
    with own() as engine:
        engine.client.api.import_image_from_data(bare_busybox, repository="box", tag="latest")
        for name in ("no", "always", "unless-stopped", "on-failure"):
            for left in ("running", "stopped"):
                one = engine.client.containers.run(
                    *("box", "sleep 1007"),
                    name=f"{name}-{left}",
                    detach=True,
                    stop_signal="KILL",
                    restart_policy={"Name": name},
                )
                if left == "stopped":
                    one.stop(timeout=0)
        engine.client.containers.create("box", "sleep 1007", name="always-created", restart_policy={"Name": "always"})
        getattr(engine, end)()
        engine.start()
        runs = {one.name for one in engine.client.containers.list()}
        assert runs == {
            *("always-running", "always-stopped", "unless-stopped-running"),
            *("on-failure-running", "on-failure-stopped"),  # both ended with a code that is not 0
        }
