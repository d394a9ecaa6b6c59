"""The widgets in a real JupyterLab: they draw, answer mouse and keyboard, and hold in the dark."""

import json

import pytest
from drawn import BUILD, CONTAINERS, IMAGE, MOVES, NUMBER, ORDER, QUESTION, SHOP, STACKS
from drydock_widgets.base import HERE

pytestmark = pytest.mark.browser


EVERY = {  # one of each widget, by its class
    "dd-question": QUESTION,
    "dd-buildcache": BUILD,
    "dd-layerstack": IMAGE,
    "dd-writablelayer": CONTAINERS,
    "dd-transfer": MOVES,
    "dd-stacks": STACKS,
    "dd-shop": SHOP,
}


def texts(page, selector):
    return page.locator(selector).all_inner_texts()


def narrow(tab, box):
    """Make the page as narrow as a phone: nothing may stick out sideways."""
    tab.command("application:toggle-left-area")
    tab.page.set_viewport_size({"width": 520, "height": 900})
    tab.page.wait_for_function("() => document.querySelector('.dd').clientWidth < 480")
    assert box.evaluate("(node) => node.scrollWidth <= node.clientWidth")


def test_a_question_is_answered_with_the_keyboard_alone(tab):
    page = tab.page
    tab.open(tab.lab.write("question.ipynb", QUESTION, NUMBER, ORDER, "n.reveal(20); None"))
    tab.theme("JupyterLab Light")
    tab.run_all()
    box = page.locator(".dd-question").first
    box.wait_for()
    assert box.locator("legend").inner_text() == "Is <b>it</b> a virtual machine?"
    assert texts(box, "legend code") == ["<b>it</b>"]
    box.locator("input").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector('.dd-question[data-outcome="right"]')
    box.locator(".dd-sentence", has_text="= Right.").wait_for()  # said at most once a second
    assert "It is a process." in box.inner_text()
    tab.shoot(".dd-question", "question-light")
    assert page.evaluate(FOCUS)["widget"] == "dd-question"  # the button is gone, the place on the page is not lost
    order = page.locator(".dd-question").nth(2)
    for _ in range(2):
        order.get_by_label("Move down: COPY . .").first.focus()
        page.keyboard.press("d")
    order.get_by_label("Move down: COPY . .").press("Enter")
    order.get_by_text("That is my guess").press("Enter")
    order.locator(".dd-sentence", has_text="= Right.").wait_for()
    assert page.locator(".jp-Notebook .jp-CodeCell").count() == 4
    tab.theme("JupyterLab Dark")
    tab.shoot(".jp-Notebook", "question-dark")


def test_a_build_is_drawn_live_and_can_be_replayed(tab):
    page = tab.page
    tab.open(tab.lab.write("build.ipynb", BUILD, "BuildCache(Run())"))
    tab.theme("JupyterLab Light")
    tab.run_all()
    page.wait_for_function("() => document.querySelectorAll('.dd-buildcache').length === 2")
    build = page.locator(".dd-buildcache").nth(1)
    build.locator(".dd-sentence", has_text="3 of 4 steps ran").wait_for()
    assert texts(build, ".dd-state") == ["= cached", "+ ran", "+ ran", "+ ran"]
    assert "<img src=x onerror=alert(1)>" in build.inner_text()
    slider = build.locator("input[type=range]")
    slider.focus()
    page.keyboard.press("Home")
    assert texts(build, ".dd-state")[2:] == [". waiting", ". waiting"]
    page.keyboard.press("End")
    assert texts(build, ".dd-state")[3] == "+ ran"
    tab.shoot(".dd-buildcache >> nth=1", "build-light")
    tab.theme("JupyterLab Dark")
    tab.shoot(".jp-Notebook", "build-dark")


def test_an_edit_is_tried_without_building(tab):
    page = tab.page
    tab.open(tab.lab.write("whatif.ipynb", BUILD))
    tab.theme("JupyterLab Light")
    tab.run_all()
    box = page.locator(".dd-buildcache")
    box.wait_for()
    box.get_by_label("Move step 3 up").press("Enter")
    box.locator(".dd-sentence", has_text="What if (lines moved)").wait_for()
    assert [text.split()[0] for text in texts(box, ".dd-text")] == ["FROM", "RUN", "COPY", "CMD"]
    box.get_by_role("checkbox", name="app.py").check()
    box.locator(".dd-sentence", has_text="app.py edited, lines moved").wait_for()
    tab.shoot(".dd-buildcache", "whatif-light")
    box.get_by_text("Take it all back").click()
    page.wait_for_function("() => document.querySelectorAll('.dd-text')[1].textContent.startsWith('COPY')")
    assert not box.get_by_label("Replay").is_visible()
    box.get_by_label("Move step 4 up").focus()
    for _ in range(2):
        page.keyboard.press("Enter")  # drawn again in between or not: the same line goes up
    page.wait_for_function("() => document.querySelectorAll('.dd-text')[1].textContent.startsWith('CMD')")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("Move step 2 down: CMD")
    narrow(tab, box)
    tab.shoot(".dd-buildcache", "whatif-narrow")


def test_somebody_elses_saved_notebook_shows_the_last_picture(tab):
    page = tab.page
    name = tab.lab.write("again.ipynb", BUILD, "BuildCache(Run())")
    tab.open(name)
    tab.run_all()
    page.wait_for_selector(".dd-buildcache >> nth=1")
    tab.command("docmanager:save")
    cells = json.loads((tab.lab.root / name).read_text())["cells"]
    html = "".join(cells[1]["outputs"][0]["data"]["text/html"])
    assert "3 of 4 steps ran" in html and "<td>+ ran</td>" in html
    # JupyterLab trusts by content: one changed text, and the notebook is a stranger's.
    handed_on = (tab.lab.root / name).read_text().replace("print(1)", "print(2)")
    (tab.lab.root / "handed-on.ipynb").write_text(handed_on)
    tab.open("handed-on.ipynb")
    page.wait_for_selector("figure img", timeout=120_000)
    assert "3 of 4 steps ran" in page.locator("figure img").nth(1).get_attribute("alt")
    tab.shoot(".jp-Notebook", "again")


def test_layers_are_walked_with_the_arrow_keys_and_a_file_is_followed(tab):
    page = tab.page
    tab.open(tab.lab.write("layers.ipynb", IMAGE, 'LayerStack(image("lab/a", base, big), image("lab/b", base, gone))'))
    tab.theme("JupyterLab Light")
    tab.run_all()
    page.wait_for_function("() => document.querySelectorAll('.dd-layerstack').length === 2")
    box = page.locator(".dd-layerstack").first
    assert "<img src=x onerror=alert(1)>" in box.inner_text()
    assert "20.1MB (36 %) are hidden" in box.locator(".dd-sentence").inner_text()
    box.locator(".dd-layer").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    box.locator(".dd-file", has_text="tmp/big").click()
    box.locator(".dd-thread", has_text="The thread of /tmp/big").wait_for()
    assert texts(box, ".dd-thread .dd-state") == ["+ added", "- hidden"]
    box.get_by_label("Show the content in layer 1").press("Enter")
    box.locator(".dd-content", has_text="layer 1: <i>tmp/big</i>").wait_for()
    tab.shoot(".dd-layerstack", "layers-light")
    box.get_by_role("button", name="All files as of layer 1").click()
    box.locator(".dd-file", has_text="folder").filter(has_text="bin/").click()
    box.locator(".dd-pages", has_text="1 to 40 of 60").wait_for()
    box.get_by_label("Find files").fill("tool59")
    box.locator(".dd-pages", has_text="1 to 1 of 1").wait_for()
    differ = page.locator(".dd-layerstack").nth(1).locator(".dd-file .dd-state").all_inner_texts()
    assert differ == ["- only first", "~ differs", "+ only second"]
    tab.theme("JupyterLab Dark")
    tab.shoot(".dd-layerstack >> nth=1", "compare-dark")
    tab.theme("JupyterLab Light")
    narrow(tab, box)
    tab.shoot(".dd-layerstack", "layers-narrow")


def test_what_containers_wrote_is_replayed_and_chosen_with_the_keyboard_alone(tab):
    page = tab.page
    many = 'WritableLayer([box(f"guest-{n}", note) for n in range(1000)])'
    tab.open(tab.lab.write("writable.ipynb", CONTAINERS, many))
    tab.theme("JupyterLab Light")
    tab.run_all()
    page.wait_for_function("() => document.querySelectorAll('.dd-writablelayer').length === 2")
    box = page.locator(".dd-writablelayer").first
    box.locator(".dd-sentence", has_text="1 removed").wait_for()
    assert "read from Docker 20.10.24" in box.inner_text()
    assert [text.split("\n")[0] for text in texts(box, ".dd-box")] == ["bob", "ada", "carl"]
    assert texts(box, ".dd-file .dd-state") == ["A added", "D deleted", "C changed"]
    slider = box.locator("input[type=range]")
    slider.focus()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    box.locator(".dd-replay output", has_text="4 of 7: echo >> /shop/goods.db").wait_for()
    assert texts(box, ".dd-file .dd-state") == ["C changed", "A added", "C changed"]
    box.locator(".dd-sentence", has_text="have 20MB of their own").wait_for()  # said at most once a second
    tab.shoot(".dd-writablelayer", "writable-replay-light")
    box.locator(".dd-file").first.focus()
    page.keyboard.press("Enter")
    box.locator(".dd-detail", has_text="copied up from layer 1").wait_for()
    assert "4 of 7" in box.locator(".dd-replay output").inner_text()  # the replay stays where it was
    assert box.locator(".dd-read[data-from]").inner_text().endswith("↑ the file is from here")
    tab.shoot(".dd-writablelayer", "writable-light")
    box.locator(".dd-box[aria-current]").focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    box.locator(".dd-name", has_text="docker diff bob").wait_for()
    assert "nothing: this layer is empty" in box.inner_text()
    crowd = page.locator(".dd-writablelayer").nth(1)
    crowd.get_by_label("Earlier containers").press("Enter")
    crowd.locator(".dd-pages", has_text="containers 961 to 980 of 1000").wait_for()
    tab.theme("JupyterLab Dark")
    tab.shoot(".dd-writablelayer", "writable-dark")
    tab.shoot(".dd-writablelayer >> nth=1", "writable-crowd-dark")
    tab.theme("JupyterLab Light")
    narrow(tab, box)
    tab.shoot(".dd-writablelayer", "writable-narrow")


def test_a_push_moves_from_shelf_to_shelf_and_is_replayed_with_the_keyboard_alone(tab):
    page = tab.page
    failed = 'cut = with_blob(start, replace(top, state="sending", moved=9))\n'
    failed += 'Transfer(ended(cut, "failed", "Altered.\\nTry: again", 1.0))'
    tab.open(tab.lab.write("transfer.ipynb", MOVES, failed))
    tab.theme("JupyterLab Light")
    tab.run_all()
    page.wait_for_function("() => document.querySelectorAll('.dd-transfer').length === 2")
    box = page.locator(".dd-transfer").first
    box.locator(".dd-sentence", has_text="~2MB of 5.8MB sent in 0.9 s; 1 of 4 parts was there already").wait_for()
    assert "lab/<b>app</b>:2" in box.inner_text() and "lab/<i>shop</i>" in box.inner_text()
    assert texts(box, ".dd-state") == ["= exists", "+ sent →", "@ mounted", "+ sent →", "+ sent →"]
    tab.shoot(".dd-transfer", "transfer-light")
    slider = box.locator("input[type=range]")
    slider.focus()
    page.keyboard.press("Home")
    assert texts(box, ".dd-state")[1] == ". waiting" and "not here" in box.locator(".dd-blob").nth(1).inner_text()
    page.keyboard.press("End")
    assert texts(box, ".dd-state")[1] == "+ sent →"
    slider.evaluate("(node) => { node.value = 0.4; node.dispatchEvent(new Event('input')); }")
    assert texts(box, ".dd-state")[1] == "> sending →"
    box.locator(".dd-sentence", has_text="blobs are on both shelves").wait_for()
    tab.shoot(".dd-transfer", "transfer-replay-light")
    box.locator(".dd-blob").first.focus()
    for key in ("ArrowDown", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    box.locator(".dd-detail", has_text="in its repository lab/<i>shop</i>").wait_for()
    assert "Try: again" in page.locator(".dd-transfer").nth(1).locator(".dd-problem").inner_text()
    tab.theme("JupyterLab Dark")
    tab.shoot(".dd-transfer", "transfer-dark")
    tab.shoot(".dd-transfer >> nth=1", "transfer-failed-dark")
    tab.theme("JupyterLab Light")
    narrow(tab, box)
    tab.shoot(".dd-transfer", "transfer-narrow")


def test_the_widgets_draw_in_notebook_7_too(tab):
    tab.open(tab.lab.write("seven.ipynb", QUESTION, IMAGE), app="notebooks")
    tab.run_all()
    for widget in (".dd-question", ".dd-layerstack"):
        tab.page.locator(widget).first.wait_for(timeout=120_000)
    tab.page.locator(".dd").first.wait_for()


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_axe_finds_nothing_serious_in_any_widget(tab, theme):
    tab.open(tab.lab.write("axe.ipynb", *EVERY.values()))
    tab.theme(theme)
    tab.run_all()
    for widget in EVERY:
        tab.page.locator(f".{widget}").first.wait_for(timeout=120_000)
    assert tab.serious() == []


FOCUS = """() => { const at = document.activeElement, look = getComputedStyle(at);
  return {widget: at.closest('.dd')?.classList[1], cell: at.classList.contains('jp-Cell'),
    ring: look.outlineStyle !== 'none' && parseFloat(look.outlineWidth) >= 2}; }"""
STICKS_OUT = """() => [...document.querySelectorAll('.dd')].flatMap((root) => {
  root.style.width = '360px';
  const edge = root.getBoundingClientRect().right + 1, shown = (n) => n.getClientRects().length > 0;
  return [...root.querySelectorAll('*')].filter((n) => shown(n) && n.getBoundingClientRect().right > edge)
    .map((n) => `${root.className}: ${n.tagName} ${n.className}`); })"""
MOTION = """() => [...document.querySelectorAll('.dd, .dd *')].filter((n) => { const look = getComputedStyle(n);
  return look.animationName !== 'none' || look.transitionDuration !== '0s'; }).map((n) => n.className)"""
BORDERLESS = """() => [...document.querySelectorAll('.dd, .dd button:not(.dd-file), .dd .dd-bar')]
  .filter((n) => n.getClientRects().length && getComputedStyle(n).borderTopStyle === 'none').map((n) => n.outerHTML)"""


def test_tab_reaches_every_widget_and_escape_leaves_it_and_each_holds_narrow_and_in_forced_colours(tab):
    page = tab.page
    tab.open(tab.lab.write("keys.ipynb", *EVERY.values()))
    tab.run_all()
    widgets = list(EVERY)
    for name in widgets:
        page.locator(f".{name}").first.wait_for(timeout=120_000)
    page.locator(".dd-question input").first.focus()
    met = [page.evaluate(FOCUS)]
    while met[-1]["widget"] and len(met) < 120:
        page.keyboard.press("Tab")
        met.append(page.evaluate(FOCUS))
    assert list(dict.fromkeys(one["widget"] for one in met)) == [*widgets, None]  # in this order, and out again
    assert all(one["ring"] for one in met if one["widget"])
    for name in widgets:
        page.locator(f".{name} button:enabled, .{name} input:enabled").locator("visible=true").first.focus()
        page.keyboard.press("Escape")
        assert page.evaluate(FOCUS)["cell"], name
    assert page.evaluate(STICKS_OUT) == [] and page.evaluate(MOTION) == []
    page.emulate_media(forced_colors="active")
    assert page.evaluate(BORDERLESS) == []
    tab.shoot(".jp-Notebook", "forced-colours-narrow")


THROW = """(text) => new Promise((done) => {
  window.done = done;
  import(URL.createObjectURL(new Blob([`setTimeout(() => { window.done(); throw new Error("${text}"); })`],
    {type: "text/javascript"})));
})"""


def test_an_error_in_a_widgets_script_is_noticed(tab):
    tab.open(tab.lab.write("error.ipynb", "1"))
    tab.page.evaluate(THROW, "planted")
    tab.page.wait_for_timeout(0)  # lets what the page has told arrive
    assert [one for one in tab.problems if "planted" in one]
    tab.problems.clear()


HELD = """
  let state = { seq: 1 }, heard = () => {};
  window.clicked = [];
  const box = document.body.appendChild(make("section", { class: "dd" }));
  const model = {
    get: (name) => (name === "state" ? state : {}),
    on: (name, update) => { if (name === "change:state") heard = update; },
  };
  const button = ({ seq }) => make("button", { onclick: () => window.clicked.push(seq) }, `Snapshot ${seq}`);
  follow(model, box, (state) => redraw(box, button(state)));
  window.next = () => { state = { seq: state.seq + 1 }; heard(); };
"""


@pytest.mark.parametrize("by", ["mouse", "space"])
def test_a_button_that_is_held_while_the_kernel_sends_news_is_still_clicked(tab, by):
    page = tab.page
    page.add_script_tag(content=f"{(HERE / 'common.js').read_text()}\n(() => {{ {HELD} }})();")
    button = page.get_by_role("button")
    press, release = page.mouse.down, page.mouse.up
    if by == "mouse":
        button.hover()
    else:
        button.focus()
        press, release = (lambda: page.keyboard.down(" ")), (lambda: page.keyboard.up(" "))
    press()
    page.evaluate("window.next()")
    page.evaluate("window.next()")
    assert button.inner_text() == "Snapshot 1"
    release()
    page.get_by_role("button", name="Snapshot 3").wait_for()
    assert page.evaluate("window.clicked") == [1]
    page.evaluate("window.next()")
    assert button.inner_text() == "Snapshot 4"
