"""Variables in a Dockerfile: `$name`, `${name:-default}` and their kin, as Docker's builders replace them.

Source: moby/buildkit frontend/dockerfile/shell/lex.go.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from contextlib import suppress

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-]")


class ExpansionError(ValueError):
    """A `${...}` that Docker would refuse; the message says which and why, `docker` what dockerd says."""

    def __init__(self, what: str, docker: str = "") -> None:
        super().__init__(what)
        self.docker = docker or what


def expand(word: str, env: Mapping[str, str], escape: str = "\\") -> str:
    r"""Return `word` with its variables replaced and its quotes taken off, as Docker does for COPY, ENV or FROM.

    >>> expand("$tool-${version:-1.0}", {"tool": "nmap"})
    'nmap-1.0'
    >>> expand("'$tool' \\$tool \"$tool\"", {"tool": "nmap"})
    '$tool $tool nmap'

    A name that is not set is replaced by nothing; `+word` gives `word` only where the name is set, `?message` stops
    the build, `#pattern` and `%pattern` cut from the left and the right, `/old/new` replaces.

    >>> expand("${tool:+is set} ${path##*/} ${path%.gz} ${path/a/b}", {"tool": "x", "path": "a/c.tar.gz"})
    'is set c.tar.gz a/c.tar b/c.tar.gz'
    """
    return _Lexer(word, env, escape).run()


class _Lexer:
    def __init__(self, text: str, env: Mapping[str, str], escape: str) -> None:
        self.text, self.env, self.escape, self.at = text, env, escape, 0
        self.used: list[str] = []

    def run(self, stop: str = "") -> str:
        """Read until one of `stop` outside quotes, or the end."""
        out: list[str] = []
        while self.at < len(self.text):
            char = self.text[self.at]
            if char in stop:
                break
            if char == "'":
                out.append(self._single())
            elif char == '"':
                out.append(self._double())
            elif char == "$":
                out.append(self._variable())
            elif char == self.escape:
                self.at += 1
                if self.at < len(self.text):
                    out.append(self.text[self.at])
                    self.at += 1
            else:
                out.append(char)
                self.at += 1
        return "".join(out)

    def _single(self) -> str:
        end = self.text.find("'", self.at + 1)
        if end < 0:
            raise ExpansionError("a single quote (') is opened and never closed")
        inner, self.at = self.text[self.at + 1 : end], end + 1
        return inner

    def _double(self) -> str:
        out: list[str] = []
        self.at += 1
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == '"':
                self.at += 1
                return "".join(out)
            if char == "$":
                out.append(self._variable())
            elif char == self.escape:
                following = self.text[self.at + 1 : self.at + 2]
                out.append(following if following in ('"', "$", self.escape) else char + following)
                self.at += 2
            else:
                out.append(char)
                self.at += 1
        raise ExpansionError('a double quote (") is opened and never closed')

    def _variable(self) -> str:
        self.at += 1
        if self.text[self.at : self.at + 1] == "{":
            return self._braced()
        match = NAME.match(self.text, self.at)
        if not match or not (match[0][0].isalpha() or match[0][0] in "_0123456789@*#?-$!"):
            return "$"
        self.at = match.end()
        return self._value(match[0])

    def _value(self, name: str) -> str:
        self.used.append(name)
        return self.env.get(name, "")

    def _braced(self) -> str:
        self.at += 1
        match = NAME.match(self.text, self.at)
        if not match:
            raise ExpansionError("${...} holds no name; write ${NAME}")
        name, self.at = match[0], match.end()
        modifier = self.text[self.at : self.at + 1]
        if modifier == "}":
            self.at += 1
            return self._value(name)
        colon = modifier == ":"
        if colon:
            self.at += 1
            modifier = self.text[self.at : self.at + 1]
        if colon and modifier not in ("-", "+", "?"):
            raise ExpansionError(f"${{{name}:{modifier}...}} is not known here: after the colon comes -, + or ?")
        return self._modified(name, modifier, colon)

    def _modified(self, name: str, modifier: str, colon: bool) -> str:
        doubled = modifier in ("#", "%", "/") and self.text[self.at + 1 : self.at + 2] == modifier
        self.at += 2 if doubled else 1
        word = self.run("}/" if modifier == "/" else "}")
        new = ""
        if modifier == "/" and self.text[self.at : self.at + 1] == "/":
            self.at += 1
            new = self.run("}")
        if self.text[self.at : self.at + 1] != "}":
            raise ExpansionError(f"${{{name} is never closed; add the brace }}")
        self.at += 1
        value = self._value(name)
        is_set = bool(value) if colon else name in self.env
        if modifier == "-":
            return value if is_set else word
        if modifier == "+":
            return word if is_set else ""
        if modifier == "?":
            if is_set:
                return value
            why = word or ("is not allowed to be empty" if colon else "is not allowed to be unset")
            raise ExpansionError(f"{name} is not set: {word or 'the Dockerfile demands it'}", f"{name}: {why}")
        if modifier in ("#", "%"):
            return _cut(value, word, modifier == "#", doubled)
        if modifier == "/":
            return re.sub(_glob(word), lambda _: new, value, count=0 if doubled else 1) if word else value
        raise ExpansionError(f"${{{name}{modifier}...}} is not known; Docker has :- :+ :? - + ? # ## % %% / //")


def names(word: str, escape: str = "\\") -> tuple[str, ...]:
    """Return the names of the variables that `word` reads.

    >>> names("$a/${b:-$c}/\\\\$d")
    ('a', 'c', 'b')
    """
    lexer = _Lexer(word, {}, escape)
    with suppress(ExpansionError):  # the caller learns of it when the word is expanded for real
        lexer.run()
    return tuple(lexer.used)


def _glob(pattern: str) -> str:
    return fnmatch.translate(pattern).removesuffix(r"\Z").removesuffix(r"\z")


def _cut(value: str, pattern: str, left: bool, longest: bool) -> str:
    """Cut the shortest (or longest) match of the pattern from one end of the value."""
    sizes = range(len(value), -1, -1) if longest else range(len(value) + 1)
    for size in sizes:
        piece = value[:size] if left else value[len(value) - size :]
        if fnmatch.fnmatchcase(piece, pattern):
            return value[size:] if left else value[: len(value) - size]
    return value
