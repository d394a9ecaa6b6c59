"""A terminal in JupyterLab, and a kernel's `!` cell: `docker` and `drydock` reach the engine that the badge names."""

import os
import re
import secrets
import shutil
import time

import drydock_browser_driver as driver
import pytest

pytestmark = pytest.mark.browser

PATH = "/usr/local/bin:/usr/bin:/bin"  # what /etc/profile makes of it, and what a hub's spawner gives
CHOICES = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_BUILDKIT", "DRYDOCK_ENGINE")
TEXT = """() => {  // it is drawn on a canvas: the text is xterm's own
  const buffer = window.jupyterapp.shell.currentWidget?.content?._term?.buffer.active;
  const lines = [...Array(buffer?.length ?? 0).keys()].map(at => buffer.getLine(at));
  return lines.map(line => (line.isWrapped ? '' : '\\n') + line.translateToString(true)).join('').trim();
}"""
BADGE = "import drydock; from drydock.badge import badge; print(badge(drydock.connect()))"


@pytest.fixture(scope="module")
def background_lab(tmp_path_factory):
    """JupyterLab as a hub starts it: no terminal, nothing on PATH, a login file that sets PATH anew; no Docker."""
    if shutil.which("docker", path=PATH) is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("no docker command: apt-get install docker.io")
    home = tmp_path_factory.mktemp("background")
    (home / ".profile").write_text(f"PATH={PATH}\n")
    extra = {"HOME": str(home), "SHELL": "/bin/bash", "PATH": PATH}
    extra |= dict.fromkeys(CHOICES, "") | {"DOCKER_CONFIG": str(home / "docker")}
    with driver.server(home, extra) as lab:
        yield lab


@pytest.fixture
def background_tab(background_lab, chromium):
    """A fresh page of that JupyterLab."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    yield driver.Tab(background_lab, context)
    context.close()


def screen(tab, until):
    """Return the terminal's text once a pattern is in it."""
    end = time.monotonic() + 60
    while not re.search(until, text := tab.page.evaluate(TEXT)):
        assert time.monotonic() < end, text
        time.sleep(0.1)
    return text


def typed(tab, line):
    """Type a line into the terminal, and return what it printed, with its exit code, once it has ended."""
    tab.page.locator(".jp-Terminal .xterm-helper-textarea").focus()
    mark = secrets.token_hex(4)  # what an earlier line printed may still be on the screen
    tab.page.keyboard.type(f"clear; {line}; echo {mark} ended with $?\n")
    return screen(tab, rf"(?m)^{mark} ended with \d+$")


def opened(tab):
    """Open a terminal by the command of *File → New → Terminal*."""
    tab.page.goto(f"{tab.lab.url}/lab?reset&token={tab.lab.token}", wait_until="domcontentloaded")
    tab.page.wait_for_function("() => window.jupyterapp?.commands.hasCommand('terminal:create-new')")
    tab.command("terminal:create-new")
    screen(tab, r"[#$]$")  # the prompt


def test_docker_and_drydock_work_in_a_terminal(background_tab, background_lab):
    opened(background_tab)
    text = typed(background_tab, "docker images")
    background_tab.shoot(".jp-Terminal", "terminal-docker-images")
    assert "REPOSITORY" in text and "ended with 0" in text, text
    text = typed(background_tab, "drydock doctor")
    background_tab.shoot(".jp-Terminal", "terminal-drydock-doctor")
    assert "Drydock engine" in text and "ended with 0" in text, text
    socket = f"{background_lab.root.parent}/drydock/engine/docker.sock"
    assert f"export DOCKER_HOST=unix://{socket} DOCKER_BUILDKIT=0" in text


def test_docker_builds_in_a_terminal_and_after_the_engine_was_stopped(background_tab, background_lab):
    folder = background_lab.root / "recipe"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    opened(background_tab)
    assert "Successfully tagged terminal-test:latest" in typed(
        background_tab, f"docker build -t terminal-test {folder}"
    )
    text = typed(background_tab, "drydock engine stop; docker images")
    assert "To use it again: drydock engine start" in text and "Cannot connect" in text
    text = typed(background_tab, "drydock doctor >/dev/null; docker images")
    assert "terminal-test" in text and "ended with 0" in text, text


def test_a_cell_reaches_the_engine_of_the_badge(background_tab, background_lab):
    cells = ("!docker info | grep ' ID:'", BADGE, "drydock.connect().info()['ID']")
    background_tab.open(background_lab.write("cells.ipynb", *cells))
    background_tab.run_all()
    said = background_tab.page.evaluate(
        "() => [...window.jupyterapp.shell.currentWidget.content.model.cells]"
        ".map(c => JSON.stringify(c.toJSON().outputs))"
    )
    assert re.search(r"ID: ([0-9A-Z:]{59})", said[0])[1] in said[2] and "Drydock engine" in said[1], said
