"""The embedded engine says what dockerd says: every scenario, on both, or against what dockerd once said."""

import difflib
import re

import pytest
from differences import DIFFERENCES, hidden
from registries import program
from suite import recorded
from suite.normal import loose
from suite.scenario import SCENARIOS

AREA = [one for one in SCENARIOS if one.registries]
NO_DOCKERD = "DRYDOCK_TEST_DAEMONS has no dockerd of tests/daemons/classic.sh"
BY_NAME = {one.name: one for one in SCENARIOS}
every = pytest.mark.parametrize("scenario", SCENARIOS, ids=BY_NAME)


def compared(theirs, ours):
    """Return what differs, as lines to read."""
    return "\n".join(
        difflib.unified_diff(theirs.splitlines(), ours.splitlines(), "dockerd", "embedded", lineterm="", n=4)
    )


def both(scenario, dockerd, ours):
    """Return what dockerd says and what the embedded engine says; where there is no dockerd, what it once said."""
    if dockerd:
        return dockerd.transcript(scenario), ours.transcript(scenario)
    return loose(recorded.read(scenario.name)), loose(ours.transcript(scenario))


@every
def test_the_embedded_engine_says_what_dockerd_says(scenario, dockerd, ours):
    theirs, mine = (hidden(said, scenario.known, ours.engine.rung) for said in both(scenario, dockerd, ours))
    assert theirs == mine, f"{scenario.rule}\n{compared(theirs, mine)}"


@pytest.mark.docker
@every
def test_dockerd_still_says_what_is_recorded(scenario, dockerd):
    if dockerd is None:
        pytest.fail(NO_DOCKERD)
    then, now = loose(recorded.read(scenario.name)), loose(dockerd.transcript(scenario))
    assert then == now, f"{scenario.rule}\n{compared(then, now)}"


@pytest.mark.slow  # `side` is a fixture that starts an engine
@pytest.mark.parametrize("side", [pytest.param("dockerd", marks=[pytest.mark.docker, pytest.mark.deep]), "ours"])
@pytest.mark.parametrize("scenario", AREA, ids=[one.name for one in AREA])
def test_the_kits_registry_serves_an_engine_as_debians_does(scenario, side, request):
    engine = request.getfixturevalue(side)
    if engine is None:
        pytest.fail(NO_DOCKERD)
    theirs, mine = (own_words(engine.transcript(scenario, kind)) for kind in ("debian", "kit"))
    assert theirs == mine, f"{scenario.rule}\n{compared(theirs, mine)}"


def own_words(transcript):
    """Return a transcript without what a registry says after an error's code: each has words of its own there."""
    return re.sub(r"(manifest unknown|name unknown|unauthorized): [^\n']*", r"\1: <words>", transcript)


def test_there_are_200_scenarios_and_50_with_registries_and_each_name_is_one():
    assert len(BY_NAME) == len(SCENARIOS) >= 200 and len(AREA) >= 50


def test_nothing_is_recorded_that_no_scenario_asks_for():
    assert {path.stem for path in recorded.FOLDER.glob("*.txt")} == set(BY_NAME)


@pytest.mark.parametrize("name", DIFFERENCES or [None])
def test_every_known_difference_is_needed(name, dockerd, ours):
    if name is None or ours.engine.rung not in DIFFERENCES[name].rungs:
        return
    users = [one for one in SCENARIOS if name in one.known]
    assert users, f"no scenario names {name!r}: take it out of differences.py"
    for one in users if program() else [one for one in users if not one.registries]:
        others = [other for other in one.known if other != name]
        theirs, mine = (hidden(said, others, ours.engine.rung) for said in both(one, dockerd, ours))
        assert theirs != mine, f"{one.name} agrees without {name!r}: take it out"
