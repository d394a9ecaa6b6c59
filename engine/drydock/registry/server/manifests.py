"""The end points of manifests: an image is asked for, pushed or removed by its tag or by its digest."""

from __future__ import annotations

from drydock.registry.server.answer import Reply, Request
from drydock.registry.server.manifest import LARGEST
from drydock.registry.server.refusals import Refusal
from drydock.serving.body import Body


def get(request: Request, name: str, reference: str) -> Reply:
    """Return a manifest byte for byte as it was pushed: only so has it the digest that it is known by."""
    repository = request.store.repository(name)
    digest = request.store.find(repository, reference)
    data, media_type = request.store.manifest(repository, digest)
    headers = {"Content-Type": media_type, "Docker-Content-Digest": digest, "ETag": f'"{digest}"'}
    return Reply(200, headers, data)


def put(request: Request, name: str, reference: str) -> Reply:
    """Keep a manifest: from now on the tag means this image."""
    repository = request.store.repository(name)
    data = _whole(request.body)
    digest, manifest = request.store.put(repository, reference, data, request.headers.get("Content-Type", ""))
    headers = {"Location": f"/v2/{name}/manifests/{reference}", "Docker-Content-Digest": digest}
    return Reply(201, headers | ({"OCI-Subject": manifest.subject} if manifest.subject else {}))


def delete(request: Request, name: str, reference: str) -> Reply:
    """Take a tag away, or, by its digest, an image with all its tags."""
    repository = request.store.repository(name)
    digest = request.store.find(repository, reference)
    if reference == digest:
        request.store.remove(repository, digest)
    else:
        repository.remove_tag(reference)
    return Reply(202)


def _whole(body: Body) -> bytes:
    """Return a body that is no larger than a manifest may be."""
    data = b""
    while len(data) <= LARGEST and (piece := body.read(1 << 16)):
        data += piece
    if len(data) > LARGEST:
        raise Refusal("MANIFEST_INVALID", f"a manifest has at most {LARGEST >> 20} MiB", status=413)
    return data
