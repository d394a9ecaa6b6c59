"""Volumes: folders that outlive the containers that use them.

    volumes/NAME/_data/         what the containers see
    volumes/NAME/volume.json    labels, options, when it was made, and whether an image's files were copied in

Source: moby/volume/local/local.go, moby/volume/service. Only the driver `local`, without mount options.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from drydock.engine.errors import BadParameter, Conflict, NotFound, NotPossible

ANONYMOUS = "com.docker.volume.anonymous"  # the label by which prune knows a volume that nobody named
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
BAD_NAME = (
    'create {name}: "{name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" '
    "are allowed. If you intended to pass a host directory, use absolute path"
)
OPTIONS = "create {name}: this engine mounts nothing for a volume: no driver options ({options}) are possible here"


@dataclass(frozen=True)
class Volume:
    """One volume: its name, the folder that is mounted, its labels; `fresh` until an image's files were copied in."""

    name: str
    mountpoint: Path
    labels: Mapping[str, str] | None
    created: str
    fresh: bool = True

    def json(self) -> dict[str, Any]:
        """Return the volume as `docker volume inspect` shows it."""
        return {
            "CreatedAt": self.created,
            "Driver": "local",
            "Labels": self.labels and dict(self.labels),
            "Mountpoint": str(self.mountpoint),
            "Name": self.name,
            "Options": None,
            "Scope": "local",
        }

    def size(self) -> int:
        """Return the bytes of all files in it; a file with several names counts once."""
        seen: dict[tuple[int, int], int] = {}
        for folder, _, files in os.walk(self.mountpoint):
            for name in files:
                with suppress(OSError):
                    found = (Path(folder) / name).lstat()
                    seen[found.st_dev, found.st_ino] = found.st_size
        return sum(seen.values())


class Volumes:
    """All volumes of one engine."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.lock = folder, threading.RLock()
        folder.mkdir(parents=True, exist_ok=True)

    def create(self, name: str = "", labels: Mapping[str, str] | None = None, **driver: Any) -> Volume:
        """Make a volume, or return the one of that name: to create what is there is no error in Docker.

        Raises: BadParameter, NotFound for another driver, NotPossible for mount options.
        """
        if not name:
            name, labels = secrets.token_hex(32), {**(labels or {}), ANONYMOUS: ""}
        if len(name) < 2:
            raise BadParameter("volume name is too short, names should be at least two alphanumeric characters")
        if not NAME.fullmatch(name) or len(name) > 255:
            raise BadParameter(BAD_NAME.format(name=name[:80]))
        kind = driver.get("driver") or "local"
        if kind != "local":
            raise NotFound(f'create {name}: error looking up volume plugin {kind}: plugin "{kind}" not found')
        if driver.get("options"):
            raise NotPossible(OPTIONS.format(name=name, options=", ".join(sorted(driver["options"]))))
        with self.lock:
            with suppress(NotFound):
                return self.get(name)
            folder = self.folder / name
            (folder / "_data").mkdir(parents=True, exist_ok=True)
            now = datetime.now().astimezone().isoformat(timespec="seconds")
            made = Volume(name, folder / "_data", labels, now)
            self._write(made)
            return made

    def get(self, name: str) -> Volume:
        """Return a volume by its full name."""
        if not NAME.fullmatch(name):
            raise NotFound(f"get {name[:80]}: no such volume")
        try:
            found = json.loads((self.folder / name / "volume.json").read_bytes())
        except (OSError, ValueError):
            raise NotFound(f"get {name}: no such volume") from None
        return Volume(name, self.folder / name / "_data", found["labels"], found["created"], found["fresh"])

    def all(self) -> list[Volume]:
        """Return every volume, sorted by name."""
        return [self.get(path.parent.name) for path in sorted(self.folder.glob("*/volume.json"))]

    def filled(self, name: str) -> None:
        """Note that an image's files were copied in: that happens once, when the volume is first used."""
        with self.lock:
            self._write(replace(self.get(name), fresh=False))

    def remove(self, name: str, users: list[str], force: bool = False) -> None:
        """Remove a volume and all in it; one that a container uses stays, forced or not.

        Raises: NotFound (not where forced), Conflict.
        """
        with self.lock:
            try:
                found = self.get(name)
            except NotFound:
                if force:
                    return
                raise
            if users:
                raise Conflict(f"remove {name}: volume is in use - [{', '.join(users)}]")
            (self.folder / name / "volume.json").unlink()  # first: a half-removed volume must not be seen as a volume
            clear(found.mountpoint.parent)

    def recover(self) -> None:
        """Remove what a killed engine left of a volume that was being made or removed."""
        for folder in self.folder.iterdir():
            if not (folder / "volume.json").exists():
                clear(folder)

    def _write(self, volume: Volume) -> None:
        path = volume.mountpoint.parent / "volume.json"
        beside = path.with_suffix(".new")
        text = {"labels": volume.labels and dict(volume.labels), "created": volume.created, "fresh": volume.fresh}
        beside.write_text(json.dumps(text))
        beside.replace(path)


def clear(folder: Path) -> None:
    """Remove a folder in which a program may have made folders that nobody can enter."""
    for path, folders, _ in os.walk(folder):
        for name in folders:
            inner = Path(path) / name
            if not inner.is_symlink():
                inner.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
