"""The registry as the specification describes it, over plain HTTP: pull, push, discovery, management, refusals."""

import json
import os
import socket
import time

import pytest
from ownregistry import OCI, digest, manifest, registry

DOCKER = "application/vnd.docker.distribution"
NOBODY = digest(b"nobody has this")


@pytest.fixture(scope="module")
def server():
    with registry() as one:
        yield one


@pytest.fixture
def name(request):
    """A repository of the test's own."""
    return "t/" + "".join(c if c.isalnum() else "-" for c in request.node.name.lower()).strip("-").replace("--", "-")


def test_the_base_says_that_this_is_a_registry(server):
    for path in ("/v2/", "/v2"):
        answer = server.ask("GET", path)
        assert (answer.status, answer.headers["docker-distribution-api-version"]) == (200, "registry/2.0")


# Pull


def test_a_blob_is_pulled_whole_with_its_digest_and_size(server, name):
    d = server.blob(name, b"layer")
    for method, body in (("GET", b"layer"), ("HEAD", b"")):
        answer = server.ask(method, f"/v2/{name}/blobs/{d}")
        assert (answer.status, answer.body, answer.headers["content-length"]) == (200, body, "5")
        assert answer.headers["docker-content-digest"] == d


@pytest.mark.parametrize(
    ("asked", "status", "body", "told"),
    [
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-2", 206, b"89", "bytes 8-9/10"),
        ("bytes=0-99", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=5-2", 416, None, "bytes */10"),
        ("bytes=0-1,4-5", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
    ],
)
def test_a_part_of_a_blob_is_pulled(server, asked, status, body, told):
    d = server.blob("t/range", b"0123456789")
    answer = server.ask("GET", f"/v2/t/range/blobs/{d}", Range=asked)
    assert (answer.status, answer.headers.get("content-range")) == (status, told)
    assert body is None or answer.body == body


def test_a_manifest_is_pulled_by_tag_and_by_digest_byte_for_byte(server, name):
    data = manifest(b"one", annotations={"a": "b"}) + b"\n"
    for blob in (b"{}", b"one"):
        server.blob(name, blob)
    d = server.manifest(name, "v1", data).headers["docker-content-digest"]
    for reference in ("v1", d):
        answer = server.ask("GET", f"/v2/{name}/manifests/{reference}")
        assert (answer.body, answer.headers["content-type"]) == (data, f"{OCI}.manifest.v1+json")
        head = server.ask("HEAD", f"/v2/{name}/manifests/{reference}")
        assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(data)))
        assert head.headers["docker-content-digest"] == digest(data) == d


def test_what_is_not_there_is_404_with_its_code(server, name):
    server.image(name, "v1", b"x")
    assert server.ask("GET", f"/v2/{name}/blobs/{NOBODY}").codes == ["BLOB_UNKNOWN"]
    assert server.ask("GET", f"/v2/{name}/manifests/v2").codes == ["MANIFEST_UNKNOWN"]
    assert server.ask("GET", f"/v2/{name}/manifests/{NOBODY}").codes == ["MANIFEST_UNKNOWN"]
    assert server.ask("GET", f"/v2/{name}/blobs/uploads/{'0' * 32}").codes == ["BLOB_UPLOAD_UNKNOWN"]
    assert server.ask("GET", f"/v2/{name}-not/tags/list").codes == ["NAME_UNKNOWN"]
    assert server.ask("HEAD", f"/v2/{name}/blobs/{NOBODY}").status == 404


def test_one_repository_does_not_show_what_another_has(server, name):
    d = server.image(name, "v1", b"mine")
    assert server.ask("GET", f"/v2/{name}-other/blobs/{digest(b'mine')}").status == 404
    assert server.ask("GET", f"/v2/{name}-other/manifests/{d}").status == 404


# Push


def begin(server, name):
    answer = server.ask("POST", f"/v2/{name}/blobs/uploads/")
    assert (answer.status, answer.headers["range"]) == (202, "0-0")
    return answer.headers["location"]


def test_a_blob_is_pushed_in_one_piece_after_asking_for_a_place(server, name):
    place = begin(server, name)
    answer = server.ask("PUT", f"{place}?digest={digest(b'whole')}", b"whole")
    assert (answer.status, answer.headers["location"]) == (201, f"/v2/{name}/blobs/{digest(b'whole')}")
    assert server.ask("GET", answer.headers["location"]).body == b"whole"


def test_a_blob_is_pushed_in_pieces_each_with_its_range(server, name):
    place = begin(server, name)
    first = server.ask("PATCH", place, b"01234", Content_Range="0-4")
    assert (first.status, first.headers["range"]) == (202, "0-4")
    state = server.ask("GET", first.headers["location"])
    assert (state.status, state.headers["range"]) == (204, "0-4")
    last = server.ask("PUT", f"{place}?digest={digest(b'0123456')}", b"56", Content_Range="5-6")
    assert last.status == 201
    assert server.ask("GET", f"/v2/{name}/blobs/{digest(b'0123456')}").body == b"0123456"


def test_a_blob_is_streamed_without_saying_how_long_it_is(server, name):
    place = begin(server, name)
    assert server.ask("PATCH", place, iter([b"one,", b"two,", b"three"])).headers["range"] == "0-12"
    answer = server.ask("PUT", f"{place}?digest={digest(b'one,two,three')}")
    assert answer.status == 201 and server.ask("GET", answer.headers["location"]).body == b"one,two,three"


@pytest.mark.parametrize("said", ["5-9", "1-5", "0-3", "x-y", "0-"])
def test_a_piece_that_does_not_follow_is_416_and_says_where_to_go_on(server, said):
    place = begin(server, "t/order")
    assert server.ask("PATCH", place, b"abc", Content_Range="0-2").status == 202
    answer = server.ask("PATCH", place, b"defgh", Content_Range=said)
    assert (answer.status, answer.headers["range"], answer.headers["location"]) == (416, "0-2", place)
    assert server.ask("PATCH", place, b"de", Content_Range="3-4").status == 202


def test_bytes_of_another_digest_are_refused_and_nothing_stays(server, name):
    place = begin(server, name)
    answer = server.ask("PUT", f"{place}?digest={digest(b'right')}", b"wrong")
    assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])
    assert server.ask("POST", f"/v2/{name}/blobs/uploads/?digest={digest(b'right')}", b"wrong").status == 400
    assert server.ask("GET", place).status == 404
    assert not any((server.home / "registry/repositories" / name / "_uploads").iterdir())
    assert not (server.home / "registry/blobs/sha256" / digest(b"right")[7:]).exists()
    assert not (server.home / "registry/blobs/sha256" / digest(b"wrong")[7:]).exists()


def test_an_upload_can_be_given_up(server, name):
    place = begin(server, name)
    assert server.ask("DELETE", place).status == 204
    assert server.ask("PATCH", place, b"x").codes == ["BLOB_UPLOAD_UNKNOWN"]


def test_an_upload_belongs_to_its_repository(server, name):
    place = begin(server, name)
    assert server.ask("PATCH", place.replace(name, "t/someone"), b"x").status == 404


def test_a_cut_push_goes_on_where_it_ended(server, name):
    place = begin(server, name)
    with socket.create_connection(("127.0.0.1", server.port)) as line:
        line.sendall(f"PATCH {place} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabcd".encode())
    deadline = time.monotonic() + 10
    while server.ask("GET", place).headers["range"] != "0-3":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    answer = server.ask("PUT", f"{place}?digest={digest(b'abcdefghi')}", b"efghi", Content_Range="4-8")
    assert answer.status == 201


def test_an_earlier_request_that_hangs_gives_way_to_a_later_one(server, name):
    place = begin(server, name)
    with socket.create_connection(("127.0.0.1", server.port)) as hanging:
        hanging.sendall(f"PATCH {place} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabcd".encode())
        deadline = time.monotonic() + 10
        while server.ask("GET", place).headers["range"] != "0-3":
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert server.ask("PATCH", place, b"efg", Content_Range="4-6").headers["range"] == "0-6"
        hanging.sendall(b"EFGHI")
        assert b"BLOB_UPLOAD_INVALID" in hanging.recv(4096)
    assert server.ask("PUT", f"{place}?digest={digest(b'abcdefg')}").status == 201


def test_a_blob_of_another_repository_is_mounted_without_being_sent(server, name):
    d = server.image(name, "v1", b"shared") and digest(b"shared")
    for query, status in ((f"mount={d}&from={name}", 201), (f"mount={d}", 201), (f"mount={d}&from=t/nobody", 202)):
        target = f"{name}-{len(query)}"
        answer = server.ask("POST", f"/v2/{target}/blobs/uploads/?{query}")
        assert answer.status == status
        assert server.ask("HEAD", f"/v2/{target}/blobs/{d}").status == (200 if status == 201 else 404)
    assert server.ask("POST", f"/v2/{name}/blobs/uploads/?mount={NOBODY}&from={name}").status == 202
    assert server.ask("POST", f"/v2/{name}/blobs/uploads/?mount=nonsense&from=../..").status == 202


def test_a_manifest_that_names_what_is_not_here_is_refused_blob_by_blob(server, name):
    server.blob(name, b"{}")
    answer = server.manifest(name, "v1", manifest(b"absent", b"absent too"))
    assert (answer.status, answer.codes) == (404, ["MANIFEST_BLOB_UNKNOWN"] * 2)
    assert {e["detail"]["digest"] for e in answer.json["errors"]} == {digest(b"absent"), digest(b"absent too")}
    assert server.ask("GET", f"/v2/{name}/manifests/v1").status == 404


def test_an_index_needs_its_manifests(server, name):
    one = server.image(name, "one", b"1")
    size = len(server.ask("GET", f"/v2/{name}/manifests/one").body)
    for kind in (f"{OCI}.index.v1+json", f"{DOCKER}.manifest.list.v2+json"):
        row = {"mediaType": f"{OCI}.manifest.v1+json", "digest": one, "size": size}
        index = {"schemaVersion": 2, "mediaType": kind, "manifests": [row]}
        assert server.manifest(name, "all", json.dumps(index).encode(), kind).status == 201
        assert server.ask("GET", f"/v2/{name}/manifests/all").headers["content-type"] == kind
        index["manifests"].append(row | {"digest": NOBODY})
        assert server.manifest(name, "all", json.dumps(index).encode(), kind).codes == ["MANIFEST_BLOB_UNKNOWN"]


def test_dockers_own_manifest_is_kept_as_it_is(server, name):
    kind = f"{DOCKER}.manifest.v2+json"
    for data in (b"{}", b"layer"):
        server.blob(name, data)
    data = manifest(b"layer", mediaType=kind)
    assert server.manifest(name, "v1", data, kind).status == 201
    assert server.ask("GET", f"/v2/{name}/manifests/v1").headers["content-type"] == kind


@pytest.mark.parametrize(
    ("data", "kind", "code", "status"),
    [
        (b"no json", f"{OCI}.manifest.v1+json", "MANIFEST_INVALID", 400),
        (b"[" * 100_000, f"{OCI}.manifest.v1+json", "MANIFEST_INVALID", 400),
        (b'{"schemaVersion": 1}', f"{OCI}.manifest.v1+json", "MANIFEST_INVALID", 400),
        (b'{"schemaVersion": 2, "layers": []}', f"{OCI}.manifest.v1+json", "MANIFEST_INVALID", 400),
        (manifest(b"x", mediaType=f"{OCI}.index.v1+json"), f"{OCI}.manifest.v1+json", "MANIFEST_INVALID", 400),
        (manifest(b"x"), "application/json", "MANIFEST_INVALID", 400),
        (manifest(b"x").replace(b"sha256:", b"sha999:"), f"{OCI}.manifest.v1+json", "DIGEST_INVALID", 400),
        (manifest(b"x").replace(b'"size": 1', b'"size": 7'), f"{OCI}.manifest.v1+json", "SIZE_INVALID", 400),
        (manifest(b"x") + b" " * (4 << 20), f"{OCI}.manifest.v1+json", "MANIFEST_INVALID", 413),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(server, data, kind, code, status):
    for blob in (b"{}", b"x"):
        server.blob("t/odd", blob)
    answer = server.manifest("t/odd", "v1", data, kind)
    assert (answer.status, answer.codes) == (status, [code])


def test_a_manifest_under_another_digest_is_refused(server, name):
    server.image(name, "v1", b"x")
    assert server.manifest(name, NOBODY, manifest(b"x")).codes == ["DIGEST_INVALID"]


def test_a_layer_that_lies_elsewhere_need_not_be_here(server, name):
    server.blob(name, b"{}")
    row = {"mediaType": f"{DOCKER.replace('.distribution', '')}.image.rootfs.foreign.diff.tar.gzip", "size": 3}
    row |= {"digest": NOBODY, "urls": ["https://example.com/layer"]}
    assert server.manifest(name, "v1", manifest(layers=[row])).status == 201


# Discovery


def test_tags_are_listed_in_order_and_page_by_page(server, name):
    tags = ["1.0", "2.0-RC1", "A", "a", "latest", "x" * 128]
    for tag in tags:
        server.image(name, tag, b"x")
    assert server.ask("GET", f"/v2/{name}/tags/list").json == {"name": name, "tags": sorted(tags)}
    seen, path = [], f"/v2/{name}/tags/list?n=2"
    while path:
        answer = server.ask("GET", path)
        seen.append(answer.json["tags"])
        path = answer.headers.get("link", "").partition(">")[0].lstrip("<")
    assert seen == [["1.0", "2.0-RC1"], ["A", "a"], ["latest", "x" * 128]]
    assert server.ask("GET", f"/v2/{name}/tags/list?n=0").json["tags"] == []
    assert server.ask("GET", f"/v2/{name}/tags/list?last=b&n=1").json["tags"] == ["latest"]
    assert server.ask("GET", f"/v2/{name}/tags/list?n=-1").codes == ["PAGINATION_NUMBER_INVALID"]


def test_repositories_are_listed_page_by_page(server, name):
    for one in ("b", "a", "a/deep/er"):
        server.image(f"{name}/{one}", "v1", b"x")
    found = server.ask("GET", "/v2/_catalog").json["repositories"]
    assert found == sorted(found) and {f"{name}/{one}" for one in ("a", "a/deep/er", "b")} <= set(found)
    answer = server.ask("GET", f"/v2/_catalog?n=1&last={name}/a")
    assert answer.json["repositories"] == [f"{name}/a/deep/er"] and 'rel="next"' in answer.headers["link"]


def test_what_is_said_about_an_image_is_listed(server, name):
    d = server.image(name, "v1", b"x")
    subject = {"mediaType": f"{OCI}.manifest.v1+json", "digest": d, "size": 1}
    assert server.ask("GET", f"/v2/{name}/referrers/{d}").json["manifests"] == []
    for kind in ("text/a", "text/b"):
        data = manifest(b"x", artifactType=kind, subject=subject, annotations={"of": kind})
        answer = server.manifest(name, digest(data), data)
        assert (answer.status, answer.headers["oci-subject"]) == (201, d)
    answer = server.ask("GET", f"/v2/{name}/referrers/{d}")
    assert answer.headers["content-type"] == f"{OCI}.index.v1+json" and "oci-filters-applied" not in answer.headers
    assert {(m["artifactType"], m["annotations"]["of"]) for m in answer.json["manifests"]} == {
        ("text/a", "text/a"),
        ("text/b", "text/b"),
    }
    answer = server.ask("GET", f"/v2/{name}/referrers/{d}?artifactType=text/b")
    assert answer.headers["oci-filters-applied"] == "artifactType"
    (row,) = answer.json["manifests"]
    assert row["artifactType"] == "text/b"
    assert server.ask("DELETE", f"/v2/{name}/manifests/{row['digest']}").status == 202
    assert len(server.ask("GET", f"/v2/{name}/referrers/{d}").json["manifests"]) == 1


def test_an_image_can_be_about_one_that_is_not_here_yet(server, name):
    subject = {"mediaType": f"{OCI}.manifest.v1+json", "digest": NOBODY, "size": 1}
    d = server.image(name, "v1", b"x", subject=subject)
    (row,) = server.ask("GET", f"/v2/{name}/referrers/{NOBODY}").json["manifests"]
    assert row["digest"] == d and row["artifactType"] == f"{OCI}.config.v1+json"


# Management


def test_a_tag_is_removed_and_the_image_stays(server, name):
    d = server.image(name, "v1", b"x")
    server.image(name, "v2", b"x")
    assert server.ask("DELETE", f"/v2/{name}/manifests/v1").status == 202
    assert server.ask("GET", f"/v2/{name}/manifests/v1").status == 404
    assert server.ask("GET", f"/v2/{name}/manifests/{d}").status == 200
    assert server.ask("GET", f"/v2/{name}/tags/list").json["tags"] == ["v2"]


def test_an_image_is_removed_with_its_tags(server, name):
    d = server.image(name, "v1", b"x")
    server.image(name, "v2", b"y")
    assert server.ask("DELETE", f"/v2/{name}/manifests/{d}").status == 202
    assert server.ask("DELETE", f"/v2/{name}/manifests/{d}").status == 404
    assert server.ask("GET", f"/v2/{name}/tags/list").json["tags"] == ["v2"]
    assert server.ask("DELETE", f"/v2/{name}/manifests/v2").status == 202
    assert server.ask("GET", f"/v2/{name}/tags/list").json == {"name": name, "tags": []}


def test_a_blob_is_removed_from_one_repository_only(server, name):
    for one in (name, f"{name}-b"):
        server.image(one, "v1", b"shared by two")
    d = digest(b"shared by two")
    assert server.ask("DELETE", f"/v2/{name}/blobs/{d}").status == 202
    assert server.ask("DELETE", f"/v2/{name}/blobs/{d}").status == 404
    assert server.ask("GET", f"/v2/{name}/blobs/{d}").status == 404
    assert server.ask("GET", f"/v2/{name}-b/blobs/{d}").body == b"shared by two"


# What it refuses

LONG = "a" * 256


@pytest.mark.parametrize(
    "path",
    [
        "/v2/../../etc/passwd",
        "/v2/../x/blobs/" + NOBODY,
        "/v2/a/../b/manifests/v1",
        "/v2/a/%2e%2e/%2e%2e/manifests/v1",
        "/v2/a%2f..%2f..%2fb/manifests/v1",
        "/v2/a%00b/manifests/v1",
        "/v2/a%0ab/manifests/v1",
        "/v2/_uploads/manifests/v1",
        "/v2/a/_manifests/manifests/v1",
        "/v2/A/manifests/v1",
        "/v2//a/manifests/v1",
        "/v2/a//b/manifests/v1",
        f"/v2/{LONG}/manifests/v1",
        "/v2/a/manifests/..",
        "/v2/a/manifests/.hidden",
        "/v2/a/manifests/%2e%2e%2fx",
        "/v2/a/manifests/v1%00",
        "/v2/a/manifests/" + "t" * 129,
        "/v2/a/manifests/sha256:../../../../etc/passwd",
        "/v2/a/blobs/sha256:" + "0" * 63,
        "/v2/a/blobs/sha256:" + "A" * 64,
        "/v2/a/blobs/sha256:..%2f..%2fx",
        "/v2/a/blobs/uploads/..%2f..%2f..%2fx",
        "/v2/a/blobs/uploads/.new",
        "/v2/a/referrers/..",
        "/v2/a/tags/list/..",
        "/v2x/",
        "/",
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_no_name_leads_out_of_the_registry(server, method, path):
    before = sorted(str(p) for p in server.home.rglob("*"))
    answer = server.ask(method, path, b"{}" if method == "PUT" else None)
    assert answer.status in (400, 404, 405) and answer.codes
    assert sorted(str(p) for p in server.home.rglob("*")) == before


def test_a_digest_of_another_kind_says_which_kind_is_kept(server):
    answer = server.ask("GET", "/v2/a/blobs/sha512:" + "0" * 128)
    assert answer.codes == ["DIGEST_INVALID"] and "sha256" in answer.json["errors"][0]["message"]


def test_a_method_that_is_not_possible_says_which_are(server):
    answer = server.ask("POST", f"/v2/a/blobs/{NOBODY}")
    assert (answer.status, answer.headers["allow"]) == (405, "DELETE, GET, HEAD")
    assert server.ask("BREW", "/v2/").status == 405


def test_a_web_page_is_refused(server, name):
    answer = server.ask("POST", f"/v2/{name}/blobs/uploads/", Origin="https://example.com")
    assert (answer.status, answer.codes) == (403, ["DENIED"])


@pytest.mark.parametrize(
    "sent",
    [
        b"GARBAGE\r\n\r\n",
        b"GET /v2/ HTTP/9.9\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        b"PUT /v2/a/manifests/v1 HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"PUT /v2/a/manifests/v1 HTTP/1.1\r\nContent-Length: many\r\n\r\n",
    ],
)
def test_what_is_no_http_is_answered_with_an_error_and_hung_up(server, sent):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as line:
        line.sendall(sent)
        said = b"".join(iter(lambda: line.recv(65536), b""))
    assert said[9:10] in (b"4", b"5") and b'"errors"' in said
    assert not (server.home / "registry/log").exists()


def test_a_refused_client_need_not_send_its_body(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as line:
        line.sendall(b"PUT /v2/A/manifests/v1 HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n")
        assert line.recv(65536).startswith(b"HTTP/1.1 400")


def test_a_client_that_asks_first_is_told_to_go_on(server, name):
    d = digest(b"asked first")
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as line:
        head = f"POST /v2/{name}/blobs/uploads/?digest={d} HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n"
        line.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert line.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        line.sendall(b"asked first")
        assert line.recv(1000).startswith(b"HTTP/1.1 201")


def test_a_connection_serves_many_requests(server, name):
    d = server.blob(name, b"again")
    connection = server.connect()
    for _ in range(3):
        connection.request("GET", f"/v2/{name}/blobs/{d}")
        assert connection.getresponse().read() == b"again"
        connection.request("GET", f"/v2/{name}/blobs/{NOBODY}")
        assert connection.getresponse().read() and connection.sock is not None
    connection.close()


# Damage


def test_a_damaged_blob_is_not_served_and_a_push_heals_it(server, name):
    d = server.blob(name, b"good bytes")
    path = server.home / "registry/blobs/sha256" / d[7:]
    for damage in (b"good", b"bad  bytes", b""):
        path.write_bytes(damage)
        answer = server.ask("GET", f"/v2/{name}/blobs/{d}")
        assert (answer.status, answer.codes) == (404, ["BLOB_UNKNOWN"]) and not path.exists()
        server.blob(name, b"good bytes")
        assert server.ask("GET", f"/v2/{name}/blobs/{d}").body == b"good bytes"


def test_a_blob_that_was_only_touched_is_verified_and_served(server, name):
    d = server.blob(name, b"whole")
    os.utime(server.home / "registry/blobs/sha256" / d[7:], (1, 1))
    assert server.ask("GET", f"/v2/{name}/blobs/{d}").body == b"whole"


def test_a_damaged_manifest_is_not_served(server, name):
    d = server.image(name, "v1", b"x")
    path = server.home / "registry/blobs/sha256" / d[7:]
    path.write_bytes(path.read_bytes().replace(b"layers", b"Layers"))
    assert server.ask("GET", f"/v2/{name}/manifests/v1").codes == ["MANIFEST_UNKNOWN"]
    server.image(name, "v1", b"x")
    assert server.ask("GET", f"/v2/{name}/manifests/v1").headers["docker-content-digest"] == d
