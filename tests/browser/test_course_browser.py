"""The course in a browser: a student does an exercise and validates it, an instructor grades it in the formgrader."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import drydock_browser_driver as driver
import pytest
from drydock.registry.server import process

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
NAME = "ex2-build-push"
PATIENCE = 600_000  # ms: an exercise builds, and a busy machine builds slowly


@pytest.fixture(scope="module")
def course_lab(own, tmp_path_factory):
    """JupyterLab in a folder with a released course, on the kit's own engine and registry."""
    home = tmp_path_factory.mktemp("course")
    course = home / "root"
    environment = {
        "DRYDOCK_COURSE": str(course), "JUPYTER_CONFIG_PATH": str(ROOT / "grading"), "DRYDOCK_LEARNER": "ada",
        "DRYDOCK_HOME": str(home / "drydock"), "IPYTHONDIR": str(home / "ipython"),
    }  # fmt: skip
    try:
        environment["DRYDOCK_REGISTRY"] = process.start(home, port=0).address
        with own() as engine, driver.server(home, environment | {"DOCKER_HOST": engine.url}) as lab:
            shutil.copytree(ROOT / "grading" / "source" / NAME, course / "grading" / "source" / NAME)
            shutil.copytree(ROOT / "grading" / "source" / NAME, course / "mine" / NAME)
            release = [sys.executable, "-m", "drydock_grading.course", "release"]
            subprocess.run(release, env=os.environ | environment, cwd=course, check=True, capture_output=True)
            yield lab
    finally:
        process.stop(home)


@pytest.fixture
def course_tab(course_lab, chromium):
    """A fresh page; nothing of ours may have gone wrong in it. nbgrader's own pages may ask other sites, in vain."""
    context = chromium.new_context(viewport={"width": 1400, "height": 1000}, reduced_motion="reduce")
    opened = driver.Tab(course_lab, context)
    opened.page.set_default_timeout(PATIENCE)
    yield opened
    context.close()
    assert opened.problems == []


def test_a_student_does_the_exercise_and_validates_and_an_instructor_grades_it(course_tab, course_lab):
    does_the_exercise(course_tab)
    validates(course_tab)
    hands_in(course_lab.root)
    grades(course_tab, course_lab)


def does_the_exercise(tab):
    """Run every cell: each check says that all is right, and the last cell shows what will be graded."""
    tab.open(f"mine/{NAME}/{NAME}.ipynb")
    tab.run_all()
    tab.page.wait_for_selector("text=This is what will be graded", state="attached")
    said = tab.page.evaluate(
        "() => [...window.jupyterapp.shell.currentWidget.content.model.cells]"
        ".filter(c => c.id.startsWith('test-')).map(c => JSON.stringify(c.toJSON().outputs))"
    )
    assert len(said) == 10 and [one for one in said if "✓</span> right" not in one] == []
    shown = "() => [...document.querySelectorAll('.jp-OutputArea-output')].map(n => n.textContent.trim())"
    told = tab.page.evaluate(shown)  # JupyterLab draws the cells in sight
    assert [one for one in told if re.fullmatch(r"[\d.]+", one)] == []  # the points are in the verdict, only there
    assert any(one.startswith("✓ right: ") for one in told)
    tab.shoot(".jp-Notebook", "exercise")


def validates(tab):
    """Press Validate: nbgrader runs the notebook anew, and has nothing to complain of."""
    tab.command("docmanager:save")
    tab.page.locator(".validate-button").first.click()
    dialog = tab.page.locator(".jp-Dialog")
    dialog.wait_for()
    assert "passes all the tests" in dialog.inner_text()
    dialog.locator("button").last.click()


def hands_in(root):
    """Hand in the notebook as it was saved, and the artifact."""
    place = root / "grading" / "submitted" / "ada" / NAME
    place.mkdir(parents=True)
    for path in (root / "mine" / NAME).glob("artifact.*"):
        shutil.copy(path, place)
    shutil.copy(root / "mine" / NAME / f"{NAME}.ipynb", place)


def grades(tab, lab):
    """Open the formgrader in JupyterLab, then its list of submissions, and press the button that autogrades."""
    tab.command("nbgrader:open-formgrader")
    frame = tab.page.frame_locator("iframe[src*=formgrader]")
    frame.locator(f"text={NAME}").first.wait_for()
    tab.page.goto(f"{lab.url}/formgrader/manage_submissions/{NAME}?token={lab.token}")
    tab.page.locator("td.student-id", has_text="ada").wait_for()
    tab.page.locator("td.autograde a").click()
    tab.page.locator("#success-modal").wait_for()
    tab.page.wait_for_function("() => document.querySelector('td.score').innerText.startsWith('20 / 24')")
