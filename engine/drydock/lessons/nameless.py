"""What a lesson's builds leave without a name: `<none>` in `docker images`.

An image loses its name when another build takes it. Docker keeps it, and the classic builder's cache hangs on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import docker
from docker.errors import APIError

from drydock.lessons.folder import WORK
from drydock.lessons.own import LAB
from drydock.model.layer import counted
from drydock.record import builds


def remove_nameless(client: docker.DockerClient, lesson: str, here: str | Path = ".") -> None:
    """Remove the images without a name that this lesson made here, and say how many; nobody else's, and no other.

    They are known by the record of your builds in the lesson's folder, and by the label of what was committed.
    """
    made = builds.made(str(client.info()["ID"]), Path(here).resolve() / WORK / lesson)
    count = 0
    while removed := [id for id in _nameless(client, lesson, made) if _removed(client, id)]:  # what hung on them, next
        count += len(removed)
    if count:
        print(f"Removed {counted(count, 'image')} of this lesson, without a name by now (<none>).")


def _nameless(client: docker.DockerClient, lesson: str, made: frozenset[str]) -> Iterator[str]:
    """Yield the IDs of the lesson's images that `docker images` lists as <none>, the newest first."""
    for row in sorted(client.api.images(), key=lambda row: -int(row["Created"])):
        named = any(tag != "<none>:<none>" for tag in row.get("RepoTags") or ())
        ours = (row.get("Labels") or {}).get(LAB) == lesson
        if not named and (ours or {row["Id"], row["Id"][7:19]} & made):
            yield str(row["Id"])


def _removed(client: docker.DockerClient, id: str) -> bool:
    """Remove an image; False where a container or another image needs it, or where it has gone by itself."""
    try:
        client.api.remove_image(id)
    except APIError as error:
        if error.status_code not in (404, 409):
            raise
        return False
    return True
