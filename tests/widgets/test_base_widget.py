"""Rules that hold for every widget."""

import re
import shutil
import subprocess
import time
from pathlib import Path

import drydock_widgets
import pytest
from drydock_widgets.base import Picture, Throttle
from drydock_widgets.card import MAX_HTML, Code, Mark, drawing, figure, safe

HERE = Path(drydock_widgets.__file__).parent
SCRIPTS = sorted(path for path in HERE.glob("*.js"))


class Sign(Picture):
    """The smallest widget."""

    arguments = ("prompt",)
    _esm = "export default { render() {} }"

    def snapshot(self):
        return {"text": "hello"}


def test_throttle_always_sends_the_last_value():
    sent = []
    throttle = Throttle(sent.append, period=0.05)
    for n in range(200):
        throttle.push(n)
    assert sent[0] == 0 and len(sent) < 20
    end = time.monotonic() + 30
    while sent[-1] != 199 and time.monotonic() < end:
        time.sleep(0.01)
    assert sent[-1] == 199


def test_throttle_sends_what_waits_when_flushed():
    sent = []
    throttle = Throttle(sent.append, period=60)
    throttle.push(1)
    throttle.push(2)
    throttle.flush()
    throttle.flush()
    assert sent == [1, 2]


def test_an_unknown_argument_is_refused_with_the_nearest_name():
    with pytest.raises(TypeError, match=r"does not know the argument 'promt'\. Did you mean 'prompt'\?"):
        Sign(promt="?")


def test_strangers_text_never_becomes_markup_or_control():
    nasty = '<script>alert(1)</script>"\x1b[2J\u202e\udcff'
    html = figure(nasty, nasty, [Mark("+", nasty)], [nasty], [[nasty]])
    assert "<script" not in html and "\x1b" not in html and "\u202e" not in html
    html.encode()
    assert "<script" not in drawing(nasty, [Mark(nasty, nasty, 1, nasty)])


def test_code_in_a_sentence_is_set_as_code_and_in_an_image_as_text_and_code_keeps_its_backticks():
    rows = [["`a.txt` is new", Code("RUN echo `date`")]]
    html = figure("`a.txt` changed", "t", [], ["Why", "Instruction"], rows)
    assert 'alt="a.txt changed"' in html and "<figcaption><code>a.txt</code> changed</figcaption>" in html
    assert "<td><code>a.txt</code> is new</td><td><code>RUN echo `date`</code></td>" in html
    drawn = drawing("t", [Mark("", "`a.txt` is new"), Mark("", Code("RUN echo `date`"))])
    assert ">a.txt is new<" in drawn and ">RUN echo `date`<" in drawn


def test_a_still_picture_stays_small_and_says_what_it_left_out():
    marks = [Mark("+ ran", f"<{n}>" * 60, 1) for n in range(5000)]
    html = figure("s", "t", marks, ["a"], [["<&>" * 60]] * 5000)
    assert len(html) <= MAX_HTML and " more</td>" in html
    assert "and 4976 more" in drawing("t", marks)


def test_safe_keeps_ordinary_text():
    assert safe("RUN echo 'Grüße' > /tmp/ü") == "RUN echo 'Grüße' > /tmp/ü"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_parse_and_put_no_text_in_as_markup(script):
    text = script.read_text()
    elsewhere = text.replace('"http://www.w3.org/2000/svg"', "")  # a name, which nobody fetches
    assert not any(
        word in elsewhere for word in ("innerHTML", "outerHTML", "insertAdjacent", "http:", "https:", "import ")
    )
    if shutil.which("node") is None:
        pytest.skip("no node: it only checks the syntax of the scripts")
    whole = text if script.name == "common.js" else (HERE / "common.js").read_text() + text
    check = ["node", "--check", "--input-type=module", "-"]
    done = subprocess.run(check, input=whole, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_widget_bears_no_other_widgets_name_and_its_style_reaches_no_other(script):
    names = {path.stem for path in SCRIPTS} - {"common"}
    own, style = script.stem, script.with_suffix(".css").read_text()
    elsewhere = [name for name in names - {own} if re.search(rf"\bdd-{name}\b", script.read_text() + style)]
    assert elsewhere == []
    rules = re.findall(r"([^{}@;]+)\{", re.sub(r"@[^{]+\{", "", style))
    prefix = r"\.dd(\W|$)" if own == "common" else rf"(\.dd)?\.dd-{own}\b"
    selectors = [one.strip() for rule in rules for one in re.sub(r"\([^()]*\)", "", rule).split(",")]
    assert len(selectors) > 3 and [one for one in selectors if not re.match(prefix, one)] == []
