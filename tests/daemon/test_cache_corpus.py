"""No predicted HIT or MISS is ever wrong: every edit of the corpus, built for real by both builders."""

import importlib.util
import os
import sys
import uuid
from pathlib import Path

import pytest
from drydock import builds as kit
from drydock.lessons.own import LAB

spec = importlib.util.spec_from_file_location("corpus", Path(__file__).with_name("corpus.py"))
corpus = importlib.util.module_from_spec(spec)
sys.modules["corpus"] = corpus
spec.loader.exec_module(corpus)

WORD = {"HIT": "cached", "MISS": "ran", "CONFIG": "config", "SKIPPED": "skipped"}
LATER = ("graph",)  # the same Docker and builder as containerd, on the other image store


@pytest.fixture(scope="session")
def bases(daemon, busybox):
    """Two small base images, and a cache without what other homes have left in it."""
    daemon.api.prune_builds(all=True)
    for name in (corpus.BASE, corpus.OTHER):
        busybox(name, name.rsplit("/", 1)[1])


@pytest.fixture
def swept(daemon):
    """What a case built goes with it: containerd's store takes a second for each hundred images to list them all."""
    yield
    daemon.images.prune(filters={"dangling": True, "label": f"{LAB}=build"})


def write(root: Path, files: dict[str, str | None]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        if content is not None and content.startswith("->"):
            path.symlink_to(content[2:])
        elif content is not None:
            path.write_text(content)


def write_dockerfile(root: Path, head: str, body: str, nonce: str) -> None:
    text = head + body
    (root / "Dockerfile").write_text(text.replace("%s", nonce))


def build_and_compare(root: Path, options: dict, builder: str, daemon, depends: bool) -> None:
    run = kit.build(root, builder=builder, client=daemon, **options)
    predicted = run.plan.predictions
    done = run.run()
    wrong = []
    for step, said in zip(done.steps, predicted, strict=True):
        if step.index == 0:
            continue
        if said.verdict == "DEPENDS":
            if not depends:
                wrong.append(f"{step.text}: DEPENDS ({said.why}), Docker: {step.state}")
        elif WORD[said.verdict] != step.state:
            wrong.append(f"{step.text}: {said.verdict} ({said.why}), Docker: {step.state}")
    assert not wrong, "\n".join([*wrong, run.plan.picture(), done.picture()])


@pytest.mark.docker
@pytest.mark.parametrize("case", corpus.CASES, ids=[case.name for case in corpus.CASES])
def test_what_is_predicted_is_what_docker_does(case, daemon, daemon_url, bases, swept, buildx, tmp_path, monkeypatch):
    builder = "buildkit" if buildx else "classic"  # each engine's own default: 20.10 stands for the classic builder
    if builder not in case.builders:
        pytest.skip(f"an edit that only {' and '.join(case.builders)} can build")
    monkeypatch.setenv("DRYDOCK_HOME", str(tmp_path.parent / "home"))
    monkeypatch.setenv("DOCKER_HOST", daemon_url)
    if buildx:
        monkeypatch.setenv("DRYDOCK_BUILDX", buildx)
    nonce = uuid.uuid4().hex[:8]
    root = tmp_path / "context"
    write(root, {**corpus.FILES, **case.start})
    write_dockerfile(root, case.head, case.before, nonce)
    first, second = dict(case.first), dict(case.second)
    again, head = first.pop("again", {}), second.pop("head", case.head)
    build_and_compare(root, first, builder, daemon, depends=True)
    if again:
        old = {name: (root / name).read_text() for name in again}
        write(root, again)
        build_and_compare(root, {}, builder, daemon, case.depends)
        write(root, old)
    write(root, case.files)
    write_dockerfile(root, head, case.before if case.after is None else case.after, nonce)
    for name in case.touch:
        os.utime(root / name, (1, 1))
    for name, mode in case.mode.items():
        (root / name).chmod(mode)
    build_and_compare(root, second, builder, daemon, case.depends)


def test_the_corpus_is_large_enough_and_no_edit_stands_twice():
    names = [case.name for case in corpus.CASES]
    assert len(names) == len(set(names)) >= 60
