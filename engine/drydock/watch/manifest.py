"""What a registry's manifest lists, and whether a blob is there: the half of a transfer that no engine's stream tells.

The registry is asked from here, with the account of `~/.docker/config.json`, as `docker push` itself would. Where it
cannot be asked (a daemon in a machine of its own may see other hosts) the answer is that nothing is known.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import requests
from docker import auth
from docker.errors import DockerException

from drydock.model.reference import Reference
from drydock.model.refusal import LOOPBACK
from drydock.model.transfer import Blob

LARGEST = 4 << 20  # bytes of a manifest: what registries accept
PATIENCE = 5.0  # seconds; the transfer itself is over, nobody should wait for its picture
INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


def listed(name: str, digest: str, platform: str) -> tuple[Blob, ...]:
    """Return what the manifest of this digest lists: layers from the base up, configuration, manifest, and its index.

    An index leads to the image of `platform` ("linux/amd64"). Empty where the registry cannot be asked from here.
    """
    try:
        reference = Reference.parse(name)
        raw, manifest = _manifest(reference, digest)
        above: tuple[Blob, ...] = ()
        if "manifests" in manifest:
            above = (Blob(digest, "index", size=len(raw)),)
            raw, _ = _manifest(reference, _child(manifest, platform))
        return (*rows(raw), *above)
    except (requests.RequestException, DockerException, OSError, LookupError, ValueError, TypeError, AttributeError):
        return ()


def rows(raw: bytes) -> tuple[Blob, ...]:
    """Return what an image's manifest lists, and itself, with nothing moved yet."""
    manifest = json.loads(raw)
    layers = tuple(_blob(one, "layer") for one in manifest["layers"])
    return (*layers, _blob(manifest["config"], "config"), Blob(_digest(raw), "manifest", size=len(raw)))


def has(name: str, digest: str) -> bool | None:
    """Return whether the repository has a configuration or manifest of this digest; None where it cannot be asked."""
    try:
        reference = Reference.parse(name)
        codes = (_code(reference, f"{kind}/{digest}") for kind in ("blobs", "manifests"))
        return next((found for code in codes if (found := {200: True, 404: None}[code])), False)
    except (requests.RequestException, DockerException, OSError, LookupError, ValueError):
        return None


def _code(reference: Reference, path: str) -> int:
    with _asked("HEAD", reference, path) as answer:
        return answer.status_code


def _asked(method: str, reference: Reference, path: str) -> requests.Response:
    """Ask the registry; raise ValueError where this simple way does not reach."""
    if not LOOPBACK.match(reference.domain):
        raise ValueError("only a registry on this machine is asked")
    account = auth.load_config().resolve_authconfig(reference.domain) or {}
    login = (account["username"], account["password"]) if account.get("password") else None
    url = f"http://{reference.domain}/v2/{reference.path}/{path}"
    with requests.Session() as session:
        session.trust_env = False  # no proxy for this machine, and no ~/.netrc
        session.headers["Accept"] = ", ".join((*INDEXES, *MANIFESTS))
        return session.request(method, url, auth=login, timeout=PATIENCE, stream=True, allow_redirects=False)


def _manifest(reference: Reference, digest: str) -> tuple[bytes, dict[str, Any]]:
    with _asked("GET", reference, f"manifests/{digest}") as answer:
        answer.raise_for_status()
        raw = answer.raw.read(LARGEST + 1, decode_content=True)
    if _digest(raw) != digest:
        raise ValueError("the registry sent something else")
    return raw, dict(json.loads(raw))


def _digest(raw: bytes) -> str:
    return "sha256:" + hashlib.sha256(raw).hexdigest()


def _child(index: Mapping[str, Any], platform: str) -> str:
    """Return the digest of the image for a platform; attestations have the platform `unknown`."""
    for one in index["manifests"]:
        has = one.get("platform") or {}
        if f"{has.get('os')}/{has.get('architecture')}" == "/".join(platform.split("/")[:2]):
            return str(one["digest"])
    raise LookupError(platform)


def _blob(descriptor: Mapping[str, Any], kind: str) -> Blob:
    return Blob(str(descriptor["digest"]), kind, size=int(descriptor["size"]))
