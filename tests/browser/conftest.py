"""Fixtures: `lab` is one JupyterLab server for the whole session, `tab` a fresh page of one Chromium."""

import contextlib
import importlib.util
import sys
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("drydock_browser_driver", Path(__file__).parent / "driver.py")
driver = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = driver
_spec.loader.exec_module(driver)


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """A JupyterLab server with a home of its own."""
    home = tmp_path_factory.mktemp("lab")
    with driver.server(home) as running:
        yield running


@pytest.fixture(scope="session")
def chromium():
    """One Chromium."""
    with driver.browser() as running:
        yield running


@contextlib.contextmanager
def _tab(lab, chromium):
    """Open a fresh page; afterwards nothing may have gone wrong in it, and nothing been asked of any other site."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    opened = driver.Tab(lab, context)
    yield opened
    context.close()
    assert opened.offsite == [] and opened.problems == []


@pytest.fixture
def tab(lab, chromium):
    """A fresh page."""
    with _tab(lab, chromium) as opened:
        yield opened


@pytest.fixture(scope="module")
def shared_tab(lab, chromium):
    """A page that the tests of one module share."""
    with _tab(lab, chromium) as opened:
        yield opened
