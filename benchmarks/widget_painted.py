"""From a widget's update in the kernel to its picture on the screen, in a real JupyterLab and a real Chromium.

Each update carries the time it was made at; the page notes when that text has been painted (two animation frames
after it entered the document). Beside it: the same for a line of plain text that the cell prints.

    python benchmarks/widget_painted.py
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "browser"))
import driver

UPDATES = 40
CELL = f"""
import time
from dataclasses import replace
from drydock.model.cache import Plan
from drydock.model.context import Context
from drydock.model.dockerfile import parse
from drydock.model.steps import planned, with_step
from drydock_widgets.buildcache import BuildCache
plan = Plan(parse("FROM scratch\\nRUN one\\n"), Context(()))
build = replace(planned(plan, "Docker"), state="running")
widget = BuildCache(build)
display(widget)
time.sleep(2)
def updates():
    for n in range({UPDATES}):
        yield with_step(build, 0, state="running", output=(f"widget at {{time.time() * 1000:.0f}}",))
        time.sleep(0.1)
widget.watch(updates())
for n in range({UPDATES}):
    print(f"text at {{time.time() * 1000:.0f}}", flush=True)
    time.sleep(0.1)
print("all " + "done")
"""
WATCH = """() => {
  window.painted = {widget: {}, text: {}};
  new MutationObserver(() => {
    const found = document.querySelector('.jp-Notebook').innerText.matchAll(/(widget|text) at (\\d{13})/g);
    const fresh = [...found].filter(([, kind, at]) => !(at in window.painted[kind]));
    for (const [, kind, at] of fresh) window.painted[kind][at] = null;
    requestAnimationFrame(() => requestAnimationFrame(() => {
      for (const [, kind, at] of fresh) window.painted[kind][at] = Date.now() - Number(at);
    }));
  }).observe(document.body, {subtree: true, childList: true, characterData: true});
}"""


def main() -> int:
    """Run the notebook, collect the figures, print them."""
    with tempfile.TemporaryDirectory() as folder, driver.server(Path(folder)) as lab, driver.browser() as chromium:
        tab = driver.Tab(lab, chromium.new_context(viewport={"width": 1280, "height": 2400}))
        tab.open(lab.write("painted.ipynb", CELL))
        tab.page.evaluate(WATCH)
        tab.run_all()
        tab.page.wait_for_function("() => document.querySelector('.jp-Notebook').innerText.includes('all done')")
        tab.page.wait_for_timeout(500)
        painted = tab.page.evaluate("() => window.painted")
    for kind in ("widget", "text"):
        times = sorted(painted[kind].values())
        if not times:
            print(f"{kind}: no update was seen")
            return 1
        late = times[int(0.95 * (len(times) - 1))]
        print(f"{kind:6} update to painted: median {statistics.median(times):.0f} ms, p95 {late} ms, {len(times)} seen")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
