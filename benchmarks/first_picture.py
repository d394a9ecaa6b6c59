"""From the moment a cell makes a widget to its first picture on the screen; and the same for a thousand of everything.

Each widget of the course is drawn in a real JupyterLab and a real Chromium from values that are there already, so what
is measured is the widget. Beside the time stands the longest gap between two frames meanwhile: how long the page stood
still. The aim for each widget of the course is 300 ms.

    python benchmarks/first_picture.py
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "browser"))
import drawn
import driver

AIM = 300  # ms
MANY_LAYERS = """
from drydock.model.image import HistoryRow, Image, ImageConfig
from drydock.model.layer import Entry, Layer
from drydock_widgets import LayerStack
layers = tuple(Layer(f"sha256:{n:064x}", "", n * 100, (Entry(f"f{n}", "file", n * 100),)) for n in range(1000))
rows = tuple(HistoryRow(f"RUN step {n}", layer=n) for n in range(1000))
many = Image("sha256:1", ("lab/many",), "linux/amd64", ImageConfig(), rows, layers)
LayerStack(many)
"""
MANY_CONTAINERS = """
from drydock.model.change import Change, Writable
from drydock.model.image import HistoryRow, Image, ImageConfig
from drydock.model.layer import Entry, Layer
from drydock_widgets import WritableLayer
layer = Layer("sha256:" + "1" * 64, "", 5_000_000, (Entry("bin/sh", "file", 5_000_000),))
one = Image("sha256:9", ("lab/box",), "linux/amd64", ImageConfig(), (HistoryRow("ADD base.tar /", layer=0),), (layer,))
note = Change("note.txt", "added", "file", 16)
boxes = [Writable(f"box{n}", f"box{n}", one, (note,), "running", engine="Docker", did="") for n in range(1000)]
WritableLayer(*boxes)
"""
MANY_BLOBS = """
from drydock.model.transfer import Blob, Transfer as Moved
from drydock_widgets import Transfer
blobs = tuple(Blob(f"sha256:{n:064x}", "layer", "exists", 1000 + n, share=1.0) for n in range(1000))
Transfer(Moved("push", "localhost:5055/lab/many:1", "Docker", blobs))
"""
CELLS = {
    "Question": ("dd-question", drawn.QUESTION),
    "BuildCache": ("dd-buildcache", drawn.BUILD),
    "LayerStack": ("dd-layerstack", drawn.IMAGE),
    "WritableLayer": ("dd-writablelayer", drawn.CONTAINERS),
    "Transfer": ("dd-transfer", drawn.MOVES.replace("Transfer(moves())", "Transfer(start)")),
    "Stacks": ("dd-stacks", drawn.STACKS),
    "Shop": ("dd-shop", drawn.SHOP),
    "LayerStack, 1000 layers": ("dd-layerstack", MANY_LAYERS),
    "WritableLayer, 1000 containers": ("dd-writablelayer", MANY_CONTAINERS),
    "Transfer, 1000 blobs": ("dd-transfer", MANY_BLOBS),
}
RUN = """
import ast, time
tree = ast.parse({source!r})
last = tree.body.pop()
if isinstance(last.value, ast.Name):  # the widget was given a name a line before
    last = tree.body.pop()
exec(compile(tree, "cell", "exec"))
time.sleep(0.5)
begun = time.time()
widget = eval(compile(ast.Expression(last.value), "cell", "eval"))
display(widget)
print(f"begun at {{begun * 1000:.0f}}.")
"""
WATCH = """(name) => {
  const seen = window.seen = {painted: 0, gap: 0};
  let before = performance.now(), over = false;
  const beat = (now) => { if (over) return; seen.gap = Math.max(seen.gap, now - before); before = now;
    requestAnimationFrame(beat); };
  requestAnimationFrame(beat);
  const look = () => { if (!document.querySelector(`.jp-OutputArea .${name}`)) return;
    watcher.disconnect();
    requestAnimationFrame(() => requestAnimationFrame(() => { seen.painted = Date.now();
      setTimeout(() => { over = true; seen.over = true; }, 500); })); };
  const watcher = new MutationObserver(look);
  watcher.observe(document.body, {subtree: true, childList: true});
}"""


def measured(tab: driver.Tab, number: int, name: str, source: str) -> tuple[float, float]:
    """Return how many ms one cell's widget takes to its first picture, and the longest gap between two frames."""
    tab.open(tab.lab.write(f"picture{number}.ipynb", RUN.format(source=source)))
    tab.page.evaluate(WATCH, name)
    tab.run_all()
    tab.page.wait_for_function("() => window.seen.over")
    said = tab.page.locator(".jp-OutputArea-output", has_text="begun at").inner_text()
    seen = tab.page.evaluate("() => window.seen")
    return seen["painted"] - float(said.split("begun at ")[1].split(".")[0]), seen["gap"]


def main() -> int:
    """Draw each widget three times, print the median."""
    with tempfile.TemporaryDirectory() as folder, driver.server(Path(folder)) as lab, driver.browser() as chromium:
        tab = driver.Tab(lab, chromium.new_context(viewport={"width": 1280, "height": 1600}))
        for place, (label, (name, source)) in enumerate(CELLS.items()):
            rounds = sorted(measured(tab, place * 3 + turn, name, source) for turn in range(3))
            time, gap = rounds[1]
            aim = f"  (aim: at most {AIM} ms)" if "," not in label else ""
            print(f"{label:32} {time:6.0f} ms, longest gap between frames {gap:4.0f} ms{aim}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
