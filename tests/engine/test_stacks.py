"""What containers cost is measured on a real engine, what a VM costs on a real QEMU; the walls are real ones."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from drydock.lessons import bases, qemu, stacks, views
from drydock.lessons.containers import create, tidy
from drydock.model.stacks import Figure, Stack
from own import alive

LESSON = "test-stacks"


@pytest.fixture
def image(daemon):
    """A small image, and the containers of it gone afterwards."""
    yield bases.ensure(bases.STANDIN, daemon).name
    tidy(daemon, LESSON)


@pytest.fixture
def machine():
    """The kernel of a virtual machine that can be booted here; where none can, why not (in CI that is a failure)."""
    try:
        qemu.program()
        return qemu.kernel()
    except qemu.NoMachine as why:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(why).partition("\n")[0])


@pytest.fixture
def no_qemu(monkeypatch):
    monkeypatch.setattr(qemu.shutil, "which", lambda name: None)


@pytest.mark.docker
def test_a_container_is_measured_and_leaves_nothing(daemon, image):
    box = stacks.container(daemon, image, LESSON, runs=1)
    assert {figure.known for figure in box.figures().values()} == {"measured"}
    assert 0 < box.start.value < 60 and 50_000 < box.memory.value < 100_000_000
    assert box.strata[3].what == f"Linux {daemon.info()['KernelVersion']}"
    assert daemon.containers.list(all=True, filters={"label": f"org.drydock.lab={LESSON}"}) == []


@pytest.mark.docker
def test_each_wall_gives_a_process_a_view_of_its_own(daemon, image):
    here, layers, processes, network, ordinary = views.ladder(daemon, image, LESSON).all
    assert {view.kernel for view in (layers, processes, network, ordinary)} == {daemon.info()["KernelVersion"]}
    assert layers.host == here.host and ordinary.host != here.host
    assert layers.files != here.files and layers.files
    if daemon.info().get("MemoryLimit"):  # dockerd has every wall; the kit's own engine those that its rung has
        assert processes.number == 1 < layers.number and processes.processes < layers.processes
        assert network.network != layers.network and "lo" in network.network
        own = [space for space in views.SPACES if ordinary.spaces[space] != here.spaces[space]]
        assert own == ["pid", "net", "uts", "ipc", "mnt"]
    assert layers.spaces["net"] == here.spaces["net"] and layers.spaces["uts"] == here.spaces["uts"]


KILLED = "with a limit of 32 MB: killed at once (exit code 137, OOMKilled: True)."
REFUSED = r"with a limit of 32 MB: refused, and not killed \(exit code 1\)\. The program's last words: dd: .*memory"


@pytest.mark.docker
def test_a_limit_kills_or_what_stands_in_for_it_is_shown_at_work(daemon, image):
    assert views.fill(daemon, image, LESSON).endswith("it got all of them (exit code 0).")
    said = views.fill(daemon, image, LESSON, limit=32)
    if daemon.info().get("MemoryLimit"):
        assert said.endswith(KILLED)
    else:
        shows_what_stands_in(said)


@pytest.mark.parametrize("rung", ["A", "C"])
def test_the_kits_own_engine_shows_a_limit_at_work_and_says_how_it_differs(own, rung):
    with own("--rung", rung) as engine:
        name = bases.ensure(bases.STANDIN, engine.client).name
        assert views.fill(engine.client, name, LESSON).endswith("it got all of them (exit code 0).")
        shows_what_stands_in(views.fill(engine.client, name, LESSON, limit=32))


def shows_what_stands_in(said):
    outcome, warning = said.splitlines()
    assert re.search(REFUSED, outcome)
    assert "The engine warns: No cgroup here: 64 MB is what each process may hold" in warning and "kills" in warning


@pytest.mark.docker
def test_one_process_is_found_from_both_sides(daemon, image):
    sleeper = create(daemon, "lab-test-stacks", image, LESSON, say=False, command=["sleep", "600"])
    sleeper.start()
    said = views.sides(sleeper)
    assert "sleep 600" in said.partition("outside")[0] and "sleep 600" in said.partition("outside")[2]
    sleeper.kill()
    sleeper.wait()
    with pytest.raises(views.NoContainer, match=r"does not run \(it is exited\)"):
        views.sides(sleeper)
    sleeper.remove(force=True)
    with pytest.raises(views.NoContainer, match="is gone"):
        views.sides(sleeper)


def test_a_virtual_machine_boots_says_what_it_was_asked_and_ends(machine):
    boot = qemu.boot("echo I am $(uname -s)", "ls /proc | head -1")
    assert boot.said.splitlines()[0] == "I am Linux" and boot.accelerator in ("kvm", "tcg")
    assert boot.release in machine.name and boot.release != os.uname().release
    assert 0 < boot.seconds < qemu.PATIENCE and boot.memory > 20 << 20
    measured = stacks.machine(boot)
    assert {one.known for one in (measured.start, measured.memory, measured.image)} == {"measured"}
    assert measured.kernels == 2


SLOW = (  # what a shell starts in the background ignores SIGINT
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    "from drydock.lessons import qemu; qemu.boot('sleep 60', patience=60)"
)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_virtual_machine_ends_with_who_began_it(machine, end):
    with subprocess.Popen([sys.executable, "-c", SLOW], stderr=subprocess.DEVNULL) as begun:
        try:
            guest = _wait(lambda: _children(begun.pid, qemu.PROGRAM))
            begun.send_signal(end)
            begun.wait(30)
        finally:
            begun.kill()
    _wait(lambda: not alive(guest[0]))


def _children(parent, name):
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if int((path / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                found += [int(path.name)] if name.encode() in (path / "cmdline").read_bytes().split(b"\0")[0] else []
        except (OSError, ValueError):
            continue
    return found


def _wait(what, patience=30):
    end = time.monotonic() + patience
    while not (found := what()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def test_a_guest_that_does_not_come_up_ends_with_its_last_words(machine, tmp_path, monkeypatch):
    broken = tmp_path / "vmlinuz-broken"
    broken.write_bytes(b"no kernel at all")
    monkeypatch.setenv(qemu.KERNEL, str(broken))
    with pytest.raises(qemu.NoMachine, match="did not come up"):
        qemu.boot(accelerator="tcg", patience=10)


def test_without_qemu_the_figures_are_cited_and_the_learner_is_told_what_to_install(no_qemu, capsys):
    assert stacks.booted("uname") is None
    assert "Try: sudo apt-get install qemu" in capsys.readouterr().out
    cited = stacks.machine(None)
    assert {one.known for one in (cited.start, cited.memory, cited.image)} == {"cited"}
    assert "measured for the course" in cited.start.source
    measured = Stack("container", (), Figure(0.2, "s", "measured", ""), Figure(1e6, "B", "measured", ""))
    vm, box = stacks.alike(cited, measured)
    assert {figure.known for one in (vm, box) for figure in (one.start, one.memory, one.image)} == {"cited"}
    machines = {one.start.source.partition(": ")[0] for one in (vm, box)}
    assert len(machines) == 1 and "two cores" in machines.pop()
    assert "both columns are cited, from one machine" in capsys.readouterr().out
    assert stacks.alike(measured, measured) == (measured, measured) and not capsys.readouterr().out


def test_a_kernel_that_may_not_be_read_or_is_not_there_is_told_apart(monkeypatch, tmp_path):
    monkeypatch.setenv(qemu.KERNEL, str(tmp_path / "none"))
    with pytest.raises(qemu.NoMachine, match="DRYDOCK_KERNEL names"):
        qemu.kernel()
    monkeypatch.delenv(qemu.KERNEL)
    monkeypatch.setattr(qemu, "BOOT", tmp_path)
    with pytest.raises(qemu.NoMachine, match="apt-get download"):
        qemu.kernel()
    (tmp_path / "vmlinuz-6.1").write_bytes(b"")
    (tmp_path / "vmlinuz-6.10").write_bytes(b"")
    assert qemu.kernel().name == "vmlinuz-6.10"
    monkeypatch.setattr(qemu.os, "access", lambda *asked: False)
    with pytest.raises(qemu.NoMachine, match="may be read by root only"):
        qemu.kernel()
