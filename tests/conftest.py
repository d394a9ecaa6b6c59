"""Real engines for the tests: `daemon` is every one that DRYDOCK_TEST_DAEMONS names in turn, else the kit's own."""

import io
import os
import shlex
import shutil
import tarfile
from pathlib import Path

import docker
import pytest
from own import engine, somebody
from registries import program, registry

DAEMONS = os.environ.get("DRYDOCK_TEST_DAEMONS", "").split()
CI = os.environ.get("CI") == "true"
NO_DAEMON = "no Docker daemon: set DRYDOCK_TEST_DAEMONS to the DOCKER_HOST of one (tests/daemons/classic.sh start)"
OWN = "embedded"
STARTS = {"own", "embedded", "daemon_url", "ours", "dockerd", "victim"}  # they start an engine: not in `make check`
NO_BROWSER = "no Chromium: install chromium, or set CHROMIUM to its path"


def chromium() -> str | None:
    """Return the path of Chromium, or None where there is none."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.hookimpl(tryfirst=True)  # before pytest selects by mark
def pytest_collection_modifyitems(items):
    """Mark what starts an engine; skip, with a reason, what this machine cannot run, but in CI: there it fails."""
    for item in items:
        if STARTS & set(item.fixturenames):
            item.add_marker(pytest.mark.slow)
    if CI:
        return
    for item in items:
        if item.get_closest_marker("docker") and not DAEMONS and "daemon_url" not in item.fixturenames:
            item.add_marker(pytest.mark.skip(reason=NO_DAEMON))
        if item.get_closest_marker("browser") and not chromium():
            item.add_marker(pytest.mark.skip(reason=NO_BROWSER))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call():
    """Forget what a test set in the environment: `connect()` passes DOCKER_HOST on to what the process starts next."""
    before = dict(os.environ)
    try:
        return (yield)
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)


def pytest_generate_tests(metafunc):
    """Run each test that asks for `daemon` once for every engine; those of a module's LATER in `make deep` only."""
    if "daemon_url" not in metafunc.fixturenames:
        return
    later, each = getattr(metafunc.module, "LATER", ()), []
    for url in DAEMONS or [OWN]:
        name = Path(url.removeprefix("unix://")).parent.name.removesuffix("-run") if DAEMONS else OWN
        marks = [pytest.mark.deep] if DAEMONS and name in later else []
        each.append(pytest.param(url, id=name, marks=marks))
    metafunc.parametrize("daemon_url", each, scope="session", indirect=True)


@pytest.fixture(scope="session")
def daemon_url(request):
    """DOCKER_HOST of one engine; where none is named, the kit's own, which every machine has."""
    if request.param != OWN:
        return request.param
    if CI:
        pytest.fail(NO_DAEMON)
    return request.getfixturevalue("embedded")


@pytest.fixture(scope="session")
def daemon(daemon_url):
    """An ordinary docker-py client of one engine."""
    client = docker.DockerClient(base_url=daemon_url, timeout=120)
    yield client
    client.close()


@pytest.fixture(scope="session")
def buildx(daemon_url, tmp_path_factory):
    """The command of a docker CLI with buildx for the engine; None where it has only the classic builder."""
    script = Path(__file__).parent / "daemons" / "modern.sh"
    store = Path(daemon_url.removeprefix("unix://")).parent.name.removesuffix("-run")
    if store not in ("containerd", "graph"):
        return None
    return shlex.join(["env", f"STORE={store}", str(script), "cli"])


@pytest.fixture(scope="session")
def own():
    """`with own("--rung", "C") as engine`: the kit's own engine with options of one's own."""
    return engine


@pytest.fixture(scope="session")
def ordinary():
    """A Python that an ordinary user may run, what makes Popen run it as one, and its environment."""
    return somebody()


@pytest.fixture(scope="session")
def embedded():
    """DOCKER_HOST of the kit's own engine: it needs no daemon and no root, so every machine has it."""
    with engine() as one:
        yield one.url


NO_REGISTRY = "no docker-registry: apt-get install docker-registry"


@pytest.fixture(scope="session")
def docker_registry():
    """The address of Debian's docker-registry, open to all; what a test puts there it names after itself."""
    with _registry() as address:
        yield os.environ.get("DRYDOCK_TEST_REGISTRY") or address


@pytest.fixture(scope="session")
def closed_registry():
    """The address of a docker-registry that wants `registries.ACCOUNT`."""
    with _registry(password=True) as address:
        yield address


def _registry(password=False):
    if not program():
        (pytest.fail if CI else pytest.skip)(NO_REGISTRY)
    return registry(password)


ACCOUNTS = {"etc/passwd": b"root:x:0:0:root:/:/bin/sh\n", "etc/group": b"root:x:0:\n"}


def busybox_tar(*links):
    """Return a small root file system made of this machine's busybox."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(shutil.which("busybox"), arcname="bin/busybox")
        for path, text in ACCOUNTS.items():  # Debian's 26.1 cannot find even a numeric USER without a passwd file
            entry = tarfile.TarInfo(path)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text))
        for link in ("sh", "cat", "echo", "ls", "sort", "sleep", "true", "false", *links):
            entry = tarfile.TarInfo(f"bin/{link}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(entry)
    return packed.getvalue()


@pytest.fixture(scope="session")
def bare_busybox():
    """A small root file system as a tar, for `docker import`."""
    return busybox_tar("grep", "mkdir", "stty", "tty")


@pytest.fixture(scope="session")
def busybox(daemon):
    """Make a small base image of that name from this machine's busybox, where the engine has none yet."""

    def make(name: str, *links: str) -> None:
        if not daemon.images.list(name):
            daemon.api.import_image_from_data(busybox_tar(*links), repository=name, tag="latest")

    return make
