"""Question: the answer is kept, the truth stays hidden until it is known, and nothing waits."""

import json
from pathlib import Path

import pytest
from drydock import record
from drydock_widgets.question import Question

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("DRYDOCK_HOME", str(tmp_path))


def browser_says(question, **message):
    question._heard(question, message, [])


def test_truth_is_not_sent_to_the_browser_before_the_answer():
    question = Question("choice", "?", ["yes", "no"], truth="no", explanation="because")
    assert "because" not in json.dumps(question.state) and "truth" not in question.state
    browser_says(question, answer="yes")
    assert question.state["truth"] == "no" and question.state["why"] == "because" and not question.state["right"]


def test_an_answer_is_kept_with_its_question():
    question = Question("number", "?", unit="MB", tolerance=1, id="size", notebook="05")
    browser_says(question, answer="20,5")
    kept = record.predictions()[-1]
    assert (kept["notebook"], kept["question"], kept["answer"], kept["truth"]) == ("05", "size", 20.5, None)
    question.reveal(21)
    assert record.predictions()[-1]["truth"] == 21 and question.right


def asked(notebook="05", **more):
    """Return a question whose cell is run (again): a new object each time, as in a new kernel."""
    fields = {"kind": "choice", "prompt": "Is it?", "choices": ["yes", "no"], "id": "is-it", "notebook": notebook}
    return Question(**fields | more)


def test_a_question_that_is_run_again_shows_the_answer_that_the_record_has():
    browser_says(asked(), answer="yes")
    browser_says(asked(), answer="no")
    again = asked()
    assert again.state["answer"] == "no" and again.state["sentence"] == "Kept. You said: no"
    assert "You said: no" in again.picture() and "You said: no" in again._repr_mimebundle_()["text/html"]
    assert again.reveal("yes").state["right"] is False


def test_what_was_revealed_before_is_revealed_when_run_again():
    browser_says(asked(truth="no", explanation="because"), answer="yes")
    again = asked(truth="no", explanation="because")
    assert again.state["revealed"] and again.state["why"] == "because"
    assert again.state["sentence"] == "! You said: yes | It was: no"


@pytest.mark.parametrize(
    "other", [{"id": "other"}, {"notebook": "06"}, {"choices": ["maybe", "never"]}, {"id": "", "notebook": ""}], ids=str
)
def test_another_questions_answer_is_not_shown(other):
    browser_says(asked(), answer="yes")
    browser_says(Question("choice", "?", ["yes", "no"]), answer="yes")
    assert asked(**other).answer is None


def test_another_learners_answer_is_not_shown(monkeypatch):
    browser_says(asked(), answer="yes")
    monkeypatch.setenv("DRYDOCK_LEARNER", "ada")
    assert asked().answer is None


@pytest.mark.parametrize(
    ("kind", "choices", "answer"),
    [
        ("number", [], 20.5),
        ("text", [], "build"),
        ("several", ["a", "b"], ["b", "a"]),
        ("order", ["a", "b"], ["b", "a"]),
    ],
)
def test_each_kind_of_answer_comes_back(kind, choices, answer):
    browser_says(asked(kind=kind, choices=choices), answer=answer)
    assert asked(kind=kind, choices=choices).state["answer"] == answer


def test_running_a_notebook_again_adds_nothing_to_the_record():
    browser_says(asked(), answer="yes")
    asked().reveal("no")
    before = record.predictions()
    asked().reveal("no")
    asked(truth="no")
    assert record.predictions() == before and len(before) == 2


def test_the_saved_picture_marks_what_was_said_and_what_was_right():
    question = asked(kind="several", choices=["a", "b", "c", "d"], truth=["a", "b"])
    assert [mark.state for mark in question.still()[2]] == ["", "", "", ""]
    browser_says(question, answer=["a", "c"])
    sentence, _, marks, *_ = question.still()
    assert sentence == "Is it? ! You said: a, c | It was: a, b"
    assert [mark.state for mark in marks] == ["= yours, right", "< right", "! yours, wrong", ""]
    order = asked(kind="order", truth=["no", "yes"])
    order.answer = ["yes", "no"]
    assert [mark.state for mark in order.still()[2]] == ["", ""] and "You said: yes > no" in order.still()[0]


@pytest.mark.parametrize(
    ("number", "unit", "said"),
    [(1, "layers", "1 layer"), (2, "layers", "2 layers"), (1, "MB", "1 MB"), (0.5, "s", "0.5 s"), (1, "", "1")],
)
def test_one_is_told_in_the_singular(number, unit, said):
    question = Question("number", "?", unit=unit, truth=3)
    browser_says(question, answer=str(number))
    assert f"You said: {said} |" in question.state["sentence"]


def test_once_revealed_the_answer_stands():
    question = Question("choice", "?", ["yes", "no"], truth="no")
    browser_says(question, answer="yes")
    browser_says(question, answer="no")
    assert question.answer == "yes" and "It was: no" in question.state["sentence"]


@pytest.mark.parametrize(
    ("kind", "choices", "truth", "good", "bad"),
    [
        ("several", ["a", "b", "c"], ["a", "c"], ["c", "a"], ["a"]),
        ("order", ["b", "a"], ["a", "b"], ["a", "b"], ["b", "a"]),
        ("text", [], "docker build", " Docker  build", "docker"),
        ("number", [], 3, "3", "4"),
        ("choice", ["x", "y"], "x", "x", "y"),
    ],
)
def test_each_kind_tells_right_from_wrong(kind, choices, truth, good, bad):
    for answer, right in ((good, True), (bad, False)):
        question = Question(kind, "?", choices, truth)
        browser_says(question, answer=answer)
        assert question.right is right


@pytest.mark.parametrize(
    ("kind", "answer"), [("number", "many"), ("choice", "z"), ("several", 5), ("order", ["a"]), ("number", None)]
)
def test_a_bad_answer_is_refused_in_one_sentence_and_not_kept(kind, answer):
    question = Question(kind, "?", ["a", "b"])
    browser_says(question, answer=answer)
    assert question.answer is None and question.state["problem"] and not record.predictions()


def test_a_headless_run_shows_prompt_and_truth():
    bundle = Question("choice", "Is it?", ["yes", "no"], "no", "Because.")._repr_mimebundle_()
    assert bundle["text/plain"] == "Is it?\n  ( ) yes\n  ( ) no\nIt is: no\nBecause."
    assert "<td>no</td>" in bundle["text/html"] and "<script" not in bundle["text/html"]


def test_a_truth_may_be_a_function_of_what_happened():
    happened = []
    question = Question("number", "?", truth=lambda: len(happened) or None)
    browser_says(question, answer=2)
    assert not question.revealed
    happened += [1, 2]
    assert question.reveal().right


def test_every_question_of_the_notebooks_can_be_asked():
    paths = sorted(NOTEBOOKS.glob("*/questions.toml"))
    import tomllib

    for path in paths:
        for id, fields in tomllib.loads(path.read_text()).items():
            question = Question.load(path, id)
            assert question.notebook == path.parent.name
            if "truth" in fields:
                question.answer = fields["truth"]
                assert question.right, id


def test_a_missing_question_is_named_with_those_there_are():
    with pytest.raises(KeyError, match="no question 'nope'"):
        Question.load(NOTEBOOKS / "05" / "questions.toml", "nope")
