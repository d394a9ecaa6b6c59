"""Debian's docker-registry with a password, the docker command (20.10 and newer), docker-py, and dockerd to compare."""

import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import docker
import pytest
from drydock.registry import Credentials, Repository, Settings
from drydock.registry.answer import Patience
from drydock.registry.http import Http
from drydock.registry.manifest import Descriptor
from drydock.registry.upload import Upload
from lyingregistry import layer

pytestmark = pytest.mark.docker
ME = "me:$2y$05$rKHt.a3kRr2h7MQUwOY2..f5BALkaRpTu2wXZpWd38/HYxseG4Vom\n"  # me:secret, as htpasswd -B writes it
DAEMONS = os.environ.get("DRYDOCK_TEST_DAEMONS", "").split()
MODERN = f"env STORE=containerd {Path(__file__).parents[1] / 'daemons' / 'modern.sh'} cli"  # Docker 26.1's command
CLIS = [path for path in ("/usr/bin/docker", "/usr/local/bin/docker") if Path(path).exists()]
CLIS += [MODERN] if any("containerd" in url for url in DAEMONS) else []


def free_port():
    """Return a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="module", params=["open", "password"])
def registry(request, tmp_path_factory):
    """A docker-registry of our own: its host, and whether it wants a password."""
    if not shutil.which("docker-registry"):
        pytest.fail("no docker-registry: apt install docker-registry")
    folder, port = tmp_path_factory.mktemp("registry"), free_port()
    (folder / "htpasswd").write_text(ME)
    auth = f"auth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}\n" if request.param == "password" else ""
    (folder / "config.yml").write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
        f'http: {{addr: "127.0.0.1:{port}"}}\n{auth}'
    )
    with subprocess.Popen(["docker-registry", "serve", folder / "config.yml"], stderr=subprocess.DEVNULL) as process:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            with suppress(ConnectionError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.02)
        yield f"127.0.0.1:{port}", request.param == "password"
        process.terminate()


@pytest.fixture(scope="module")
def engine(own):
    with own() as one:
        yield one


@pytest.fixture(scope="module")
def dockerd():
    """Debian 12's dockerd, where there is one."""
    url = next((one for one in DAEMONS if "classic" in one), None)
    if url is None:
        pytest.skip("no dockerd 20.10 among DRYDOCK_TEST_DAEMONS")
    client = docker.DockerClient(base_url=url, timeout=120)
    yield client
    client.close()


def build(client, tag, *files):
    """Build an image with one layer for each file."""
    lines = ["FROM scratch", *(f"COPY {one} /{one}" for one in files)]
    context = layer({"Dockerfile": "\n".join(lines).encode(), **{one: os.urandom(200_000) for one in files}})
    for row in client.api.build(fileobj=io.BytesIO(context), custom_context=True, tag=tag, decode=True):
        assert "error" not in row, row


def login(registry):
    return {"username": "me", "password": "secret"} if registry[1] else {}


@pytest.mark.parametrize("program", CLIS, ids=["env" if one == MODERN else one for one in CLIS])
def test_the_docker_command_logs_in_pushes_and_pulls(program, registry, engine, tmp_path):
    host, closed = registry
    name = f"{host}/team/cli{CLIS.index(program)}:1"
    environment = {**os.environ, "DOCKER_CONFIG": str(tmp_path), "DOCKER_BUILDKIT": "0"}

    def run(*words, ok=True, typed=""):
        command, how = (
            [*program.split(), "-H", engine.url, *words],
            {"env": environment, "capture_output": True, "text": True},
        )
        ran = subprocess.run(command, input=typed, check=False, **how)
        assert (ran.returncode == 0) == ok, ran.stdout + ran.stderr
        return ran.stdout + ran.stderr

    build(engine.client, name, "a", "b")
    if closed:
        assert "no basic auth credentials" in run("push", name, ok=False)
        assert "401 Unauthorized" in run("login", "-u", "me", "--password-stdin", host, typed="wrong", ok=False)
        assert "Login Succeeded" in run("login", "-u", "me", "--password-stdin", host, typed="secret")
    told = run("push", name)
    assert "Pushed" in told and "digest: sha256:" in told
    assert run("push", name).count("Layer already exists") == 2
    run("rmi", name)
    told = run("pull", name)
    assert told.count("Pull complete") == 2 and f"Status: Downloaded newer image for {name}" in told
    assert f"Image is up to date for {name}" in run("pull", name)
    shown = json.loads(run("image", "inspect", name))[0]["RepoDigests"]
    run("rmi", name)
    run("pull", shown[0])
    run("rmi", shown[0])
    if closed:
        run("logout", host)
        assert "no basic auth credentials" in run("pull", name, ok=False)


def test_what_one_engine_pushes_the_other_pulls(registry, engine, dockerd):
    """The same image, both ways: the same ID, the same manifest."""
    host, auth = registry[0], login(registry)
    for way, source, target in (("there", engine.client, dockerd), ("here", dockerd, engine.client)):
        name = f"{host}/team/{way}"
        build(source, f"{name}:1", "a", "b", "c")
        there = source.images.get(f"{name}:1")
        told = list(source.api.push(name, tag="1", stream=True, decode=True, auth_config=auth or None))
        assert "error" not in told[-1], told[-1]
        pulled = target.images.pull(name, tag="1", auth_config=auth or None)
        assert pulled.id == there.id
        assert pulled.attrs["RepoDigests"] == source.images.get(f"{name}:1").attrs["RepoDigests"]
        pulled.tag(f"{name}-again", "1")
        told = list(target.api.push(f"{name}-again", tag="1", stream=True, decode=True, auth_config=auth or None))
        assert f"{name}@{told[-1]['aux']['Digest']}" == pulled.attrs["RepoDigests"][0]  # the very same blobs
        what = {row["status"] for row in told if row.get("id")} - {"Preparing"}
        assert what == {f"Mounted from {name.removeprefix(host + '/')}"}
        for client in (source, target):
            client.images.remove(there.id, force=True)


def test_every_engine_takes_what_the_embedded_one_pushed(registry, engine, daemon):
    """Docker 26 with the containerd store too, and the other way round."""
    host, auth = registry[0], login(registry) or None
    for way, source, target in (("to", engine.client, daemon), ("from", daemon, engine.client)):
        name = f"{host}/every/{way}"
        build(source, f"{name}:1", "a", "b")
        told = list(source.api.push(name, tag="1", stream=True, decode=True, auth_config=auth))
        assert "error" not in told[-1], told[-1]
        layers = source.images.get(f"{name}:1").attrs["RootFS"]["Layers"]
        source.images.remove(f"{name}:1", force=True)
        assert target.images.pull(name, tag="1", auth_config=auth).attrs["RootFS"]["Layers"] == layers
        target.images.remove(f"{name}:1", force=True)


def test_a_cut_upload_is_taken_up_by_docker_registry(registry, tmp_path):
    """A real registry keeps what came before a cut: the rest is sent, not all."""
    body = os.urandom(3_000_000)
    (tmp_path / "blob").write_bytes(body)
    blob = Descriptor("sha256:" + hashlib.sha256(body).hexdigest(), len(body))
    sent = []

    class Once(Upload):
        def _pieces(self, start, tell):
            for piece in super()._pieces(start, tell):
                if len(sent) == 10:
                    (link,) = http._busy
                    link.http.sock.shutdown(socket.SHUT_RDWR)
                sent.append(len(piece))
                yield piece

    http = Http(Patience(pauses=(0.2,) * 4))
    with Repository(f"{registry[0]}/cut", Credentials(**login(registry)), Settings(), push=True, http=http) as one:
        Once(one, blob, lambda: (tmp_path / "blob").open("rb")).run()
        assert one.read(blob.digest) == body
    assert sum(sent) < 2 * len(body) - 500_000
