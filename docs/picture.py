"""Take the README's picture, or any other, of the running kit: a real JupyterLab, a real engine, a real build.

python docs/picture.py docs/lab.png                                  the README's picture
python docs/picture.py out.png 05-dockerfile-layers-history 61 --dark    another cell, in the dark
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "browser"))
import driver

ROOT = Path(__file__).parents[1]
SHOW = "at => { const c = window.jupyterapp.shell.currentWidget.content; c.activeCellIndex = at; "
SHOW += "return c.scrollToItem(at, 'start'); }"


def main() -> int:
    """Run a notebook in a browser, scroll to a cell, take the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("to", type=Path, help="the PNG file to write")
    parser.add_argument("notebook", nargs="?", default="00-start")
    parser.add_argument("cells", nargs="*", type=int, default=[10], help="the cells to show, one picture each")
    parser.add_argument("--dark", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, driver.server(Path(folder)) as lab, driver.browser() as chromium:
        shutil.copytree(ROOT / "notebooks", lab.root / "notebooks", ignore=shutil.ignore_patterns("work"))
        tab = driver.Tab(lab, chromium.new_context(viewport={"width": 1360, "height": 1000}))
        tab.page.set_default_timeout(240_000)
        tab.open(f"notebooks/{asked.notebook}.ipynb")
        tab.command("application:toggle-left-area")
        if asked.dark:
            tab.theme("JupyterLab Dark")
        tab.run_all()
        for n, cell in enumerate(asked.cells or [10]):
            tab.page.evaluate(SHOW, cell)
            tab.page.wait_for_timeout(1500)  # JupyterLab draws a cell when it comes into view
            name = asked.to if n == 0 else asked.to.with_stem(f"{asked.to.stem}-{cell}")
            tab.page.screenshot(path=str(name))
        for problem in (*tab.problems, *tab.offsite):
            print("problem:", problem, file=sys.stderr)
        return len(tab.problems) + len(tab.offsite)


if __name__ == "__main__":
    raise SystemExit(main())
