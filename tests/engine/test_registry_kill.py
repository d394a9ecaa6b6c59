"""SIGKILL at a random moment of a pull or a push: nothing tagged is damaged, and a repeat goes on where it was."""

import contextlib
import gzip
import hashlib
import io
import random
import shutil
import tempfile
import time
from pathlib import Path

import pytest
from docker.errors import ImageNotFound
from drydock import read
from lyingregistry import LyingRegistry, layer
from own import Own, killed_during

pytestmark = pytest.mark.slow

SEED = 20241125
MOMENTS = [*range(20), *(pytest.param(n, marks=pytest.mark.deep) for n in range(20, 120))]
NOISE = random.Random(SEED).randbytes(6_000_000)
LAYERS = [layer({f"f{n}": NOISE[n * 10_000 :][: 400_000 * (n + 1)]}) for n in range(5)]


def packed(raw):
    """Return a layer packed so that the same gives the same."""
    return gzip.compress(raw, 1, mtime=0)


@pytest.fixture(scope="module")
def victim():
    """An engine with an image that is built here, a registry that has another, and how long each deed takes."""
    folder = Path(tempfile.mkdtemp(prefix="registry-kill-", dir="/var/tmp"))
    folder.chmod(0o755)  # where root runs the tests, an ordinary user runs the engine
    own = Own(folder / "home")
    own.start()
    with LyingRegistry() as registry:
        own.registry = registry
        registry.image("pulled", "1", *LAYERS, pack=packed)
        lines = ["FROM scratch", *(f"COPY f{n} /" for n in range(5))]
        files = {"Dockerfile": "\n".join(lines).encode(), **{f"f{n}": NOISE[n:][: 300_000 * (n + 1)] for n in range(5)}}
        context = io.BytesIO(layer(files))
        own.built = f"{registry.host}/pushed:1"
        list(own.client.api.build(fileobj=context, custom_context=True, tag=own.built, decode=True))
        own.pulled = f"{registry.host}/pulled:1"
        own.deeds = {
            "pull": lambda: told(own.client.api.pull, own.pulled),
            "push": lambda: told(own.client.api.push, own.built),
        }
        own.seconds = {name: timed(own, name) for name in own.deeds}
        yield own
    own.stop()
    shutil.rmtree(folder)


def told(act, name):
    """Pull or push, to the end."""
    for row in act(name, stream=True, decode=True):
        assert "error" not in row, row


def forget(own):
    """Take away what the deeds make, here and in the registry, so that each is done anew."""
    with contextlib.suppress(ImageNotFound):
        own.client.images.remove(own.pulled, force=True)
    for path in (own.home / "engine/downloads").iterdir():
        path.unlink()
    registry = own.registry
    registry.manifests = {key: one for key, one in registry.manifests.items() if key[0] == "pulled"}
    registry.has = {row for row in registry.has if row[0] == "pulled"}
    for path in (own.home / "engine/layers").glob("*/packed.json"):
        path.unlink()


def timed(own, name):
    forget(own)
    start = time.perf_counter()
    own.deeds[name]()
    return time.perf_counter() - start


def check(own):
    """Everything that has a name is whole, here and in the registry."""
    tags = {tag for image in own.client.images.list() for tag in image.tags}
    assert own.built in tags
    for tag in tags:
        read.image(own.client, tag)  # verifies every digest
    for blob in (own.home / "blobs/blobs/sha256").iterdir():
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    for one, raw in own.registry.blobs.items():
        assert "sha256:" + hashlib.sha256(raw).hexdigest() == one


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kill_at_any_moment_of_a_transfer_damages_nothing(moment, victim):
    chance = random.Random(SEED + moment)
    name = list(victim.deeds)[moment % 2]
    forget(victim)
    killed_during(victim, victim.deeds[name], chance.uniform(0, 1.1 * victim.seconds[name]))
    victim.start()
    check(victim)
    left = {path.name: path.stat().st_size for path in (victim.home / "engine/downloads").iterdir()}
    victim.registry.calls.clear()
    victim.deeds[name]()
    check(victim)
    for part, size in left.items():  # what had come does not come again
        asked = victim.registry.asked("GET", part)
        assert [call.headers.get("range", "bytes=0-") for call in asked] in ([], [f"bytes={size}-"])
