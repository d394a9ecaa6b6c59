"""Exercise 3 as a class hands it in: the key, spoiled by name in every way that the exercise lists."""

from dataclasses import replace
from pathlib import Path

import ex3
from drydock_grading.artifact import nonce
from drydock_grading.detective import mystery

E3 = ex3.KEY
GIVEN3 = {path: (ex3.EXERCISE / path).read_text() for path in ex3.RECIPES}
GOLF_ONCE = """\
FROM drydock/python
WORKDIR /game
COPY install.py packages.txt ./
RUN python3 install.py
COPY . .
RUN python3 index.py
RUN python3 selftest.py
CMD ["python3", "game.py"]
"""


def told(student: str, *rows: tuple[str, str, str], code: str = "") -> str:
    """Return visits.txt with sealed receipts: (start of db, version, start of web), by one letter each."""
    code = code or nonce("ex3", student)
    return "".join(ex3.receipt(code, db * 8, version, web * 8) + "\n" for db, version, web in rows)


def but(student: str, **changes: object) -> ex3.Work:
    """Return the key with changes; only the key's own receipts come from containers that were really started."""
    whole = told(student, ("a", "v1", "c"), ("b", "v1", "c"), ("b", "v2", "d"))
    return replace(E3, **({"told": whole} | changes))


EX3: dict[str, ex3.Work] = {
    "key": E3,
    "never-killed": replace(E3, play=("v1", "v2"), told=None),
    **{
        student: but(student, **changes)
        for student, changes in {
            "untouched": {
                "db": GIVEN3["db/Dockerfile"], "web": GIVEN3["web/Dockerfile"], "golf": GIVEN3["golf/Dockerfile"],
                "edit": ("", ""), "told": "", "findings": (ex3.EXERCISE / "findings.toml").read_text(),
            },
            "nothing-built": {"build": (), "told": ""},
            "localhost": {"web": ex3.WEB.replace("ex3-db", "localhost")},
            "an-address": {"web": ex3.WEB.replace("ex3-db", "172.18.0.2")},
            "no-code": {"db": ex3.DB.replace("ENV COURSE_CODE=$COURSE_CODE\n", "")},
            "db-starts-nothing": {"db": ex3.DB.partition("CMD")[0]},
            "all-in-one-copy": {"web": ex3.WEB.replace("COPY catalogue.json ./\nCOPY web.py ./", "COPY . .")},
            "not-upgraded": {"edit": ("", "")},
            "neighbours-receipts": {"told": told("key", ("a", "v1", "c"), ("b", "v1", "c"), ("b", "v2", "d"))},
            "both-restarted": {"told": told("both-restarted", ("a", "v1", "c"), ("b", "v1", "c"), ("e", "v2", "d"))},
            "golf-half-way": {"golf": GOLF_ONCE},
            "golf-edited-later": {"golf": GOLF_ONCE, "later": {"golf/Dockerfile": ex3.GOLF}},
            "decoy": {"found": {"secret": mystery(nonce("ex3", "decoy")).decoy}},
            "neighbours-findings": {"found": mystery(nonce("ex3", "key")).truth},
            "lines-are-layers": {"found": {"layers": 99, "settings": 0}},
        }.items()
    },
}  # fmt: skip


class Third:
    """The key of exercise 3 for whoever has nothing wrong: without starting anything."""

    KEY = None

    @staticmethod
    def do(work: ex3.Work | None, folder: Path, learner: str, client: object, registry: str) -> None:
        """Do the exercise."""
        ex3.do(work or but(learner), folder, learner, client)
