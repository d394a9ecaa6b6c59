"""Image names: `alpine`, `localhost:5055/team/app:1.2@sha256:...`, and the full name that Docker makes of each.

Source: distribution/reference (regexp.go, normalize.go).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

DOMAIN = re.compile(
    r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[a-fA-F0-9:]+\])"
    r"(?::[0-9]+)?",
    re.ASCII,
)
PART = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*", re.ASCII)
TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}", re.ASCII)
HEX = {"sha256": 64, "sha384": 96, "sha512": 128}
LONGEST = 255


class InvalidReference(ValueError):
    """A text that is no image name: what is wrong with it, and the cure."""

    def __init__(self, text: str, what: str, cure: str) -> None:
        super().__init__(f"{text[:80]!r} is no image name: {what}. {cure}")
        self.text, self.what, self.cure = text, what, cure


@dataclass(frozen=True)
class Reference:
    """An image's name: the registry's host, the path there, and a tag, a digest, both or neither."""

    domain: str  # docker.io where the name gives none
    path: str  # library/... for Docker's own images
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a name as Docker does, short forms included.

        >>> Reference.parse("alpine:3")
        Reference(domain='docker.io', path='library/alpine', tag='3', digest='')
        >>> Reference.parse("localhost:5055/app").normal
        'localhost:5055/app:latest'
        """
        if not text:
            raise InvalidReference(text, "it is empty", "Write one such as alpine:3.")
        if text != text.strip() or re.search(r"\s", text):
            raise InvalidReference(text, "it has a space in it", "Take the space out.")
        if "://" in text:
            raise InvalidReference(text, "it begins like a web address", "Leave out what stands up to ://.")
        if re.fullmatch(r"[a-f0-9]{64}", text):
            raise InvalidReference(
                text, "64 hexadecimal digits are an image ID", "Put sha256: before it, or use a name."
            )
        name, at, digest = text.partition("@")
        if at:
            _check_digest(text, digest)
        head, colon, tag = name.rpartition(":")
        if not colon or "/" in tag:
            head, tag, colon = name, "", ""
        if colon and not TAG.fullmatch(tag):
            _bad_tag(text, tag)
        domain, path = _split(head)
        _check_name(text, domain, path)
        return cls(domain, path, tag, digest)

    @property
    def name(self) -> str:
        """Return host and path, without tag and digest.

        >>> Reference.parse("alpine:3").name
        'docker.io/library/alpine'
        """
        return f"{self.domain}/{self.path}"

    @property
    def normal(self) -> str:
        """Return the full name; without tag and digest Docker takes the tag `latest`.

        >>> Reference.parse("me/app").normal
        'docker.io/me/app:latest'
        """
        return self.name + self._end("latest")

    @property
    def familiar(self) -> str:
        """Return the shortest name that means the same.

        >>> Reference.parse("docker.io/library/alpine:3").familiar
        'alpine:3'
        """
        name = self.path if self.domain == "docker.io" else self.name
        if self.domain == "docker.io" and name.count("/") == 1:
            name = name.removeprefix("library/")
        return name + self._end("")

    def picture(self) -> str:
        """Draw the name in its parts.

        >>> print(Reference.parse("alpine:3").picture())
        registry  docker.io
        path      library/alpine
        tag       3
        """
        rows = [("registry", self.domain), ("path", self.path), ("tag", self.tag), ("digest", self.digest)]
        return "\n".join(f"{what:<10}{text}" for what, text in rows if text)

    def _end(self, default: str) -> str:
        tag = self.tag or ("" if self.digest else default)
        return (f":{tag}" if tag else "") + (f"@{self.digest}" if self.digest else "")


def _split(name: str) -> tuple[str, str]:
    """Return host and path: the first part is a host if it has a dot, a colon or a capital, or is localhost."""
    first, slash, rest = name.partition("/")
    if not slash or (not re.search(r"[.:]", first) and first != "localhost" and first.lower() == first):
        first, rest = "docker.io", name
    first = "docker.io" if first == "index.docker.io" else first
    if first == "docker.io" and "/" not in rest:
        rest = f"library/{rest}"
    return first, rest


def _check_name(text: str, domain: str, path: str) -> None:
    if not DOMAIN.fullmatch(domain):
        raise InvalidReference(
            text, f"{domain!r} is no host", "A host is letters, digits, dots and dashes, then perhaps :PORT."
        )
    if path.lower() != path:
        raise InvalidReference(text, "it has capital letters", f"Write {path.lower().removeprefix('library/')!r}.")
    if len(path) > LONGEST:
        raise InvalidReference(text, f"it is longer than {LONGEST} characters", "Shorten it.")
    for part in path.removeprefix("library/").split("/") if path != "library/" else [""]:
        if not part:
            raise InvalidReference(text, "a part of it is empty", "Put a name before, between and after the slashes.")
        if not PART.fullmatch(part):
            raise InvalidReference(
                text,
                f"the part {part[:40]!r} is not allowed",
                "A part is lowercase letters and digits, with single . _ - between them.",
            )


def _bad_tag(text: str, tag: str) -> None:
    if not tag:
        raise InvalidReference(text, "nothing stands after the colon", "Write a tag there, or leave the colon out.")
    if len(tag) > 128:
        raise InvalidReference(text, "the tag is longer than 128 characters", "Shorten it.")
    raise InvalidReference(
        text, f"the tag {tag!r} is not allowed", "A tag is letters, digits, _ . and -, and begins with no . or -."
    )


def _check_digest(text: str, digest: str) -> None:
    algorithm, _, value = digest.partition(":")
    if not DIGEST.fullmatch(digest):
        raise InvalidReference(text, "what follows @ is no digest", "A digest is sha256: and 64 hexadecimal digits.")
    if algorithm in HEX and (len(value) != HEX[algorithm] or value.lower() != value):
        what = f"a {algorithm} digest has {HEX[algorithm]} lowercase hexadecimal digits, this one {len(value)}"
        raise InvalidReference(text, what, "Copy the digest again, whole.")
    if algorithm not in HEX:
        raise InvalidReference(text, f"the digest's kind {algorithm!r} is not known", "Use sha256.")
