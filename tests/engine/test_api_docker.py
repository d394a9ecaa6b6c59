"""docker-py against the kit's own engine: what a notebook does with containers, images, volumes and networks."""

import io
import socket
import struct
import tarfile
import threading
import urllib.request
from contextlib import suppress

import docker
import pytest
from docker.errors import APIError, ContainerError, ImageNotFound, NotFound

ALPINE = "api-box:latest"
# docker-py never closes the connections that attach and exec have taken over.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture(scope="module")
def client(embedded):
    with_docker = docker.DockerClient(embedded, timeout=60)
    yield with_docker
    with_docker.close()


@pytest.fixture
def box(client, bare_busybox):
    """A small image, and containers of it that are gone after the test."""
    if not client.images.list(ALPINE):
        client.api.import_image_from_data(bare_busybox, repository="api-box", tag="latest", changes=["CMD sh"])
    made = []

    def create(command, **options):
        container = client.containers.create(ALPINE, command, **options)
        made.append(container)
        return container

    yield create
    for container in made:
        with suppress(NotFound):
            container.remove(force=True, v=True)


def run(box, command, **options):
    container = box(command, **options)
    container.start()
    return container


def test_run_returns_what_was_written(client, box):
    assert client.containers.run(ALPINE, ["echo", "hi"], remove=True) == b"hi\n"
    both = client.containers.run(ALPINE, ["sh", "-c", "echo a; echo b >&2"], remove=True, stderr=True)
    assert sorted(both.split()) == [b"a", b"b"]


def test_run_raises_what_the_program_wrote_on_its_way_down(client, box):
    with pytest.raises(ContainerError) as error:
        client.containers.run(ALPINE, ["sh", "-c", "echo oh >&2; exit 3"], remove=True)
    assert error.value.exit_status == 3 and error.value.stderr == b"oh\n"


def test_an_image_that_is_not_there_is_told_as_docker_py_expects(client):
    with pytest.raises(ImageNotFound):
        client.containers.create("no-such-image")
    with pytest.raises(APIError, match="connection refused"):
        client.images.pull("127.0.0.1:9/no-such-image", tag="1")


def test_no_output_is_lost_between_the_answers_head_and_the_first_frame(box):
    for _ in range(10):
        container = box(["echo", "quick"])
        stream = container.attach(stdout=True, stderr=True, stream=True, logs=False)
        container.start()
        assert b"".join(stream) == b"quick\n"


def test_the_shape_that_docker_py_reads(client, box):
    found = run(box, ["sleep", "60"], labels={"a": "b"}, environment={"X": "1"}, name="api-shape").attrs
    found = client.api.inspect_container("api-shape")
    assert found["Name"] == "/api-shape" and found["State"]["Running"] and found["State"]["Pid"] > 0
    assert found["Config"]["Labels"] == {"a": "b"} and "X=1" in found["Config"]["Env"]
    assert found["HostConfig"]["LogConfig"]["Type"] == "json-file"
    row = client.api.containers(filters={"name": "api-shape"})[0]
    assert row["State"] == "running" and row["Status"].startswith("Up ") and row["Image"] == ALPINE
    assert row["Command"] == "sleep 60" and row["Names"] == ["/api-shape"]


def test_input_ends_and_output_still_comes(client, box):
    container = box(["sh", "-c", "cat; echo end"], stdin_open=True)
    attached = client.api.attach_socket(container.id, {"stdin": 1, "stdout": 1, "stream": 1})
    wire = getattr(attached, "_sock", attached)
    container.start()
    wire.sendall(b"typed\n")
    wire.shutdown(socket.SHUT_WR)
    found = b""
    while data := wire.recv(4096):
        found += data
    attached.close()
    assert unframed(found) == b"typed\nend\n"


def unframed(data):
    out = b""
    while data:
        (size,) = struct.unpack(">L", data[4:8])
        out, data = out + data[8 : 8 + size], data[8 + size :]
    return out


def test_exec(box):
    container = run(box, ["sleep", "60"])
    code, (out, err) = container.exec_run(["sh", "-c", "echo out; echo err >&2; exit 4"], demux=True)
    assert (code, out, err) == (4, b"out\n", b"err\n")
    assert (
        container.exec_run(["sh", "-c", "echo $A; pwd"], environment={"A": "b"}, workdir="/bin").output == b"b\n/bin\n"
    )
    with pytest.raises(APIError, match="is not running"):
        box(["true"]).exec_run("true")


def test_logs(box):
    container = run(box, ["sh", "-c", "for i in 1 2 3; do echo $i; done; echo e >&2"])
    container.wait()
    assert container.logs(stderr=False) == b"1\n2\n3\n"
    assert container.logs(tail=1, stderr=False) == b"3\n"
    assert container.logs(stdout=False) == b"e\n"
    stamped = container.logs(stderr=False, timestamps=True).splitlines()
    assert len(stamped) == 3 and stamped[0].startswith(b"20") and stamped[0].endswith(b"Z 1")


def test_logs_follow_until_the_container_ends(box):
    container = run(box, ["sh", "-c", "echo a; read x; echo b"], stdin_open=True)
    lines = container.logs(stream=True, follow=True)
    assert next(lines) == b"a\n"
    container.kill()
    assert b"".join(lines) == b""


def test_wait_answers_its_head_at_once(client, box):
    container = box(["sh", "-c", "sleep 2; exit 7"])
    found = []
    waiting = threading.Thread(target=lambda: found.append(client.api.wait(container.id, condition="next-exit")))
    waiting.start()
    container.start()
    waiting.join(30)
    assert found[0]["StatusCode"] == 7


def test_life(box):
    container = run(box, ["sleep", "60"])
    container.pause()
    container.reload()
    assert container.status == "paused"
    container.unpause()
    container.rename("api-renamed")
    container.restart(timeout=0)
    container.reload()
    assert (container.name, container.status) == ("api-renamed", "running")
    assert any("sleep 60" in " ".join(row) for row in container.top()["Processes"])
    container.stop(timeout=0)
    container.stop()  # 304: stopped already
    container.reload()
    assert container.status == "exited" and container.attrs["State"]["ExitCode"] == 137
    with pytest.raises(APIError, match="is not running"):
        container.kill()


def test_a_running_container_is_removed_only_by_force(client, box):
    container = run(box, ["sleep", "60"])
    with pytest.raises(APIError, match="You cannot remove a running container"):
        container.remove()
    container.remove(force=True)
    with pytest.raises(NotFound, match="No such container"):
        client.containers.get(container.id)


def test_a_name_is_taken_only_once(box):
    box(["true"], name="api-name")
    with pytest.raises(APIError, match="is already in use by container") as error:
        box(["true"], name="api-name")
    assert error.value.status_code == 409


def test_files_in_and_out(box):
    container = run(box, ["sleep", "60"])
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo("note.txt")
        entry.size, entry.mode, entry.uid = 5, 0o640, 7
        tar.addfile(entry, io.BytesIO(b"hello"))
    assert container.put_archive("/etc", packed.getvalue())
    assert container.exec_run(["cat", "/etc/note.txt"]).output == b"hello"
    chunks, told = container.get_archive("/etc/note.txt")
    assert (told["name"], told["size"], told["mode"]) == ("note.txt", 5, 0o640)
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        assert tar.extractfile("note.txt").read() == b"hello"
    with pytest.raises(NotFound, match="Could not find the file"):
        container.get_archive("/nowhere")
    assert {"Path": "/etc/note.txt", "Kind": 1} in container.diff()


def packed(*entries):
    """Return a tar of entries: a name with content, or with where a link leads."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, kind, text in entries:
            entry = tarfile.TarInfo(name)
            entry.type = kind
            if kind == tarfile.REGTYPE:
                entry.size = len(text)
                tar.addfile(entry, io.BytesIO(text.encode()))
            else:
                entry.linkname = text
                tar.addfile(entry)
    return out.getvalue()


def test_docker_cp_reaches_into_a_volume(client, box):
    container = box(["true"], volumes=["/data"])
    assert container.put_archive("/data", packed(("a/b", tarfile.REGTYPE, "hello")))
    chunks, told = container.get_archive("/data/a")
    assert told["name"] == "a" and told["mode"] & (1 << 31)
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        assert tar.extractfile("a/b").read() == b"hello"
    with pytest.raises(NotFound, match="Could not find the file"):
        container.get_archive("/data/nothing")


@pytest.mark.parametrize(
    "entries",
    [
        [("../out", tarfile.REGTYPE, "x")],
        [("up", tarfile.SYMTYPE, "../.."), ("up/out", tarfile.REGTYPE, "x")],
        [("up", tarfile.SYMTYPE, "/tmp")],
        [("hard", tarfile.LNKTYPE, "../volume.json"), ("hard", tarfile.REGTYPE, "x")],
        [("null", tarfile.CHRTYPE, "")],
    ],
    ids=["dots", "link up", "link to root", "hard link", "device"],
)
def test_an_archive_cannot_leave_the_volume_it_is_unpacked_in(client, box, entries):
    container = box(["true"], volumes=["/data"])
    (mount,) = client.api.inspect_container(container.id)["Mounts"]
    with pytest.raises(APIError, match="Error processing tar file"):
        container.put_archive("/data", packed(*entries))
    assert client.volumes.get(mount["Name"]).attrs["Labels"] is not None
    assert b"".join(container.get_archive("/data")[0]).count(b"out") == 0


def test_commit_and_export(client, box):
    container = run(box, ["sh", "-c", "echo made > /made"])
    container.wait()
    image = container.commit("api-made", "1", message="why", author="me", changes="ENV A=b")
    try:
        assert client.containers.run("api-made:1", ["cat", "/made"], remove=True) == b"made\n"
        assert image.history()[0]["Comment"] == "why" and "A=b" in image.attrs["Config"]["Env"]
        with tarfile.open(fileobj=io.BytesIO(b"".join(container.export()))) as tar:
            assert tar.extractfile("made").read() == b"made\n"
    finally:
        client.images.remove("api-made:1")


def test_stats(box):
    found = run(box, ["sleep", "60"]).stats(stream=False)
    assert found["memory_stats"]["usage"] > 0 and "cpu_usage" in found["cpu_stats"] and found["name"].startswith("/")


def test_events_of_a_run_come_in_dockers_order(client, box):
    heard = client.events(decode=True, filters={"type": ["container", "network"]})
    container = run(box, ["true"])
    container.wait()
    container.remove()
    seen = []
    for event in heard:
        if container.id in (event["Actor"]["ID"], event["Actor"]["Attributes"].get("container")):
            seen.append(event["Action"])
        if event["Action"] == "destroy" and event["Actor"]["ID"] == container.id:
            break
    heard.close()
    assert [a for a in seen if a != "attach"] == ["create", "connect", "start", "die", "disconnect", "destroy"]


# Volumes


def test_a_named_volume_outlives_its_containers(client, box):
    volume = client.volumes.create("api-data")
    try:
        mount = {"api-data": {"bind": "/data", "mode": "rw"}}
        run(box, ["sh", "-c", "echo kept > /data/x"], volumes=mount).wait()
        reader = run(box, ["cat", "/data/x"], volumes={"api-data": {"bind": "/data", "mode": "ro"}})
        reader.wait()
        assert reader.logs() == b"kept\n"
        reader.reload()
        assert reader.attrs["Mounts"][0]["RW"] is False
        with pytest.raises(APIError, match="volume is in use"):
            volume.remove()
    finally:
        for container in client.containers.list(all=True, filters={"volume": "api-data"}):
            container.remove()
        volume.remove()


def test_an_anonymous_volume_goes_with_its_container(client, box):
    container = box(["true"], volumes=["/cache"])
    (mount,) = client.api.inspect_container(container.id)["Mounts"]
    assert mount["Type"] == "volume" and mount["Destination"] == "/cache"
    container.remove(v=True)
    with pytest.raises(NotFound):
        client.volumes.get(mount["Name"])


def test_a_folder_of_the_host_is_seen_in_a_container(box, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp().parent.parent / "dd-api-bind"
    folder.mkdir(exist_ok=True)
    (folder / "x").write_text("from outside\n")
    container = run(box, ["cat", "/in/x"], volumes={str(folder): {"bind": "/in", "mode": "ro"}})
    container.wait()
    assert container.logs() == b"from outside\n"
    (folder / "x").unlink()
    folder.rmdir()


# Networks


def test_containers_of_a_network_know_each_others_names(client, box):
    network = client.networks.create("api-net")
    try:
        first = run(box, ["sleep", "60"], name="api-first", network="api-net")
        second = run(box, ["cat", "/etc/hosts"], name="api-second", network="api-net")
        second.wait()
        first.reload()
        address = first.attrs["NetworkSettings"]["Networks"]["api-net"]["IPAddress"]
        assert address.startswith("127.")
        hosts = [line.split() for line in second.logs().decode().splitlines() if line.strip()]
        assert any(words[0] == address and "api-first" in words for words in hosts)
        network.reload()
        assert [c["Name"] for c in network.attrs["Containers"].values()] == ["api-first"]
        with pytest.raises(APIError, match="has active endpoints"):
            network.remove()
    finally:
        for container in client.containers.list(all=True, filters={"network": "api-net"}):
            container.remove(force=True)
        network.remove()


def test_a_published_port_is_reached_from_outside(client, box):
    container = run(
        box,
        ["sh", "-c", "mkdir /www; echo served > /www/index.html; busybox httpd -f -p $HOST:8099 -h /www"],
        ports={"8099/tcp": ("127.0.0.1", None)},
    )
    container.reload()
    (place,) = container.attrs["NetworkSettings"]["Ports"]["8099/tcp"]
    url = f"http://127.0.0.1:{place['HostPort']}/index.html"
    for _ in range(200):
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                assert answer.read() == b"served\n"
                return
        except OSError:
            threading.Event().wait(0.05)
    pytest.fail(f"nobody answers at {url}: {container.logs().decode()}")


def test_a_port_that_is_taken_is_told_and_the_container_does_not_start(client, box):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        container = box(["sleep", "60"], ports={"80/tcp": ("127.0.0.1", taken.getsockname()[1])})
        with pytest.raises(APIError, match="bind: address already in use"):
            container.start()
    container.reload()
    assert container.status == "created"


# Images


def test_images_there_and_back(client, box, tmp_path):
    image = client.images.get(ALPINE)
    assert image.tag("api-other", "2")
    data = b"".join(client.images.get("api-other:2").save(named="api-other:2"))
    client.images.remove("api-other:2")
    (loaded,) = client.images.load(data)
    assert loaded.id == image.id and "api-other:2" in loaded.tags
    assert [i.id for i in client.images.list("api-other")] == [image.id]
    client.images.remove("api-other:2")
    with pytest.raises(APIError, match="is using its referenced image"):
        box(["true"])
        client.images.remove(ALPINE)


def test_build(client, box, tmp_path):
    (tmp_path / "Dockerfile").write_text(f"FROM {ALPINE}\nRUN echo built > /x\nCMD cat /x\n")
    image, lines = client.images.build(path=str(tmp_path), tag="api-built")
    text = "".join(line.get("stream", "") for line in lines)
    assert "Step 1/3 : FROM api-box" in text and "Successfully tagged api-built:latest" in text
    assert client.containers.run("api-built", remove=True) == b"built\n"
    _, again = client.images.build(path=str(tmp_path))
    assert "".join(line.get("stream", "") for line in again).count("Using cache") == 2
    client.images.remove(image.id, force=True)


def test_df_counts_what_is_there(client, box):
    run(box, ["true"]).wait()
    found = client.df()
    assert found["LayersSize"] > 0 and found["Images"] and found["Containers"] and "Volumes" in found
