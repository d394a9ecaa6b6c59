"""The registry as a process and as a command: started, found, stopped; passwords; what it says to its owner."""

import base64
import http.client
import io
import os
import shutil
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import drydock
import pytest
from drydock import classroom, cli
from drydock.registry.server import accounts, process
from ownregistry import registry, usual_port_taken

pytestmark = pytest.mark.slow

CI = os.environ.get("CI") == "true"


@pytest.fixture
def home(monkeypatch, tmp_path):
    """A home of the test's own, whose registry is stopped afterwards, on a machine without Docker."""
    monkeypatch.setenv("DRYDOCK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DRYDOCK_ENGINE", "drydock")
    yield tmp_path / "home"
    process.stop(tmp_path / "home")


@pytest.fixture
def port():
    """A port that is free."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        return str(one.getsockname()[1])


@pytest.fixture
def taken():
    """The usual port, at which another program answers."""
    with usual_port_taken() as usual:
        yield usual


def command(*words):
    return cli.main(["registry", *words])


def get(address, path="/v2/", **headers):
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request("GET", path, headers=headers)
    reply = connection.getresponse()
    reply.read()
    connection.close()
    return reply


def basic(name, password):
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def test_start_status_stop(home, port, capsys):
    assert command("status") == 1 and "Try: drydock registry start" in capsys.readouterr().out
    assert command("start", "--port", port) == 0
    assert f"docker push localhost:{port}/IMAGE" in capsys.readouterr().out
    assert command("status") == 0 and "It has no images yet." in capsys.readouterr().out
    assert command("stop") == 0 and process.found(home) is None
    assert command("stop") == 0 and "No registry runs" in capsys.readouterr().out


def test_a_second_start_finds_the_first(home, port, capsys):
    command("start", "--port", port)
    first = process.found(home)
    capsys.readouterr()
    assert command("start") == 0 and capsys.readouterr().out.startswith("The registry runs already")
    assert command("start", "--port", "1") == 1 and "not as you ask" in capsys.readouterr().err
    assert process.found(home) == first
    assert drydock.start_registry() == f"localhost:{port}"


def test_a_lesson_starts_it_on_demand_and_finds_it_again(home, port):
    assert drydock.start_registry(int(port)) == f"localhost:{port}" == drydock.start_registry()
    assert get(f"127.0.0.1:{port}").status == 200
    with pytest.raises(drydock.RegistryUnavailable, match="drydock registry stop"):
        drydock.start_registry(1)


def test_two_starts_at_once_give_one_registry(home, port):
    words = [sys.executable, "-m", "drydock.cli", "registry", "start", "--port", port]
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [one.communicate()[0] for one in both]
    assert [one.returncode for one in both] == [0, 0]
    pid = process.found(home).pid
    assert all(f"process {pid}" in text for text in said)


def test_a_killed_one_is_replaced(home, port):
    first = process.start(home, port=int(port))
    os.kill(first.pid, 9)
    second = process.start(home, port=int(port))
    assert second.pid != first.pid and process.answers(second)


def test_a_taken_port_is_told_with_a_way_out(home, capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        assert command("start", "--port", str(taken)) == 1
    said = capsys.readouterr().err
    assert f"Port {taken} of 127.0.0.1 is taken" in said and f"Try: drydock registry start --port {taken + 1}" in said


def started(home):
    """Return what a kernel of its own is told when it starts the registry of a home."""
    said = "import drydock; print(drydock.start_registry())"
    done = subprocess.run(
        [sys.executable, "-c", said], env=os.environ | {"DRYDOCK_HOME": str(home)}, capture_output=True, text=True
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_where_the_usual_port_is_anothers_the_registry_takes_a_free_one_and_is_found_there(home, taken, capsys):
    address = drydock.start_registry()
    assert address != f"localhost:{taken}" and get(address).getheader("Server") == "Drydock registry"
    assert started(home) == address == drydock.start_registry()
    assert command("status") == 0 and f"answers at {address}, process" in capsys.readouterr().out
    assert command("start") == 0 and f"runs already at {address}" in capsys.readouterr().out


def test_who_asks_for_the_taken_port_is_refused(home, taken, capsys):
    assert command("start", "--port", str(taken)) == 1
    assert f"Port {taken} of 127.0.0.1 is taken" in capsys.readouterr().err and process.found(home) is None
    with pytest.raises(drydock.RegistryUnavailable, match=f"Port {taken} of 127.0.0.1 is taken"):
        drydock.start_registry(taken)


def test_two_homes_at_once_get_a_registry_each_and_not_the_neighbours(home, tmp_path):
    homes = [home, tmp_path / "neighbour"]
    try:
        with ThreadPoolExecutor(2) as both:
            mine, theirs = both.map(started, homes)
        assert mine != theirs and [started(one) for one in homes] == [mine, theirs]
        assert [process.found(one).address for one in homes] == [mine, theirs]
        request = http.client.HTTPConnection(theirs, timeout=10)
        request.request("POST", "/v2/their/app/blobs/uploads/")
        assert request.getresponse().status == 202
        request.close()
        assert [any((one / "registry").rglob("their")) for one in homes] == [False, True]
    finally:
        process.stop(homes[1])


def test_a_registry_comes_back_where_it_was_since_images_are_named_after_it(home, taken):
    address = drydock.start_registry()
    process.stop(home)
    assert drydock.start_registry() == address
    os.kill(process.found(home).pid, 9)
    assert drydock.start_registry() == address


def test_another_homes_registry_at_the_port_is_recognised(home, capsys):
    with registry() as other:
        assert command("start", "--port", str(other.port)) == 1
    assert "a registry of another home" in capsys.readouterr().err


def test_a_registry_for_other_machines_says_what_that_means(home, port, capsys):
    assert command("start", "--host", "0.0.0.0", "--port", port) == 0
    said = capsys.readouterr().err
    assert "asks for no password" in said and "insecure-registries" in said


def test_an_address_that_is_not_this_machines_is_told(home, port, capsys):
    assert command("start", "--host", "192.0.2.1", "--port", port) == 1
    assert "Try: drydock registry start --host 127.0.0.1" in capsys.readouterr().err


def test_cleaning_by_command(home, port, capsys):
    assert command("clean") == 0 and "Removed 0 blobs" in capsys.readouterr().out
    command("start", "--port", port)
    assert command("clean") == 0


# Passwords


@pytest.fixture
def passwords(tmp_path, monkeypatch):
    """A file in which ann's password is `se:cret`."""
    path = tmp_path / "passwords"
    monkeypatch.setattr("sys.stdin", io.StringIO("se:cret\n"))
    assert command("password", "ann", "--auth", str(path)) == 0
    return path


def test_only_those_of_the_file_may_come_in(passwords):
    with registry("--auth", str(passwords)) as one:
        answer = one.ask("GET", "/v2/")
        assert (answer.status, answer.codes) == (401, ["UNAUTHORIZED"])
        assert answer.headers["www-authenticate"].startswith('Basic realm="')
        for right in (1, 2):
            assert one.ask("GET", "/v2/_catalog", Authorization=basic("ann", "se:cret")).status == 200, right
        for wrong in (
            *(basic("ann", word) for word in ("", "se", "se:cret ", "SE:CRET", "se:cret\0")),
            *(basic(name, "se:cret") for name in ("", "Ann", "bob", "ann:se")),
            *("Basic", "Basic !", "Basic " + base64.b64encode(b"\xff\xff").decode(), "Bearer x"),
        ):
            assert one.ask("GET", "/v2/", Authorization=wrong).status == 401, wrong
            assert one.ask("PUT", "/v2/a/manifests/v1", b"{}", Authorization=wrong).status == 401, wrong


def test_a_file_that_changes_is_read_again(passwords, monkeypatch):
    with registry("--auth", str(passwords)) as one:
        assert one.ask("GET", "/v2/", Authorization=basic("ann", "se:cret")).status == 200
        monkeypatch.setattr("sys.stdin", io.StringIO("new\n"))
        command("password", "ann", "--auth", str(passwords))
        assert one.ask("GET", "/v2/", Authorization=basic("ann", "se:cret")).status == 401
        assert one.ask("GET", "/v2/", Authorization=basic("ann", "new")).status == 200
    assert len(passwords.read_text().splitlines()) == 1


def test_a_file_of_htpasswd_is_understood(tmp_path):
    if shutil.which("htpasswd") is None:
        return pytest.fail("no htpasswd") if CI else pytest.skip("no htpasswd: apt install apache2-utils")
    path = tmp_path / "passwords"
    subprocess.run(["htpasswd", "-Bic", path, "bob"], input=b"from apache", check=True, capture_output=True)
    with registry("--auth", str(path)) as one:
        assert one.ask("GET", "/v2/", Authorization=basic("bob", "from apache")).status == 200
        assert one.ask("GET", "/v2/", Authorization=basic("bob", "From apache")).status == 401


def test_scrypt_works_where_the_system_knows_no_bcrypt(tmp_path, monkeypatch):
    monkeypatch.setattr(accounts, "_library", lambda: None)
    assert accounts.entry("x").startswith("$scrypt$14$")
    accounts.save(tmp_path / "p", "ann", accounts.entry("secret"))
    one = accounts.Accounts(tmp_path / "p")
    assert one.know(basic("ann", "secret")) and one.know(basic("ann", "secret"))
    assert not one.know(basic("ann", "guess")) and not one.know(basic("bob", "secret"))
    monkeypatch.setattr(accounts, "matches", lambda password, entry: True)  # as if somebody had met the decoy
    assert not one.know(basic("bob", "anything"))


def test_a_long_password_counts_to_its_end(tmp_path):
    accounts.save(tmp_path / "p", "ann", accounts.entry("x" * 100))
    one = accounts.Accounts(tmp_path / "p")
    assert one.know(basic("ann", "x" * 100)) and not one.know(basic("ann", "x" * 99))


@pytest.mark.parametrize(
    "text", ["", "ann:plain\n", "ann:{SHA}abc\n", "ann:$apr1$abc$def\n", "ann:$scrypt$99$YQ==$YQ==\n"]
)
def test_a_file_without_an_entry_that_can_be_checked_is_refused(home, tmp_path, text, capsys):
    (tmp_path / "p").write_text(text)
    assert command("start", "--auth", str(tmp_path / "p")) == 1
    assert "Try: drydock registry password NAME" in capsys.readouterr().err and process.found(home) is None


def test_a_file_of_passwords_is_its_owners_alone(passwords):
    assert passwords.stat().st_mode & 0o777 == 0o600 and "se:cret" not in passwords.read_text()


@pytest.mark.parametrize("name", ["", "a:b", "a b", "-a", "a\n", "x" * 65])
def test_an_odd_name_is_refused(name, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("x\n"))
    assert command("password", "--auth", str(tmp_path / "p"), "--", name) == 1
    assert "cannot be a name" in capsys.readouterr().err and not (tmp_path / "p").exists()


def test_no_password_is_in_a_log_or_a_command_line(passwords, tmp_path):
    with registry("--auth", str(passwords)) as one:
        said = basic("ann", "se:cret")
        one.ask("GET", "/v2/", Authorization=said)
        one.ask("GET", "/v2/?password=se:cret", Authorization=basic("ann", "wrong se:cret"))
        one.ask("POST", "/v2/a/blobs/uploads/?token=se:cret&mount=" + "sha256:" + "0" * 64, Authorization=said)
        (one.home / "registry" / "clean.lock").unlink()
        (one.home / "registry" / "clean.lock").mkdir()  # something goes wrong inside
        failed = one.ask("POST", "/v2/a/blobs/uploads/?mount=sha256:" + "0" * 64, Authorization=said)
        assert failed.status == 500
        written = [p for p in one.home.rglob("*") if p.is_file()]
        assert (one.home / "registry" / "log") in written
        for path in written:
            text = path.read_bytes()
            assert b"se:cret" not in text and said.encode() not in text and said[6:].encode() not in text
        line = Path(f"/proc/{one.process.pid}/cmdline")
        assert not line.exists() or b"cret" not in line.read_bytes()


# Docker Desktop


def test_with_docker_desktop_the_registry_is_a_container_there(home, monkeypatch, capsys):
    class Desktop:
        def info(self):
            return {"OperatingSystem": "Docker Desktop"}

        def close(self):
            pass

    asked = []
    monkeypatch.setattr(classroom, "daemon", Desktop)
    monkeypatch.setattr(classroom, "in_container", lambda *a: asked.append(a) or "localhost:5055")
    assert drydock.start_registry() == "localhost:5055"
    assert command("start") == 0 and "a container in Docker Desktop" in capsys.readouterr().out
    assert len(asked) == 2 and process.found(home) is None
