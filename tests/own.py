"""The kit's own engine for tests and benchmarks: begun as an ordinary user, killed without warning, begun again."""

from __future__ import annotations

import functools
import gc
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException
from drydock.engine import process
from drydock.engine.run import processes
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

SOMEBODY = 1000  # whom the engine runs as where the tests run as root: it is for ordinary users


@functools.cache
def somebody() -> tuple[str, dict[str, Any], dict[str, str]]:
    """Return a Python that an ordinary user may run, what makes Popen run it as one, and its environment.

    Root's own Python may lie where nobody else can read it; then the machine's runs, with this one's packages.
    """
    path = os.pathsep.join([str(Path(__file__).parents[1] / "engine"), sysconfig.get_path("platlib")])
    environment = {**os.environ, "PYTHONPATH": path}
    if os.geteuid() != 0:
        return sys.executable, {}, environment
    user = {"user": SOMEBODY, "group": SOMEBODY, "extra_groups": []}
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            asked = [python, "-c", "import drydock.engine.process, zstandard, platformdirs"]
            if not subprocess.run(asked, cwd="/", env=environment, capture_output=True, check=False, **user).returncode:
                return python, user, environment
        except OSError:
            continue
    return sys.executable, {}, environment


class Own:
    """An engine in a home of its own; `options` are the command's, `url` is its DOCKER_HOST."""

    def __init__(self, home: Path, *options: str) -> None:
        self.home, self.options = home, options
        self.socket = home / "engine" / "docker.sock"
        self.url = f"unix://{self.socket}"
        home.mkdir(parents=True, exist_ok=True)
        if somebody()[1] and home.stat().st_uid == 0:
            os.chown(home, SOMEBODY, SOMEBODY)

    def start(self) -> None:
        """Begin the engine and wait for its first answer; raise RuntimeError where it ends first."""
        python, user, environment = somebody()
        command = [python, "-m", "drydock.engine", "--home", str(self.home), *self.options]
        environment = {**environment, "HOME": str(self.home)}
        with (self.home / "said").open("ab") as said:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd="/", env=environment, **user
            )
        while self.process.poll() is None:
            if process.answers(str(self.socket)):
                self.client: Any = docker.DockerClient(base_url=self.url, version="1.41", timeout=120)
                return
            time.sleep(0.01)
        raise RuntimeError(f"the engine ended before it answered: {(self.home / 'said').read_text()[-2000:]}")

    def kill(self) -> None:
        """End the engine as a power cut would; what it had begun ends with it."""
        below = processes.below(self.process.pid)
        self.process.kill()
        self.process.wait()
        self.client.close()
        end = time.monotonic() + 10
        while any(alive(pid) for pid in below):
            assert time.monotonic() < end, f"processes outlive the engine: {[pid for pid in below if alive(pid)]}"
            time.sleep(0.01)

    def stop(self) -> None:
        """End the engine as its user would."""
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


@contextmanager
def engine(*options: str, home: Path | None = None) -> Iterator[Own]:
    """Run an engine, in a new home that goes with it or in a given one."""
    folder = Path(home or tempfile.mkdtemp(prefix="dd-"))
    one = Own(folder, *options)
    try:
        one.start()
        try:
            yield one
        finally:
            one.stop()
    finally:
        if home is None:
            shutil.rmtree(folder)


def killed_during(own: Own, deed: Callable[[], object], after: float) -> None:
    """Begin a deed, and kill its engine some seconds later, whatever then becomes of the deed."""
    thread = threading.Thread(target=_ends_somehow, args=[deed])
    thread.start()
    time.sleep(after)
    own.kill()
    thread.join(60)
    assert not thread.is_alive()
    gc.collect()  # the connection that broke: docker-py leaves its socket to the collector


def _ends_somehow(deed: Callable[[], object]) -> None:
    broken = (DockerException, RequestException, HTTPError, OSError, AssertionError, ValueError)
    with suppress(*broken):
        deed()


def alive(pid: int) -> bool:
    """Return whether a process still runs; one that only waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
