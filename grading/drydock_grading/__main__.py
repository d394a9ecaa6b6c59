"""`python -m drydock_grading accept IMAGE [NAME]`: put an image on the list of bases that the course accepts."""

from __future__ import annotations

import argparse
import sys

from docker.errors import ImageNotFound
from drydock.client import EngineUnavailable, connect
from drydock.model.layer import counted

from drydock_grading import bases


def main(arguments: list[str] | None = None) -> int:
    """Read the command, do it, and return 0, or 1 with a line that says why not."""
    parser = argparse.ArgumentParser(prog="python -m drydock_grading", description=__doc__)
    accept = parser.add_subparsers(dest="command", required=True).add_parser("accept", help="accept a base image")
    accept.add_argument("image", help="an image on your engine, say python:3.12-slim")
    accept.add_argument("name", nargs="?", default="", help="the name to list it under; the image's own if left out")
    chosen = parser.parse_args(arguments)
    try:
        about = connect().api.inspect_image(chosen.image)
        diff_ids = tuple(about["RootFS"].get("Layers") or ())
        new = bases.add(bases.KnownBase(chosen.name or chosen.image, diff_ids))
    except ImageNotFound:
        print(f"The engine has no image {chosen.image!r}.\nTry: docker pull {chosen.image}", file=sys.stderr)
        return 1
    except (EngineUnavailable, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    what = "accepted" if new else "was on the list"
    print(f"{chosen.name or chosen.image}: {what}, {counted(len(diff_ids), 'layer')}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
