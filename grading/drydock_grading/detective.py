"""The layer detective's case: an image of one's own, drawn from the learner's code, and what is true of it.

The same code gives the same steps wherever it is drawn, so a grader knows the truth without the image.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeVar

from drydock.lessons import own, pack

Drawn = TypeVar("Drawn")
PLACES = ("srv/deploy.ini", "srv/static/.upload", "srv/locale/.sync", "srv/data/feed.cfg")
DOES: tuple[tuple[str, dict[str, pack.Content]], ...] = (  # steps that bring files; of each case some
    ("COPY app.py /srv/", {"srv/app.py": b"print('teapots, from 35 euros')\n"}),
    ("COPY static /srv/static", {"srv/static/index.html": b"<h1>Teapots</h1>\n", "srv/static/logo.svg": b"<svg/>\n"}),
    ("RUN /bin/sh -c adduser -D -H shop", {"etc/passwd": b"root:x:0:0::/:/bin/sh\nshop:x:1000:1000::/srv:/bin/sh\n"}),
    ("RUN /bin/sh -c date > /srv/built", {"srv/built": b"Mon Jan  1 00:00:00 UTC 2024\n"}),
    ("COPY locale /srv/locale", {"srv/locale/de.txt": b"Teekanne\n", "srv/locale/gr.txt": b"tsagiera\n"}),
    ("COPY prices.csv /srv/data/", {"srv/data/prices.csv": b"teapot,35\nkettle,49\n"}),
    ("RUN /bin/sh -c mkdir -p /var/log/shop", {"var/log/shop": None}),
)
BRINGS = ("COPY . /srv/", "COPY shop/ /srv/", "ADD shop.tar.gz /srv/")
REMOVES = ("RUN /bin/sh -c sh tidy.sh", "RUN /bin/sh -c make clean", "RUN /bin/sh -c python3 prepare.py")
SAYS: tuple[tuple[str, dict[str, object]], ...] = (  # steps that only set something
    ("ENV PORT=8080", {"Env": ["PORT=8080"]}),
    ("EXPOSE 8080/tcp", {"ExposedPorts": {"8080/tcp": {}}}),
    ("LABEL shop=teapots", {"Labels": {"shop": "teapots"}}),
    ("STOPSIGNAL SIGINT", {"StopSignal": "SIGINT"}),
    ("LABEL open=always", {"Labels": {"open": "always"}}),
)


@dataclass(frozen=True)
class Step:
    """One step above the base: what the history says of it, and the files of its layer, or the settings it makes."""

    said: str
    files: Mapping[str, pack.Content] | None = None
    sets: Mapping[str, object] | None = None


@dataclass(frozen=True)
class Mystery:
    """What is true of one learner's image."""

    base: str
    below: int  # layers of the base
    steps: tuple[Step, ...]
    secret: str
    decoy: str  # a token that every container can read
    place: str  # where the secret lay

    @property
    def truth(self) -> dict[str, str | int]:
        """Return the right finding for each question; layers are counted from 0 at the bottom of the image."""
        layers = [step for step in self.steps if step.files is not None]
        brought = next(n for n, step in enumerate(layers) if self.place in (step.files or {}))
        removed = next(n for n, step in enumerate(layers) if _whiteout(self.place) in (step.files or {}))
        return {
            "base": self.base,
            "layers": len(layers),
            "settings": len(self.steps) - len(layers),
            "brought": self.below + brought,
            "removed": self.below + removed,
            "secret": self.secret,
        }


def mystery(code: str) -> Mystery:
    """Return the case of a learner's code.

    >>> mystery("3f2a91c07b11") == mystery("3f2a91c07b11"), mystery("3f2a91c07b11").secret == mystery("0" * 12).secret
    (True, False)
    """
    draw = _draws(code)
    place = PLACES[next(draw) % len(PLACES)]
    secret, decoy = (f"tea-{sha256(f'{code}:{which}'.encode()).hexdigest()[:16]}" for which in ("secret", "decoy"))
    text = f"[upload]\nuser = shop\ntoken = {secret}\n".encode()
    bringing = Step(BRINGS[next(draw) % len(BRINGS)], {place: text, "srv/notes.md": b"-\n"})
    open_to_all = Step("COPY config.ini /srv/", {"srv/config.ini": f"[test]\ntoken = {decoy}\n".encode()})
    removing = Step(REMOVES[next(draw) % len(REMOVES)], {_whiteout(place): b"", _whiteout("srv/notes.md"): b""})
    some = [Step(said, files) for said, files in _some(DOES, 3 + next(draw) % 3, draw)]
    cut = 1 + next(draw) % (len(some) - 1)
    some.insert(next(draw) % (cut + 1), open_to_all)
    order = [Step("WORKDIR /srv", {"srv": None}), *some[:cut], bringing, *some[cut:], removing]
    if next(draw) % 2:  # the removal is not always the last
        order[-2], order[-1] = order[-1], order[-2]
    for said, sets in _some(SAYS, 2 + next(draw) % 3, draw):
        order.insert(1 + next(draw) % len(order), Step(said, sets=sets))
    order.append(Step('CMD ["ls" "/srv"]', sets={"Cmd": ["ls", "/srv"]}))
    on_python = next(draw) % 2
    return Mystery((own.BASE, own.PYTHON)[on_python], 1 + on_python, tuple(order), secret, decoy, place)


def _draws(code: str) -> Iterator[int]:
    """Go through numbers drawn from the code: the same on every machine and in every Python."""
    count = 0
    while True:
        yield int.from_bytes(sha256(f"drydock:detective:{code}:{count}".encode()).digest()[:4], "big")
        count += 1


def _some(pool: Sequence[Drawn], count: int, draw: Iterator[int]) -> list[Drawn]:
    left = list(pool)
    return [left.pop(next(draw) % len(left)) for _ in range(count)]


def _whiteout(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"{folder}/.wh.{name}"
