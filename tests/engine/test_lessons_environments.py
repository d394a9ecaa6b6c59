"""A virtual environment has packages of its own, and the rest of the machine's."""

import os
from pathlib import Path

import pytest
from drydock.lessons.environments import Environment, NoEnvironment, settings

MONDAY = Path(__file__).parents[2] / "notebooks" / "01" / "monday"


@pytest.fixture
def old(tmp_path):
    return Environment(tmp_path / "old").install(MONDAY / "pricing-1.0")


def test_the_same_script_differs_by_the_package_that_is_installed_and_by_the_clock(old, tmp_path):
    new = Environment(tmp_path / "new").install(MONDAY / "pricing-2.0")
    said = set()
    for zone in ("EST5", "JST-9"):
        with settings(TZ=zone):
            said |= {one.run(MONDAY / "monday.py") for one in (old, new)}
    assert len(said) == 4


def test_an_environment_is_small_and_leans_on_the_python_that_is_installed(old):
    assert old.size() < 1_000_000
    assert not old.python.resolve().is_relative_to(old.folder)


def test_made_again_it_is_empty_again(old):
    with pytest.raises(NoEnvironment, match=r"No module named 'pricing'[^?]*Try: look at"):
        Environment(old.folder).run(MONDAY / "monday.py")


def test_one_that_is_gone_and_one_that_cannot_be_made_say_what_to_try(old, tmp_path):
    old.python.unlink()
    with pytest.raises(NoEnvironment, match=r"no virtual environment[^?]*Try: run the cell again"):
        old.run("x.py")
    (tmp_path / "file").write_text("")
    with pytest.raises(NoEnvironment, match=r"could not be made[^?]*Try: sudo apt install python3-venv"):
        Environment(tmp_path / "file" / "env")


def test_settings_are_put_back_after_an_error_too(monkeypatch):
    monkeypatch.setenv("DRYDOCK_A", "mine")
    with pytest.raises(KeyError), settings(DRYDOCK_A="yours", DRYDOCK_B="new"):
        raise KeyError
    assert os.environ["DRYDOCK_A"] == "mine" and "DRYDOCK_B" not in os.environ
