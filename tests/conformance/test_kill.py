"""SIGKILL at a random moment of a build, a load, a commit, a run: nothing tagged is damaged, and a repeat succeeds."""

import contextlib
import hashlib
import io
import json
import random
import shutil
import tarfile
import tempfile
import time
from pathlib import Path

import pytest
from docker.errors import ImageNotFound, NotFound
from drydock import read
from own import Own, killed_during
from suite import bases

SEED = 20241101
MOMENTS = [*range(20), *(pytest.param(n, marks=pytest.mark.deep) for n in range(20, 220))]
RUNGS = ["best", *(pytest.param(rung, marks=pytest.mark.deep) for rung in "BC")]
DOCKERFILE = """FROM conf-base
COPY . /context/
RUN for n in $(seq 40); do echo $n >/srv/f$n; done; rm -r /srv/old; chown 5:6 /srv/f1
RUN mv /srv/f2 /srv/g2
CMD ["cat", "/srv/g2"]
"""
MADE = ("conf-built:latest", "conf-loaded:latest", "conf-committed:latest")


def context():
    """Return a build context of sixty files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, body in {"Dockerfile": DOCKERFILE, **{f"f{n}": f"{n}\n" * 5000 for n in range(60)}}.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body.encode()))
    return out.getvalue()


def build(client):
    for message in client.api.build(
        fileobj=io.BytesIO(context()), custom_context=True, tag=MADE[0], nocache=True, rm=True, decode=True
    ):
        assert "error" not in message, message


def load(client, archive):
    assert [image.tags for image in client.images.load(archive)] == [[MADE[1]]]


def commit(client):
    client.api.commit("conf-changed", *MADE[2].split(":"))


def run(client):
    container = client.containers.create(
        "conf-base", "sh -c 'for n in $(seq 50); do echo $n >/srv/f$n; done'", name="conf-run"
    )
    container.start()
    assert container.wait()["StatusCode"] == 0
    assert len([one for one in container.diff() if one["Path"].startswith("/srv/f")]) == 50


@pytest.fixture(scope="module", params=RUNGS)
def victim(request):
    """An engine with a base, an archive to load, a container to commit, and how long each deed takes."""
    folder = Path(tempfile.mkdtemp(prefix="conf-kill-", dir="/var/tmp"))
    folder.chmod(0o755)  # where root runs the tests, an ordinary user runs the engine
    own = Own(folder / "home", *(["--rung", request.param] if request.param != "best" else []))
    own.start()
    own.client.images.load(bases.archive())
    build(own.client)
    archive = b"".join(own.client.images.get(MADE[0]).save(named=True))
    own.deeds = deeds(own, renamed(archive))
    changed = own.client.containers.create(
        "conf-base", "sh -c 'rm -r /srv/old; seq 100000 >/srv/big'", name="conf-changed"
    )
    changed.start()
    changed.wait()
    own.seconds = {name: timed(own, name) for name in own.deeds}
    yield own
    own.stop()
    shutil.rmtree(folder)


def renamed(archive):
    """Return an archive whose image has another name."""
    out = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(archive)) as old, tarfile.open(fileobj=out, mode="w") as new:
        for member in old:
            body = old.extractfile(member)
            data = body.read() if body else b""
            if member.name == "manifest.json":
                told = json.loads(data)
                told[0]["RepoTags"] = [MADE[1]]
                data = json.dumps(told).encode()
            elif member.name in ("index.json", "repositories"):
                data = data.replace(b"conf-built", b"conf-loaded")
            member.size = len(data)
            new.addfile(member, io.BytesIO(data))
    return out.getvalue()


def deeds(own, archive):
    """Return what is done when the engine is killed."""
    return {
        "build": lambda: build(own.client),
        "load": lambda: load(own.client, archive),
        "commit": lambda: commit(own.client),
        "run": lambda: run(own.client),
    }


def forget(client):
    """Take away what the deeds make, so that each is done anew."""
    for name in MADE:
        with contextlib.suppress(ImageNotFound):
            client.images.remove(name, force=True)
    with contextlib.suppress(NotFound):
        client.containers.get("conf-run").remove(force=True, v=True)


def timed(own, name):
    forget(own.client)
    start = time.perf_counter()
    own.deeds[name]()
    return time.perf_counter() - start


def check(own, tagged):
    """Everything that was tagged is whole; everything that can be seen can be read to its last byte."""
    now = {tag: image.id for image in own.client.images.list() for tag in image.tags}
    assert {tag: now.get(tag) for tag in tagged} == tagged
    for tag in now:
        read.image(own.client, tag)  # verifies every digest
        own.client.api.history(tag)
    for image in own.client.api.images(all=True):
        own.client.api.inspect_image(image["Id"])
    for container in own.client.api.containers(all=True):
        about = own.client.api.inspect_container(container["Id"])
        assert about["State"]["Status"] in ("created", "exited"), about["State"]
        own.client.api.diff(container["Id"])
    for blob in (own.home / "blobs" / "blobs" / "sha256").iterdir():
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    left = [path for path in (own.home / "engine" / "tmp").iterdir() if not path.is_socket()]
    assert not [path for path in left if path.stat().st_mtime < own.begun], f"left in tmp: {left}"


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kill_at_any_moment_damages_nothing(moment, victim):
    chance = random.Random(SEED + moment)
    name = list(victim.deeds)[moment % len(victim.deeds)]
    forget(victim.client)
    tagged = {tag: image.id for image in victim.client.images.list() for tag in image.tags}
    killed_during(victim, victim.deeds[name], chance.uniform(0, 1.1 * victim.seconds[name]))
    victim.begun = time.time()
    victim.start()
    check(victim, tagged)
    forget(victim.client)
    victim.deeds[name]()
    check(victim, tagged)
