"""`make test` runs a notebook on the engines that its told/NN.toml names; `make deep` on all the others, too."""

import os
import tomllib
from pathlib import Path

import pytest

TOLD = Path(__file__).parent / "told"


@pytest.hookimpl(tryfirst=True)  # before pytest selects by mark
def pytest_collection_modifyitems(items):
    """Mark as deep what a notebook's file does not name: a Docker by its name, the kit's own engine by its rung."""
    for item in items:
        if item.path.name != "test_run.py" or not {"engine", "daemon_url"} & set(item.fixturenames):
            continue
        name, params = item.callspec.id, item.callspec.params
        named = tomllib.loads((TOLD / f"{params['path'].stem[:2]}.toml").read_text())["in-make-test"]
        alone = "DRYDOCK_TEST_DAEMONS" not in os.environ and "daemon_url" in params  # no Docker: this is the one engine
        if not alone and not any(name.startswith(f"{engine}-") for engine in named):
            item.add_marker(pytest.mark.deep)
