"""The two sides of every scenario: a real dockerd where the machine has one, and the embedded engine."""

import os
import shutil
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from registries import program
from suite.engines import Engine

CLASSIC = "drydock-classic"  # the folder of the dockerd that tests/daemons/classic.sh starts: the reference
NO_REGISTRY = "no docker-registry, to which these scenarios push: apt install docker-registry"
NO_COMMAND = "no docker command, which these scenarios' lines begin with: apt install docker-cli, or docker.io"


def pytest_collection_modifyitems(items):
    """Skip, with the reason, what needs a `docker` command or a registry that is not here; in CI its absence fails."""
    if os.environ.get("CI") == "true":
        return
    for item in items:
        told = getattr(item, "callspec", item).__dict__.get("params", {})
        scenario = told.get("scenario")
        typed = scenario is None or any(step.mark == "$" for step in scenario.steps)
        if Path(__file__).parent not in item.path.parents or not ("ours" in item.fixturenames or "side" in told):
            continue
        if typed and not shutil.which("docker"):
            item.add_marker(pytest.mark.skip(reason=NO_COMMAND))
        elif scenario and scenario.registries and not program():
            item.add_marker(pytest.mark.skip(reason=NO_REGISTRY))


class Side:
    """One engine, which runs the chosen scenarios one after the other while the other engine runs them too."""

    def __init__(self, name, host, runs):
        self.engine = Engine(name, host)
        self._pool = ThreadPoolExecutor(1)
        self._runs: dict[tuple[str, str], Future[str]] = {}
        for scenario, registry in runs:
            self._begin(scenario, registry)

    def _begin(self, scenario, registry):
        key = scenario.name, registry
        if key not in self._runs:
            self._runs[key] = self._pool.submit(self.engine.perform, scenario, registry)
        return self._runs[key]

    def transcript(self, scenario, registry="debian"):
        """Return what the engine said, with Debian's registry or the kit's, as soon as it has said it."""
        return self._begin(scenario, registry).result(timeout=900)

    def close(self):
        """Let the current scenario end, drop the others."""
        self._pool.shutdown(cancel_futures=True)
        self.engine.close()


def _chosen(request, side):
    """Return the scenarios of this run's tests, in their order, each with whose registry it uses."""
    tests = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    runs = []
    for told in (told for told in tests if "scenario" in told):
        runs.append((told["scenario"], "debian"))
        if told.get("side") == side:  # a test of the kit's registry, through this engine
            runs.append((told["scenario"], "kit"))
    return runs


def classic_host():
    """Return the address of the reference dockerd, or None."""
    urls = os.environ.get("DRYDOCK_TEST_DAEMONS", "").split()
    return next((url for url in urls if Path(url.removeprefix("unix://")).parent.name == CLASSIC), None)


@pytest.fixture(scope="session")
def dockerd(request):
    """The reference side, or None where this machine has no dockerd."""
    host = classic_host()
    side = Side("dockerd", host, _chosen(request, "dockerd")) if host else None
    yield side
    if side:
        side.close()


@pytest.fixture(scope="session")
def ours(request):
    """The embedded side."""
    host = os.environ.get("DRYDOCK_TEST_EMBEDDED") or request.getfixturevalue("embedded")
    side = Side("embedded", host, _chosen(request, "ours"))
    yield side
    side.close()
