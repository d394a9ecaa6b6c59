"""What of a transcript is chance: IDs, times, addresses, sizes of this machine's busybox, and the client's own words.

Everything else counts. An ID becomes the number of its first appearance, so that the same ID twice stays the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

CLIENT = re.compile(  # the CLI's own words: releases differ, and no engine said them
    r"""^(
      DEPRECATED:\ The\ legacy\ builder.* | \ +Install\ the\ buildx.* | \ +environment-variable.*
      | \ +BuildKit\ is\ currently.* | \ +https://docs\.docker\.com/.*
      | Sending\ build\ context\ to\ Docker\ daemon.*
      | time="[^"]*"\ level=.* | exit\ status\ 1
      | See\ 'docker.*'\.? | Run\ 'docker.*'\ for\ more\ information | Usage:.*
    )$""",
    re.VERBOSE,
)
UNIT = r"(?:second|minute|hour|day|week|month|year)s?"
WHILE = rf"(?:Less than a second|About an? {UNIT}|an? {UNIT}|\d+ {UNIT})"
RULES = [
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?(Z|[+-]\d\d:?\d\d)( [A-Z]{3})?)?"), "<time>"),
    (re.compile(rf"{WHILE} ago"), "<ago>"),
    (re.compile(rf"\bUp {WHILE}"), "Up <while>"),
    (re.compile(r"\b(?:172|192|10|127)\.\d+\.\d+\.\d+\b"), "<ip>"),
    (re.compile(r"\b02:42(?::[0-9a-f]{2}){4}\b"), "<mac>"),
    (re.compile(r"\b\d+(?:\.\d+)?(?:MB|GB)\b"), "<size>"),
    (re.compile(r"\bsize: \d+$", re.MULTILINE), "size: <bytes>"),  # of a manifest: how well its layers are compressed
    (re.compile(r"   +"), "   "),  # columns
]
UNUSED = re.compile(r"(?<=build-args \[)[^\]]*(?=\] were not consumed)")  # dockerd has them in a Go map's order: any
ID = re.compile(r"(?<!file:)(?<!dir:)(?<!multi:)(?<![0-9a-f])(?:[0-9a-f]{64}|[0-9a-f]{12})(?![0-9a-f])")


def normal(text: str, names: Mapping[str, str] | None = None) -> str:
    r"""Return a transcript without what is chance; `names` are texts with a name of their own (the folder, the host).

    >>> normal("c0ffee00c0de\nabcdefabcdef is not c0ffee00c0de\n2024-01-01T10:00:00.5Z  12.3MB\n")
    '<id 1>\n<id 2> is not <id 1>\n<time> <size>\n'
    """
    for word, name in (names or {}).items():
        text = text.replace(word, name)
    lines = text.replace("\r", "").split("\n")
    text = "\n".join(_line(line) for line in lines if not CLIENT.match(line.removeprefix("! ")))
    for pattern, what in RULES:
        text = pattern.sub(what, text)
    text = UNUSED.sub(lambda match: " ".join(sorted(match[0].split())), text)
    return _numbered(text)


def loose(transcript: str) -> str:
    r"""Return a transcript without what depends on the CLI's release: to compare with one that another CLI recorded.

    The hash of a COPY covers the modes as the CLI's tar has them; and an older CLI words a 404 itself.

    >>> loose("! Error: No such image: x\nCOPY file:" + "0" * 64 + " in /\n! Error response from daemon: y")
    '! <nothing of that name>\nCOPY file:<hash> in /\n! Error response from daemon: y'
    """
    transcript = re.sub(r"(file|dir|multi):[0-9a-f]{64}", r"\1:<hash>", transcript)
    missing = r"^! Error.*(?:[Nn]o such \w+|network [\w-]+ not found|Could not find the file).*$"
    return re.sub(missing, "! <nothing of that name>", transcript, flags=re.MULTILINE)


def _line(line: str) -> str:
    r"""Return a line with control characters shown, and without the full stop that older CLIs add to an error.

    >>> _line("! docker: Error response from daemon: No such container: x.")
    '! docker: Error response from daemon: No such container: x'
    """
    if "Error response from daemon" in line or "Error: No such" in line:
        line = line.rstrip(".")
    if line.endswith(" ") and not line.endswith("   "):
        line = line[:-1] + "␠"  # the end of a table's row is no news, another blank at an end is
    return "".join(c if c.isprintable() or c == "\t" else c.encode("unicode_escape").decode() for c in line).rstrip(" ")


def _numbered(text: str) -> str:
    seen: dict[str, int] = {}

    def name(match: re.Match[str]) -> str:
        short = match[0][:12]
        return f"<id {seen.setdefault(short, len(seen) + 1)}>"

    return ID.sub(name, text)
