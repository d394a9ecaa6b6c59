"""Two services of one shop: each image by itself, the upgrade of one, the receipts of what one said to the other."""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from urllib.parse import urlsplit

from drydock.model.layer import shown

from drydock_grading.checks import command
from drydock_grading.checks.case import Case, Judge
from drydock_grading.result import CheckResult, full, none, part

NOTE = "visits.txt"
LINES = 2000  # of it, from the end
RECEIPT = re.compile(
    r"(?P<line>db=(?P<db>[0-9a-f]{8}) answer=\d{1,9} web=(?P<version>v\d{1,3})/(?P<web>[0-9a-f]{8})) "
    r"seal=(?P<seal>[0-9a-f]{16})"
)
ADDRESS = re.compile(r"(?<![\d.])(?!0\.0\.0\.0)\d{1,3}(?:\.\d{1,3}){3}(?![\d.])|\blocalhost\b|\[::1\]")
VERSION = re.compile(r"""^VERSION\s*=\s*["'](v\d+)["']""", re.MULTILINE)
MISSING = "The image {part} was not handed in: it was not built when the work was packed."
CHANGED = "/{path} is not the file you were given."


@dataclass(frozen=True)
class Receipt:
    """One answer that a db gave: which start of db, to which start of which web."""

    db: str
    version: str
    web: str


def _absent(case: Case, name: str) -> str:
    """Return why one of the images is not there: the whole archive's reason, or its own."""
    unread = case.artifact.image is None and not case.artifact.others
    return case.artifact.no_image if unread else MISSING.format(part=name)


def database(most: float, name: str, given: Mapping[str, str], program: str) -> Judge:
    """Return the check of db's image: half for what it starts, half for the learner's code in its environment."""
    starts = command.starts(most / 2, program, shell=most / 8)

    def judge(case: Case) -> CheckResult:
        mine = case.part(name)
        if mine is None:
            return none(most, _absent(case, name), "", "Which name does the exercise give to it?")
        if path := _changed(mine, given):
            return none(most, CHANGED.format(path=path), "", "db is to be packed, not to be changed.")
        found = starts(mine)
        env = [row.partition("=")[2] for row in mine.image.config.env]
        if mine.nonce in env:
            if found.passed:
                return full(most, "db starts by itself, and seals with your code.")
            return part(most / 2 + found.points, most, found.reason, found.misconception, found.hint)
        strange = any(re.fullmatch("[0-9a-f]{12}", value) for value in env)
        why = (
            "db's environment holds another code than yours."
            if strange
            else "db's environment does not hold your code."
        )
        told = any(mine.nonce in row.created_by for row in mine.image.history)
        hint = "What keeps a build's argument for the time when the container runs?"
        if not found.passed:
            why = f"{why} And: {found.reason}"
        return part(found.points, most, why, "arg-stays" if told or not strange else "", hint)

    return judge


def front(most: float, name: str, given: Mapping[str, str], program: str, port: int) -> Judge:
    """Return the check of web's image: a third for how it starts, the rest for how it finds db."""
    starts = command.starts(most / 3, program, shell=most / 6)

    def judge(case: Case) -> CheckResult:
        mine = case.part(name)
        if mine is None:
            return none(most, _absent(case, name), "", "Which name does the exercise give to it?")
        if path := _changed(mine, given):
            return none(most, CHANGED.format(path=path), "", "Only the second version of web has another program.")
        begun, finds = starts(mine), _finds(mine, most * 2 / 3, port)
        worse = finds if not finds.passed else begun
        if begun.passed and finds.passed:
            return full(most, f"web starts by itself, and finds db by its name: {finds.reason}")
        return part(begun.points + finds.points, most, worse.reason, worse.misconception, worse.hint)

    return judge


def _finds(case: Case, most: float, port: int) -> CheckResult:
    """Judge how web's image names db."""
    said = next((row[3:] for row in case.image.config.env if row.startswith("DB=")), "")
    try:
        url = urlsplit(said)
        host, there = url.hostname or "", url.port
    except ValueError:
        return none(most, f"DB={shown(said)[:60]} is no address.")
    if not host:
        why = "The image does not say where db is: whoever starts web has to know."
        return part(most / 2, most, why, "", "Which variable does web.py read?")
    if host == "localhost" or host.startswith(("127.", "0.")) or host == "::1":
        why = f"DB={shown(said)[:60]}: there web finds itself, and no db. Each container has a localhost of its own."
        return none(most, why, "expose-publishes", "Whose localhost is that, when web reads it?")
    if _is_address(host):
        why = f"DB={shown(said)[:60]} is an address, and db may have another when it starts again."
        return part(most / 2, most, why, "", "By what else do containers of one network find each other?")
    if there != port:
        why = f"DB={shown(said)[:60]}: db does not listen at that port."
        return part(most / 2, most, why, "expose-publishes", "At which port does db.py listen?")
    return full(most, shown(said)[:60])


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def upgrade(most: float, before: str, program: str, heavy: str) -> Judge:
    """Return the check that the second web differs from the first in its program, and shares the layer of `heavy`."""

    def judge(case: Case) -> CheckResult:
        first = case.part(before)
        if first is None:
            return none(most, _absent(case, before), "", "What is the second version to be compared with?")
        text = case.text(program) or ""
        version = VERSION.search(text[:20_000])
        if version is None or version[1] != "v2":
            said = f"says {version[1]}" if version else "has no VERSION"
            return none(
                most, f"/{program} in the new image {said}, not v2.", "image-runs", "Was it built after the edit?"
            )
        if address := ADDRESS.search(text[:20_000]):
            why = f"/{program} has an address of its own in it: {address[0]}."
            return part(most / 2, most, why, "expose-publishes", "Who else could say where db is?")
        shared = _shared(case.artifact.diff_ids, first.artifact.diff_ids)
        node = case.tree.nodes.get(heavy)
        if node is None:
            return none(most, f"/{heavy} is not in the new image.")
        total = len(case.artifact.diff_ids)
        if node.layer < shared:
            return full(most, f"v2 shares {shared} of its {total} layers with v1, and /{heavy} is in one of those.")
        why = f"v2 shares only {shared} of its {total} layers with v1: /{heavy} comes a second time, and is as it was."
        hint = "Which step brings it, and what else does that step bring?"
        return part(most / 2, most, why, "order-is-free", hint)

    return judge


def _shared(one: Iterable[str], other: Iterable[str]) -> int:
    """Return how many layers two images have in common, from the bottom.

    >>> _shared("abc", "abd")
    2
    """
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count


def receipts(most: float) -> Judge:
    """Return the check of what db sealed: asked by name, outlived by web, untouched by web's upgrade; a third each.

    A seal is made with the learner's code, so a neighbour's does not pass. Who reads db.py can make one: what happened
    on a student's own machine nobody else can know, and the explanation is read by a person.
    """

    def judge(case: Case) -> CheckResult:
        text = case.artifact.about.notes.get(NOTE)
        if text is None:
            why = case.artifact.no_about or f"{NOTE} was not handed in: nobody has visited the shop yet."
            return none(most, why, "", "Who asks web, and from where?")
        rows = list(RECEIPT.finditer("\n".join(text.splitlines()[-LINES:])))
        good = [
            Receipt(row["db"], row["version"], row["web"])
            for row in rows
            if hmac.compare_digest(row["seal"], seal(case.nonce, row["line"]))
        ]
        if not good:
            why = "Its receipts are sealed with another code than yours." if rows else f"{NOTE} has no receipt of db."
            hint = "What does web say when it is asked, and whom does it ask?"
            return none(most, why, "arg-stays" if rows else "expose-publishes", hint)
        return _story(most, good)

    return judge


def _story(most: float, good: list[Receipt]) -> CheckResult:
    pairs = [(a, b) for a in good for b in good]
    lived = any(a.web == b.web and a.db != b.db for a, b in pairs)
    upgraded = [(a, b) for a, b in pairs if (a.version, b.version) == ("v1", "v2") and a.web != b.web]
    untouched = any(a.db == b.db for a, b in upgraded)
    points = most * (1 + lived + untouched) / 3
    if lived and untouched:
        return full(most, "web read from db, lived through db's end, and was replaced while db went on.")
    if not lived:
        why = "web read from db. That the same web went on when db had gone and come back, no receipt tells."
        return part(points, most, why, "light-vm", "Which of the two was started twice, and who was asked around that?")
    why = "web read from db and lived through its end. That v2 asked the same start of db as v1, no receipt tells."
    return part(points, most, why, "", "Which of the two is replaced in an upgrade of web, and which is left alone?")


def seal(code: str, line: str) -> str:
    """Return the seal that a db with this code writes below a line."""
    return hmac.new(code.encode(), line.encode(), sha256).hexdigest()[:16]


def _changed(case: Case, given: Mapping[str, str]) -> str:
    """Return the first of the given files that is not there as it was given out, or nothing."""
    nodes = ((path, digest, case.tree.nodes.get(path)) for path, digest in islice(given.items(), 20))
    return next((path for path, digest, node in nodes if node is None or node.entry.digest != digest), "")
