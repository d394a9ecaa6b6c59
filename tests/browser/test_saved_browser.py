"""A notebook that is closed and opened again: every picture is there, and every answer, and it can be run again."""

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import drydock_browser_driver as driver
import pytest
from drawn import BUILD, CONTAINERS, IMAGE, MOVES, NUMBER, QUESTION, SHOP, STACKS

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
SLIDER = "from ipywidgets import IntSlider\nIntSlider(7)"
EVERY = (QUESTION, NUMBER, BUILD, "BuildCache(Run())", IMAGE, CONTAINERS, MOVES, STACKS, SHOP)
REVEAL = "n.answer = 21\nn.reveal(20); None"
LOST = "Error displaying widget: model not found"
OLDEST = ("jupyterlab==4.4.*", "notebook==7.4.*")  # the oldest that pyproject.toml allows


@pytest.fixture(scope="session")
def oldest_lab(tmp_path_factory):
    """The oldest JupyterLab that the kit allows, with the kit as a wheel."""
    home = tmp_path_factory.mktemp("oldest")
    python = home / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", home / "venv"], check=True)
    subprocess.run([python, "-m", "pip", "install", "-q", *OLDEST, ROOT], check=True)
    with driver.server(home, {"DRYDOCK_HOME": str(home / "drydock")}, str(python)) as running:
        yield running


OLD = [pytest.param(("oldest_lab", app), marks=pytest.mark.deep) for app in ("lab/tree", "notebooks")]


@pytest.fixture(scope="module", params=[("lab", "lab/tree"), ("lab", "notebooks"), *OLD], ids="-".join)
def place(request):
    """A server, and one of its two applications: JupyterLab, or Notebook 7."""
    name, app = request.param
    return request.getfixturevalue(name), app


def fresh(chromium, place):
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    tab = driver.Tab(place[0], context)
    tab.app = place[1]
    return tab


@pytest.fixture
def tab(chromium, place):
    """A fresh page. ipywidgets notes in the console that a model is gone, and that there is no kernel."""
    opened = fresh(chromium, place)
    yield opened
    opened.page.context.close()
    expected = ("widget model not found", "reading 'kernel'")
    assert opened.offsite == [] and [one for one in opened.problems if not any(e in one for e in expected)] == []


@pytest.fixture(scope="module")
def book(chromium, place):
    """A notebook that was run, its first question answered by clicking the words, saved, and its kernel shut down."""
    tab = fresh(chromium, place)
    tab.open(tab.lab.write("book.ipynb", *EVERY, REVEAL, SLIDER), tab.app)
    tab.run_all()
    live(tab)
    answer(tab)
    written = saved(tab)
    kernel(tab, "shutdown")
    still(tab, "drawn")
    tab.page.context.close()
    return written


def answer(tab):
    """Answer the first question by clicking the words; JupyterLab 4.4 takes what is out of sight out of the page."""
    tab.page.evaluate("() => { window.jupyterapp.shell.currentWidget.content.scrollToItem(0); }")
    box = tab.page.locator(".dd-question").first
    box.get_by_text("No", exact=True).click()
    box.get_by_text("That is my guess").click()
    box.locator(".dd-sentence", has_text="= Right.").wait_for()


def saved(tab):
    """Save once the question's answer has come into the notebook, and return what is in the file."""
    data = "window.jupyterapp.shell.currentWidget.content.model.cells.get(0).outputs.get(0).data['text/html']"
    tab.page.wait_for_function(f"() => {data}.includes('You said: No')")
    tab.command("docmanager:save")
    return json.loads((tab.lab.root / "book.ipynb").read_text())


def live(tab):
    """Wait until every widget is drawn and no still picture is left."""
    tab.page.wait_for_function(
        "(count) => document.querySelectorAll('.dd').length === count && !document.querySelector('figure img')",
        arg=len(EVERY),
    )


def still(tab, sliders):
    """Wait for every still picture: no widget is left, and other people's widgets fare as ever."""
    page = tab.page
    page.wait_for_function(
        "(count) => document.querySelectorAll('figure img').length === count && !document.querySelector('.dd')",
        arg=len(EVERY),
    )
    said = page.locator("figcaption").all_text_contents()
    assert said[0] == "Is <b>it</b> a virtual machine? = Right. You said: No"
    assert said[1] == "How much? = Right. You said: 21 MB"
    assert "3 of 4 steps ran" in said[3] and all(said)
    assert [node.get_attribute("alt") for node in page.locator("figure img").all()] == said
    if sliders == "lost":
        page.get_by_text(LOST).wait_for(state="attached")
    assert page.get_by_text("Error displaying widget").count() == (sliders == "lost")
    assert page.get_by_text("Loading widget").count() == (sliders == "loading")
    assert page.locator(".widget-slider").count() == (sliders == "drawn")


def kernel(tab, what):
    """Restart or shut down the notebook's kernel."""
    tab.page.evaluate("(what) => window.jupyterapp.shell.currentWidget.sessionContext[what]()", what)


def trusted(tab):
    return tab.page.evaluate("() => window.jupyterapp.shell.currentWidget.content.model.cells.get(0).trusted")


def test_a_notebook_reopened_with_a_new_kernel_shows_its_pictures_and_answers_and_runs_again(tab, book):
    assert "widgets" not in book["metadata"]  # a module of 10 kB and more for each widget
    (tab.lab.root / "again.ipynb").write_text(json.dumps(book))
    tab.open("again.ipynb", tab.app)
    assert trusted(tab)
    still(tab, "lost")
    tab.shoot(".jp-Notebook", f"saved-{tab.app.split('/')[0]}")
    tab.run_all()
    live(tab)


def test_somebody_elses_notebook_shows_its_pictures_and_answers_and_runs(tab, book):
    handed_on = json.dumps(book).replace("print(1)", "print(2)")  # JupyterLab trusts by content
    (tab.lab.root / "handed-on.ipynb").write_text(handed_on)
    tab.open("handed-on.ipynb", tab.app)
    assert not trusted(tab)
    still(tab, "text")
    tab.run_all()
    live(tab)


def test_a_notebook_without_a_kernel_shows_its_pictures_and_answers(tab, book):
    path = tab.lab.root / "no-kernel.ipynb"
    path.write_text(json.dumps(book | {"metadata": {}}))
    subprocess.run([sys.executable, "-m", "jupyter", "trust", path], check=True, capture_output=True)
    place = f"{tab.lab.url}/{tab.app}/no-kernel.ipynb?reset&token={tab.lab.token}"
    tab.page.goto(place, wait_until="domcontentloaded")
    tab.page.locator(".jp-Dialog button", has_text="No Kernel").click()
    still(tab, "loading")
    assert trusted(tab)


def test_a_widget_is_live_as_long_as_its_kernel_runs_and_not_longer(tab):
    tab.open(tab.lab.write("book.ipynb", *EVERY, REVEAL, SLIDER), tab.app)
    tab.run_all()
    live(tab)
    tab.command("docmanager:save")
    tab.open("book.ipynb", tab.app)  # the page is loaded anew
    live(tab)
    answer(tab)
    html = "".join(saved(tab)["cells"][0]["outputs"][0]["data"]["text/html"])
    assert "= Right. You said: No" in html
    if tab.app == "lab/tree":  # Notebook 7 has one notebook a page
        tab.page.evaluate("() => window.jupyterapp.shell.currentWidget.dispose()")
        tab.page.wait_for_selector(".jp-Notebook", state="detached")
        tab.command("docmanager:open", path="book.ipynb")
        live(tab)
    kernel(tab, "restartKernel")
    still(tab, "drawn")
    tab.run_all()
    live(tab)


def test_what_is_answered_is_saved_without_drawing_the_widget_anew(tab):
    tab.open(tab.lab.write("book.ipynb", QUESTION), tab.app)
    tab.run_all()
    box = tab.page.locator(".dd-question")
    box.wait_for()
    box.evaluate("(node) => { node.dataset.same = 'yes'; }")
    answer(tab)
    saved(tab)
    assert box.get_attribute("data-same") == "yes"
    assert tab.page.evaluate("document.activeElement.closest('.dd') !== null")


def test_jupyterlab_lists_the_extension_of_this_version():
    """`make lab` installs a copy: where it is another than the source, a notebook would be opened by yesterday's."""
    command = [sys.executable, "-m", "jupyter", "labextension", "list"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    line = re.search(r"drydock v(\S+) .*enabled.*OK", done.stdout + done.stderr)
    assert line and line[1] == importlib.metadata.version("drydock")
    installed, source = Path(sys.prefix, "share/jupyter/labextensions/drydock"), ROOT / "widgets" / "labextension"
    assert {path.relative_to(source): path.read_bytes() for path in source.rglob("*.js*")} == {
        path.relative_to(installed): path.read_bytes() for path in installed.rglob("*.js*")
    }
