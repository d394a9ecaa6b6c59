"""What we read from a daemon is what the daemon says of itself."""

import io
import shlex
import subprocess
import tarfile
import tempfile
import uuid
from pathlib import Path

import docker
import pytest
from drydock import read
from drydock.model.tree import tree_at

pytestmark = pytest.mark.docker

DOCKERFILE = b"""FROM scratch
COPY a.txt /etc/a.txt
ENV colour=blue
COPY a.txt b.txt /srv/
WORKDIR /new
CMD ["/nothing"]
"""
FILES = {"Dockerfile": DOCKERFILE, "a.txt": b"a" * 3000, "b.txt": b"b"}


@pytest.fixture(scope="module")
def built(daemon):
    """An image made on the spot, removed afterwards."""
    name = f"dd-read-{uuid.uuid4().hex[:8]}:1"
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for path, body in FILES.items():
            info = tarfile.TarInfo(path)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    context.seek(0)
    daemon.images.build(fileobj=context, custom_context=True, tag=name, labels={"org.drydock.lab": "test"}, rm=True)
    yield name
    daemon.api.remove_image(name, force=True)


def test_layers_are_those_that_docker_inspect_names(daemon, built):
    about = daemon.api.inspect_image(built)
    image = read.image(daemon, built)
    assert [layer.diff_id for layer in image.layers] == about["RootFS"]["Layers"]
    assert (image.id, image.names) == (about["Id"], tuple(about["RepoTags"]))
    assert image.config.env == tuple(about["Config"]["Env"]) and image.config.workdir == "/new"
    assert image.source == f"Docker {daemon.version()['Version']}"


def test_history_is_joined_to_layers_as_docker_history_has_it(daemon, built):
    image = read.image(daemon, built)
    rows = list(reversed(daemon.api.history(built)))
    assert [row.created_by for row in image.history] == [row["CreatedBy"] for row in rows]
    words = [row.instruction.split()[0] for row in image.history if row.layer is not None]
    assert words == ["COPY", "COPY", "WORKDIR"]
    assert image.layers[2].size == 0 and "new" in tree_at(image)
    assert image.size == 3000 + 3000 + 1


def test_a_files_content_is_asked_for_again(daemon, built):
    image = read.image(daemon, built)
    assert image.content(1, "srv/b.txt") == b"b"


def test_the_image_saved_to_a_file_is_the_same_image(daemon, built, tmp_path):
    path = tmp_path / "image.tar"
    with path.open("wb") as file:
        for piece in daemon.images.get(built).save(named=True):
            file.write(piece)
    from_file = read.archive(path, built)
    from_daemon = read.image(daemon, built)
    assert from_file.layers == from_daemon.layers and from_file.history == from_daemon.history


def test_an_image_is_read_by_its_id(daemon, built):
    about = daemon.api.inspect_image(built)
    assert read.image(daemon, about["Id"]).names == (built,)


def test_an_image_that_is_not_there_is_dockers_own_error(daemon):
    with pytest.raises(docker.errors.ImageNotFound):
        read.image(daemon, "dd-read-nowhere:1")


def test_what_buildkit_attests_beside_an_image_is_no_image(daemon, buildx):
    if buildx is None:
        pytest.skip("this engine has only the classic builder")
    name = f"dd-read-{uuid.uuid4().hex[:8]}:2"
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # the engine's own CLI sees only /tmp
        for path, body in FILES.items():
            Path(folder, path).write_bytes(body)
        command = [*shlex.split(buildx), "buildx", "build", "-q", "--provenance=true", "-t", name, folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and "attestation" in done.stderr.lower():
        pytest.skip("this engine's store takes no attestations")
    assert done.returncode == 0, done.stderr
    try:
        image = read.image(daemon, name)
        about = daemon.api.inspect_image(name)
        assert [layer.diff_id for layer in image.layers] == about["RootFS"]["Layers"]
        assert image.platform == f"{about['Os']}/{about['Architecture']}" and image.id == about["Id"]
        assert next(row.instruction for row in image.history if row.layer is not None).startswith("COPY a.txt")
        assert len(image.layers) == 3 and image.content(1, "srv/b.txt") == b"b"
    finally:
        daemon.api.remove_image(name, force=True)
