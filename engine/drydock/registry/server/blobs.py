"""The end points of blobs: layers and configurations are asked for, sent in one piece or in many, or removed."""

from __future__ import annotations

import os
import re

from drydock.registry.server import names
from drydock.registry.server.answer import Part, Reply, Request
from drydock.registry.server.refusals import Refusal
from drydock.registry.server.repository import Repository
from drydock.registry.server.store import NO_BLOB
from drydock.registry.server.upload import Upload

RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
CONTENT_RANGE = re.compile(r"(?:bytes[ =])?(\d{1,18})-(\d{1,18})(?:/.*)?", re.ASCII)


def get(request: Request, name: str, digest: str) -> Reply:
    """Return a blob or the part of it that is asked for, so that a download that was cut goes on where it ended."""
    names.digest(digest)
    file = request.store.open(request.store.repository(name), digest)
    size = os.fstat(file.fileno()).st_size
    headers = {
        "Content-Type": "application/octet-stream",
        "Docker-Content-Digest": digest,
        "ETag": f'"{digest}"',
        "Accept-Ranges": "bytes",
    }
    try:
        part = _range(request.headers.get("Range", ""), size)
    except Refusal:
        file.close()
        raise
    if part is None:
        return Reply(200, headers, Part(file, 0, size))
    start, end = part
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return Reply(206, headers, Part(file, start, end - start))


def delete(request: Request, name: str, digest: str) -> Reply:
    """Forget a blob in this repository."""
    if not request.store.repository(name).remove_blob(names.digest(digest)):
        raise Refusal("BLOB_UNKNOWN", NO_BLOB, {"digest": digest})
    return Reply(202)


def begin(request: Request, name: str) -> Reply:
    """Begin an upload; or mount the blob from another repository; or take it whole from this very request."""
    repository = request.store.repository(name)
    mount, digest = request.asked("mount"), request.asked("digest")
    if mount is not None and _mounted(request, repository, mount):
        return _made(name, mount)
    if digest is not None:
        names.digest(digest)
    id = request.store.begin(repository)
    upload = request.store.uploads.get(repository.uploads, id)
    if digest is None:
        return _state(202, name, id, upload)
    try:
        upload.append(request.body)
        return _finished(request, repository, upload, digest)
    finally:
        request.store.uploads.end(upload)


def _mounted(request: Request, repository: Repository, digest: str) -> bool:
    """Mount a blob; what cannot be mounted is uploaded instead, so a wrong name is no error here."""
    try:
        return request.store.mount(repository, names.digest(digest), request.asked("from"))
    except Refusal:
        return False


def state(request: Request, name: str, id: str) -> Reply:
    """Say how far an upload has come."""
    return _state(204, name, id, _upload(request, name, id))


def patch(request: Request, name: str, id: str) -> Reply:
    """Take the next piece of an upload."""
    upload = _upload(request, name, id)
    _append(request, name, id, upload)
    return _state(202, name, id, upload)


def put(request: Request, name: str, id: str) -> Reply:
    """Take the last piece of an upload, if there is one, and make it a blob where the digest is right."""
    upload = _upload(request, name, id)
    digest = request.asked("digest")
    if digest is None:
        raise Refusal("DIGEST_INVALID", "an upload ends with ?digest=: that names the blob", {"digest": ""})
    names.digest(digest)
    _append(request, name, id, upload)
    try:
        return _finished(request, request.store.repository(name), upload, digest)
    finally:
        request.store.uploads.end(upload)


def cancel(request: Request, name: str, id: str) -> Reply:
    """Forget an upload and what came of it."""
    upload = _upload(request, name, id)
    upload.close("")
    request.store.uploads.end(upload)
    return Reply(204)


def _upload(request: Request, name: str, id: str) -> Upload:
    return request.store.uploads.get(request.store.repository(name).uploads, id)


def _append(request: Request, name: str, id: str, upload: Upload) -> None:
    text = request.headers.get("Content-Range")
    try:
        if text is None:
            return upload.append(request.body)
        match = CONTENT_RANGE.fullmatch(text)
        length = request.headers.get("Content-Length")
        if not match or (length is not None and int(match[2]) - int(match[1]) + 1 != int(length)):
            raise Refusal("BLOB_UPLOAD_INVALID", f"the Content-Range {text[:60]!r} is not the body's", status=416)
        upload.append(request.body, int(match[1]))
    except Refusal as error:
        if error.status == 416:  # the client reads where to go on
            error.headers |= _state(416, name, id, upload).headers
        raise


def _finished(request: Request, repository: Repository, upload: Upload, digest: str) -> Reply:
    if not upload.close(digest):
        raise Refusal("DIGEST_INVALID", "the bytes that came have another digest. Send them again", {"digest": digest})
    request.store.keep(repository, upload, digest)
    return _made(repository.name, digest)


def _made(name: str, digest: str) -> Reply:
    return Reply(201, {"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest})


def _state(status: int, name: str, id: str, upload: Upload) -> Reply:
    place = f"/v2/{name}/blobs/uploads/{id}"
    return Reply(status, {"Location": place, "Range": upload.range, "Docker-Upload-UUID": id})


def _range(text: str, size: int) -> tuple[int, int] | None:
    """Return the bytes that a Range header asks for, from the first to the one after the last; None where it is odd.

    >>> _range("bytes=2-3", 10), _range("bytes=8-", 10), _range("bytes=-3", 10), _range("bytes=0-1,4-5", 10)
    ((2, 4), (8, 10), (7, 10), None)
    """
    match = RANGE.fullmatch(text.strip())
    if not match or not (match[1] or match[2]):
        return None
    if match[1]:
        start, end = int(match[1]), min(int(match[2]) + 1, size) if match[2] else size
    else:
        start, end = max(0, size - int(match[2])), size
    if start >= end:
        headers = {"Content-Range": f"bytes */{size}"}
        raise Refusal("SIZE_INVALID", f"the blob has {size} bytes, not {text[:60]}", status=416, headers=headers)
    return start, end
