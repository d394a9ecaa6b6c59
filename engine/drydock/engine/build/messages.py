"""The stream of a build, message by message, as the docker CLI and docker-py expect it.

Sources: moby builder/dockerfile/builder.go, pkg/streamformatter, pkg/jsonmessage (tag v20.10.24).
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Any

from drydock.model.dockerfile import Dockerfile

Message = dict[str, Any]
KEEP_ALIVE: Message = {"stream": ""}


class StepFailed(Exception):
    """A command of the Dockerfile ran and gave back something other than 0."""

    def __init__(self, command: str, code: int) -> None:
        super().__init__(f"The command '{command}' returned a non-zero code: {code}")
        self.code = code


def say(text: str) -> Message:
    """Return one line of the builder's own."""
    return {"stream": text}


def complain(text: str) -> Message:
    """Return a line in red, as the builder prints warnings and what a step writes to its error stream."""
    return {"stream": f"\x1b[91m{text}\x1b[0m"}


def step(number: int, total: int, text: str) -> Iterator[Message]:
    """Announce an instruction.

    >>> list(step(1, 2, "FROM alpine"))
    [{'stream': 'Step 1/2 : FROM alpine'}, {'stream': '\\n'}]
    """
    yield say(f"Step {number}/{total} : {text}")
    yield say("\n")


def short(identity: str) -> str:
    """Return the 12 digits that people read.

    >>> short("sha256:0123456789abcdef")
    '0123456789ab'
    """
    return identity.removeprefix("sha256:")[:12]


def failure(error: Exception) -> Message:
    """Return a build's last message where it failed.

    >>> failure(StepFailed("/bin/sh -c false", 1))["errorDetail"]
    {'code': 1, 'message': "The command '/bin/sh -c false' returned a non-zero code: 1"}
    """
    detail: Message = {"code": error.code} if isinstance(error, StepFailed) else {}
    return {"errorDetail": {**detail, "message": str(error)}, "error": str(error)}


def warnings(dockerfile: Dockerfile) -> Iterator[Message]:
    """Complain of blank lines inside a continued instruction, as Docker's parser does.

    >>> from drydock.model.dockerfile import parse
    >>> print(next(warnings(parse("FROM a\\nRUN x \\\\\\n\\n  y")))["stream"])
    \x1b[91m[WARNING]: Empty continuation line found in:
        RUN x   y
    [WARNING]: Empty continuation lines will become errors in a future release.
    \x1b[0m
    """
    found = [
        f"[WARNING]: Empty continuation line found in:\n    {i.written}"
        for i in (*dockerfile.globals, *dockerfile.instructions)
        if any(not row.strip() for row in i.source.split("\n"))
    ]
    if found:
        yield complain("\n".join([*found, EMPTY_LINES]) + "\n")


EMPTY_LINES = "[WARNING]: Empty continuation lines will become errors in a future release."


class Output:
    """What a step's process writes, as messages: letters cut in two by a buffer's end are put together again."""

    def __init__(self) -> None:
        self._decoders = {stream: codecs.getincrementaldecoder("utf-8")("replace") for stream in (1, 2)}

    def message(self, stream: int, data: bytes) -> Message | None:
        """Return the message for a piece of output (1 standard output, 2 standard error).

        >>> output = Output()
        >>> output.message(1, b"caf\\xc3"), output.message(1, b"\\xa9")
        ({'stream': 'caf'}, {'stream': 'é'})
        """
        text = self._decoders[stream].decode(data)
        if not text:
            return None
        return say(text) if stream == 1 else complain(text)
