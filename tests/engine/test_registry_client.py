"""The registry client against a registry that lies: nothing untrue is taken for true, and nothing lasts for ever."""

import gzip
import json
import random
import ssl
import subprocess
import threading
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from drydock.registry import Credentials, NotThere, RegistryError, Repository, Settings, Unauthorized, mirrors, of_user
from drydock.registry.answer import Patience
from drydock.registry.download import Download
from drydock.registry.errors import Busy, Cut, InvalidManifest, Lying, NoImage, TooManyRequests, Unreachable
from drydock.registry.http import Http
from drydock.registry.manifest import Descriptor, document, manifest
from drydock.registry.upload import Upload
from lyingregistry import INDEX, LyingRegistry, cut_after, digest, drip, endless, hear, layer, status, to

QUICK = Patience(connect=5, first=5, last=5, span=2, least=1000, pauses=(0.01,) * 4)
ME = "Basic bWU6c2VjcmV0"  # me:secret
BODY = random.Random(1).randbytes(300_000)


@pytest.fixture
def registry():
    with LyingRegistry() as one:
        yield one


@pytest.fixture
def reach(registry):
    """Open a repository of the registry, with little patience."""
    opened = []

    def reach(path="team/app", credentials=None, patience=QUICK, **more):
        http = Http(patience)
        one = Repository(f"{registry.host}/{path}", credentials or Credentials(), Settings(), http=http, **more)
        opened.append(one)
        return one

    yield reach
    for one in opened:
        one.close()


def blob(registry, raw=BODY, path="team/app"):
    """Have a blob in the registry."""
    return Descriptor(registry.keep(path, raw), len(raw))


# Downloads


@pytest.mark.parametrize("count", [0, 1, 511, 131_072, 299_999])
def test_a_download_goes_on_where_it_was_cut(count, registry, reach, tmp_path):
    registry.lie("GET", "/blobs/", cut_after(count))
    assert Download(reach(), blob(registry), tmp_path).run().read_bytes() == BODY
    first, second = registry.asked("GET", "/blobs/")
    assert "range" not in first.headers
    assert second.headers.get("range") == (f"bytes={count}-" if count else None)


def test_a_download_that_gets_on_is_cut_as_often_as_it_likes(registry, reach, tmp_path):
    raw = random.Random(2).randbytes(2_000_000)
    registry.lie("GET", "/blobs/", cut_after(100_000), times=15)
    assert Download(reach(), blob(registry, raw), tmp_path).run().read_bytes() == raw


def test_a_download_that_never_gets_on_ends(registry, reach, tmp_path):
    registry.lie("GET", "/blobs/", cut_after(0), times=100)
    with pytest.raises(Cut):
        Download(reach(), blob(registry), tmp_path).run()
    assert len(registry.asked("GET", "/blobs/")) == 5


def test_what_an_earlier_attempt_left_is_not_asked_for_again(registry, reach, tmp_path):
    one = blob(registry)
    (tmp_path / one.digest.removeprefix("sha256:")).write_bytes(BODY[:200_000])
    Download(reach(), one, tmp_path).run()
    assert [call.headers["range"] for call in registry.asked("GET", "/blobs/")] == ["bytes=200000-"]


@pytest.mark.parametrize("left", [b"something else", BODY[:-1] + b"!", BODY + b"more"])
def test_a_wrong_beginning_is_fetched_anew(left, registry, reach, tmp_path):
    one = blob(registry)
    (tmp_path / one.digest.removeprefix("sha256:")).write_bytes(left)
    assert Download(reach(), one, tmp_path).run().read_bytes() == BODY


def test_a_registry_without_ranges_sends_all_again(registry, reach, tmp_path):
    registry.lie("GET", "/blobs/", cut_after(1000))
    registry.lie("GET", "/blobs/", lambda call: call.say(200, BODY))
    assert Download(reach(), blob(registry), tmp_path).run().read_bytes() == BODY


@pytest.mark.parametrize(
    "lie", [lambda call: call.say(200, bytes(len(BODY))), lambda call: call.say(200, BODY[1:]), endless]
)
def test_other_bytes_or_more_or_fewer_are_refused_and_leave_nothing(lie, registry, reach, tmp_path):
    registry.lie("GET", "/blobs/", lie, times=9)
    with pytest.raises(Lying, match="Nothing of it was used"):
        Download(reach(), blob(registry), tmp_path).run()
    assert not [path for path in tmp_path.iterdir() if path.stat().st_size]


def test_a_slow_drip_ends(registry, reach, tmp_path):
    stop, hasty = threading.Event(), replace(QUICK, span=0.2)
    registry.lie("GET", "/blobs/", drip(stop), times=9)
    with pytest.raises(RegistryError):
        Download(reach(patience=hasty), blob(registry), tmp_path).run()
    with pytest.raises(Cut):
        registry.lie("GET", "/manifests/", drip(stop), times=9)
        reach(patience=hasty).manifest("1")
    stop.set()


def test_trouble_of_the_registrys_own_passes(registry, reach):
    registry.image("team/app", "1", layer({"a": b"1"}))
    registry.lie("GET", "/manifests/", status(503), times=3)
    assert reach().image("1").layers
    registry.lie("GET", "/manifests/", status(500), times=9)
    with pytest.raises(Busy, match="received unexpected HTTP status: 500"):
        reach().image("1")


def test_an_answer_that_never_begins_is_asked_for_again(registry, reach):
    registry.image("team/app", "1", layer({"a": b"1"}))
    for part in ("/v2/", "/manifests/"):
        registry.lie("GET", part, lambda call: call.cut(), times=2)
    assert reach().manifest("1")


def test_a_connection_that_ended_unseen_is_opened_anew(registry, reach):
    registry.image("team/app", "1", layer({"a": b"1"}))
    repository = reach()
    repository.manifest("1")
    registry.lie("GET", "/manifests/", lambda call: call.cut())
    assert repository.manifest("1")


def test_closing_wakes_whoever_waits(registry, reach, tmp_path):
    stop, ended = threading.Event(), []
    registry.lie("GET", "/blobs/", drip(stop, 0.001))
    repository = reach()

    def wait():
        with pytest.raises(Cut) as caught:
            Download(repository, blob(registry), tmp_path).run(tell=lambda done: heard.set())
        ended.append(caught.value)

    heard = threading.Event()
    thread = threading.Thread(target=wait)
    thread.start()
    assert heard.wait(20)
    repository.close()
    thread.join(20)
    stop.set()
    assert ended


# Redirects


def test_a_redirect_to_another_host_carries_no_credentials(registry, reach):
    with LyingRegistry() as other:
        other.keep("team/app", BODY)
        registry.login = (ME,)
        registry.lie("GET", "/blobs/", to(f"http://{other.host}/v2/team/app/blobs/{digest(BODY)}"), times=9)
        assert reach(credentials=Credentials("me", "secret")).read(digest(BODY)) == BODY
        assert registry.asked("GET", "/blobs/")[-1].headers["authorization"] == ME
        assert "authorization" not in other.calls[-1].headers


@pytest.mark.parametrize("where", ["/v2/team/app/blobs/again", "file:///etc/passwd", "ftp://127.0.0.1/x"])
def test_a_redirect_that_leads_nowhere_is_not_followed(where, registry, reach):
    registry.lie("GET", "/blobs/", to(where), times=99)
    with pytest.raises(RegistryError, match="redirect"):
        reach().read(digest(BODY))
    assert len(registry.calls) < 10


# Who asks


def test_a_registry_that_is_never_content_is_asked_twice(registry, reach):
    registry.login = ("nothing will do",)
    with pytest.raises(Unauthorized, match="authentication required"):
        reach(credentials=Credentials("me", "secret")).manifest("1")
    assert len(registry.asked("GET", "/manifests/")) == 1
    registry.challenge = f'Bearer realm="http://{registry.host}/token",service="test"'
    registry.lie("GET", "/token", lambda call: call.say(200, b'{"token": "t"}'), times=99)
    with pytest.raises(Unauthorized):
        reach(credentials=Credentials("me", "secret")).manifest("1")
    assert len(registry.asked("GET", "/manifests/")) == 3  # one of the Basic kind, two with tokens


def test_without_a_login_the_error_says_what_to_type(registry, reach):
    registry.login = (ME,)
    with pytest.raises(Unauthorized, match=f"no basic auth credentials.*docker login {registry.host}"):
        reach().manifest("1")


def test_a_token_is_fetched_with_the_password_and_shown_in_its_place(registry, reach):
    registry.image("team/app", "1", layer({"a": b"1"}))
    registry.login = ("Bearer t1",)
    registry.challenge = f'Bearer realm="http://{registry.host}/token",service="the registry"'
    registry.lie("GET", "/token", lambda call: call.say(200, b'{"token": "t1", "expires_in": 300}'), times=9)
    repository = reach(credentials=Credentials("me", "secret"))
    repository.read(repository.image("1").config.digest)
    (asked,) = registry.asked("GET", "/token")
    assert asked.headers["authorization"] == ME
    assert parse_qs(urlsplit(asked.path).query) == {
        "service": ["the registry"],
        "scope": ["repository:team/app:pull"],
        "account": ["me"],
    }
    assert all(call.headers.get("authorization") != ME for call in registry.calls if "/v2/" in call.path)


def test_a_token_that_has_run_out_is_fetched_anew(registry, reach):
    registry.image("team/app", "1", layer({"a": b"1"}))
    registry.login = ("Bearer new",)
    registry.challenge = f'Bearer realm="http://{registry.host}/token"'
    registry.lie("GET", "/token", lambda call: call.say(200, b'{"access_token": "old"}'))
    registry.lie("GET", "/token", lambda call: call.say(200, b'{"access_token": "new"}'))
    assert reach().image("1")


def test_an_identity_token_is_traded_by_post(registry, reach):
    bodies = []

    def trade(call):
        bodies.append(parse_qs(call.body().decode()))
        call.say(200, b'{"access_token": "t"}')

    registry.image("team/app", "1", layer({"a": b"1"}))
    registry.login = ("Bearer t",)
    registry.challenge = f'Bearer realm="http://{registry.host}/token",service="s"'
    registry.lie("POST", "/token", trade)
    reach(credentials=Credentials(identity="long-lived")).image("1")
    assert bodies[0]["refresh_token"] == ["long-lived"] and bodies[0]["grant_type"] == ["refresh_token"]


def test_a_password_never_goes_to_a_token_server_in_plain_text(registry, reach):
    registry.login, registry.challenge = ("x",), 'Bearer realm="http://192.0.2.1/token"'
    with pytest.raises(Unauthorized, match="it was not sent"):
        reach(credentials=Credentials("me", "secret")).manifest("1")


def test_an_error_shows_no_password(registry, reach):
    registry.login = ("x",)
    with pytest.raises(Unauthorized) as caught:
        reach(credentials=Credentials("me", "hunter2secret")).manifest("1")
    assert "hunter2secret" not in f"{caught.value} {caught.value!r} {Credentials('me', 'hunter2secret')!r}"


@pytest.mark.parametrize(("headers", "words"), [({"Retry_After": "3600"}, "1 hour"), ({}, "Meanwhile")])
def test_too_many_requests_says_how_long_and_what_else_can_be_done(headers, words, registry, reach):
    registry.lie("GET", "/manifests/", status(429, RateLimit_Limit="100;w=21600", **headers), times=9)
    with pytest.raises(TooManyRequests) as caught:
        reach().manifest("1")
    for text in (words, "100 in 6 hours", "docker login", "mirror", "Try: drydock registry start"):
        assert text in str(caught.value)
    assert len(registry.asked("GET", "/manifests/")) == 1


def test_a_short_wait_that_the_registry_asks_for_is_waited(registry, reach):
    registry.image("team/app", "1", layer({"a": b"1"}))
    registry.lie("GET", "/manifests/", status(429, Retry_After="1"))
    assert reach().image("1")


def test_credentials_are_found_where_docker_login_put_them(tmp_path, monkeypatch):
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"auths": {"a:1": {"auth": "bWU6c2VjcmV0"}}, "credHelpers": {"b:1": "test"}}))
    helper = tmp_path / "docker-credential-test"
    helper.write_text('#!/bin/sh\nread server; echo "{\\"Username\\": \\"you\\", \\"Secret\\": \\"for $server\\"}"\n')
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert of_user("a:1", config) == Credentials("me", "secret")
    assert of_user("b:1", config) == Credentials("you", "for b:1")
    assert not of_user("c:1", config)


# Manifests


def test_a_manifest_that_is_too_long_is_refused(registry, reach):
    registry.document("team/app", "1", b'{"schemaVersion": 2, "layers": ["' + b"x" * (5 << 20) + b'"]}')
    with pytest.raises(RegistryError, match="sends more than"):
        reach().image("1")


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 100_000,
        b"no JSON",
        b"{}",
        b'{"schemaVersion": 1, "fsLayers": []}',
        json.dumps({"schemaVersion": 2, "layers": [], "config": {"digest": "sha256:../../x", "size": 1}}).encode(),
        json.dumps({"schemaVersion": 2, "layers": [], "config": {"digest": digest(b""), "size": -1}}).encode(),
        json.dumps({"schemaVersion": 2, "config": {"digest": digest(b""), "size": 1}, "layers": [{}] * 1001}).encode(),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(raw):
    with pytest.raises(InvalidManifest):
        manifest(document(raw, ""), "x")


def test_an_index_that_points_at_itself_or_too_deep_is_refused(registry, reach):
    entry = {"digest": digest(b"self"), "size": 4, "platform": {"os": "linux", "architecture": "amd64"}}
    raw = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).encode()
    registry.document("team/app", "1", raw, INDEX)
    registry.manifests["team/app", digest(b"self")] = (INDEX, raw)
    with pytest.raises(Lying):
        reach().image("1", "linux/amd64")
    for _ in range(3):
        entry = entry | {"digest": registry.document("team/app", "1", raw, INDEX), "size": len(raw)}
        raw = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).encode()
    registry.document("team/app", "1", raw, INDEX)
    with pytest.raises(InvalidManifest, match="index of indexes"):
        reach().image("1", "linux/amd64")


def test_an_index_gives_the_image_of_the_platform(registry, reach):
    rows = []
    for name in ("arm64", "amd64"):
        registry.image("team/app", name, layer({name: b""}), architecture=name)
        raw = registry.manifests["team/app", name][1]
        rows.append({"digest": digest(raw), "size": len(raw), "platform": {"os": "linux", "architecture": name}})
    registry.document("team/app", "1", json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": rows}).encode())
    repository = reach()
    for name in ("arm64", "amd64"):
        found = repository.image("1", f"linux/{name}")
        assert json.loads(repository.read(found.config.digest))["architecture"] == name
    with pytest.raises(InvalidManifest, match="no matching manifest for linux/s390x in the manifest list entries"):
        repository.image("1", "linux/s390x")


def test_what_is_no_image_is_refused_with_the_reason(registry, reach):
    config = {"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": digest(b"{}"), "size": 2}
    raw = json.dumps({"schemaVersion": 2, "config": config, "layers": []}).encode()
    registry.document("team/app", "chart", raw, "application/vnd.oci.image.manifest.v1+json")
    with pytest.raises(NoImage, match=r"is no image.*helm"):
        reach().image("chart")


def test_what_is_missing_is_told_in_the_registrys_words(registry, reach):
    with pytest.raises(NotThere, match="manifest unknown: manifest unknown"):
        reach().manifest("nope")
    assert reach().digest("nope") == ""
    assert reach().size_of(digest(b"nope")) is None


# Uploads


@pytest.mark.parametrize("count", [1, 2, 131_072, 299_999])
def test_an_upload_goes_on_where_the_registry_was_cut(count, registry, reach, tmp_path):
    (tmp_path / "blob").write_bytes(BODY)
    registry.lie("PUT", "/uploads/", hear(count))
    one = Descriptor(digest(BODY), len(BODY))
    Upload(reach(push=True), one, lambda: (tmp_path / "blob").open("rb")).run()
    assert registry.blobs[digest(BODY)] == BODY
    (rest,) = registry.asked("PATCH", "/uploads/") or [None]
    if count > 1:  # a registry says "0-0" for one byte and for none
        assert rest.headers["content-range"] == f"{count}-{len(BODY) - 1}"


def test_an_upload_that_the_registry_forgot_begins_anew(registry, reach, tmp_path):
    (tmp_path / "blob").write_bytes(BODY)
    registry.lie("PUT", "/uploads/", lambda call: (call.body(1000), registry.uploads.clear(), call.cut()))
    Upload(reach(push=True), Descriptor(digest(BODY), len(BODY)), lambda: (tmp_path / "blob").open("rb")).run()
    assert registry.blobs[digest(BODY)] == BODY


def test_an_upload_that_is_refused_early_says_why(registry, reach, tmp_path):
    (tmp_path / "blob").write_bytes(BODY)
    registry.lie("PUT", "/uploads/", lambda call: (call.refuse(403, "DENIED", "quota exceeded"), call.cut()))
    with pytest.raises(Unauthorized, match="denied: quota exceeded"):
        Upload(reach(push=True), Descriptor(digest(BODY), len(BODY)), lambda: (tmp_path / "blob").open("rb")).run()


def test_an_upload_that_goes_to_another_host_carries_no_credentials(registry, reach, tmp_path):
    (tmp_path / "blob").write_bytes(BODY)
    with LyingRegistry(uploads={"1": b""}) as other:
        registry.login = (ME,)
        where = f"http://{other.host}/v2/team/app/blobs/uploads/1"
        registry.lie("POST", "/uploads/", lambda call: call.say(202, Location=where))
        repository = reach(credentials=Credentials("me", "secret"), push=True)
        Upload(repository, Descriptor(digest(BODY), len(BODY)), lambda: (tmp_path / "blob").open("rb")).run()
        assert other.blobs[digest(BODY)] == BODY
        assert not any("authorization" in call.headers for call in other.calls)


# Where to ask


def test_a_mirror_is_asked_first_and_the_registry_where_it_has_nothing(registry, monkeypatch, tmp_path):
    with LyingRegistry() as mirror:
        mirror.image("library/one", "1", layer({"a": b"mirror"}))
        registry.image("library/two", "1", layer({"a": b"hub"}))
        registry.image("library/one", "1", layer({"a": b"hub"}))
        monkeypatch.setattr(mirrors, "HUB", registry.host)
        settings = Settings(insecure=("docker.io",), mirrors=(f"http://{mirror.host}",))
        login = Credentials("me", "secret")
        for name in ("one", "two"):
            with Repository(name, login, settings, http=Http(QUICK)) as repository:
                found = repository.image("1")
                Download(repository, found.layers[0], tmp_path).run()
        assert mirror.asked("GET", "library/one/blobs") and not registry.asked("GET", "library/one/blobs")
        assert registry.asked("GET", "library/two/blobs")
        assert not any("authorization" in call.headers for call in mirror.calls)


def test_a_mirror_that_lies_is_left(registry, monkeypatch, tmp_path):
    with LyingRegistry() as mirror:
        for one in (mirror, registry):
            one.image("library/one", "1", layer({"a": b"same"}), pack=lambda raw: gzip.compress(raw, mtime=0))
        mirror.lie("GET", "/blobs/", endless, times=9)
        monkeypatch.setattr(mirrors, "HUB", registry.host)
        settings = Settings(insecure=("docker.io",), mirrors=(f"http://{mirror.host}",))
        with Repository("one", Credentials(), settings, http=Http(QUICK)) as repository:
            assert Download(repository, repository.image("1").layers[0], tmp_path).run().stat().st_size
        assert registry.asked("GET", "/blobs/")


def test_a_proxy_is_used_for_others_and_never_for_this_machine(registry, reach, monkeypatch):
    registry.image("team/app", "1", layer({"a": b"1"}))
    monkeypatch.setenv("http_proxy", f"http://me:secret@{registry.host}")
    monkeypatch.setenv("https_proxy", f"http://{registry.host}")
    monkeypatch.setenv("no_proxy", "")
    registry.lie("GET", "http://lab.test/v2/", lambda call: call.say(200, b"{}"))
    registry.lie("GET", "http://lab.test/v2/team", lambda call: call.say(200, registry.manifests["team/app", "1"][1]))
    settings = Settings(insecure=("lab.test",))
    with Repository("lab.test/team/app", Credentials(), settings, http=Http(QUICK)) as repository:
        assert repository.image("1")
    assert registry.asked("GET", "http://lab.test")[0].headers["proxy-authorization"] == ME
    registry.calls.clear()
    reach().manifest("1")
    assert not any("http:" in call.path or "proxy-authorization" in call.headers for call in registry.calls)


def test_a_registry_that_does_not_run_says_how_to_start_it():
    told = r"127\.0\.0\.1:9: connect: connection refused.*drydock registry start"
    with pytest.raises(Unreachable, match=told):
        Repository("127.0.0.1:9/x", Credentials(), Settings(), http=Http(QUICK)).manifest("1")


def test_plain_http_is_not_spoken_to_others(registry):
    assert Settings().endpoints("registry.example.org")[0].roots == ("https://registry.example.org",)
    http = Http(QUICK)
    with pytest.raises(Unreachable, match=r"server gave HTTP response to HTTPS client.*insecure-registries"):
        http.send("GET", f"https://{registry.host}/v2/")
    http.close()


def test_a_certificate_that_nobody_vouches_for_is_explained(registry, tmp_path):
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = f"openssl req -x509 -newkey rsa:2048 -nodes -keyout {key} -out {cert} -days 2 -subj /CN=localhost"
    subprocess.run([*command.split(), "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    registry._server.socket = context.wrap_socket(registry._server.socket, server_side=True)
    registry.image("team/app", "1", layer({"a": b"1"}))
    http = Http(QUICK)
    with pytest.raises(Unreachable, match=r"x509: self.signed certificate.*certs.d"):
        http.send("GET", f"https://{registry.host}/v2/")
    http.close()
    with Repository(f"{registry.host}/team/app", Credentials(), Settings(), http=Http(QUICK)) as repository:
        assert repository.image("1")  # on loopback nobody need vouch for it
