"""Passwords, tokens and keys in any layer, also where a later layer hides them, in the settings and in the history."""

from __future__ import annotations

import re
from collections.abc import Iterator

from drydock.model.layer import shown

from drydock_grading.checks.case import Case, Judge
from drydock_grading.result import CheckResult, full, none

TEXTS = (
    (rb"dckr_(pat|oat)_[\w-]{10,}", "a Docker Hub token"),
    (rb"gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}", "a GitHub token"),
    (rb"glpat-[\w-]{16,}", "a GitLab token"),
    (rb"\bAKIA[0-9A-Z]{16}\b", "an AWS key"),
    (rb"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----", "a private key"),
    (rb'"auths"\s{0,20}:\s{0,20}\{\s{0,20}"[^"]{1,200}"\s{0,20}:\s{0,20}\{\s{0,20}"auth"', "a saved `docker login`"),
    (rb"drydock-token-\w{6,}", "a token"),
)
NAMES = re.compile(
    r"(^|/)(\.?tokens?(\.\w+)?|\.?secrets?(\.\w+)?|\.?passwords?(\.\w+)?|\.env|\.netrc|\.pypirc|\.npmrc|\.git-credentials|"
    r"id_(rsa|dsa|ecdsa|ed25519)|credentials|\.docker/config\.json|[^/]+\.pem|[^/]+\.key)$",
    re.IGNORECASE,
)
# Every repetition has an end: a text made to be slow to search is searched all the same.
SETTING = re.compile(
    r"\b(\w{0,40}(?:PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|PRIVATE_KEY)\w{0,40})\s{0,9}[= ]\s{0,9}['\"]?([^\s'\"$]{4})",
    re.IGNORECASE,
)
SYSTEM = ("usr/", "lib", "bin/", "sbin/", "etc/ssl", "etc/ca-certificates", "opt/")  # of a base nobody knows


def none_in(most: float) -> Judge:
    """Return the check that no layer above the base, no setting and no line of the history holds a secret.

    The secret itself is never in what it says.
    """

    def judge(case: Case) -> CheckResult:
        for what, number, path in _in_layers(case):
            why = f"Layer {number} holds {what}: /{shown(path)}."
            if _hidden(case, number, path):
                why += " A later layer removes the file, but whoever has the image can read it there."
                return none(most, why, "rm-shrinks", "In which step did it come in? What keeps a file out of a build?")
            return none(most, why, "", "How did it get into the image, and what keeps a file out of a build?")
        for where, text in _said(case):
            if found := _named(text):
                why = f"The image's {where} holds {found}: everybody who has the image can read it."
                return none(
                    most, why, "arg-stays", "Does a container need it? Then from where, if not out of the image?"
                )
        return full(most, "No secret was found in any layer, in the settings or in the history.")

    return judge


def _in_layers(case: Case) -> Iterator[tuple[str, int, str]]:
    """Go through the secrets in files: what it is, the layer, the path."""
    contents = case.artifact.contents
    for number in range(case.above, len(case.image.layers)):
        for path, text in contents(number) if contents else ():
            if case.base is None and path.startswith(SYSTEM):
                continue
            what = next((what for pattern, what in TEXTS if re.search(pattern, text)), "")
            if not what and text.strip() and NAMES.search(path):
                what = "a file with the name of a secret"
            if what:
                yield what, number, path


def _hidden(case: Case, number: int, path: str) -> bool:
    node = case.tree.nodes.get(path)
    return node is None or node.layer != number


def _said(case: Case) -> Iterator[tuple[str, str]]:
    config = case.image.config
    yield from (("environment", text) for text in config.env)
    yield from (("labels", f"{key}={value}") for key, value in config.labels)
    yield from (("command", " ".join(words)) for words in (config.cmd, config.entrypoint))
    yield from (
        ("history", row.created_by) for row in case.image.history if row.layer is None or row.layer >= case.above
    )


def _named(text: str) -> str:
    """Return what kind of secret a text holds, or nothing.

    >>> _named("ENV DB_PASSWORD=hunter22"), _named("TOKEN=$TOKEN"), _named("PATH=/bin")
    ('DB_PASSWORD', '', '')
    """
    found = next((what for pattern, what in TEXTS if re.search(pattern, text.encode("utf-8", "replace"))), "")
    match = SETTING.search(text)
    return found or (shown(match[1])[:40] if match else "")
