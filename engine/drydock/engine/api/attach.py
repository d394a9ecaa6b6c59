"""A container's output and input: logs, attach, wait, stats, and exec.

Source: moby/api/server/router/container/{container_routes,exec}.go, moby/daemon/{attach,exec,logs,stats}.go
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from drydock.engine.api.containers import window
from drydock.engine.api.streams import STDOUT, Wire, converse, detach_keys, frame, frames, line
from drydock.engine.api.times import limit
from drydock.engine.api.wire import Hijack, Json, Plain, Reply, Request, Stream
from drydock.engine.errors import BadParameter, Conflict, EngineError

NO_STREAMS = "Bad parameters: you must choose at least one stream"
CONDITIONS = ("not-running", "next-exit", "removed")
TEXT = "application/vnd.docker.raw-stream"
MULTIPLEXED = "application/vnd.docker.multiplexed-stream"


def logs(request: Request) -> Reply:
    """Answer `docker logs`."""
    found = request.daemon.containers.get(request.names["name"])
    out, err = request.flag("stdout"), request.flag("stderr")
    if not (out or err):
        raise BadParameter(NO_STREAMS)
    said = found.logs(
        stdout=out,
        stderr=err,
        follow=request.flag("follow"),
        tail=_tail(request.text("tail")),
        since=limit(request.text("since")),
        until=limit(request.text("until")),
        timestamps=request.flag("timestamps"),
        cancelled=request.gone,
    )
    if request.flag("details"):
        said = _detailed(said, request.flag("timestamps"))
    kind = MULTIPLEXED if request.version >= (1, 42) and not found.tty else TEXT
    return Stream(frames(said, found.tty), kind, at_once=True)


def _detailed(said: Iterator[tuple[int, bytes]], stamped: bool) -> Iterator[tuple[int, bytes]]:
    """Put a log's attributes before each line, as `--details` does: of this log there are none, but for the space."""
    for stream, data in said:
        stamp, space, text = data.partition(b" ") if stamped else (b"", b"", data)
        yield stream, stamp + space + b" " + text


def _tail(text: str) -> int | None:
    """Return how many lines of the end are wanted, or None for all.

    >>> _tail("all"), _tail("10"), _tail("-1")
    (None, 10, None)
    """
    number = text.removeprefix("-")
    if not (number.isascii() and number.isdigit()) or text.startswith("-"):
        return None
    return int(text)


def attach(request: Request) -> Reply:
    """Answer `docker attach` and `docker run`: the connection becomes the container's terminal."""
    found = request.daemon.containers.get(request.names["name"])
    if found.state.get("Paused"):
        raise Conflict(f"Container {found.id} is paused, unpause the container before attach.")
    if found.state.get("Restarting"):
        raise Conflict(f"Container {found.id} is restarting, wait until the container is running")
    keys = detach_keys(request.text("detachKeys"))
    stdin, stream = request.flag("stdin"), request.flag("stream")
    program = found.attach(
        stdin=stdin and stream,
        stdout=request.flag("stdout"),
        stderr=request.flag("stderr"),
        logs=request.flag("logs"),
        stream=stream,
    )
    return Hijack(lambda wire: converse(wire, program, found.tty, stdin, keys), found.tty)


def wait(request: Request) -> Reply:
    """Answer `docker wait`. The head goes at once: `docker run` starts the container only after it has it."""
    found = request.daemon.containers.get(request.names["name"])
    condition = request.text("condition") or "not-running"
    if condition not in CONDITIONS and request.version >= (1, 42):
        raise BadParameter(f'invalid condition: "{condition[:40]}"')
    waiting = found.waiter(condition)

    def result() -> Iterator[bytes]:
        while not request.gone():
            code = waiting.result(0.5)
            if code is not None:
                yield line({"Error": None, "StatusCode": code} if request.version < (1, 42) else {"StatusCode": code})
                return

    return Stream(result(), at_once=True)


def stats(request: Request) -> Reply:
    """Answer `docker stats`: one look, or a look every second."""
    found = request.daemon.containers.get(request.names["name"])
    if not request.flag("stream", default=True):
        return Json(found.stats())
    return Stream(_stats(request, found), at_once=True)


def _stats(request: Request, found: Any) -> Iterator[bytes]:
    import time

    while not request.gone():
        yield line(found.stats())
        time.sleep(1)


# Exec


def exec_create(request: Request) -> Reply:
    """Answer the first half of `docker exec`: what is to run."""
    name = request.names["name"]
    found = request.daemon.containers.get(name)
    body = request.json()
    words = body.get("Cmd")
    if not words:
        raise BadParameter("No exec command specified")
    if isinstance(words, str):
        body["Cmd"] = [words]
    elif not all(isinstance(each, str) for each in words):
        raise BadParameter("json: cannot unmarshal into Go struct field ExecConfig.Cmd of type string")
    detach_keys(body.get("DetachKeys") or "")
    if found.paused:
        raise Conflict(f"Container {name} is paused, unpause the container before exec")
    return Json({"Id": found.exec_create(body)}, 201)


def exec_start(request: Request) -> Reply:
    """Answer the second half of `docker exec`: run it, and carry its input and output."""
    found = request.daemon.containers.exec(request.names["name"])
    body = request.json()
    if body.get("Detach"):
        found.start(detach=True)
        return Plain(status=200)
    size = body.get("ConsoleSize")
    tty = bool(found.config.get("Tty"))

    def talk(wire: Wire) -> None:
        """Start it once the connection is taken over: what goes wrong from here on is written there."""
        try:
            program = found.start(detach=False, tty=tty, size=tuple(size) if size else None)
        except EngineError as error:
            text = f"{error}\r\n".encode()
            wire.send(text if tty else frame(STDOUT, text))
            return wire.shut()
        assert program
        keys = detach_keys(found.config.get("DetachKeys") or "")
        converse(wire, program, tty, bool(found.config.get("AttachStdin")), keys)

    return Hijack(talk, tty)


def exec_inspect(request: Request) -> Reply:
    """Answer what became of an exec: its exit code, above all."""
    return Json(request.daemon.containers.exec(request.names["name"]).inspect())


def exec_resize(request: Request) -> Reply:
    """Answer a terminal whose window has changed."""
    request.daemon.containers.exec(request.names["name"]).resize(*window(request))
    return Plain(status=200)


ROUTES = [
    ("GET", "/containers/{name}/logs", logs),
    ("POST", "/containers/{name}/attach", attach),
    ("POST", "/containers/{name}/wait", wait),
    ("GET", "/containers/{name}/stats", stats),
    ("POST", "/containers/{name}/exec", exec_create),
    ("POST", "/exec/{name}/start", exec_start),
    ("GET", "/exec/{name}/json", exec_inspect),
    ("POST", "/exec/{name}/resize", exec_resize),
]
