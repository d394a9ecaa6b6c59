"""The programs that people push with: docker of three engines, podman, skopeo, buildah, each to the kit's registry."""

import io
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import tarfile
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from docker.errors import APIError
from drydock import classroom
from drydock.client import LAB
from drydock.registry.server import accounts
from ownregistry import digest, registry

pytestmark = pytest.mark.slow

CI = os.environ.get("CI") == "true"


def program(name):
    """Return the path of a program; where it is not installed the test is skipped with the reason, or fails in CI."""
    found = shutil.which(name)
    if found is None:
        (pytest.fail if CI else pytest.skip)(f"no {name} here: apt install {name}")
    return found


@pytest.fixture(scope="module")
def server():
    with registry() as one:
        yield one


@pytest.fixture
def locked(tmp_path):
    """A registry that lets in ann alone."""
    accounts.save(tmp_path / "passwords", "ann", accounts.entry("se:cret"))
    with registry("--auth", str(tmp_path / "passwords")) as one:
        yield one


@pytest.fixture
def image(daemon):
    """Make an image of some bytes under a name; all that was made goes again."""
    made = []

    def make(name, data):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            entry = tarfile.TarInfo("file")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        daemon.api.import_image_from_data(packed.getvalue(), *name.rsplit(":", 1))
        made.append(name)
        return daemon.images.get(name)

    yield make
    for name in made:
        for tag in {t for i in daemon.images.list() for t in i.tags if t.partition("/")[0] == name.partition("/")[0]}:
            daemon.images.remove(tag, force=True)


def pushes(daemon):
    """Skip where the engine can neither push nor pull."""
    with closing(daemon.api.post(f"{daemon.api.base_url}/v1.41/auth", json={})) as answer:
        if answer.status_code == 501:
            pytest.skip("this engine has no registry client")


def pushed(daemon, name, **more):
    """Push an image and return what the engine said, line by line; raise where it said that it failed."""
    said = [json.loads(line) for line in daemon.images.push(name, **more).splitlines()]
    errors = [line["error"] for line in said if "error" in line]
    if errors:
        raise RuntimeError(errors[0])
    return said


@pytest.mark.docker
def test_docker_pushes_and_pulls_by_tag_and_by_digest(daemon, image, server):
    pushes(daemon)
    name = f"{server.address}/docker/{secrets.token_hex(4)}"
    data = secrets.token_bytes(300_000)
    before = image(f"{name}:v1", data)
    pushed(daemon, f"{name}:v1")
    path = name.partition("/")[2]
    d = server.ask("HEAD", f"/v2/{path}/manifests/v1").headers["docker-content-digest"]
    for wanted in (f"{name}:v1", f"{name}@{d}"):
        daemon.images.remove(f"{name}:v1", force=True)
        found = daemon.images.pull(*re.split(r"(?<=\w)@|:(?=v1)", wanted))
        assert found.id == before.id and found.attrs["RepoDigests"] == [f"{name}@{d}"]
        found.tag(name, "v1")


@pytest.mark.docker
def test_docker_sends_no_layer_twice_and_mounts_those_of_other_repositories(daemon, image, server):
    pushes(daemon)
    name = f"{server.address}/docker/{secrets.token_hex(4)}"
    image(f"{name}:v1", secrets.token_bytes(100_000))
    pushed(daemon, f"{name}:v1")
    files = sorted((server.home / "registry" / "blobs" / "sha256").iterdir())
    said = {line.get("status") for line in pushed(daemon, f"{name}:v1")}
    assert "Layer already exists" in said
    daemon.images.get(f"{name}:v1").tag(f"{name}-other", "v1")
    said = {line.get("status", "").partition(" from")[0] for line in pushed(daemon, f"{name}-other:v1")}
    assert "Mounted" in said
    assert sorted((server.home / "registry" / "blobs" / "sha256").iterdir()) == files


@pytest.mark.docker
def test_docker_with_and_without_the_password(daemon, image, locked):
    pushes(daemon)
    name = f"{locked.address}/ann/{secrets.token_hex(4)}"
    image(f"{name}:v1", b"secret plans")
    with pytest.raises((RuntimeError, APIError), match=r"(?i)unauthorized|credentials|authorization|denied"):
        pushed(daemon, f"{name}:v1")
    who = {"username": "ann", "password": "se:cret"}
    pushed(daemon, f"{name}:v1", auth_config=who)
    with pytest.raises(APIError):
        daemon.images.pull(name, "v1", auth_config=who | {"password": "wrong"})
    assert daemon.images.pull(name, "v1", auth_config=who).tags


@pytest.mark.docker
def test_docker_login_says_whether_the_password_is_right(daemon_url, daemon, locked, tmp_path):
    pushes(daemon)
    docker = [
        "docker",
        "-H",
        daemon_url,
        "--config",
        str(tmp_path / "config"),
        "login",
        "-u",
        "ann",
        "--password-stdin",
    ]
    for password, right in (("wrong", False), ("se:cret", True)):
        done = subprocess.run([*docker, locked.address], input=password, capture_output=True, text=True, check=False)
        assert (done.returncode == 0) == right, done.stderr


# Podman's family


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


@pytest.fixture
def short():
    """A folder with a short name: podman takes at most 50 characters."""
    with tempfile.TemporaryDirectory(prefix="ddp-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture
def layout(tmp_path):
    """An OCI layout with one image of one layer, made by hand."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("folder"))
    layer = packed.getvalue()
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [digest(layer)]}}
    blobs = tmp_path / "layout" / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(data, kind):
        (blobs / digest(data)[7:]).write_bytes(data)
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": digest(data), "size": len(data)}

    manifest = {"schemaVersion": 2, "layers": [put(layer, "layer.v1.tar")]}
    manifest["config"] = put(json.dumps(config).encode(), "config.v1+json")
    row = put(json.dumps(manifest).encode(), "manifest.v1+json")
    row["annotations"] = {"org.opencontainers.image.ref.name": "v1"}
    (blobs.parents[1] / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [row]}))
    (blobs.parents[1] / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return tmp_path / "layout", row["digest"]


def test_skopeo_copies_in_and_out_lists_and_removes(server, layout, tmp_path):
    skopeo = program("skopeo")
    folder, d = layout
    place = f"docker://{server.address}/skopeo/app"
    run(skopeo, "copy", "--preserve-digests", "--dest-tls-verify=false", f"oci:{folder}:v1", f"{place}:v1")
    run(skopeo, "copy", "--preserve-digests", "--src-tls-verify=false", f"{place}:v1", f"oci:{tmp_path / 'back'}:v1")
    assert json.loads((tmp_path / "back" / "index.json").read_text())["manifests"][0]["digest"] == d
    run(skopeo, "copy", "--src-tls-verify=false", "--dest-tls-verify=false", f"{place}@{d}", f"{place}-two:v2")
    assert json.loads(run(skopeo, "list-tags", "--tls-verify=false", f"{place}-two"))["Tags"] == ["v2"]
    run(skopeo, "delete", "--tls-verify=false", f"{place}:v1")
    assert json.loads(run(skopeo, "list-tags", "--tls-verify=false", place))["Tags"] == []


def test_podman_pushes_and_pulls_with_a_password(locked, layout, short, tmp_path):
    podman = [program("podman"), "--root", str(short / "r"), "--runroot", str(short / "rr")]
    podman += ["--storage-driver", "vfs", "--tmpdir", str(short / "t")]
    auth = f"--authfile={tmp_path / 'auth.json'}"
    folder, _ = layout
    name = f"{locked.address}/podman/app:v1"
    run(*podman, "login", auth, "--tls-verify=false", "-u", "ann", "--password-stdin", locked.address, input="se:cret")
    id = run(*podman, "pull", "-q", f"oci:{folder}:v1").strip()
    run(*podman, "push", auth, "--tls-verify=false", id, name)
    run(*podman, "rmi", "-a", "-f")
    assert run(*podman, "pull", "-q", auth, "--tls-verify=false", name).strip() == id
    run(*podman, "rmi", "-a", "-f")


def test_buildah_commits_and_pushes(server, short, tmp_path):
    buildah = [program("buildah"), "--root", str(short / "r"), "--runroot", str(short / "rr")]
    buildah += ["--storage-driver", "vfs"]
    (tmp_path / "file").write_text("hello")
    container = run(*buildah, "from", "scratch").strip()
    run(*buildah, "copy", container, str(tmp_path / "file"), "/file")
    run(*buildah, "commit", container, "made")
    run(*buildah, "push", "--tls-verify=false", "made", f"docker://{server.address}/buildah/app:v1")
    run(*buildah, "rmi", "-a", "-f")
    run(*buildah, "pull", "--tls-verify=false", f"{server.address}/buildah/app:v1")
    run(*buildah, "rmi", "-a", "-f")
    assert server.ask("GET", "/v2/buildah/app/tags/list").json["tags"] == ["v1"]


# As a container, where Docker lives in a machine of its own


@pytest.fixture
def standin(daemon):
    """An image of the name registry:2 from this machine's docker-registry, since no public registry can be asked."""
    if daemon.version()["Platform"]["Name"].startswith("Drydock"):
        pytest.skip("with the kit's own engine goes the kit's own server")
    found = program("docker-registry")
    files = {Path(found), *(Path(p) for p in re.findall(r"(/\S+) \(0x", run("ldd", found)))}
    config = {
        "version": 0.1,
        "http": {"addr": ":5000"},
        "storage": {"filesystem": {"rootdirectory": "/var/lib/registry"}},
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", dereference=True) as tar:
        for path in files:
            tar.add(path)
        entry, text = tarfile.TarInfo("config.yml"), json.dumps(config).encode()  # YAML reads JSON
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text))
    start = [f'ENTRYPOINT ["{found}", "serve", "/config.yml"]', "ENV OTEL_TRACES_EXPORTER=none"]
    daemon.api.import_image_from_data(packed.getvalue(), "registry", "2", changes=start)
    yield
    if there := classroom.container(daemon):
        there.remove(force=True)
    daemon.volumes.get(classroom.NAME).remove()
    daemon.images.remove("registry:2")


@pytest.mark.docker
def test_as_a_container_it_is_started_once_and_keeps_what_was_pushed(daemon, standin, image):
    address = classroom.in_container(daemon, port=5572)
    assert address == "localhost:5572" == classroom.in_container(daemon)
    there = classroom.container(daemon)
    assert there.labels[LAB] and there.attrs["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    image(f"{address}/a/b:v1", b"kept")
    pushed(daemon, f"{address}/a/b:v1")
    there.stop()
    assert classroom.in_container(daemon) == address
    there.remove(force=True)
    classroom.in_container(daemon, port=5572)
    assert daemon.images.pull(f"{address}/a/b", "v1").tags
    with pytest.raises(classroom.RegistryUnavailable, match="docker rm -f"):
        classroom.in_container(daemon, port=5573)


@pytest.mark.docker
def test_as_a_container_it_takes_a_free_port_where_the_usual_one_is_anothers(daemon, standin, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as other:
        usual = other.getsockname()[1]
        monkeypatch.setattr(classroom, "PORTS", range(usual, usual + 20))
        address = classroom.in_container(daemon)
        assert address != f"localhost:{usual}"
        with pytest.raises(classroom.RegistryUnavailable, match="docker rm -f"):
            classroom.in_container(daemon, port=usual)
        classroom.container(daemon).remove(force=True)
        with pytest.raises(classroom.RegistryUnavailable, match=f"port {usual} is probably taken"):
            classroom.in_container(daemon, port=usual)
