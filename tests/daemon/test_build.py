"""A build that fails, is interrupted or loses its engine says so, and the next one goes on where it was."""

import signal
import threading
import time

import drydock
import pytest
from drydock import builds as kit
from drydock.client import LAB
from drydock.watch import stream

BASE = "drydock-build/base"


@pytest.fixture
def folder(daemon, daemon_url, buildx, tmp_path, monkeypatch, busybox):
    """A folder to build in, with the engine and the record of this test."""
    monkeypatch.setenv("DRYDOCK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DOCKER_HOST", daemon_url)
    if buildx:
        monkeypatch.setenv("DRYDOCK_BUILDX", buildx)
    else:
        monkeypatch.setenv("DRYDOCK_BUILDX", "false")
    busybox(BASE)
    (tmp_path / "context").mkdir()
    return tmp_path / "context"


@pytest.fixture
def interruptible():
    """SIGINT raises KeyboardInterrupt, also where the tests run in a background that ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def write(folder, *lines):
    (folder / "Dockerfile").write_text("\n".join([f"FROM {BASE}", f"ENV UNIQUE={time.time_ns()}", *lines]))


@pytest.mark.docker
def test_the_builder_is_the_one_that_docker_build_would_use(folder, daemon, buildx):
    write(folder, "RUN true")
    assert kit.plan(folder, client=daemon).builder == ("buildkit" if buildx else "classic")


@pytest.mark.docker
def test_a_failed_build_names_step_line_and_output_and_keeps_what_it_had(folder, daemon):
    write(folder, "RUN echo fine", "RUN echo what went wrong && exit 7", "RUN true")
    with pytest.raises(kit.BuildFailed) as caught:
        kit.build(folder, client=daemon).run()
    assert "line 4" in str(caught.value) and "what went wrong" in str(caught.value)
    assert [s.state for s in caught.value.build.steps[2:]] == ["ran", "failed", "waiting"]
    (folder / "Dockerfile").write_text((folder / "Dockerfile").read_text().replace("exit 7", "exit 0"))
    again = kit.build(folder, client=daemon).run()
    assert [s.state for s in again.steps[2:]] == ["cached", "ran", "ran"]


@pytest.mark.docker
def test_output_and_times_belong_to_their_step(folder, daemon):
    write(folder, "RUN echo first; sleep 3", "RUN echo second")
    first, second = kit.build(folder, client=daemon).run().steps[2:]
    assert "first" in first.output and "second" in second.output and "second" not in first.output
    assert first.seconds > 2.5 and first.seconds > second.seconds


@pytest.mark.docker
def test_an_interrupt_cancels_the_build_and_the_finished_steps_are_kept(folder, daemon, interruptible):
    write(folder, "RUN echo kept", "RUN echo begun && sleep 60")
    run = kit.build(folder, client=daemon)
    with pytest.raises(KeyboardInterrupt):
        for now in run:
            if now.steps[-1].state == "running" and not any(t.name == "interrupt" for t in threading.enumerate()):
                timer = threading.Timer(1, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT])
                timer.name = "interrupt"
                timer.start()
    assert run.result.state == "cancelled" and run.result.steps[-1].state == "cancelled"
    (folder / "Dockerfile").write_text((folder / "Dockerfile").read_text().replace("sleep 60", "true"))
    assert [s.state for s in kit.build(folder, client=daemon).run().steps[2:]] == ["cached", "ran"]


@pytest.mark.docker
def test_an_engine_that_falls_silent_ends_the_build_with_a_way_out(folder, daemon, monkeypatch):
    write(folder, "RUN sleep 8")
    monkeypatch.setattr(stream, "QUIET", 1.0)
    for module in (kit.classic, kit.buildkit):
        monkeypatch.setattr(module, "alive", lambda client: False)
    with pytest.raises(kit.BuildFailed, match="stopped answering"):
        kit.build(folder, client=daemon).run()


@pytest.mark.docker
def test_what_the_kit_builds_carries_its_label(folder, daemon):
    write(folder, "RUN true")
    kit.build(folder, tag="drydock-build/labelled", client=daemon).run()
    try:
        assert LAB in daemon.images.get("drydock-build/labelled").labels
    finally:
        daemon.images.remove("drydock-build/labelled", force=True)


def test_without_an_engine_there_is_one_clear_message(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(drydock.EngineUnavailable, match="Try: "):
        drydock.connect()
