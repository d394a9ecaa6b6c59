"""Pull and push on every engine, to a real registry: what moved, what was there, what goes wrong and what to try."""

import signal
import urllib.error
import urllib.request
import uuid

import drydock
import pytest
from drydock.lessons.liar import lying
from drydock.model.reference import InvalidReference
from registries import ACCOUNT, image, layer

pytestmark = pytest.mark.docker
ACCEPT = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"
LATER = ("graph",)  # the same Docker and builder as containerd, on the other image store


class Shelf:
    """Names in one registry that nobody else uses, and the images of one engine that have them."""

    def __init__(self, daemon, address):
        self.daemon, self.address = daemon, address
        self.project = f"drydock-{uuid.uuid4().hex[:12]}"
        self.names: set[str] = set()

    def name(self, path):
        self.names.add(name := f"{self.address}/{self.project}/{path}")
        return name

    def load(self, path, *tops, size=300_000):
        """Give the engine an image of two layers that the shelf's images share, and some of its own."""
        layers = [layer(one, self.project + one, size) for one in ("base", "middle")]
        self.daemon.images.load(image(self.name(path), *layers, *(layer("top", self.project + t, 2000) for t in tops)))
        return self.name(path)

    def tag(self, old, path):
        repository, _, tag = self.name(path).rpartition(":")
        self.daemon.api.tag(old, repository, tag)
        return self.name(path)

    def clear(self):
        for name in self.names:
            if self.daemon.images.list(name):
                self.daemon.api.remove_image(name, force=True)
        self.names.clear()

    def has(self, name):
        repository, _, tag = name.removeprefix(self.address).rpartition(":")
        asked = urllib.request.Request(
            f"http://{self.address}/v2{repository}/manifests/{tag}", headers={"Accept": ACCEPT}
        )
        try:
            with urllib.request.urlopen(asked, timeout=10) as answer:
                return answer.status == 200
        except urllib.error.HTTPError:
            return False


@pytest.fixture
def shelf(daemon, docker_registry):
    one = Shelf(daemon, docker_registry)
    yield one
    one.clear()


@pytest.fixture
def closed(daemon, closed_registry, tmp_path, monkeypatch):
    """A shelf in a registry that wants a password; `~/.docker/config.json` is this test's own."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    one = Shelf(daemon, closed_registry)
    yield one
    one.clear()


def states(transfer):
    """Return what became of each blob, layers from the base up, then configuration and manifest."""
    return [blob.state for blob in transfer.blobs]


def test_a_first_push_sends_all_and_a_second_one_only_the_manifest(shelf, daemon):
    name = shelf.load("app:1", "top")
    first, second = drydock.push(name, daemon).run(), drydock.push(name, daemon).run()
    assert states(first) == ["sent"] * 5 and first.moved == first.size > 0
    assert states(second) == ["exists"] * 4 + ["sent"] and second.moved == 0 and not second.estimated
    assert first.digest == second.digest and shelf.has(name)


def test_of_a_changed_image_only_the_top_layer_and_the_configuration_are_sent(shelf, daemon):
    drydock.push(shelf.load("app:1", "top"), daemon).run()
    changed = drydock.push(shelf.load("app:2", "changed"), daemon).run()
    assert states(changed) == ["exists", "exists", "sent", "sent", "sent"]
    assert changed.moved == sum(blob.size for blob in changed.blobs[2:4]) < 20_000 < changed.size


def test_a_configuration_that_alone_changed_is_sent_alone(shelf, daemon):
    name = shelf.load("app:1", "top")
    drydock.push(name, daemon).run()
    box = daemon.containers.create(name)
    box.commit(*shelf.name("app:2").rsplit(":", 1), conf={"Env": ["A=1"]}, changes=["ENV B=2"])
    box.remove()
    committed = drydock.push(shelf.name("app:2"), daemon).run()
    old = [blob for blob in committed.blobs if blob.kind == "layer"][:3]
    assert [blob.state for blob in old] == ["exists"] * 3
    assert [blob.state for blob in committed.blobs if blob.kind == "config"] == ["sent"]


def test_another_tag_moves_no_byte_of_the_image(shelf, daemon):
    name = shelf.load("app:1", "top")
    drydock.push(name, daemon).run()
    retagged = drydock.push(shelf.tag(name, "app:stable"), daemon).run()
    assert retagged.moved == 0 and states(retagged) == ["exists"] * 4 + ["sent"]


def test_what_another_repository_of_the_registry_has_is_mounted(shelf, daemon):
    name = shelf.load("app:1", "top")
    drydock.push(name, daemon).run()
    other = drydock.push(shelf.tag(name, "other:1"), daemon).run()
    layers = other.blobs[:3]
    assert [(blob.state, blob.source, blob.moved) for blob in layers] == [("mounted", f"{shelf.project}/app", 0)] * 3


def test_a_pull_brings_what_is_missing_and_a_second_one_nothing(shelf, daemon):
    names = shelf.load("app:1", "top"), shelf.load("app:2", "changed")
    pushed = [drydock.push(name, daemon).run() for name in names]
    for name in names:
        daemon.api.remove_image(name)
    first, changed, again = (drydock.pull(name, client=daemon).run() for name in (*names, names[0]))
    assert states(first) == ["received"] * 5 and first.moved == first.size
    assert states(changed) == ["exists", "exists", "received", "received", "received"]
    assert again.up_to_date and again.moved == 0 and not again.estimated
    assert [first.digest, changed.digest] == [one.digest for one in pushed]
    assert first.size == pushed[0].size and daemon.images.get(names[0]).tags == [names[0]]


def test_after_a_registry_that_lied_the_honest_one_is_believed_at_once(shelf, daemon):
    name = shelf.load("app:1", "top")
    drydock.push(name, daemon).run()
    daemon.api.remove_image(name)
    with lying(shelf.address) as liar, pytest.raises(drydock.TransferFailed, match="not what its digest says"):
        drydock.pull(name.replace(shelf.address, liar), client=daemon).run()
    assert drydock.pull(name, client=daemon).run().state == "done"


def test_a_pull_by_digest_gets_that_image(shelf, daemon):
    name = shelf.load("app:1", "top")
    digest = drydock.push(name, daemon).run().digest
    daemon.api.remove_image(name)
    by_digest = f"{name.rpartition(':')[0]}@{digest}"
    shelf.names.add(by_digest)
    pulled = drydock.pull(by_digest, client=daemon).run()
    assert pulled.digest == digest and pulled.moved == pulled.size
    daemon.api.remove_image(by_digest)


def test_blobs_grow_while_they_move(shelf, daemon):
    name = shelf.load("app:1", size=20_000_000)
    seen = list(drydock.push(name, daemon))
    assert seen[0].blobs == () and {now.state for now in seen[:-1]} <= {"running", "done"} and seen[-1].state == "done"
    moved = [now.moved for now in seen if now.state == "running"]
    assert moved == sorted(moved)


@pytest.fixture
def interruptible():
    """SIGALRM raises KeyboardInterrupt wherever the kernel of a notebook would get it."""

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_an_interrupted_push_is_cancelled_and_the_same_again_completes_it(shelf, daemon, interruptible):
    name = shelf.load("app:1", size=60_000_000)
    run = drydock.push(name, daemon)
    with pytest.raises(KeyboardInterrupt):
        interruptible(0.1)  # while 120 MB are on their way
        run.run()
    assert run.result.state == "cancelled" and not shelf.has(name)
    assert not {"sending", "receiving"} & set(states(run.result))
    again = drydock.push(name, daemon).run()
    assert again.state == "done" and shelf.has(name)


def test_a_pull_that_nobody_watches_to_its_end_is_cancelled_and_the_same_again_completes_it(shelf, daemon):
    name = shelf.load("app:1", size=20_000_000)
    drydock.push(name, daemon).run()
    daemon.api.remove_image(name)
    run = drydock.pull(name, client=daemon)
    values = iter(run)
    while not next(values).blobs:
        pass
    values.close()  # what an exception in a loop over it does
    assert run.result.state == "cancelled"
    assert drydock.pull(name, client=daemon).run().state == "done" and daemon.images.get(name)


def failure(run):
    with pytest.raises(drydock.TransferFailed) as caught:
        run.run()
    assert caught.value.transfer.state == "failed" and caught.value.transfer.moved == 0
    return str(caught.value)


def test_a_registry_with_a_password_tells_to_log_in_and_takes_the_image_after_that(closed, daemon):
    name = closed.load("app:1", "top")
    assert f"Try: docker login {closed.address}" in failure(drydock.push(name, daemon))
    assert f"Try: docker login {closed.address}" in failure(drydock.pull(name, client=daemon))
    daemon.login(*ACCOUNT, registry=closed.address)
    try:
        done = drydock.push(name, daemon).run()
        assert done.state == "done"
        assert "manifest" in {blob.kind for blob in done.blobs}, "its manifest is read with the same account"
    finally:
        daemon.api._auth_configs = type(daemon.api._auth_configs)({})


def test_what_is_not_there_is_told_with_a_way_to_look(shelf, daemon):
    assert "/v2/_catalog" in failure(drydock.pull(shelf.name("nothing:1"), client=daemon))
    drydock.push(shelf.load("app:1", "top"), daemon).run()
    assert "not under this tag" in failure(drydock.pull(shelf.name("app:nothing"), client=daemon))
    assert "Try: docker tag IMAGE" in failure(drydock.push(shelf.name("nothing:1"), daemon))


def test_a_registry_that_is_not_started_is_told_with_the_command_that_starts_one(shelf, daemon):
    name = shelf.load("app:1", "top")
    daemon.api.tag(name, "127.0.0.1:9/app", "1")
    try:
        assert "Try: drydock registry start" in failure(drydock.push("127.0.0.1:9/app:1", daemon))
    finally:
        daemon.api.remove_image("127.0.0.1:9/app:1")
    assert "Try: drydock registry start" in failure(drydock.pull("127.0.0.1:9/app:1", client=daemon))


def test_a_name_that_is_none_is_told_before_anything_moves(daemon):
    with pytest.raises(InvalidReference):
        drydock.pull("Not A Name", client=daemon)
    with pytest.raises(InvalidReference, match="Push it by a tag"):
        drydock.push("app@sha256:" + "a" * 64, daemon)
