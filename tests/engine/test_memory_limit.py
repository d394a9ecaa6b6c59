"""`--memory` without a cgroup: what a process may hold of its own is bounded, on every rung that runs programs."""

import docker
import pytest
from drydock.engine.run.arranged import LEAST_DATA
from drydock.lessons import bases
from drydock.lessons.own import PYTHON

TAKE = "dd if=/dev/zero of=/dev/null count=1 bs={}M && echo got it"


@pytest.fixture(scope="module", params=["A", "B", "C"])
def engine(request, own):
    with own("--rung", request.param) as one:
        yield one.client


@pytest.fixture(scope="module")
def python(engine):
    bases.make(engine, PYTHON)
    return PYTHON


@pytest.fixture
def box(engine, python):
    """Run a command under a limit: what it printed, its exit code, and whether it was killed for its memory."""

    def run(*command, **options):
        one = engine.containers.create(python, list(command), **options)
        try:
            one.start()
            code = one.wait()["StatusCode"]
            one.reload()
            return one.logs().decode(), code, one.attrs["State"]["OOMKilled"]
        finally:
            one.remove(force=True)

    return run


def test_a_program_that_takes_more_than_its_limit_is_refused_and_says_so(box):
    said, code, killed = box("sh", "-c", TAKE.format(100), mem_limit="32m")
    assert "got it" not in said and "memory" in said and code == 1 and killed is False
    assert "got it" in box("sh", "-c", TAKE.format(100))[0]
    assert "got it" in box("sh", "-c", TAKE.format(100), mem_limit="200m")[0]
    said, code, _ = box("python3", "-c", "bytearray(100 << 20)", mem_limit="50m")
    assert code == 1 and "MemoryError" in said


def test_what_is_asked_for_in_docker_exec_counts_as_well(engine, python):
    one = engine.containers.run(python, ["sleep", "60"], mem_limit="32m", detach=True)
    try:
        code, said = one.exec_run(["sh", "-c", TAKE.format(100)])
        assert code == 1 and b"memory" in said
    finally:
        one.remove(force=True)


def test_a_small_limit_leaves_ordinary_programs_alone(box):
    """What holds little but asks for much: under a cgroup of 6 MB a shell works, and so it does here."""
    assert box("sh", "-c", "echo $((6 * 7))", mem_limit="6m")[:2] == ("42\n", 0)
    threads = "import threading, time\nfor _ in range(4): threading.Thread(target=time.sleep, args=(.2,)).start()"
    for program in ("import json, ssl, sqlite3, http.server, asyncio", threads):
        said, code, _ = box("python3", "-c", program, mem_limit="32m")
        assert (said, code) == ("", 0)


def test_a_limit_of_the_programs_own_choice_comes_first(box):
    free = [docker.types.Ulimit(name="data", soft=-1, hard=-1)]
    assert "got it" in box("sh", "-c", TAKE.format(100), mem_limit="32m", ulimits=free)[0]


def test_the_client_is_told_what_stands_in_for_the_cgroup(engine, python):
    made = engine.api.create_container(python, ["true"], host_config=engine.api.create_host_config(mem_limit="32m"))
    engine.api.remove_container(made["Id"])
    (told,) = made["Warnings"]
    assert f"{LEAST_DATA >> 20} MB" in told and "each process" in told and "--ulimit data=-1" in told
    assert any("RLIMIT_DATA" in line for line in engine.info()["Warnings"])
    assert engine.info()["MemoryLimit"] is False  # a cgroup is what clients mean by that
