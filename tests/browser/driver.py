"""A real JupyterLab in a real Chromium, for tests: one server for all of them, and a page that reaches nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from drydock.engine import process as engine

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
THEMES = "@jupyterlab/apputils-extension:themes"
NEWS = "@jupyterlab/apputils-extension:notification"
SECONDS_TO_START = 120  # 8 to 18 s measured on two busy cores
LOCAL = ("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:")


def notebook(*sources: str) -> dict[str, Any]:
    """Return a notebook with these code cells."""
    cells = [
        {"id": f"cell-{n}", "cell_type": "code", "source": text, "metadata": {}, "outputs": [], "execution_count": None}
        for n, text in enumerate(sources)
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel}, "cells": cells}


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody uses."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@dataclass(frozen=True)
class Lab:
    """A running server: its address, its secret, and the folder whose notebooks it serves."""

    url: str
    token: str
    root: Path

    def write(self, name: str, *sources: str) -> str:
        """Write a notebook of these cells to the served folder and return its name."""
        (self.root / name).write_text(json.dumps(notebook(*sources)))
        return name


@contextlib.contextmanager
def server(home: Path, extra: dict[str, str] | None = None, python: str = sys.executable):
    """Run a JupyterLab of its own, with its own settings and engine, and stop both afterwards."""
    extra = {"DRYDOCK_HOME": str(home / "drydock")} | (extra or {})
    root = home / "root"
    root.mkdir()
    news = home / "settings" / "@jupyterlab/apputils-extension" / "notification.jupyterlab-settings"
    news.parent.mkdir(parents=True)
    news.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
    port, token = free_port(), secrets.token_hex(16)
    command = [python, "-m", "jupyter", "lab", "--no-browser", "--allow-root", f"--ServerApp.port={port}"]
    command += ["--ServerApp.port_retries=0", "--ServerApp.ip=127.0.0.1", f"--IdentityProvider.token={token}"]
    command += [f"--ServerApp.root_dir={root}", "--LabApp.expose_app_in_browser=True"]
    command += ["--JupyterNotebookApp.expose_app_in_browser=True"]
    folders = {"CONFIG_DIR": "config", "RUNTIME_DIR": "runtime"}
    env = os.environ | {f"JUPYTER_{name}": str(home / folder) for name, folder in folders.items()} | extra
    env |= {"JUPYTERLAB_SETTINGS_DIR": str(home / "settings"), "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces")}
    if "PATH" not in extra:
        env["PATH"] = f"{Path(python).parent}{os.pathsep}{env['PATH']}"
    log = home / "server.log"
    with log.open("w") as out:
        process = subprocess.Popen(command, env=env, stdout=out, stderr=subprocess.STDOUT)
    lab = Lab(f"http://127.0.0.1:{port}", token, root)
    try:
        _wait(lab, process, log)
        yield lab
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        engine.stop(Path(extra["DRYDOCK_HOME"]))


def _wait(lab: Lab, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"jupyter lab ended with {process.returncode}:\n{log.read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(f"{lab.url}/api/status?token={lab.token}", timeout=2) as answer:
                answer.read()
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise TimeoutError(f"jupyter lab did not answer within {SECONDS_TO_START} s:\n{log.read_text()[-2000:]}")


class Tab:
    """One page of the browser, with what went wrong in it."""

    def __init__(self, lab: Lab, context: Any) -> None:
        self.lab, self.page = lab, context.new_page()
        self.page.set_default_timeout(120_000)  # a busy machine draws late
        self.offsite: list[str] = []
        self.problems: list[str] = []
        context.route("**/*", self._gate)
        self.page.on("console", lambda m: self._note(m.text, m.location["url"]) if m.type == "error" else None)
        self.page.on("pageerror", lambda e: self._note(e.message, e.stack or ""))

    def serious(self) -> list[tuple[str, str]]:
        """Return what axe-core finds serious inside the kit's widgets."""
        found = Axe().run(self.page, {"include": [".dd"]}).response
        assert len(found["passes"]) > 5  # it did look
        bad = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
        return [(one["id"], one["nodes"][0]["html"][:300]) for one in bad]

    def _note(self, text: str, *where: str) -> None:
        """Note an error that a widget's code had a part in; JupyterLab and Notebook 7 have some of their own.

        A widget's script is loaded from a blob, and what draws it is named for widgets. Seen without any widget, on a
        busy machine: "Command 'filebrowser:open-path' not registered.", "reading 'schema'", "removeChild".
        """
        if any("blob:" in one or "widget" in one.lower() for one in (text, *where)):
            self.problems.append(text)

    def _gate(self, route: Any) -> None:
        if route.request.url.startswith(LOCAL):
            route.continue_()
        else:
            self.offsite.append(route.request.url)
            route.abort()

    def open(self, name: str, app: str = "lab/tree") -> None:
        """Open a notebook in JupyterLab, or by "notebooks" in Notebook 7, and wait until its kernel is idle."""
        place = f"{self.lab.url}/{app}/{name}?reset&token={self.lab.token}"
        self.page.goto(place, wait_until="domcontentloaded", timeout=120_000)
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=120_000)
        kernel = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status"
        self.page.wait_for_function(f"() => {kernel} === 'idle'", timeout=120_000)

    def command(self, name: str, **arguments: Any) -> None:
        """Run one of JupyterLab's commands and wait for its end."""
        self.page.evaluate(
            "([name, args]) => window.jupyterapp.commands.execute(name, args).then(() => {})", [name, arguments]
        )

    def run_all(self) -> None:
        """Run every cell; returns when the last one has finished."""
        self.command("notebook:run-all-cells")

    def run(self, n: int) -> None:
        """Run one cell, counted from 0; returns when it has finished."""
        self.page.evaluate("(n) => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = n; }", n)
        self.command("notebook:run-cell")

    def theme(self, name: str) -> None:
        """Switch the colours: "JupyterLab Light" or "JupyterLab Dark"."""
        self.command("apputils:change-theme", theme=name)
        self.page.wait_for_function("(name) => document.body.dataset.jpThemeName === name", arg=name)

    def shoot(self, selector: str, name: str) -> None:
        """Take a picture of one element, where DRYDOCK_TEST_SHOTS names a folder for them."""
        folder = os.environ.get("DRYDOCK_TEST_SHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.locator(selector).first.screenshot(path=str(Path(folder) / f"{name}.png"))


@contextlib.contextmanager
def browser():
    """Run one Chromium and stop it afterwards."""
    from playwright.sync_api import sync_playwright

    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=path, headless=True, args=FLAGS)
        yield chromium
        chromium.close()
