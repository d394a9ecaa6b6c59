"""`.dockerignore`: which files never travel to the builder, and which line says so.

Source: moby patternmatcher (patternmatcher.go): the last line that matches wins, and a folder takes its files along.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """One line: what it leaves out, or (with !) lets in again."""

    line: int
    pattern: str
    lets_in: bool
    regex: re.Pattern[str]


@dataclass(frozen=True)
class Ignore:
    """The rules of one `.dockerignore`, in order."""

    rules: tuple[Rule, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Ignore:
        r"""Read the file: one pattern a line, # begins a comment, ! lets files in again.

        >>> [rule.pattern for rule in Ignore.parse("# mine\n/build/\n!build/keep.txt").rules]
        ['build', 'build/keep.txt']
        """
        rules = []
        for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
            pattern = line.strip()
            if not pattern or line.startswith("#"):
                continue
            lets_in = pattern.startswith("!")
            pattern = posixpath.normpath(pattern.removeprefix("!").strip()).lstrip("/")
            if pattern:
                rules.append(Rule(number, pattern, lets_in, re.compile(translate(pattern), re.DOTALL)))
        return cls(tuple(rules))

    def rule(self, path: str) -> Rule | None:
        """Return the last rule that speaks of the path or of a folder above it."""
        parts = path.split("/")
        paths = ["/".join(parts[: n + 1]) for n in range(len(parts))]
        for rule in reversed(self.rules):
            if any(rule.regex.fullmatch(one) for one in paths):
                return rule
        return None

    def excludes(self, path: str) -> bool:
        """Return whether the path stays at home.

        >>> ignore = Ignore.parse("*.log\\n!keep.log\\n**/cache\\ndocs/*.md")
        >>> [p for p in ("a.log", "keep.log", "x/a.log", "x/y/cache/z", "docs/a.md") if ignore.excludes(p)]
        ['a.log', 'x/y/cache/z', 'docs/a.md']
        """
        rule = self.rule(path)
        return rule is not None and not rule.lets_in

    def why(self, path: str) -> str:
        """Return in one sentence why the path travels or not.

        >>> Ignore.parse("*.log").why("a.log")
        'a.log stays out: line 1 of .dockerignore is *.log'
        """
        rule = self.rule(path)
        if rule is None:
            return f"{path} travels: no line of .dockerignore speaks of it"
        verb = "travels" if rule.lets_in else "stays out"
        return f"{path} {verb}: line {rule.line} of .dockerignore is {'!' if rule.lets_in else ''}{rule.pattern}"


def translate(pattern: str) -> str:
    """Return the regular expression of a pattern: `*` stops at a slash, `**` does not.

    >>> translate("**/*.py")
    '(?:.*/)?[^/]*\\\\.py'
    """
    out, at = "", 0
    while at < len(pattern):
        char = pattern[at]
        if pattern.startswith("**", at):
            at += 2
            at += pattern.startswith("/", at)
            out += "(?:.*/)?" if at < len(pattern) else ".*"
            continue
        end = pattern.find("]", at + 2) if char == "[" else -1
        if char == "*":
            out += "[^/]*"
        elif char == "?":
            out += "[^/]"
        elif end > 0:
            inner = pattern[at + 1 : end].replace("\\", "\\\\").replace("[", "\\[")
            out += f"[{inner}]"
            at = end
        elif char == "\\" and at + 1 < len(pattern):
            at += 1
            out += re.escape(pattern[at])
        else:
            out += re.escape(char)
        at += 1
    return out
