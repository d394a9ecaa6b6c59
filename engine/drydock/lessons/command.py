"""`drydock images`: lesson images made, listed, and given to whichever engine answers."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException
from requests.exceptions import RequestException

from drydock.badge import badge
from drydock.client import EngineUnavailable, connect
from drydock.lessons import bases, bundle
from drydock.lessons.bundle import BadBundle, Bundle
from drydock.lessons.harvest import OtherIdentity
from drydock.lessons.make import CannotMake, make
from drydock.lessons.room import NoRoom, Room

PATIENCE = 60  # seconds for a new engine to answer, on a busy machine
NOT_STARTED = (
    "No engine to make the lesson images with: {why}\n"
    "A new one, in a folder of its own, was started for this and ended.\n"
    "Try: drydock doctor"
)
ONLY = "There are no lesson images in {folder}, so only what you name is pushed."
PUSHED = (
    "On each machine of the room: drydock images pull {host}   (seen from there, localhost is another name)\n"
    "and, for images such as alpine: export DRYDOCK_REGISTRY={host}"
)
LOADED = "{badge} has now:\n{names}"
MADE = "Written to {folder}. It can be copied as it is; on the other machine: drydock images load FOLDER"


def add(commands: Any) -> None:
    """Add `images` to the command line."""
    images = commands.add_parser("images", help="make, list or load the images and the cache of the lessons")
    verbs = images.add_subparsers(dest="verb", required=True)
    folder = {"nargs": "?", "type": Path, "default": None, "metavar": "FOLDER", "help": "where they are"}
    verbs.add_parser("list", help="say what a folder of lesson images holds").add_argument("folder", **folder)
    verbs.add_parser("load", help="give a folder of lesson images to the engine").add_argument("folder", **folder)
    giving = verbs.add_parser(
        "push", help="give them to a class registry, from which a room without a network gets them"
    )
    giving.add_argument("host", metavar="HOST", help="the registry, such as localhost:5055")
    giving.add_argument("images", nargs="*", metavar="IMAGE", help="images of the engine to give too, such as alpine")
    giving.add_argument("--folder", type=Path, help="where the lesson images are")
    getting = verbs.add_parser("pull", help="get them from a class registry, and give them to the engine")
    getting.add_argument("host", metavar="HOST", help="the registry, such as http://10.0.0.7:5055")
    getting.add_argument("--folder", type=Path, help="where to keep them")
    making = verbs.add_parser("make", help="run the lessons once and keep what they built, in a folder")
    making.add_argument("folder", **folder)
    making.add_argument("--host", help="make them with this engine, not with a new one of the kit's own")
    making.add_argument("--rung", choices="ABC", help="the rung of the kit's own engine")


def run(asked: argparse.Namespace) -> int:
    """Do what was asked of the lesson images, and return the exit code."""
    folder = asked.folder or bundle.folder()
    try:
        if asked.verb == "list":
            print(bundle.opened(folder).picture())
        elif asked.verb == "push":
            push(asked.host, folder, asked.images)
        elif asked.verb in ("load", "pull"):
            with closing(connect()) as client:
                found = bundle.opened(folder) if asked.verb == "load" else _pulled(asked.host, folder)
                found.load(client)
                print(LOADED.format(badge=badge(client), names=found.picture()))
        else:
            with _engine(asked.host, asked.rung) as url, closing(docker.DockerClient(url, timeout=600)) as client:
                print(make(client, url, folder, say=_say).picture())
            print(MADE.format(folder=folder))
    except (
        BadBundle,
        CannotMake,
        OtherIdentity,
        NoRoom,
        bases.NoBase,
        EngineUnavailable,
        DockerException,
        RequestException,
    ) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def push(host: str, folder: Path, images: Sequence[str]) -> None:
    """Give the folder to a class registry, then images of the engine that are wanted there too."""
    with Room(host) as room:
        if images and not (folder / bundle.LIST).exists():
            _say(ONLY.format(folder=folder))
        else:
            for done in room.push(bundle.opened(folder)):
                _say(done)
        if images:
            with closing(connect()) as client:
                for name in images:
                    bases.to_room(client, name, room.host)
                    _say(f"{room.host}/{name}")
    print(PUSHED.format(host=host))


def _pulled(host: str, folder: Path) -> Bundle:
    with Room(host) as room:
        return room.pull(folder)


def _say(text: str) -> None:
    print(text, flush=True)


@contextmanager
def _engine(host: str | None, rung: str | None) -> Iterator[str]:
    """Give the address of an engine to make images with: the one named, or a new one that ends afterwards.

    The kit's own is asked even where Docker answers: its cache is what the folder is for.
    """
    if host:
        yield host
        return
    with tempfile.TemporaryDirectory(prefix="drydock-engine-") as home:
        command = [sys.executable, "-m", "drydock.engine", "--home", home]
        engine = subprocess.Popen(
            command + (["--rung", rung] if rung else []), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        try:
            yield _answered(f"unix://{home}/engine/docker.sock", engine)
        finally:
            engine.terminate()
            engine.communicate(timeout=PATIENCE)


def _answered(url: str, engine: subprocess.Popen[str]) -> str:
    """Return the address once an engine answers there. Raises: CannotMake."""
    deadline = time.monotonic() + PATIENCE
    while engine.poll() is None and time.monotonic() < deadline:
        if Path(url.removeprefix("unix://")).exists():
            return url
        time.sleep(0.05)
    if engine.poll() is None:
        raise CannotMake(NOT_STARTED.format(why="it does not answer"))
    raise CannotMake(NOT_STARTED.format(why=engine.communicate()[1].strip()[-500:]))
