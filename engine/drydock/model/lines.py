"""From the lines of a Dockerfile to its instructions' text: continuations joined, comments dropped, heredocs read.

Source: moby/buildkit frontend/dockerfile/parser/parser.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

DIRECTIVE = re.compile(r"^#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$")
HEREDOC = re.compile(r"^(\d*)<<(-?)\s*(?:'([^'<]+)'|\"([^\"<]+)\"|([^\s'\"<]+))$")
TAKES_HEREDOCS = ("RUN", "COPY", "ADD")
LONGEST = 64 * 1024  # characters of one physical line: bufio.Scanner's limit in Docker's parser


class DockerfileError(ValueError):
    """What is wrong in a Dockerfile, in which line, and the cure; `docker` is what dockerd says to it, where known."""

    def __init__(self, line: int, what: str, cure: str, docker: str = "") -> None:
        super().__init__(f"Dockerfile line {line}: {what}. {cure}")
        self.line, self.what, self.cure, self.docker = line, what, cure, docker


def refusal(line: int, words: str) -> str:
    """Return how dockerd refuses an instruction.

    >>> refusal(2, "unknown instruction: FOO")
    'dockerfile parse error line 2: unknown instruction: FOO'
    """
    return f"dockerfile parse error line {line}: {words}"


@dataclass(frozen=True)
class Heredoc:
    """A file written inside the Dockerfile, between `<<NAME` and a line that holds only NAME."""

    name: str
    content: str
    expand: bool  # quoted names ('EOF') keep $variables as they are
    chomp: bool  # <<- takes leading tabs off


@dataclass(frozen=True)
class LogicalLine:
    """One instruction as written: its text on one line, and the physical lines it came from (1-based, inclusive)."""

    text: str
    lines: tuple[int, int]
    source: str
    heredocs: tuple[Heredoc, ...]


def directives(rows: list[str]) -> dict[str, str]:
    r"""Return the parser directives: comments of the form `# name=value` before anything else.

    >>> directives(["# syntax=docker/dockerfile:1", "# escape=`", "", "# check=skip=all"])
    {'syntax': 'docker/dockerfile:1', 'escape': '`'}
    """
    found: dict[str, str] = {}
    for number, row in enumerate(rows, 1):
        match = DIRECTIVE.match(row.strip())
        if not match or match[1].lower() not in ("syntax", "escape", "check"):
            break
        name = match[1].lower()
        if name in found:
            docker = f"failed to parse Dockerfile: only one {name} parser directive can be used"
            raise DockerfileError(number, f"the directive {name} stands twice", "Keep one of them.", docker)
        found[name] = match[2]
    return found


def split_words(text: str, escape: str = "\\") -> tuple[str, ...]:
    """Split at spaces that are neither quoted nor escaped; quotes stay, since variables are replaced later.

    >>> split_words('a "b c" d\\\\ e')
    ('a', '"b c"', 'd\\\\ e')
    """
    words: list[str] = []
    word, quote, at = "", "", 0
    while at < len(text):
        char = text[at]
        if char == escape and quote != "'" and at + 1 < len(text):
            word += text[at : at + 2]
            at += 2
            continue
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char.isspace():
            if word:
                words.append(word)
            word = ""
            at += 1
            continue
        word += char
        at += 1
    return (*words, word) if word else tuple(words)


def logical_lines(rows: list[str], escape: str) -> Iterator[LogicalLine]:
    """Yield each instruction of the file, in order."""
    continued = re.compile(rf"(?:^|(?<!{re.escape(escape)})){re.escape(escape)}[ \t]*$")
    at = 0
    while at < len(rows):
        if not rows[at].strip() or rows[at].lstrip().startswith("#"):
            at += 1
            continue
        first, text = at, ""
        while at < len(rows):
            row = rows[at]
            if len(row) > LONGEST:
                raise DockerfileError(at + 1, f"it is {len(row)} characters long", "Docker reads 65536 at most.")
            at += 1
            if at - 1 > first and (not row.strip() or row.lstrip().startswith("#")):
                continue  # Docker allows comments and (with a warning) blank lines inside a continued instruction
            row = row.lstrip() if at - 1 == first else row
            if not continued.search(row):
                text += row
                break
            text += continued.sub("", row)
        text = text.rstrip()
        heredocs, at = _heredocs(text, rows, at, escape)
        last = at
        while last > first + 1 and not heredocs and (not rows[last - 1].strip() or rows[last - 1].lstrip()[0] == "#"):
            last -= 1  # a continuation at the end of the file may have run into comments
        yield LogicalLine(text, (first + 1, last), "\n".join(rows[first:last]), heredocs)


def _heredocs(text: str, rows: list[str], at: int, escape: str) -> tuple[tuple[Heredoc, ...], int]:
    words = split_words(text, escape)
    while words and words[0].upper() == "ONBUILD":
        words = words[1:]
    if not words or words[0].upper() not in TAKES_HEREDOCS:
        return (), at
    found: list[Heredoc] = []
    for word in words[1:]:
        match = HEREDOC.match(word)
        if not match:
            continue
        name, chomp = match[3] or match[4] or match[5], bool(match[2])
        body: list[str] = []
        start = at
        while True:
            if at >= len(rows):
                raise DockerfileError(
                    start, f"the heredoc <<{name} is never closed", f"Add a line that holds only {name}."
                )
            row = rows[at].lstrip("\t") if chomp else rows[at]
            at += 1
            if row == name:
                break
            body.append(row + "\n")
        found.append(Heredoc(name, "".join(body), expand=match[5] is not None, chomp=chomp))
    return tuple(found), at
