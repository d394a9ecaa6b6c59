"""`make lab` where it ran before, beside plain `jupyter lab`: from the command to JupyterLab's first page.

python benchmarks/lab_start.py
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "browser"))
import driver

ROOT = Path(__file__).parents[1]
ROUNDS = 3
COMMANDS = {
    "jupyter lab": [sys.executable, "-m", "jupyter", "lab", "--allow-root"],
    "run.py lab": [sys.executable, str(ROOT / "run.py"), "lab"],
}


def first_page(command: list[str]) -> float:
    """Start it, fetch its first page, end it; return the seconds between the first two."""
    port = driver.free_port()
    options = ["--no-browser", f"--ServerApp.port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token=x"]
    with tempfile.TemporaryDirectory() as folder:
        env = dict(os.environ, JUPYTER_RUNTIME_DIR=folder, JUPYTERLAB_WORKSPACES_DIR=folder, DRYDOCK_HOME=folder)
        start = time.perf_counter()
        process = subprocess.Popen(
            [*command, *options], cwd=ROOT, env=env, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            while time.perf_counter() - start < driver.SECONDS_TO_START:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/lab?token=x", timeout=30) as page:
                        page.read()
                        return time.perf_counter() - start
                except (urllib.error.URLError, OSError):
                    time.sleep(0.02)
            raise TimeoutError(f"{command} did not answer")
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            driver.engine.stop(Path(folder))
            time.sleep(0.5)  # its children end after it; they would slow the next one's start


def main() -> int:
    """Measure both, one after the other, several times."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, command in COMMANDS.items():
            times[name].append(first_page(command))
    for name, found in times.items():
        print(f"{name:12} first page after {statistics.median(found):.2f} s (median of {ROUNDS})")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
