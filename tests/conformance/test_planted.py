"""A difference that is planted is found: the suite can fail, and says where."""

from dataclasses import replace

import pytest
from suite.scenario import SCENARIOS, Step, steps

BY_NAME = {one.name: one for one in SCENARIOS}
FROM = "FROM conf-base\n"

PLANTED = {
    "an exit code": (
        "$ docker run --rm conf-base sh -c 'exit 3'",
        "$ docker run --rm conf-base sh -c 'exit 4'",
        "",
        "",
    ),
    "the other stream": (
        "$ docker run --rm conf-base echo x",
        "$ docker run --rm conf-base sh -c 'echo x >&2'",
        "",
        "",
    ),
    "a setuid bit": (
        "$ docker build -q -t conf-x . >/dev/null\n% layers conf-x",
        "",
        "RUN touch /f; chmod 4755 /f\n",
        "RUN touch /f; chmod 755 /f\n",
    ),
    "an owner": (
        "$ docker build -q -t conf-x . >/dev/null\n% layers conf-x",
        "",
        "RUN touch /f; chown 5 /f\n",
        "RUN touch /f; chown 6 /f\n",
    ),
    "a whiteout": (
        "$ docker build -q -t conf-x . >/dev/null\n% layers conf-x",
        "",
        "RUN rm /srv/greeting\n",
        "RUN touch /srv\n",
    ),
    "an opaque folder": (
        "$ docker build -q -t conf-x . >/dev/null\n% layers conf-x",
        "",
        "RUN rm -r /srv/old; mkdir /srv/old\n",
        "RUN rm /srv/old/*\n",
    ),
    "a hard link": (
        "$ docker build -q -t conf-x . >/dev/null\n% layers conf-x",
        "",
        "RUN echo x >/a; ln /a /b\n",
        "RUN echo x >/a; cp -p /a /b\n",
    ),
    "an old time": (
        "$ docker build -q -t conf-x . >/dev/null\n% layers conf-x",
        "",
        "RUN touch -d '2020-01-01 00:00' /f\n",
        "RUN touch -d '2020-01-02 00:00' /f\n",
    ),
    "one byte": (
        "$ docker build -q -t conf-x . >/dev/null\n% layers conf-x",
        "",
        "RUN echo x >/f\n",
        "RUN echo y >/f\n",
    ),
    "a blank in the history": (
        "$ docker build -q -t conf-x . >/dev/null\n% history conf-x",
        "",
        "RUN true  \n",
        "RUN true  #\n",
    ),
    "a cache hit": (
        "$ docker build -t conf-x .\n$ docker build -t conf-x .",
        "$ docker build -t conf-x .\n$ docker build --no-cache -t conf-x .",
        "RUN true\n",
        "RUN true\n",
    ),
    "an error's words": ("$ docker rm conf-a", "$ docker rm conf-b", "", ""),
}


@pytest.mark.parametrize("what", PLANTED)
def test_a_planted_difference_is_found(what, ours):
    text, other_text, lines, other_lines = PLANTED[what]
    base = replace(BY_NAME["from"], files={"Dockerfile": FROM + lines})
    right = replace(base, name="planted", steps=steps(text))
    wrong = replace(right, steps=steps(other_text or text), files={"Dockerfile": FROM + other_lines})
    shown = tuple(Step("$", "true") for _ in right.steps)  # the command lines themselves must not be what differs
    assert len(shown) == len(wrong.steps)
    first, second, third = (said(ours.engine, one) for one in (right, right, wrong))
    assert first == second, "the same twice is the same"
    assert first != third


def said(engine, scenario):
    """Return a transcript without the lines that were typed."""
    transcript = engine.perform(scenario)
    typed = {line for step in scenario.steps for line in str(step).split("\n")}
    return [line for line in transcript.split("\n") if line not in typed and not line.startswith("Step ")]
