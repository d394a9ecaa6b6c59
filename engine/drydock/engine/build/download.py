"""ADD of a URL: a file fetched with the standard library, its progress told as dockerd tells it.

Source: moby builder/dockerfile/copy.go (downloadSource, getFilenameForDownload), builder/remotecontext/remote.go.
"""

from __future__ import annotations

import posixpath
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Generator
from email.message import Message as Headers
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from drydock.engine.build.context import Slice, Unpacked
from drydock.engine.build.messages import Message, say
from drydock.engine.build.sources import CopyFailed
from drydock.engine.images.progress import drawn
from drydock.model.layer import Entry

CHUNK = 1 << 18
TIMEOUT = 60.0
PAUSE = 0.1  # seconds between two words on how far the download is
UNNAMED = "__unnamed__"


def fetch(url: str, target: str, spool: Path) -> Generator[Message, None, Unpacked]:
    """Fetch a file into `spool`; return it as the one file of a context.

    Raises: CopyFailed with dockerd's words.
    """
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
            name = filename(url, response.headers)
            size = yield from _save(response, spool)
            modified = _time(response.headers.get("Last-Modified"))
    except urllib.error.HTTPError as error:
        with error:
            body = error.read(4096).decode("utf-8", "replace").strip()
        raise CopyFailed(f"failed to GET {url} with status {error.code} {error.reason}: {body}") from None
    except (OSError, HTTPException, ValueError) as error:
        raise CopyFailed(f'Get "{url}": {_why(url, error)}') from None
    yield say("\n")
    if not name and target.endswith("/"):
        raise CopyFailed(f"cannot determine filename for source {url}")
    path = name or UNNAMED
    return Unpacked({path: Entry(path, "file", size, 0o600, mtime=modified)}, {path: Slice(spool, 0, size)})


def _why(url: str, error: Exception) -> str:
    """Return why nothing came, as Go says it where it is the network."""
    reason = getattr(error, "reason", error)
    if isinstance(reason, OSError) and reason.strerror and reason.errno and reason.errno > 0:
        at = urllib.parse.urlsplit(url)
        port = at.port or (443 if at.scheme == "https" else 80)
        return f"dial tcp {at.hostname}:{port}: connect: {reason.strerror.lower()}"
    return str(reason)


def _save(response: HTTPResponse, spool: Path) -> Generator[Message, None, int]:
    total = int(response.headers.get("Content-Length") or 0)
    done, said, at = 0, -1, 0.0
    with spool.open("wb") as out:
        while chunk := response.read(CHUNK):
            done += len(chunk)
            out.write(chunk)
            if time.monotonic() - at > PAUSE:
                said, at = done, time.monotonic()
                yield progress(done, total)
    if said != done:
        yield progress(done, total)
    return done


def progress(done: int, total: int) -> Message:
    """Return how far the download is.

    >>> progress(150000, 300000)["progress"]
    '[=========================>                         ]    150kB/300kB'
    """
    detail = {"current": done, "total": total} if total else {"current": done}
    return {"status": "Downloading", "progressDetail": detail, "progress": drawn(done, total)}


def filename(url: str, headers: Headers) -> str:
    """Return the name of what a URL gives: the last part of its path, else what the server calls it.

    >>> filename("http://localhost/a/b.txt?x=1", Headers())
    'b.txt'
    """
    path = urllib.parse.unquote(urllib.parse.urlsplit(url).path)
    if path and not path.endswith("/"):
        return posixpath.basename(path)
    given = headers.get_filename() or ""
    return "" if given.endswith("/") else posixpath.basename(given)


def _time(text: str | None) -> float:
    try:
        return parsedate_to_datetime(text).timestamp() if text else 0
    except ValueError:
        return 0
