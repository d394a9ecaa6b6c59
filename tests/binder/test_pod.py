"""The kit in a Binder pod's shape: set-up, JupyterLab, and the notebooks on rung C and where nothing is executed."""

import importlib.util
import json
import os
import re
from pathlib import Path

import docker
import pytest

HERE = Path(__file__).parent
NO_OLD_DAEMON = "no Docker 20.10 among DRYDOCK_TEST_DAEMONS (tests/daemons/classic.sh start): the pod runs in one"
NOTEBOOKS = ("00-start", "05-dockerfile-layers-history", "06-build-cache")
STARTED = "inside.py"
SILENT = "No container was started: this machine lets the engine execute nothing"

pytestmark = pytest.mark.docker


def load(name):
    spec = importlib.util.spec_from_file_location(f"binder_{name}", HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pod_module = load("pod")


def old_daemon():
    """Return a client of the first Docker 20.10 that the tests may use: it takes mounts from this very machine."""
    for url in os.environ.get("DRYDOCK_TEST_DAEMONS", "").split():
        client = docker.DockerClient(base_url=url, timeout=300)
        about = client.version()
        if about["Version"].startswith("20.10") and about.get("Platform", {}).get("Name", "").find("Drydock") < 0:
            return client
        client.close()
    if os.environ.get("CI") == "true":
        pytest.fail(NO_OLD_DAEMON)
    return pytest.skip(NO_OLD_DAEMON)


@pytest.fixture(scope="module")
def pod():
    """One pod for all these tests, set up as repo2docker would have set it up."""
    client = old_daemon()
    running = pod_module.Pod(client)
    running.postbuild = running.do("./postBuild", REPO_DIR=pod_module.HOME)
    running.put(HERE / STARTED)  # postBuild removes the tests
    yield running
    running.remove()
    client.close()


def learned(pod, rung, *notebooks):
    """Run notebooks on one rung with a new home, and return what was found."""
    home = f"{pod_module.HOME}/home-{rung}"
    code, said = pod.do("python", STARTED, *notebooks, DRYDOCK_RUNG=rung, DRYDOCK_HOME=home)
    pod.do("drydock", "engine", "stop", DRYDOCK_HOME=home)
    assert code == 0, said[-3000:]
    return json.loads(said.splitlines()[-1])


def missing(found, told):
    return [(n, id, found[n]["said"][id]) for n, id, words in told if not re.search(words, found[n]["said"][id], re.S)]


def test_the_pod_can_gain_nothing(pod):
    status = dict(line.split(":\t", 1) for line in pod.do("cat", "/proc/self/status")[1].splitlines() if ":\t" in line)
    assert (status["Uid"].split(), status["NoNewPrivs"], status["Seccomp"]) == (["1000"] * 4, "1", "2")
    assert int(status["CapEff"], 16) == 0
    assert pod.do("unshare", "--user", "true")[0] != 0
    assert pod.do("ls", "/var/run/docker.sock")[0] != 0
    host = pod.container.attrs["HostConfig"]
    assert (host["Memory"], host["NanoCpus"], host["NetworkMode"]) == (2 << 30, 10**9, "none")


def test_set_up_as_binder_does_it_makes_the_lesson_images_on_rung_c(pod):
    code, said = pod.postbuild
    assert code == 0, said
    assert re.search(r"drydock/base:latest\ndrydock/python:latest\n\d+ builds of the lessons, .*rung C", said), said


def test_no_solution_and_no_key_is_left(pod):
    code, said = pod.do("grep", "-rlE", "--include=*.ipynb", "--include=*.py", "BEGIN SOLUTION$|Protopapas", ".")
    assert (code, said) == (1, "")
    assert pod.do("ls", "exercises")[1].split() == ["ex1-pull-modify-push", "ex2-build-push", "ex3-play"]


def test_the_doctor_says_which_rung_and_why(pod):
    code, said = pod.do("drydock", "doctor", DRYDOCK_HOME=f"{pod_module.HOME}/home-doctor")
    pod.do("drydock", "engine", "stop", DRYDOCK_HOME=f"{pod_module.HOME}/home-doctor")
    assert code == 0 and re.search(r"[Rr]ung +C", said), said


def test_jupyterlab_starts_and_its_terminal_reaches_the_engine(pod):
    home = {"DRYDOCK_HOME": f"{pod_module.HOME}/home-lab"}
    options = ("--no-browser", "--port=8888", "--ServerApp.ip=127.0.0.1", "--IdentityProvider.token=x")
    pod.begin("./start", "jupyter", "lab", *options, SHELL="/bin/bash", **home)
    code, said = pod.do("python", STARTED, "lab", "8888")
    pod.do("drydock", "engine", "stop", **home)
    assert code == 0, said
    found = json.loads(said.splitlines()[-1])
    assert found["version"] and "ended with 0" in found["terminal"], found["terminal"]
    assert "Drydock engine" in found["terminal"] and "DOCKER_BUILDKIT=0" in found["terminal"]


def test_notebooks_run_on_rung_c(pod):
    found = learned(pod, "C", *NOTEBOOKS)
    told = [
        ("00-start", "first-run-run", "Welcome to Drydock"),
        (NOTEBOOKS[1], "connect", r"Drydock engine \S+, rung C"),
        (NOTEBOOKS[1], "hello-run-run", "Hello world\n+Hello Pavlos"),
        (NOTEBOOKS[1], "secret-recover-run", "ship-it-4711"),
        (NOTEBOOKS[2], "again-build", "0 of 6 steps ran"),
        (NOTEBOOKS[2], "shop-time", "Good to see you!.*before.*rescued"),
    ]
    assert missing(found, told) == []


def test_notebooks_run_on_rung_d_on_the_cache_that_was_made(pod):
    found = learned(pod, "D", *NOTEBOOKS)
    told = [
        ("00-start", "doctor-run", r"Rung +D.*No container starts"),
        ("00-start", "first-fresh", "Nothing can be executed on this machine.*come from the cache in"),
        ("00-start", "first-build-run", "0 of 3 steps ran"),
        ("00-start", "first-run-run", SILENT),
        (NOTEBOOKS[1], "connect", "rung D: it executes nothing here"),
        (NOTEBOOKS[1], "nmap-reveal", "It is: 2 layers"),
        (NOTEBOOKS[1], "secret-recover-run", "ship-it-4711"),
        (NOTEBOOKS[1], "letter-reveal", "It is: 4 layers"),
        (NOTEBOOKS[2], "first-build", "nocache=True is left out"),
        (NOTEBOOKS[2], "shop-time", SILENT),
    ]
    assert missing(found, told) == []


def test_nothing_was_killed_for_want_of_memory(pod):
    pod.container.reload()
    assert pod.container.attrs["State"]["OOMKilled"] is False
    lines = pod.do("cat", "/sys/fs/cgroup/memory/memory.oom_control", "/sys/fs/cgroup/memory.events")[1]
    assert re.search(r"^oom_kill 0$", lines, re.M), lines
