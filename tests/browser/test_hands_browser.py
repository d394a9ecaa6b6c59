"""Hands as people have them: they click words, and meet several widgets of a kind in one page."""

import tomllib
from pathlib import Path

import pytest
from drawn import BUILD, CONTAINERS, IMAGE, MOVES, SHOP, STACKS
from drydock import record

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
BEGIN = """
from drydock_widgets import diagram
from drydock_widgets.question import Question
from IPython.display import HTML, display

def pair(kind, *more, **named):
    about = dict(notebook=kind, explanation="As `docker` says.", **named)
    first, second = (Question(kind, f"The {which} {kind}?", *more, id=which, **about) for which in ("first", "second"))
    display(first, second, second)  # the second in two views
"""
PAIRS = {
    "choice": 'pair("choice", ["Yes", "No `sir`"])',
    "several": 'pair("several", ["One", "Two", "Three"])',
    "number": 'pair("number", unit="MB")',
    "text": 'pair("text")',
    "order": 'pair("order", ["COPY . .", "RUN make", "FROM scratch"])',
}
OTHERS = {  # what is clicked in the second of two, and what it then says
    "buildcache": (BUILD, "app.py", ".dd-sentence", "app.py edited"),
    "layerstack": (IMAGE, "RUN fetch big > /tmp/big && <img src=x onerror=alert(1)>", ".dd-views", "Layer 1 wrote"),
    "writablelayer": (CONTAINERS, "bob", ".dd-name", "docker diff bob"),
    "transfer": (MOVES, "lab/<i>shop</i>", ".dd-detail", "lists them here, too"),
    "stacks": (STACKS, "follow a write to a file", ".dd-way", "Container: "),
    "shop": (SHOP, "payment", ".dd-detail", "payment of the services: since"),
}
STILL = """
stages = "FROM scratch AS a\\nFROM scratch\\nCOPY --from=a / /\\n"
for _ in range(2):
    display(diagram.stages(stages), HTML(WritableLayer(steps())._repr_mimebundle_()["text/html"]))
"""
REFERENCES = """() => {
  const names = ['for', 'form', 'list', 'headers', ...'labelledby describedby controls owns details activedescendant'
    .split(' ').map((name) => `aria-${name}`)];
  const roots = [...document.querySelectorAll('.dd, figure')];
  const ids = [...document.querySelectorAll('.dd [id], figure [id]')].map((node) => node.id);
  const named = (node) => [...node.attributes].flatMap(({ name, value }) =>
    names.includes(name) ? value.split(/\\s+/)
      : [...value.matchAll(/url\\(#([^)]+)\\)|^#(\\S+)$/g)].map((found) => found[1] || found[2]));
  const groups = [...document.querySelectorAll('.dd input[type=radio]')].map((one) =>
    [...document.getElementsByName(one.name)].filter((other) => other.form === one.form));
  return { seen: roots.length, radios: groups.length,
    twice: ids.filter((id) => document.querySelectorAll(`[id="${CSS.escape(id)}"]`).length > 1),
    away: roots.flatMap((root) => [...root.querySelectorAll('*')].flatMap(named)
      .filter((id) => !root.querySelector(`[id="${CSS.escape(id)}"]`))),
    shared: groups.filter((group) => new Set(group.map((one) => one.closest('.dd'))).size > 1)
      .map(([one]) => one.name) };
}"""


@pytest.fixture(scope="module")
def crowd(shared_tab):
    """One page with three views of two questions of each kind, and two of each other widget."""
    cells = [one for cell, *_ in OTHERS.values() for one in (cell, cell)]
    shared_tab.open(shared_tab.lab.write("crowd.ipynb", BEGIN, *PAIRS.values(), *cells, STILL))
    shared_tab.run_all()
    shared_tab.page.locator(".dd").nth(3 * len(PAIRS) + 2 * len(OTHERS) - 1).wait_for()
    shared_tab.page.locator("figure").nth(3).wait_for()
    return shared_tab


def test_no_name_in_a_widget_is_also_anothers_and_none_points_into_another(crowd):
    found = crowd.page.evaluate(REFERENCES)
    assert found.pop("seen") == 3 * len(PAIRS) + 2 * len(OTHERS) + 4 and found.pop("radios") == 6
    assert found == {"twice": [], "away": [], "shared": []}


def click(box, words):
    """Click words as a reader does: where they stand."""
    box.get_by_text(words, exact=True).first.click(position={"x": 30, "y": 8})


def answer(box, fields, answer):
    """Answer a question by hand, and send it off."""
    if fields["kind"] in ("choice", "several"):
        for words in [answer] if isinstance(answer, str) else answer:
            click(box, words.replace("`", ""))
    elif fields["kind"] == "order":
        for place, line in enumerate(answer):
            while box.locator(".dd-lines li > span").all_inner_texts().index(line) > place:
                box.get_by_label(f"Move up: {line}", exact=True).click()
    else:
        box.locator("input").fill(str(answer))
    box.get_by_text("That is my guess").click()


GIVEN = {
    "choice": "No `sir`",
    "several": ["Two", "Three"],
    "number": "20,5",
    "text": "docker build",
    "order": ["FROM scratch", "RUN make", "COPY . ."],
}
SAID = {
    "choice": "No sir",
    "several": "Two, Three",
    "number": "20.5 MB",
    "text": "docker build",
    "order": "FROM scratch > RUN make > COPY . .",
}


@pytest.mark.parametrize("kind", PAIRS)
def test_the_words_of_the_second_question_answer_the_second_and_both_its_views_say_so(kind, crowd):
    first, second, again = (
        crowd.page.locator(".dd-question", has_text=f"The {which} {kind}?").nth(n)
        for which, n in (("first", 0), ("second", 0), ("second", 1))
    )
    answer(second, {"kind": kind}, GIVEN[kind])
    for view in (second, again):
        view.locator(".dd-sentence", has_text=f"You said: {SAID[kind]}").wait_for()
    assert "You said" not in first.inner_text()
    answer(first, {"kind": kind}, GIVEN[kind])
    first.locator(".dd-sentence", has_text="You said").wait_for()
    checked = {"choice": 1, "several": 2}.get(kind, 0)
    assert [view.locator("input:checked").count() for view in (first, second, again)] == [checked] * 3


@pytest.mark.parametrize("widget", OTHERS)
def test_the_words_in_the_second_widget_of_a_kind_are_the_seconds(widget, crowd):
    _, words, place, told = OTHERS[widget]
    first, second = (crowd.page.locator(f".dd-{widget}").nth(n) for n in (0, 1))
    before = first.inner_text()
    second.get_by_text(words, exact=True).locator("visible=true").last.click()
    second.locator(place, has_text=told).first.wait_for()
    assert first.inner_text() == before


def test_code_in_a_sentence_is_set_as_code_and_no_backtick_is_left(crowd):
    crowd.page.locator(
        ".dd-buildcache .dd-sentence code", has_text="app.py"
    ).first.wait_for()  # edited, by the test above
    seen = "() => [...document.querySelectorAll('.dd, figure, figure + details')].map((one) => one.textContent)"
    assert [text for text in crowd.page.evaluate(seen) if "`" in text] == []


FILES = sorted([*ROOT.glob("notebooks/*/questions.toml"), *ROOT.glob("exercises/*/questions.toml")])
ASK = """
path = {path!r}
asked += [Question.load(path, id) for id in tomllib.loads(Path(path).read_text())]
display(*asked[-{count}:])
"""
REVEAL = "for one in asked:\n    one.revealed or one.reveal(one.answer)"


def test_every_question_of_the_course_is_answered_by_its_words_and_revealed(tab, monkeypatch):
    kept = {path: tomllib.loads(path.read_text()) for path in FILES}
    begin = "import tomllib\nfrom pathlib import Path\nfrom drydock_widgets.question import Question\nasked = []"
    cells = [ASK.format(path=str(path), count=len(questions)) for path, questions in kept.items()]
    tab.open(tab.lab.write("asked.ipynb", begin, *cells, REVEAL))
    for n in range(1 + len(cells)):
        tab.run(n)
    asked = [(path.parent.name, id, fields) for path, found in kept.items() for id, fields in found.items()]
    boxes = tab.page.locator(".dd-question")
    boxes.nth(len(asked) - 1).wait_for()
    given = {}
    for n, (notebook, id, fields) in enumerate(asked):
        right = fields.get("truth", {"choice": fields.get("choices", [""])[-1], "number": 7}.get(fields["kind"]))
        answer(boxes.nth(n), fields, right)
        given[notebook, id] = right
    boxes.locator(".dd-sentence", has_text="You said").nth(len(asked) - 1).wait_for()
    tab.run(1 + len(cells))
    tab.page.wait_for_function(
        "(n) => document.querySelectorAll('.dd-question[data-outcome=right]').length === n", arg=len(asked)
    )
    monkeypatch.setenv("DRYDOCK_HOME", str(tab.lab.root.parent / "drydock"))
    last = {(one["notebook"], one["question"]): (one["answer"], one["right"]) for one in record.predictions()}
    assert {key: last.get(key) for key in given} == {key: (right, True) for key, right in given.items()}
