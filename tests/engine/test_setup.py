"""What Binder reads at the top of the repository: it must build the kit, and nothing may shadow it."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENVIRONMENT = """\
name: drydock
channels:
  - conda-forge
dependencies:
  - python=3.12
  - pip
  - graphviz
  - pip:
      - -e .
"""
ADDRESS = re.compile(r"://|--index-url|--extra-index-url|--find-links|--trusted-host| @ ", re.IGNORECASE)


@pytest.fixture(scope="module")
def dockerfile():
    """The Dockerfile that repo2docker would build: rendering it needs neither a daemon nor a network."""
    tool = Path(sys.executable).parent / "jupyter-repo2docker"
    done = subprocess.run(
        [tool, "--no-build", "--debug", "."], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def apt_names():
    return (ROOT / "apt.txt").read_text().split()


def test_environment_leaves_every_python_package_to_pyproject():
    assert (ROOT / "environment.yml").read_text() == ENVIRONMENT


def test_binder_takes_python_312_and_not_a_default(dockerfile):
    assert "Building conda environment for python=3.12" in dockerfile


def test_binder_installs_every_name_of_apt_txt(dockerfile):
    installed = re.search(r"apt-get install --yes --no-install-recommends (.+) &&", dockerfile)
    assert installed is not None
    assert sorted(installed[1].split()) == sorted(apt_names())


def test_apt_txt_holds_plain_package_names():
    assert apt_names()
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", name) for name in apt_names())


def test_binder_updates_its_environment_from_ours(dockerfile):
    assert re.search(r'env update -p \S+ --file "environment\.yml"', dockerfile)


def test_binder_runs_post_build_once_and_start_each_time(dockerfile):
    assert "RUN ./postBuild" in dockerfile
    assert 'ENV R2D_ENTRYPOINT="${REPO_DIR}/start"' in dockerfile


def test_no_folder_or_dockerfile_shadows_the_top_level_files():
    assert not [name for name in ("binder", ".binder", "Dockerfile") if (ROOT / name).exists()]


@pytest.mark.parametrize("name", ["postBuild", "start"])
def test_binder_scripts_stop_at_the_first_error(name):
    lines = (ROOT / name).read_text().splitlines()
    assert lines[0] == "#!/bin/bash"
    assert "set -euo pipefail" in lines
    assert (ROOT / name).stat().st_mode & 0o111


def test_start_ends_in_what_binder_asked_for():
    assert (ROOT / "start").read_text().splitlines()[-1] == 'exec "$@"'


def test_lock_pins_every_package_with_a_hash_and_names_no_address():
    lock = (ROOT / "requirements.lock").read_text()
    assert [line for line in lock.splitlines() if ADDRESS.search(line)] == []
    pins = re.split(r"\n(?=\S)", lock.strip())
    assert len(pins) > 50
    assert [pin for pin in pins if not re.match(r"[A-Za-z0-9._-]+==\S+.*--hash=sha256:[0-9a-f]{64}", pin, re.S)] == []


def test_make_and_run_py_have_the_same_commands():
    commands = runpy.run_path(str(ROOT / "run.py"))["COMMANDS"]
    targets = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.M)
    assert targets is not None
    assert set(commands) - {"nbgrader"} == set(targets[1].split())  # nbgrader takes words of its own
