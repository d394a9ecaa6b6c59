"""The two sides of every scenario: a real dockerd where the machine has one, and the embedded engine."""

import os
import shutil
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from suite.engines import Engine

CLASSIC = "drydock-classic"  # the folder of the dockerd that tests/daemons/classic.sh starts: the reference


NO_COMMAND = "no docker command, which these scenarios' lines begin with: apt install docker-cli, or docker.io"


def pytest_collection_modifyitems(items):
    """Skip, with the reason, what types at a `docker` command where there is none; in CI its absence fails."""
    if shutil.which("docker") or os.environ.get("CI") == "true":
        return
    for item in items:
        scenario = getattr(item, "callspec", item).__dict__.get("params", {}).get("scenario")
        typed = scenario is None or any(step.mark == "$" for step in scenario.steps)
        if typed and Path(__file__).parent in item.path.parents and "ours" in item.fixturenames:
            item.add_marker(pytest.mark.skip(reason=NO_COMMAND))


class Side:
    """One engine, which runs the chosen scenarios one after the other while the other engine runs them too."""

    def __init__(self, name, host, scenarios):
        self.engine = Engine(name, host)
        self._pool = ThreadPoolExecutor(1)
        self._runs: dict[str, Future[str]] = {}
        for one in scenarios:
            self._begin(one)

    def _begin(self, scenario):
        if scenario.name not in self._runs:
            self._runs[scenario.name] = self._pool.submit(self.engine.perform, scenario)
        return self._runs[scenario.name]

    def transcript(self, scenario):
        """Return what the engine said, as soon as it has said it."""
        return self._begin(scenario).result(timeout=900)

    def close(self):
        """Let the current scenario end, drop the others."""
        self._pool.shutdown(cancel_futures=True)
        self.engine.close()


def _chosen(request):
    """Return the scenarios of this run's tests, in their order."""
    return [
        item.callspec.params["scenario"]
        for item in request.session.items
        if "scenario" in getattr(item, "callspec", item).__dict__.get("params", {})
    ]


def classic_host():
    """Return the address of the reference dockerd, or None."""
    urls = os.environ.get("DRYDOCK_TEST_DAEMONS", "").split()
    return next((url for url in urls if Path(url.removeprefix("unix://")).parent.name == CLASSIC), None)


@pytest.fixture(scope="session")
def dockerd(request):
    """The reference side, or None where this machine has no dockerd."""
    host = classic_host()
    side = Side("dockerd", host, _chosen(request)) if host else None
    yield side
    if side:
        side.close()


@pytest.fixture(scope="session")
def ours(request):
    """The embedded side."""
    host = os.environ.get("DRYDOCK_TEST_EMBEDDED") or request.getfixturevalue("embedded")
    side = Side("embedded", host, _chosen(request))
    yield side
    side.close()
