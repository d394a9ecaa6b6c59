"""What a client may call things: repositories, tags, digests. What passes here is safe to be a file's name.

Sources: OCI distribution-spec 1.1, spec.md, "Pulling manifests" (the regular expressions); image-spec, descriptor.md.
"""

from __future__ import annotations

import re

from drydock.model.reference import LONGEST, PART, TAG
from drydock.registry.server.refusals import Refusal

DIGEST = re.compile(r"([a-z0-9]+(?:[+._-][a-z0-9]+)*):([A-Za-z0-9=_-]+)", re.ASCII)
SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
FILE_NAME = 255  # bytes that a file's name may have


def repository(name: str) -> str:
    """Return a repository's name; refuse one that is none.

    >>> repository("team/app")
    'team/app'
    >>> repository("team/../app")
    Traceback (most recent call last):
    drydock.registry.server.refusals.Refusal: 'team/../app' is no repository: ...
    """
    if len(name) > LONGEST or not all(PART.fullmatch(part) for part in name.split("/")):
        words = "its parts are lowercase letters and digits, with single . _ - between them"
        raise Refusal("NAME_INVALID", f"{name[:80]!r} is no repository: {words}", {"name": name[:80]})
    return name


def digest(text: str) -> str:
    """Return a digest; refuse a text that is none, and a kind that this registry does not keep.

    >>> digest("sha256:" + "0" * 64) == "sha256:" + "0" * 64
    True
    """
    match = DIGEST.fullmatch(text)
    if match and match[1] == "sha256" and SHA256.fullmatch(match[2]):
        return text
    if match and match[1] != "sha256":
        what = "this registry keeps sha256 digests only"
    else:
        what = "a digest is sha256: and 64 lowercase hexadecimal digits"
    raise Refusal("DIGEST_INVALID", f"{text[:90]!r}: {what}", {"digest": text[:90]})


def tag_file(tag: str) -> str:
    """Return the file name that a tag has: a capital is marked, since some disks hold Latest and latest for the same.

    >>> tag_file("1.0-RC1")
    '1.0-^r^c1'
    """
    if not TAG.fullmatch(tag):
        words = "a tag is letters, digits, _ . and -, at most 128, and begins with no . or -"
        raise Refusal("TAG_INVALID", f"{tag[:80]!r} is no tag: {words}", {"tag": tag[:80]})
    name = re.sub(r"[A-Z]", lambda capital: "^" + capital[0].lower(), tag)
    if len(name) > FILE_NAME:
        raise Refusal("TAG_INVALID", "the tag has more than 127 capital letters", {"tag": tag})
    return name


def tag_of(file: str) -> str:
    """Return the tag that a file is named after.

    >>> tag_of("1.0-^r^c1")
    '1.0-RC1'
    """
    return re.sub(r"\^(.)", lambda capital: capital[1].upper(), file)
