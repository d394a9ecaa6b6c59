"""`python -m drydock.engine`: the engine in the foreground, or detached once it answers."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from drydock.engine import process
from drydock.serving import resident


def main(arguments: list[str] | None = None) -> int:
    """Run the engine until it is told to stop; return the exit code."""
    parser = argparse.ArgumentParser(prog="drydock engine run", description=__doc__)
    parser.add_argument("--home", type=Path, default=None, help="where it keeps everything (default: $DRYDOCK_HOME)")
    parser.add_argument("--socket", type=Path, default=None, help="where it answers (default: HOME/engine/docker.sock)")
    parser.add_argument("--rung", choices=process.RUNGS, type=str.upper, default=os.environ.get("DRYDOCK_RUNG") or None)
    parser.add_argument("--detach", action="store_true", help="go into the background once it answers")
    asked = parser.parse_args(arguments)
    home = asked.home.absolute() if asked.home else process.home()
    if asked.detach:
        return resident.detached(lambda ready: run(home, asked.rung, asked.socket, ready))
    return run(home, asked.rung, asked.socket)


def run(home: Path, rung: str | None, where: Path | None, ready: int | None = None) -> int:
    """Serve in this process; `ready` is a file that is told once the engine answers."""
    from drydock.engine.daemon import Daemon, Taken
    from drydock.engine.serve import serve

    try:
        daemon = Daemon(home, rung, where.absolute() if where else None)
    except Taken as error:
        print(error, file=sys.stderr, flush=True)
        return 0 if ready is not None else 1
    except (OSError, RuntimeError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return 1
    try:
        serve(daemon, ready)
    except OSError as error:
        print(f"It cannot listen at {daemon.socket}: {error.strerror or error}", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
