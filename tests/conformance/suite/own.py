"""An embedded engine of one's own: begun as an ordinary user, killed without warning, begun again on the same home."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException
from requests.exceptions import RequestException

ENGINE = Path(__file__).resolve().parents[3] / "engine"


def ordinary() -> list[str]:
    """Return a command for Python as an ordinary user: root's own may be where uid 1000 cannot go."""
    if os.geteuid():
        return [sys.executable]
    become = ["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups"]
    for python in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([*become, python, "-c", ""], capture_output=True).returncode == 0:
            return [*become, python]
    raise RuntimeError("no Python that an ordinary user can run: install python3")


class Own:
    """An engine in a home; `client` is a docker-py client of it while it runs."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.socket = home / "run" / "docker.sock"
        self.command = [*ordinary(), "-m", "drydock.cli", "engine", "run"]
        home.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            os.chown(home, 1000, 1000)

    def start(self) -> None:
        """Begin the engine and wait for its first answer."""
        packages = [str(ENGINE), *(path for path in sys.path if path.endswith("site-packages"))]
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), "PYTHONPATH": os.pathsep.join(packages)}
        told = ["--home", str(self.home), "--socket", str(self.socket)]
        with (self.home / "said").open("ab") as said:
            self.process = subprocess.Popen(
                [*self.command, *told], env=environment, cwd=self.home, stdout=said, stderr=said
            )
        self.client: Any = self._answering()

    def _answering(self) -> Any:
        end = time.monotonic() + 30
        while time.monotonic() < end and self.process.poll() is None:
            client = docker.DockerClient(base_url=f"unix://{self.socket}", version="1.41", timeout=60)
            try:
                client.ping()
            except (DockerException, RequestException):
                client.close()
                time.sleep(0.01)
            else:
                return client
        raise RuntimeError(f"the engine does not answer: {(self.home / 'said').read_text()[-2000:]}")

    def kill(self) -> None:
        """End the engine as a power cut would; what it had begun ends with it."""
        below = descendants(self.process.pid)
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


def descendants(pid: int) -> list[int]:
    """Return the processes below a process."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [one for child in children for one in (int(child), *descendants(int(child)))]


def alive(pid: int) -> bool:
    """Return whether a process still runs; one that only waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
