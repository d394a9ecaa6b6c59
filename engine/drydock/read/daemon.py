"""An image from a running daemon, by `GET /images/NAME/get`: read as it comes, never held as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from requests.exceptions import RequestException

from drydock.model.image import Image
from drydock.read.assemble import assemble
from drydock.read.shelf import PassingShelf, Read
from drydock.read.tarstream import CHUNK, BadArchive

if TYPE_CHECKING:
    from docker import DockerClient


def image(client: DockerClient, name: str) -> Image:
    """Return the image that the daemon has under a name or an ID.

    Raises docker.errors.ImageNotFound where it has none, BadArchive where what it sends makes no sense.
    """
    about = client.api.inspect_image(name)
    version = str(client.version().get("Version") or "")
    names = tuple(str(one) for one in about.get("RepoTags") or ())
    # the containerd store saves by name; an ID would come without one, and a dangling image has only its ID
    wanted = name if name in names or not names else names[0]
    shelf = PassingShelf(f"Docker's image {name!r}", lambda: _sent(client, wanted))
    platform = f"{about.get('Os') or 'linux'}/{about.get('Architecture') or ''}"
    found = assemble(shelf, f"Docker {version}".strip(), wanted, platform, str(about.get("Id") or ""))
    return Image(**{**vars(found), "names": names})


@contextmanager
def _sent(client: DockerClient, name: str) -> Iterator[Read]:
    pieces = client.api.get_image(name, chunk_size=CHUNK)

    broken: list[BadArchive] = []

    def read(_: int) -> bytes:
        if broken:  # a generator that failed looks like one that ended
            raise broken[0]
        try:
            return next(pieces, b"")
        except (RequestException, OSError) as error:
            what = (
                f"Docker stopped in the middle of sending {name!r} ({type(error).__name__}). "
                "It was probably stopped or restarted: run `docker info`, then read the image again."
            )
            broken.append(BadArchive(what))
            raise broken[0] from error

    try:
        yield read
    finally:
        pieces.close()
