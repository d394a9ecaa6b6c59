"""Rules of image names, as Docker has them."""

import string

import pytest
from drydock.model.reference import InvalidReference, Reference
from hypothesis import given
from hypothesis import strategies as st

D = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "normal", "familiar"),
    [
        ("alpine", "docker.io/library/alpine:latest", "alpine"),
        ("alpine:3", "docker.io/library/alpine:3", "alpine:3"),
        ("library/alpine", "docker.io/library/alpine:latest", "alpine"),
        ("index.docker.io/alpine", "docker.io/library/alpine:latest", "alpine"),
        ("docker.io/me/app", "docker.io/me/app:latest", "me/app"),
        ("localhost/app", "localhost/app:latest", "localhost/app"),
        ("localhost:5055/app", "localhost:5055/app:latest", "localhost:5055/app"),
        ("localhost:5055/a/b:v1", "localhost:5055/a/b:v1", "localhost:5055/a/b:v1"),
        ("[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app"),
        ("app:5000", "docker.io/library/app:5000", "app:5000"),
        (f"alpine@{D}", f"docker.io/library/alpine@{D}", f"alpine@{D}"),
        (f"alpine:3@{D}", f"docker.io/library/alpine:3@{D}", f"alpine:3@{D}"),
        ("Host/app", "Host/app:latest", "Host/app"),
        ("a/b/c", "docker.io/a/b/c:latest", "a/b/c"),
        ("library/a/b", "docker.io/library/a/b:latest", "library/a/b"),
        ("a__b/c--d", "docker.io/a__b/c--d:latest", "a__b/c--d"),
        ("a:TAG_1.2-x", "docker.io/library/a:TAG_1.2-x", "a:TAG_1.2-x"),
    ],
)
def test_short_forms_stand_for_full_names(text, normal, familiar):
    reference = Reference.parse(text)
    assert (reference.normal, reference.familiar) == (normal, familiar)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "empty"),
        ("a b", "space"),
        ("alpine\n", "space"),
        ("https://docker.io/alpine", "web address"),
        ("a" * 64, "image ID"),
        ("Alpine", "capital"),
        ("me/App", "capital"),
        ("alpine:", "after the colon"),
        ("alpine:.x", "tag"),
        ("alpine:" + "x" * 129, "128"),
        ("a@sha256:abc", "no digest"),
        ("a@sha256:" + "a" * 63, "64"),
        ("a@md5:" + "a" * 32, "not known"),
        ("a@", "no digest"),
        ("a//b", "empty"),
        ("/a", "empty"),
        ("a/", "empty"),
        ("-a", "not allowed"),
        ("a___b", "not allowed"),
        ("a..b", "not allowed"),
        ("é", "not allowed"),
        ("-h.x/a", "no host"),
        ("host:port/a", "no host"),
        ("a/" + "b" * 255, "255"),
        ("x.y/", "empty"),
        (":3", "empty"),
        ("../etc/passwd", "no host"),
        ("a\0b", "not allowed"),
        ("library/", "empty"),
    ],
)
def test_each_bad_name_says_what_is_wrong(text, what):
    with pytest.raises(InvalidReference, match=what):
        Reference.parse(text)


@given(st.text(max_size=60) | st.text(alphabet=string.ascii_letters + "./:@-_[]0", max_size=60))
def test_any_text_is_a_name_or_an_invalid_reference(text):
    try:
        reference = Reference.parse(text)
    except InvalidReference as error:
        assert error.cure
        return
    assert Reference.parse(reference.normal).normal == reference.normal
    assert Reference.parse(reference.familiar) == reference


PART = st.from_regex(r"[a-z0-9]{1,8}([._-][a-z0-9]{1,8}){0,2}", fullmatch=True)


@given(
    st.sampled_from(["docker.io", "localhost", "reg.example:5000", "[::1]:80"]),
    st.lists(PART, min_size=1, max_size=4),
    st.sampled_from(["", "latest", "v1.0"]),
    st.sampled_from(["", D]),
)
def test_every_full_name_keeps_its_parts(domain, parts, tag, digest):
    path = "/".join(parts)
    path = f"library/{path}" if domain == "docker.io" and len(parts) == 1 else path
    reference = Reference(domain, path, tag, digest)
    assert (
        Reference.parse(f"{domain}/{path}" + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")) == reference
    )
