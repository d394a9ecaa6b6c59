"""What a registry says of a name: one manifest, asked for over HTTP. Evidence beside the archive, never in its place.

Source: OCI distribution-spec 1.1, pulling manifests; token authentication as distribution/docs/spec/auth describes it.
"""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from hashlib import sha256
from typing import Any

from drydock.model.reference import InvalidReference, Reference

KINDS = (
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json"
)
LARGEST = 1 << 20
HUB = "registry-1.docker.io"
LOOPBACK = re.compile(r"(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?")


class NotThere(RuntimeError):
    """A registry that does not answer, or does not have the image: why."""


def manifest(name: str, platform: str = "linux/amd64", timeout: float = 10) -> tuple[str, str]:
    """Return (digest, text) of the manifest that a registry has under this name; of an index, the platform's own.

    Raises: NotThere.
    """
    try:
        reference = Reference.parse(name)
    except InvalidReference as error:
        raise NotThere(str(error)) from None
    digest, body = _fetch(reference, reference.digest or reference.tag or "latest", timeout)
    said = _json(body)
    if "manifests" in said:
        fitting = [m for m in said["manifests"] if _platform(m) == platform or len(said["manifests"]) == 1]
        if not fitting:
            raise NotThere(f"{name} has no image for {platform}.")
        digest, body = _fetch(reference, str(fitting[0].get("digest")), timeout)
    return digest, body.decode("utf-8", "replace")


def _platform(row: dict[str, Any]) -> str:
    about = row.get("platform") or {}
    return f"{about.get('os')}/{about.get('architecture')}"


def _fetch(reference: Reference, which: str, timeout: float) -> tuple[str, bytes]:
    host = HUB if reference.domain == "docker.io" else reference.domain
    scheme = "http" if LOOPBACK.fullmatch(host) else "https"
    url = f"{scheme}://{host}/v2/{reference.path}/manifests/{which}"
    try:
        try:
            body = _get(url, {"Accept": KINDS}, timeout)
        except urllib.error.HTTPError as error:
            with error:
                token = _token(error, timeout)
            body = _get(url, {"Accept": KINDS, "Authorization": f"Bearer {token}"}, timeout)
    except urllib.error.HTTPError as error:
        error.close()
        raise NotThere(f"{host} answers {error.code} for {reference.path}:{which}.") from None
    except (OSError, ValueError) as error:
        raise NotThere(f"{host} does not answer ({getattr(error, 'reason', error)}).") from None
    digest = "sha256:" + sha256(body).hexdigest()
    if which.startswith("sha256:") and which != digest:
        raise NotThere(f"{host} sent something else than {which[:19]}.")
    return digest, body


def _get(url: str, headers: dict[str, str], timeout: float) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout) as answer:
        body: bytes = answer.read(LARGEST + 1)
    if len(body) > LARGEST:
        raise ValueError("a manifest without end")
    return body


def _token(refused: urllib.error.HTTPError, timeout: float) -> str:
    """Return an anonymous token where the registry says who gives one, else raise the refusal again."""
    asked = dict(re.findall(r'(\w+)="([^"]*)"', refused.headers.get("WWW-Authenticate") or ""))
    realm = asked.pop("realm", "")
    if refused.code != 401 or not realm.startswith("https://"):
        raise refused
    said = _json(_get(f"{realm}?{urllib.parse.urlencode(asked)}", {}, timeout))
    return str(said.get("token") or said.get("access_token") or "")


def _json(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise NotThere("The registry's answer is no JSON object.")
    return said
