"""Cells that draw the widgets: one of each, from values that need no engine."""

QUESTION = """
from drydock_widgets.question import Question
Question("choice", "Is `<b>it</b>` a virtual machine?", ["Yes", "No"], "No", "It is a process.", id="q")
"""
NUMBER = """
n = Question("number", "How much?", unit="MB", tolerance=1)
n
"""
ORDER = """
Question("order", "Order the lines.", ["COPY . .", "FROM scratch"], ["FROM scratch", "COPY . ."])
"""
BUILD = """
import time
from dataclasses import replace
from drydock.model.cache import Plan
from drydock.model.context import Context, regular
from drydock.model.dockerfile import parse
from drydock.model.steps import ended, planned, with_step
from drydock_widgets.buildcache import BuildCache

TEXT = "FROM scratch\\nCOPY app.py /\\nRUN <img src=x onerror=alert(1)>\\nCMD app\\n"
plan = Plan(parse(TEXT), Context((regular("app.py", b"print(1)", 0o644),)))

class Run:
    plan = plan
    def __iter__(self):
        build = replace(planned(plan, "Docker 20.10"), state="running")
        for at in range(len(build.steps)):
            build = with_step(build, at, state="running", output=("working <i>hard</i>",))
            for _ in range(50):
                yield build
            time.sleep(0.15)
            build = with_step(build, at, state="ran" if at else "cached", seconds=0.15)
            yield build
        yield ended(build, "done", None, 0.6)

BuildCache(plan)
"""

IMAGE = """
from drydock.model.image import HistoryRow, Image, ImageConfig
from drydock.model.layer import Entry, Layer
from drydock_widgets.layerstack import LayerStack

def layer(n, *entries, **more):
    return Layer(f"sha256:{n:x}{n * 7:x}a0{'0' * 60}", "", sum(e.size for e in entries), entries, **more)

base = layer(1, *(Entry(f"bin/tool{n}", "file", 20_000 * n, digest=f"sha256:{n:064x}") for n in range(60)))
big = layer(2, Entry("tmp/big", "file", 20_000_000), Entry("bin/tool3", "file", 70_000, digest="sha256:abc4567"))
gone = layer(3, Entry("<b>note</b>", "file", 5), whiteouts=("tmp/big",))
steps = ("ADD base.tar /", "RUN fetch big > /tmp/big && <img src=x onerror=alert(1)>", "RUN rm /tmp/big")

def image(name, *layers):
    rows = [HistoryRow(steps[n], layer=n) for n in range(len(layers))]
    config = HistoryRow('CMD ["sh"]', empty=True)
    content = lambda n, path: f"layer {n}: <i>{path}</i>".encode()
    return Image("sha256:1", (name,), "linux/amd64", ImageConfig(), (*rows, config), layers, content=content)

LayerStack(image("lab/trap", base, big, gone))
"""

CONTAINERS = """
from drydock.model.change import Change, Writable
from drydock.model.image import HistoryRow, Image, ImageConfig
from drydock.model.layer import Entry, Layer
from drydock_widgets import WritableLayer

layers = (Layer("sha256:1a0" + "0" * 61, "", 8_000_000, (Entry("bin/sh", "file", 8_000_000),)),
          Layer("sha256:2b7" + "0" * 61, "", 20_000_000, (Entry("shop/goods.db", "file", 20_000_000),)))
make = "RUN make > /shop/goods.db && <img src=x onerror=alert(1)>"
rows = (HistoryRow("ADD base.tar /", layer=0), HistoryRow(make, layer=1))
image = Image("sha256:9", ("lab/box",), "linux/amd64", ImageConfig(), rows, layers)
note = Change("<b>note</b>.txt", "added", "file", 16)
folder = Change("shop", "changed", "directory")
copied = Change("shop/goods.db", "changed", "file", 20_000_001, 20_000_000, 1)
hidden = Change("shop/goods.db", "removed", "file", 0, 20_000_000, 1)

def box(name, *changes, did="", state="running"):
    return Writable(name, name, image, changes, state, engine="Docker 20.10.24", did=did)

def steps():
    yield box("bob")
    yield box("ada")
    yield box("ada", note, did="echo <i>hi</i> > note.txt")
    yield box("ada", note, folder, copied, did="echo >> /shop/goods.db")
    yield box("ada", note, folder, hidden, did="rm /shop/goods.db")
    yield box("carl", note).removed()
    yield box("ada", note, folder, hidden)

WritableLayer(steps())
"""

MOVES = """
import time
from dataclasses import replace
from drydock.model.transfer import Blob, Transfer as Moved, ended, with_blob
from drydock_widgets import Transfer

base = Blob("sha256:a1b" + "0" * 61, "layer", "exists", 3_000_000, share=1.0)
top = Blob("sha256:b2c" + "1" * 61, "layer", "waiting", 2_000_000)
other = Blob("sha256:c3d" + "2" * 61, "layer", "mounted", 800_000, source="lab/<i>shop</i>")
start = Moved("push", "localhost:5055/lab/<b>app</b>:2", "Docker 20.10.24", (base, top, other))

def moves():
    now = start
    yield now
    time.sleep(0.12)
    for moved in range(0, 2_000_001, 400_000):
        now = with_blob(now, replace(top, state="sending", moved=moved, share=moved / 2e6))
        for _ in range(20):
            yield now
        time.sleep(0.12)
    now = with_blob(now, replace(top, state="sent", moved=2_000_000, share=1.0, seconds=0.7))
    config = Blob("sha256:d4e" + "3" * 61, "config", "sent", 1500, 1500, 1.0, estimated=True)
    listed = Blob("sha256:e5f", "manifest", "sent", 900, 900)
    yield ended(replace(now, blobs=(*now.blobs, config, listed)), "done", None, 0.9)

Transfer(moves())
"""

STACKS = """
from drydock.lessons.stacks import machine
from drydock.model.stacks import Figure, Stack, Stratum
from drydock_widgets import Stacks

def figure(value, unit, source):
    return Figure(value, unit, "measured", source)

strata = (Stratum("app", "sleep", "app"), Stratum("libraries", "<b>alpine</b>", "image", 8_000_000),
          Stratum("engine", "Docker 26.1: sets it up, then stands aside", "machine", passed=False),
          Stratum("host kernel", "Linux 6.1", "machine"), Stratum("hardware", "x86_64, 2 processors", "machine"))
box = Stack("container", strata, figure(0.25, "s", "median of 5, Docker 26.1, 25 Nov 2026"),
            figure(1_000_000, "B", "the engine's count, 25 Nov 2026"), figure(8_000_000, "B", "the image's files"),
            figure(1000, "B", "what `docker ps --size` counts"))
w = Stacks(vm=machine(), container=box)
w
"""

SHOP = """
from drydock.model.shop import Plan
from drydock.model.shop_rule import predict, simulated
from drydock_widgets import Shop

w = Shop(one for name in ("crash", "slow", "leak") for one in simulated(Plan(name)))
w
"""
