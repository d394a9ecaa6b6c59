"""Names and places of containers in their networks, on every rung that executes."""

import os
import socket
import threading
import urllib.request
from contextlib import closing, suppress

import docker
import pytest
from drydock.engine.run import names

BOX = "en-box:latest"
# docker-py never closes the connections that attach and exec have taken over.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


def hosts_of(container):
    """Return the lines of a running container's /etc/hosts as it sees it, each as its words."""
    return [line.split() for line in container.exec_run(["cat", "/etc/hosts"]).output.decode().splitlines()]


@pytest.fixture(params=["A", "B", "C"], scope="module")
def engine_on(request, own, bare_busybox):
    """docker-py, and the small image, on each rung of the ladder."""
    with own("--rung", request.param) as engine, closing(docker.DockerClient(engine.url, timeout=60)) as client:
        client.api.import_image_from_data(bare_busybox, repository="en-box", tag="latest", changes=["CMD sh"])
        yield client


@pytest.fixture
def rung(engine_on):
    """The same, without what a test leaves."""
    yield engine_on
    for container in engine_on.containers.list(all=True):
        container.remove(force=True)
    engine_on.networks.prune()


def test_a_running_container_learns_and_forgets_names_in_the_file_that_it_has_open(rung):
    network = rung.networks.create("en-net")
    first = rung.containers.run(BOX, ["sleep", "600"], network="en-net", name="en-first", detach=True)
    first.exec_run(["sh", "-c", "echo 203.0.113.9 mine >> /etc/hosts; exec 3</etc/hosts"])
    second = rung.containers.run(BOX, ["sleep", "600"], network="en-net", name="en-second", detach=True)
    assert any("en-second" in words for words in hosts_of(first)) and any(
        "en-first" in words for words in hosts_of(second)
    )
    second.rename("en-other")
    names = [word for words in hosts_of(first) for word in words[1:]]
    assert "en-other" in names and "en-second" not in names
    network.disconnect(second)
    names = [word for words in hosts_of(first) for word in words[1:]]
    assert "en-other" not in names and "mine" in names
    network.connect(second, aliases=["again"])
    assert any("again" in words for words in hosts_of(first))
    second.kill()
    second.wait()
    assert not any("again" in words for words in hosts_of(first))


def test_names_go_to_no_file_that_a_program_put_in_the_place_of_hosts(tmp_path):
    precious, hosts = tmp_path / "precious", tmp_path / "hosts"
    precious.write_text("keep\n")
    hosts.symlink_to(precious)
    with pytest.raises(OSError):
        names.rewrite(hosts, [], [("127.18.0.2", "db")])
    hosts.unlink()
    hosts.hardlink_to(precious)
    with pytest.raises(OSError):
        names.rewrite(hosts, [], [("127.18.0.2", "db")])
    hosts.unlink()
    os.mkfifo(hosts)
    with pytest.raises(OSError):
        names.rewrite(hosts, [], [("127.18.0.2", "db")])
    assert precious.read_text() == "keep\n"


def test_a_reader_never_sees_half_of_a_line(tmp_path):
    hosts, many = tmp_path / "hosts", [(f"127.18.0.{n}", f"name-{n}" * (n % 3 + 1)) for n in range(2, 60)]
    hosts.write_text("127.0.0.1\tlocalhost\n")
    whole = {f"{address}\t{name}" for address, name in many} | {"127.0.0.1\tlocalhost", ""}
    done = threading.Event()
    seen = []

    def read():
        while not done.is_set():
            with hosts.open("rb", buffering=0) as file:  # one read(2): two could have a change between them
                seen.append(file.read(65536).decode())

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(30):
        names.rewrite(hosts, [], many)
        names.rewrite(hosts, many[::2], [])
        names.rewrite(hosts, many[1::2], many[::2])
        names.rewrite(hosts, many, [])
    done.set()
    reader.join()
    lines = {line.rstrip(" ") for text in seen for line in text.split("\n") if not line.startswith("#")}
    assert len(lines) > 2 and lines <= whole
    assert hosts.read_text() == "127.0.0.1\tlocalhost\n"


# Ports


def served(url):
    """Return what is served at an address, as soon as something is; nothing after some time in vain."""
    for _ in range(400):
        with suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
            return answer.read()
        threading.Event().wait(0.025)
    return None


@pytest.mark.parametrize("listens", ["0.0.0.0", "127.0.0.1", "$HOST"])
@pytest.mark.parametrize("same", [True, False], ids=["same number", "another number"])
def test_a_program_is_reached_at_its_published_port_wherever_it_listens(rung, listens, same):
    with socket.create_server(("127.0.0.1", 0)) as free:
        outer = free.getsockname()[1]
    inner = outer if same else 18643
    serve = f"mkdir /www; echo served >/www/index.html; exec busybox httpd -f -p {listens}:{inner} -h /www"
    rung.containers.run(BOX, ["sh", "-c", serve], ports={f"{inner}/tcp": ("127.0.0.1", outer)}, detach=True)
    assert served(f"http://127.0.0.1:{outer}/index.html") == b"served\n"


def test_who_shares_a_containers_network_serves_at_its_published_port(rung):
    first = rung.containers.run(BOX, ["sleep", "600"], ports={"18644/tcp": ("127.0.0.1", None)}, detach=True)
    serve = "mkdir /www; echo shared >/www/index.html; exec busybox httpd -f -p $HOST:18644 -h /www"
    rung.containers.run(BOX, ["sh", "-c", serve], network_mode=f"container:{first.id}", detach=True)
    first.reload()
    (place,) = first.attrs["NetworkSettings"]["Ports"]["18644/tcp"]
    assert served(f"http://127.0.0.1:{place['HostPort']}/index.html") == b"shared\n"
