"""A Dockerfile: the recipe of an image, read into stages and instructions without running anything.

Sources: docs "Dockerfile reference"; moby/buildkit frontend/dockerfile/{parser,instructions}.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from drydock.model.expansion import expand as expand
from drydock.model.lines import DockerfileError, Heredoc, LogicalLine, directives, logical_lines, refusal, split_words

KEYWORDS = (
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER",
    "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
)  # fmt: skip
FLAGS: Mapping[str, tuple[str, ...]] = {
    "ADD": ("chown", "chmod", "link", "checksum", "keep-git-dir", "exclude", "unpack"),
    "COPY": ("from", "chown", "chmod", "link", "parents", "exclude"),
    "FROM": ("platform",),
    "HEALTHCHECK": ("interval", "timeout", "start-period", "start-interval", "retries"),
    "RUN": ("mount", "network", "security", "device"),
}
JSON_FORM = ("ADD", "CMD", "COPY", "ENTRYPOINT", "RUN", "SHELL", "VOLUME")
FILE_CHANGING = ("ADD", "COPY", "RUN", "WORKDIR")
LARGEST = 1_000_000  # bytes; moby's builder refuses larger ones too
NO_STAGE = "no build stage in current context"
STAGE_NAME = re.compile(r"^[a-z][a-z0-9-_.]*$")


@dataclass(frozen=True)
class Instruction:
    """One line of the recipe, however many lines of text it takes."""

    keyword: str
    text: str  # "RUN apt-get update"
    arguments: str  # what follows the keyword and its flags
    words: tuple[str, ...]  # arguments split; for the JSON form, its strings
    flags: tuple[tuple[str, str], ...] = ()
    json: bool = False
    heredocs: tuple[Heredoc, ...] = ()
    lines: tuple[int, int] = (1, 1)
    source: str = ""
    written: str = ""  # the text as typed, on one line: what `docker build` prints ("run  apt-get update")

    def flag(self, name: str) -> str | None:
        """Return the value of `--name=value`, or None where it is not given; a bare flag is "true"."""
        return dict(self.flags).get(name)

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Return the `name=value` pairs of ENV and LABEL, and of ARG (where a name alone has the value "").

        >>> parse("FROM a\\nENV A=1 B='x y'\\nENV OLD the way").stages[0].instructions[2].pairs
        (('OLD', 'the way'),)
        """
        if self.keyword in ("ENV", "LABEL") and self.words and "=" not in self.words[0]:
            return ((self.words[0], self.arguments[len(self.words[0]) :].strip()),)
        return tuple((name, value) for name, _, value in (word.partition("=") for word in self.words))


@dataclass(frozen=True)
class Stage:
    """A part of the recipe from one FROM to the next; only the last one (or --target) becomes the image."""

    index: int
    name: str | None
    base: str  # as written, variables not yet replaced
    platform: str | None
    instructions: tuple[Instruction, ...]  # the first is the FROM

    def sources(self) -> tuple[str, ...]:
        """Return what COPY --from and RUN --mount=from name: other stages, or images."""
        found = [i.flag("from") for i in self.instructions if i.keyword == "COPY"]
        for i in self.instructions:
            for name, value in i.flags:
                if name == "mount":
                    found += [part[5:] for part in value.split(",") if part.startswith("from=")]
        return tuple(name for name in found if name)


@dataclass(frozen=True)
class Dockerfile:
    """The whole recipe."""

    source: str
    directives: Mapping[str, str]
    globals: tuple[Instruction, ...]  # the ARGs before the first FROM
    stages: tuple[Stage, ...]
    warnings: tuple[str, ...] = field(default=())

    @property
    def escape(self) -> str:
        """Return the character that continues a line: a backslash, unless `# escape=` says otherwise."""
        return self.directives.get("escape", "\\")

    @property
    def syntax(self) -> str | None:
        """Return the BuildKit frontend that `# syntax=` asks for."""
        return self.directives.get("syntax")

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """Return the instructions of all stages, in the order of the file."""
        return tuple(i for stage in self.stages for i in stage.instructions)

    def stage(self, name: str, before: int | None = None) -> Stage | None:
        """Return the stage of that name or number (the last such one before stage `before`), or None for an image."""
        candidates = self.stages[:before]
        for stage in reversed(candidates):
            if stage.name is not None and stage.name == name.lower():
                return stage
        return candidates[int(name)] if name.isdecimal() and int(name) < len(candidates) else None

    def needed(self, target: str | None = None) -> tuple[Stage, ...]:
        """Return the stages that the target is made from; BuildKit builds these and skips the others.

        >>> f = parse("FROM a AS x\\nFROM b AS y\\nFROM c\\nCOPY --from=x /f /f")
        >>> [stage.index for stage in f.needed()]
        [0, 2]

        Raises: DockerfileError where no stage has that name.
        """
        goal = self.stage(target) if target else self.stages[-1]
        if goal is None:
            near = ", ".join(s.name for s in self.stages if s.name) or "none has a name"
            raise DockerfileError(1, f"there is no stage {target!r} to build", f"The stages are: {near}.")
        wanted, todo = set(), [goal]
        while todo:
            stage = todo.pop()
            if stage.index in wanted:
                continue
            wanted.add(stage.index)
            for name in (stage.base, *stage.sources()):
                found = self.stage(name, before=stage.index)
                todo += [found] if found else []
        return tuple(stage for stage in self.stages if stage.index in wanted)

    def picture(self) -> str:
        """Return a drawing in text: each stage, its instructions, and which of them change files.

        >>> print(parse("FROM busybox AS b\\nENV A=1\\nRUN true").picture())
        stage 0 "b" from busybox
          1  FROM busybox AS b
          2  ENV A=1   (configuration only)
          3  RUN true
        """
        rows = []
        for stage in self.stages:
            name = f' "{stage.name}"' if stage.name else ""
            rows.append(f"stage {stage.index}{name} from {stage.base}")
            for i in stage.instructions:
                config = "" if i.keyword in (*FILE_CHANGING, "FROM") else "   (configuration only)"
                rows.append(f"{i.lines[0]:>3}  {i.text}{config}")
        return "\n".join(rows)


def parse(text: str | bytes) -> Dockerfile:
    """Read a Dockerfile, as both of Docker's builders would, and say in which line it is wrong where it is.

    >>> [i.text for i in parse("FROM alpine\\nRUN apk add \\\\\\n  # why\\n  nmap").instructions]
    ['FROM alpine', 'RUN apk add   nmap']

    Raises: DockerfileError.
    """
    rows = _rows(text)
    found = directives(rows)
    escape = found.get("escape", "\\")
    if escape not in ("\\", "`"):
        docker = f"failed to parse Dockerfile: invalid escape token '{escape}' does not match ` or \\"
        raise DockerfileError(1, f"the escape character is {escape!r}", r"It must be \ or `.", docker)
    warnings: list[str] = []
    parsed = [_instruction(line, escape, warnings) for line in logical_lines(rows, escape)]
    if not parsed:
        docker = "failed to parse Dockerfile: file with no instructions"
        raise DockerfileError(1, "it holds no instruction", "Begin with FROM and the name of a base image.", docker)
    first = next((n for n, i in enumerate(parsed) if i.keyword == "FROM"), len(parsed))
    for i in parsed[: first + 1]:
        if i.keyword not in ("ARG", "FROM"):
            what = f"{i.keyword} stands before FROM"
            raise DockerfileError(i.lines[0], what, "Only ARG may; begin with FROM.", NO_STAGE)
    if first == len(parsed):
        raise DockerfileError(parsed[-1].lines[0], "there is no FROM", "Name the base image: FROM alpine.", NO_STAGE)
    return Dockerfile("\n".join(rows), found, tuple(parsed[:first]), _stages(parsed[first:]), tuple(warnings))


def _rows(text: str | bytes) -> list[str]:
    if len(text) > LARGEST:
        raise DockerfileError(1, f"it is {len(text):,} bytes long", "Docker takes 1 MB at most: is it another file?")
    if isinstance(text, bytes):
        text = _decode(text)
    text = text.removeprefix("\ufeff")
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise DockerfileError(line, "it holds a NUL byte", "This is a binary file, or UTF-16: save it as UTF-8 text.")
    return [row.removesuffix("\r") for row in text.removesuffix("\n").split("\n")]


def _decode(text: bytes) -> str:
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text[: error.start].count(b"\n") + 1
        raise DockerfileError(line, "it is not text in UTF-8", "Save the file as UTF-8 text.") from None


def _stages(instructions: list[Instruction]) -> tuple[Stage, ...]:
    stages: list[Stage] = []
    for i in instructions:
        if i.keyword == "FROM":
            name = i.words[2].lower() if len(i.words) == 3 else None
            stages.append(Stage(len(stages), name, i.words[0], i.flag("platform"), (i,)))
        else:
            last = stages[-1]
            stages[-1] = Stage(last.index, last.name, last.base, last.platform, (*last.instructions, i))
    return tuple(stages)


def _instruction(line: LogicalLine, escape: str, warnings: list[str]) -> Instruction:
    """Turn one logical line into an instruction, checked as Docker checks it."""
    at = line.lines[0]
    keyword, _, rest = line.text.replace("\t", " ", 1).partition(" ") if " " not in line.text else _first(line.text)
    word = keyword.upper()
    if word not in KEYWORDS:
        near = difflib.get_close_matches(word, KEYWORDS, 1, 0.6)
        cure = f"Did you mean {near[0]}?" if near else "If it continues the line above, that one must end in " + escape
        docker = refusal(at, f"unknown instruction: {word}")
        raise DockerfileError(at, f"{keyword[:40]!r} is no instruction", cure, docker)
    rest = rest.strip()
    flags, arguments = _flags(word, rest, at)
    words, is_json = _words(word, arguments, escape, at, warnings)
    instruction = Instruction(word, f"{word} {rest}".strip(), arguments, words, flags, is_json, line.heredocs,
                              line.lines, line.source, line.text)  # fmt: skip
    _check(instruction, escape, warnings)
    return instruction


def _first(text: str) -> tuple[str, str, str]:
    keyword = text.split(None, 1)[0]
    return keyword, " ", text[len(keyword) :]


def _flags(keyword: str, rest: str, at: int) -> tuple[tuple[tuple[str, str], ...], str]:
    """Read `--name=value` in front of the arguments."""
    flags: list[tuple[str, str]] = []
    known = FLAGS.get(keyword)
    while known and rest.startswith("--"):
        word, _, following = rest.partition(" ")
        if word == "--":
            return tuple(flags), following.lstrip()
        name, given, value = word[2:].partition("=")
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.5)
            cure = f"Did you mean --{near[0]}?" if near else f"It knows: {', '.join('--' + k for k in known)}."
            raise DockerfileError(at, f"{keyword} has no flag --{name}", cure, refusal(at, f"Unknown flag: {name}"))
        flags.append((name, value if given else "true"))
        rest = following.lstrip()
    return tuple(flags), rest


def _words(keyword: str, arguments: str, escape: str, at: int, warnings: list[str]) -> tuple[tuple[str, ...], bool]:
    """Split the arguments; `["a", "b"]` is JSON, and what only looks like it is a shell line, as in Docker."""
    if keyword in JSON_FORM and arguments.startswith("["):
        try:
            loaded = json.loads(arguments)
        except (ValueError, RecursionError):
            loaded = None
        if isinstance(loaded, list) and all(isinstance(word, str) for word in loaded):
            return tuple(loaded), True
        warnings.append(
            f'line {at}: [...] is not JSON (strings need "double quotes"), so Docker runs it as a shell line'
        )
    return split_words(arguments, escape), False


def _need(instruction: Instruction, least: int, most: int | None, cure: str) -> None:
    count = len(instruction.words)
    if count < least or (most is not None and count > most):
        what = "too few" if count < least else "too many"
        at, docker = instruction.lines[0], _counted(instruction)
        raise DockerfileError(at, f"{instruction.keyword} has {what} arguments ({count})", cure, docker)


def _counted(i: Instruction) -> str:
    """Return what dockerd says to too few or too many arguments."""
    if i.keyword in ("COPY", "ADD"):
        only = "but only one was provided. Destination could not be determined"
        return refusal(i.lines[0], f"{i.keyword} requires at least two arguments" + (f", {only}" if i.words else ""))
    if i.keyword in ("ENV", "LABEL") and i.words:
        return f"failed to parse Dockerfile: {i.keyword} must have two arguments"
    if i.keyword == "FROM" and i.words:
        return refusal(i.lines[0], "FROM requires either one or three arguments")
    if i.keyword in ("WORKDIR", "USER", "STOPSIGNAL", "MAINTAINER"):
        return refusal(i.lines[0], f"{i.keyword} requires exactly one argument")
    return refusal(i.lines[0], f"{i.keyword} requires at least one argument")


def _check(i: Instruction, escape: str, warnings: list[str]) -> None:
    """Refuse what Docker refuses in this instruction."""
    at = i.lines[0]
    if i.keyword == "FROM":
        _need(i, 1, 3, "Write FROM image, or FROM image AS name.")
        if len(i.words) == 2 or (len(i.words) == 3 and i.words[1].upper() != "AS"):
            what = f"FROM is followed by {' '.join(i.words)!r}"
            raise DockerfileError(at, what, "Write FROM image AS name.", _counted(i))
        if len(i.words) == 3 and not STAGE_NAME.match(i.words[2].lower()):
            named = f'invalid name for build stage: "{i.words[2]}", name can\'t start with a number or contain symbols'
            cure = "Use letters, digits, - _ and . only."
            raise DockerfileError(at, f"{i.words[2]!r} cannot name a stage", cure, refusal(at, named))
    elif i.keyword in ("COPY", "ADD"):
        _need(i, 2, None, f"Write {i.keyword} source destination.")
    elif i.keyword in ("ENV", "LABEL"):
        _need(i, 1, None, f"Write {i.keyword} name=value.")
        _check_pairs(i)
    elif i.keyword == "ARG":
        _need(i, 1, None, "Write ARG name, or ARG name=default.")
        if any(not name for name, _ in i.pairs):
            raise DockerfileError(at, "ARG has an empty name", "Write ARG name, or ARG name=default.")
    elif i.keyword in ("EXPOSE", "VOLUME"):
        _need(i, 1, None, f"Write {i.keyword} and a {'port' if i.keyword == 'EXPOSE' else 'folder'}.")
    elif i.keyword in ("WORKDIR", "USER", "STOPSIGNAL", "MAINTAINER"):
        if not i.arguments:
            cure = f"Write {i.keyword} and its value."
            raise DockerfileError(at, f"{i.keyword} needs one argument", cure, _counted(i))
        if i.keyword == "MAINTAINER":
            warnings.append(f"line {at}: MAINTAINER is deprecated; write LABEL org.opencontainers.image.authors=...")
    elif i.keyword == "SHELL":
        if not i.json or not i.words:
            docker = refusal(at, "SHELL requires the arguments to be in JSON form")
            raise DockerfileError(at, "SHELL takes the JSON form only", 'Write SHELL ["/bin/bash", "-c"].', docker)
    elif i.keyword == "HEALTHCHECK":
        _need(i, 1, None, "Write HEALTHCHECK CMD command, or HEALTHCHECK NONE.")
        if i.words[0].upper() not in ("CMD", "NONE"):
            docker = refusal(at, f'Unknown type "{i.words[0].upper()}" in HEALTHCHECK (try CMD)')
            what = f"HEALTHCHECK {i.words[0]} is not known"
            raise DockerfileError(at, what, "After HEALTHCHECK comes CMD or NONE.", docker)
    elif i.keyword == "ONBUILD":
        _need(i, 1, None, "Write ONBUILD and an instruction.")
        inner = i.words[0].upper()
        if inner in ("ONBUILD", "FROM", "MAINTAINER"):
            chained = "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"
            words = chained if inner == "ONBUILD" else f"{inner} isn't allowed as an ONBUILD trigger"
            raise DockerfileError(
                at, f"{inner} cannot follow ONBUILD", "Any other instruction can.", refusal(at, words)
            )
        _instruction(LogicalLine(i.arguments, i.lines, i.source, i.heredocs), escape, [])
    elif i.keyword == "RUN" and not i.words and not i.heredocs:
        raise DockerfileError(at, "RUN has no command", "Write RUN and what to run.")


def _check_pairs(i: Instruction) -> None:
    if "=" not in i.words[0]:
        if len(i.words) < 2:
            what = f"{i.keyword} {i.words[0]} has no value"
            raise DockerfileError(i.lines[0], what, f"Write {i.keyword} name=value.", _counted(i))
        return
    for word in i.words:
        if "=" not in word:
            cure = 'Put quotes around a value with spaces: name="a b".'
            docker = f'failed to parse Dockerfile: Syntax error - can\'t find = in "{word}". '
            docker += "Must be of the form: name=value"
            raise DockerfileError(i.lines[0], f"{word!r} in {i.keyword} is no name=value", cure, docker)
        if word.startswith("="):
            raise DockerfileError(i.lines[0], f"{i.keyword} has an empty name", f"Write {i.keyword} name=value.")
