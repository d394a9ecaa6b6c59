"""Files and what is in them, as a container would read them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from itertools import islice

from drydock.model.layer import shown

from drydock_grading.checks.case import Case, Judge
from drydock_grading.result import CheckResult, full, none, part

CODE = re.compile(r"(?<![0-9a-f])[0-9a-f]{12}(?![0-9a-f])")


def given(most: float, files: Mapping[str, str], present: Iterable[str] = ()) -> Judge:
    """Return the check that files of the exercise (path: digest) are unchanged, and others there."""
    present = tuple(present)

    def judge(case: Case) -> CheckResult:
        bad = [(path, _what(case, path, digest)) for path, digest in files.items()]
        bad += [(path, "is not there") for path in present if _empty(case, path)]
        bad = [(path, what) for path, what in bad if what]
        if not bad:
            return full(most, f"{', '.join('/' + p for p in (*files, *present))}: there and as they should be.")
        good = len(files) + len(present) - len(bad)
        path, what = bad[0]
        more = f" ({len(bad) - 1} more)" if len(bad) > 1 else ""
        points = 0 if not good else most / 2
        return part(
            points, most, f"/{path} {what}{more}.", "", f"Where is {path.rpartition('/')[2]} in your image now?"
        )

    return judge


def _what(case: Case, path: str, digest: str) -> str:
    node = case.tree.nodes.get(path)
    if node is None or node.entry.kind not in ("file", "hardlink"):
        gone = any(path in layer.by_path for layer in case.image.layers)
        return "was in a layer, but a later one removed it" if gone else "is not there"
    return "" if node.entry.digest == digest else "is not the file you were given"


def _empty(case: Case, path: str) -> bool:
    node = case.tree.nodes.get(path)
    return node is None or node.entry.kind != "file" or not node.entry.size


def answer(most: float, path: str, surname: str, first: str) -> Judge:
    """Return the check that a file has the line `professor: NAME`; the surname is enough, the first name is not.

    Both are given as the SHA-256 of the word in small letters.
    """

    def judge(case: Case) -> CheckResult:
        text = case.text(path)
        if text is None:
            return _elsewhere(case, most, path, surname)
        said = _field(text, "professor") or ""
        if _has(said, surname):
            return full(most, f"/{path} names {shown(said)[:60]}.")
        if _has(said, first):
            why = f"/{path} says {shown(said)[:60]!r}: the first name alone."
            return part(most / 2, most, why, "", "What is the rest of the name?")
        if _has(text, surname):
            why = f"/{path} has the name, but not as Question.py writes it: `professor: ...`."
            return part(most / 2, most, why, "", "Let Question.py write the file.")
        what = f"says {shown(said)[:60]!r}" if said else "has no line `professor: ...`"
        return none(most, f"/{path} {what}.", "", "Who gave the lecture? Its first slide says so.")

    return judge


def _has(text: str, digest: str) -> bool:
    """Return True where one of a text's words, in small letters, has that digest.

    >>> _has("Dr. Ada Lovelace,", sha256(b"lovelace").hexdigest()), _has("Ada", sha256(b"lovelace").hexdigest())
    (True, False)
    """
    return any(sha256(word.encode()).hexdigest() == digest for word in re.findall(r"[^\W\d_]+", text[:10_000].lower()))


def _elsewhere(case: Case, most: float, path: str, surname: str) -> CheckResult:
    name = path.rpartition("/")[2]
    if any(path in layer.by_path for layer in case.image.layers):
        why = f"/{path} was written in one layer, and a later layer removed it: no container sees it."
        return none(most, why, "rm-shrinks", "What did the last container remove before it became an image?")
    mine = (other for layer in case.image.layers[case.above :] for other in layer.by_path)
    named = (other for other in mine if other.rpartition("/")[2].lower() == name.lower())
    for other in islice(named, 5):
        if _has(case.text(other) or "", surname):
            why = f"The answer is right, but stands in /{shown(other)}, not in /{path}."
            return part(most / 4, most, why, "", "In which folder did Question.py run?")
    why = f"There is no /{path} in the image."
    return none(most, why, "image-runs", "Where did you write the answer: in a container, and did an image come of it?")


def code(most: float, path: str) -> Judge:
    """Return the check that a file has the line `code: CODE` with the learner's own code."""

    def judge(case: Case) -> CheckResult:
        text = case.text(path)
        if text is None:
            return none(most, f"There is no /{path} in the image, so no code of yours either.", "image-runs")
        said = (_field(text, "code") or "").lower()
        if said == case.nonce:
            return full(most, "The code in it is yours.")
        if CODE.fullmatch(said):
            return none(most, *_stranger(said))
        what = f"`code: {shown(said)[:30]}` is no code" if said else f"/{path} has no line `code: ...`"
        return none(most, f"{what}.", "", "Which code does the notebook show you?")

    return judge


def _stranger(said: str) -> tuple[str, str, str]:
    why = f"The code {said} is not yours: it was made for somebody else, or under another name than you submit with."
    return why, "", "Under which name do you submit, and which name does the notebook know you by?"


def baked(most: float, folder: str) -> Judge:
    """Return the check that the learner's code is in the image: in its environment, or in a file of one's own."""

    def judge(case: Case) -> CheckResult:
        wanted = case.nonce
        env = [value for _, _, value in (row.partition("=") for row in case.image.config.env)]
        if wanted in env:
            return full(most, "Your code is in the image's environment.")
        labels = [value for key, value in case.image.config.labels if not key.startswith("org.drydock.")]
        texts = list(_texts(case, folder))
        if wanted in labels or any(wanted in text for text in texts):
            return full(most, "Your code is in the image.")
        if any(wanted in row.created_by for row in case.image.history):
            why = "Your code was a build argument: the history tells of it, but a container does not know it any more."
            return part(most / 2, most, why, "arg-stays", "What keeps a value for the time when the container runs?")
        strange = next((one for one in (*env, *labels, *texts) if CODE.fullmatch(one.strip())), "")
        if strange:
            return none(most, *_stranger(strange.strip()))
        why = "Your code is not in the image: neither in its environment nor in a file."
        return none(most, why, "", "Which code does the notebook show you, and which step brings it in?")

    return judge


def _texts(case: Case, folder: str) -> Iterable[str]:
    """Go through the small text files below a folder that layers above the base brought."""
    contents = case.artifact.contents
    for number in range(case.above, len(case.image.layers)):
        for path, text in contents(number) if contents else ():
            node = case.tree.nodes.get(path)
            if node and node.layer == number and len(text) <= 10_000 and path.startswith(folder + "/"):
                yield text.decode("utf-8", "replace")


def _field(text: str, name: str) -> str | None:
    """Return what stands behind `name:` in its line.

    >>> _field("Professor:  Ada \\ncode: 1", "professor")
    'Ada'
    """
    match = re.search(rf"^[ \t]*{name}[ \t]*:[ \t]*([^\n]*)", text[:10_000], re.IGNORECASE | re.MULTILINE)
    return match[1].strip() if match else None
