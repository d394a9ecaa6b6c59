"""Names and places of containers in their networks, on every rung that executes."""

import os
import signal
import socket
import threading
import urllib.request
from contextlib import closing, suppress

import docker
import pytest
from drydock.engine.run import Sandbox, names
from own import alive

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


# Networks apart

with_name_spaces = pytest.mark.parametrize("engine_on", ["A", "B"], indirect=True, scope="module")


@pytest.fixture
def apart(rung):
    """docker-py, a network that is apart from the machine's, and what starts containers in it."""
    network = rung.networks.create("en-apart", internal=True)
    if network.attrs["IPAM"]["Config"][0]["Subnet"].startswith("127."):
        pytest.skip("this kernel gives an ordinary user no network of his own")

    def run(name, *command, network="en-apart", **more):
        arguments = command or ("sleep", "600")
        return rung.containers.run(BOX, [*arguments], name=name, network=network, detach=True, **more)

    return rung, network, run


def address_of(container, network="en-apart"):
    container.reload()
    return container.attrs["NetworkSettings"]["Networks"][network]["IPAddress"]


def fetched(container, address, path="/index.html"):
    """Return what a program in a container is served at port 80, as soon as it is; nothing after some time in vain."""
    ask = f"printf 'GET {path} HTTP/1.0\\r\\n\\r\\n' | busybox nc -w 2 {address} 80 | busybox tail -n 1"
    for _ in range(60):
        if said := container.exec_run(["sh", "-c", ask], stderr=False).output:
            return said
        threading.Event().wait(0.02)
    return b""


SERVE = ("sh", "-c", "mkdir /www; echo apart >/www/index.html; exec busybox httpd -f -p 80 -h /www")


@with_name_spaces
def test_containers_of_a_network_apart_reach_each_other_on_the_same_port_and_nobody_else(apart):
    _, network, run = apart
    one, other = run("en-one", *SERVE), run("en-other", *SERVE)
    assert fetched(one, address_of(other)) == b"apart\n"
    assert fetched(other, address_of(one)) == b"apart\n"
    assert any(words[:2] == [address_of(other), "en-other"] for words in hosts_of(one))
    with socket.create_server(("0.0.0.0", 0)) as machines:
        port = machines.getsockname()[1]
        for address in ("127.0.0.1", network.attrs["IPAM"]["Config"][0]["Gateway"], "192.0.2.1"):
            assert one.exec_run(["busybox", "nc", "-w", "1", address, str(port)]).exit_code
    assert one.exec_run(["ls", "/sys/class/net"]).output.split() == [b"eth0", b"lo"]


@with_name_spaces
def test_one_network_apart_does_not_lead_into_another(apart):
    client, _, run = apart
    client.networks.create("en-second", internal=True)
    one, other = run("en-one", *SERVE), run("en-other", *SERVE, network="en-second")
    there = address_of(other, "en-second")
    assert one.exec_run(["busybox", "nc", "-w", "1", there, "80"]).exit_code
    assert one.exec_run(["busybox", "ip", "route", "add", there, "via", f"{there.rpartition('.')[0]}.1"]).exit_code


@with_name_spaces
def test_cables_are_laid_and_taken_away_while_a_container_runs(apart):
    client, network, run = apart
    ipam = docker.types.IPAMConfig(pool_configs=[docker.types.IPAMPool(subnet="10.77.0.0/24")])
    second = client.networks.create("en-second", internal=True, ipam=ipam)
    one, other = run("en-one", *SERVE), run("en-other", network="en-second", user="1000")
    second.connect(one, ipv4_address="10.77.0.9")
    assert fetched(other, "10.77.0.9") == b"apart\n"
    network.disconnect(one)
    assert one.exec_run(["ls", "/sys/class/net"]).output.split() == [b"eth1", b"lo"]
    network.connect(one)
    assert one.exec_run(["ls", "/sys/class/net"]).output.split() == [b"eth0", b"eth1", b"lo"]
    with pytest.raises(docker.errors.APIError, match="networks of one kind only"):
        client.networks.get("bridge").connect(one)


@with_name_spaces
def test_a_network_apart_is_shared_by_programs_of_any_user(apart):
    _, _, run = apart
    first = run("en-first", *SERVE)
    beside = run("en-beside", network=None, network_mode="container:en-first", user="1000")
    assert fetched(beside, "127.0.0.1") == b"apart\n"
    assert beside.exec_run(["busybox", "id", "-u"]).output == b"1000\n"
    assert beside.exec_run(["busybox", "id", "-u"], user="0").output == b"0\n"
    first.kill()
    assert beside.exec_run(["ls", "/sys/class/net"]).output.split() == [b"eth0", b"lo"]


@with_name_spaces
def test_an_ordinary_user_of_a_network_apart_may_take_a_low_port(apart):
    _, _, run = apart
    served = run("en-low", "busybox", "httpd", "-f", "-p", "80", "-h", "/etc", user="1000:7")
    assert fetched(served, "127.0.0.1", "/group") == b"root:x:0:\n"


def test_a_switch_that_was_killed_is_begun_again(tmp_path):
    sandbox = Sandbox(tmp_path, "A")
    try:
        if why := sandbox.no_network_apart():
            pytest.skip(why)
        first = sandbox.switch.start()
        os.kill(first, signal.SIGKILL)
        for _ in range(400):
            if not alive(first):
                break
            threading.Event().wait(0.01)
        assert sandbox.switch.start() not in (0, first)
        sandbox.switch.unplug("nothing")
        sandbox.launcher.close()
        assert sandbox.switch.start() not in (0, first)
    finally:
        sandbox.close()
