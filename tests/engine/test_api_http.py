"""The engine's HTTP: versions, errors as JSON, bodies, cut-off and malformed requests, and a seeded storm of both."""

import http.client
import json
import random
import socket
import stat
from importlib.metadata import version
from pathlib import Path

import pytest
from drydock.engine import VERSION
from drydock.engine.api import API
from drydock.engine.api.nouns import ROUTER


class Wire(http.client.HTTPConnection):
    """A connection to a Unix socket that speaks HTTP, or anything else."""

    def __init__(self, path):
        super().__init__("docker", timeout=20)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(self.path)


@pytest.fixture
def path(embedded):
    return embedded.removeprefix("unix://")


@pytest.fixture
def ask(path):
    """Ask once and return status, headers and body."""

    def one(method, url, body=None, headers=None):
        wire = Wire(path)
        try:
            wire.request(method, url, body, headers or {})
            answer = wire.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            wire.close()

    return one


def raw(path, sent, half_close=True):
    """Send bytes and return all that comes back."""
    with socket.socket(socket.AF_UNIX) as wire:
        wire.settimeout(20)
        wire.connect(path)
        try:
            wire.sendall(sent)
            if half_close:
                wire.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the engine has had enough: what it said is there to be read
        found = b""
        try:
            while data := wire.recv(65536):
                found += data
        except ConnectionError:
            pass
        return found


def said(answer):
    return json.loads(answer[2])["message"]


def test_the_version_is_the_packages():
    assert version("drydock") == VERSION


def test_ping_says_who_answers_in_its_headers(ask):
    for method, body in (("HEAD", b""), ("GET", b"OK")):
        status, headers, found = ask(method, "/_ping")
        assert (status, found) == (200, body)
        assert headers["Api-Version"] == "1.44" and headers["Ostype"] == "linux"
        assert headers["Docker-Experimental"] == "false" and "Builder-Version" not in headers
        assert headers["Cache-Control"].startswith("no-cache") and headers["Server"].startswith("Drydock/")
    assert headers["Content-Length"] == "2"


@pytest.mark.parametrize("asked", ["1.24", "1.41", "1.44"])
def test_every_version_between_the_limits_is_answered(ask, asked):
    assert ask("GET", f"/v{asked}/info")[0] == 200


@pytest.mark.parametrize(("asked", "words"), [("1.45", "too new. Maximum"), ("1.23", "too old. Minimum")])
def test_a_version_outside_the_limits_is_refused_in_dockers_words(ask, asked, words):
    answer = ask("GET", f"/v{asked}/info")
    assert answer[0] == 400 and words in said(answer)


@pytest.mark.parametrize("url", ["/nowhere", "/v1.41/", "/v1.41/nowhere", "//", "/images", "/v1/info", "/v1.44.1/info"])
def test_a_path_that_nobody_answers_is_404(ask, url):
    answer = ask("GET", url)
    assert answer[0] == 404 and said(answer) == "page not found"


def test_an_unknown_thing_is_told_in_the_words_that_clients_look_for(ask):
    assert said(ask("GET", "/images/none/json")) == "no such image: none: No such image: none:latest"
    assert said(ask("DELETE", "/images/none")) == "No such image: none:latest"
    assert said(ask("GET", "/containers/none/json")) == "No such container: none"
    assert said(ask("GET", "/volumes/none")) == "get none: no such volume"
    assert said(ask("GET", "/networks/none9")) == "network none9 not found"


@pytest.mark.parametrize(
    ("body", "words"),
    [("{", "invalid JSON"), ("[]", "an object"), ("[" * 100000, "invalid JSON"), ("{}", "Config cannot be empty")],
)
def test_a_body_that_is_no_config_is_400(ask, body, words):
    answer = ask("POST", "/containers/create", body)
    assert answer[0] == 400 and words in said(answer)


@pytest.mark.parametrize(
    "config",
    [
        {"Image": 7},
        {"Image": "x", "Cmd": [1]},
        {"Image": "x", "Env": {"a": "b"}},
        {"Image": "x", "HostConfig": []},
        {"Image": "x", "HostConfig": {"Binds": "a:b"}},
        {"Image": "x", "HostConfig": {"Mounts": ["a"]}},
        {"Image": "x", "NetworkingConfig": {"EndpointsConfig": []}},
    ],
)
def test_a_config_of_other_kinds_of_values_is_400(ask, config):
    assert ask("POST", "/containers/create", json.dumps(config))[0] == 400


def test_filters_come_in_two_forms_and_an_unknown_one_is_400(ask):
    for good in ('{"dangling":{"1":true}}', '{"dangling":["1"]}', ""):
        assert ask("GET", f"/images/json?filters={good}")[0] == 200
    for bad in ('{"nothing":["1"]}', "x", "[]", '{"label":7}'):
        assert ask("GET", f"/images/json?filters={bad}")[0] == 400


def test_a_body_in_chunks_is_read_as_one_with_a_length(path):
    text = b'{"Name":"chunky"}'
    chunks = b"".join(b"%x\r\n%c\r\n" % (1, byte) for byte in text) + b"0\r\n\r\n"
    head = b"POST /volumes/create HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n"
    found = raw(path, head + chunks + b"DELETE /volumes/chunky HTTP/1.1\r\nHost: d\r\n\r\n")
    assert b"201 Created" in found and b"204 No Content" in found


MALFORMED = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40) + b"\r\n\r\n",  # TLS
    b"GET\r\n\r\n",
    b"GET /_ping HTTP/9.9\r\n\r\n",
    b"GET /_ping SMTP\r\n\r\n",
    b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\n\r\n",
    b"GET /_ping HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    b"GET /_ping HTTP/1.1\r\nX: " + b"y" * 70000 + b"\r\n\r\n",
    b"POST /volumes/create HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    b"POST /volumes/create HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    b"POST /volumes/create HTTP/1.1\r\nContent-Length: 99\r\n\r\n{",
    b"POST /volumes/create HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /volumes/create HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
    b"POST /volumes/create HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
    b"POST /build HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"POST /images/load HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
    b"GET /images/json?" + b"a=b&" * 2000 + b" HTTP/1.1\r\nHost: d\r\n\r\n",
]


@pytest.mark.parametrize("sent", MALFORMED, ids=range(len(MALFORMED)))
def test_a_malformed_request_is_4xx_in_json_and_the_engine_goes_on(path, ask, sent):
    answer = raw(path, sent)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 4"), answer[:200]
    assert json.loads(body)["message"] and b"Traceback" not in answer
    assert ask("GET", "/_ping")[0] == 200


def test_a_json_body_without_end_is_refused_before_it_fills_the_memory(path):
    head = b"POST /containers/create HTTP/1.1\r\nContent-Length: 9000000000\r\n\r\n"
    assert b"larger than 4 MB" in raw(path, head + b" " * (5 << 20), half_close=False)


def test_a_client_that_says_nothing_and_goes_leaves_no_trace(path, ask):
    for sent in (b"", b"G", b"GET /_ping HTTP/1.1\r\nHost"):
        raw(path, sent)
    assert ask("GET", "/_ping")[0] == 200


def test_a_connection_takes_request_after_request(path):
    wire = Wire(path)
    for _ in range(3):
        wire.request("GET", "/v1.41/version")
        assert json.loads(wire.getresponse().read())["ApiVersion"] == ".".join(map(str, API))
    wire.close()


def test_http_1_0_gets_no_chunks(path):
    answer = raw(path, b"GET /events?since=0&until=1 HTTP/1.0\r\n\r\n")
    assert b"chunked" not in answer and b"Connection: close" in answer


def test_socket_and_home_belong_to_their_owner_alone(path):
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600
    assert stat.S_IMODE(Path(path).parent.stat().st_mode) == 0o700


NOBODY = "127.0.0.1:9"
LOGIN = b'{"username": "me", "password": "hunter2", "serveraddress": "127.0.0.1:9"}'


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("POST /auth", LOGIN),
        (f"POST /images/create?fromImage={NOBODY}/x&tag=1", b""),
        (f"GET /images/search?term={NOBODY}/x", b""),
        (f"GET /distribution/{NOBODY}/x/json", b""),
    ],
)
def test_a_registry_that_is_not_there_is_told_with_what_to_do(ask, method, body):
    """A header that is no JSON counts as nobody, as in dockerd."""
    answer = ask(*method.split(), body, {"X-Registry-Auth": "c2VjcmV0", "Content-Type": "application/json"})
    assert answer[0] == 500 and "connection refused" in said(answer) and "Try: drydock registry start" in said(answer)
    assert "hunter2" not in said(answer)


# A storm

METHODS = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "BREW"]
WORDS = [
    "x",
    "..",
    "%2e%2e%2f",
    "a" * 300,
    "%00",
    "ä".encode().hex(),
    "'",
    "-1",
    "9" * 30,
    "sha256:00",
    "{name}",
    "%ff",
]
BODIES = ["", "{}", "[]", "null", "{", '{"Image": "x"}', '{"Image": 1}', '{"Cmd": {}}', '{"Name": "../x"}', "\x00\xff"]
QUERIES = ["", "?all=1", "?t=x", "?filters={", "?limit=-5", "?h=1&w=9", "?path=../..", "?since=x", "?condition=never"]
STREAMS = {"/events", "/containers/{name}/stats"}  # they answer for as long as one listens
ELSEWHERE = ("/auth", "/images/search", "/distribution/")  # they ask registries


def storm(seed, count):
    """Yield requests that are almost right: known paths with wrong words, methods, queries and bodies."""
    draw = random.Random(seed)
    paths = sorted({p for _, p in ROUTER.fixed} | {e.pattern.pattern for e in ROUTER.entries})
    paths = [one for one in paths if not one.startswith(ELSEWHERE)]
    for _ in range(count):
        url = draw.choice(paths).replace("(?P<name>.+)", draw.choice(WORDS)).replace("\\", "")
        if "/events" in url:
            url += "?until=1"
        else:
            url += draw.choice(QUERIES)
        prefix = draw.choice(["", "/v1.41", "/v1.24", "/v1.44", "/v9.9"])
        body = draw.choice(BODIES).encode("latin-1")
        yield draw.choice(METHODS), prefix + url, body, draw.choice([{}, {"Content-Type": "application/json"}])


def test_a_storm_of_almost_right_requests_gets_answers_and_no_traceback(ask, embedded):
    log = Path(embedded.removeprefix("unix://")).parent / "log"
    for method, url, body, headers in storm(20261124, 400):
        status, _, found = ask(method, url, body, headers)
        assert status < 500 or status in (501, 503), (method, url, body, status, found[:300])
        assert b"Traceback" not in found
    assert not log.exists() or "Traceback" not in log.read_text()


def test_a_storm_of_noise_leaves_the_engine_answering(path, ask):
    draw = random.Random(7)
    for _ in range(100):
        good = b'POST /v1.41/containers/create?name=x HTTP/1.1\r\nHost: d\r\nContent-Length: 15\r\n\r\n{"Image": "xx"}'
        broken = bytearray(good[: draw.randrange(len(good))])
        for _ in range(draw.randrange(4)):
            if broken:
                broken[draw.randrange(len(broken))] = draw.randrange(256)
        raw(path, bytes(broken))
    assert ask("GET", "/_ping")[0] == 200
