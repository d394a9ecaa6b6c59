"""Whoever answers a question learns what is right: its truth is known, or a later cell of its notebook reveals it."""

import ast
import tomllib
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
BOOKS = sorted([*ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("exercises/*/*.ipynb")])


def kept(path):
    """Return the questions of a notebook or an exercise."""
    beside = path.parent / "questions.toml"
    file = beside if beside.exists() else path.parent / path.stem[:2] / "questions.toml"
    return tomllib.loads(file.read_text())


def asks(call):
    """Return the question that a call asks, and whether it brings the truth along."""
    named = call.func.id == "ask" if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "") == "load"
    words = [one.value for one in call.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    texts = [word for word in words if not word.endswith(".toml")]
    return (texts[0], any(key.arg == "truth" for key in call.keywords)) if named and texts else None


def left_open(code, questions):
    """Return the questions without a truth that no cell reveals, by the variable that asked them.

    >>> left_open(['a = ask("one")', 'a', 'a.reveal(1)', 'b = ask("two")', 'ask("three", truth=len)', 'ask("four")'],
    ...           {"one": {}, "two": {}, "three": {}, "four": {"truth": 1}})
    ['two']
    >>> left_open(['a.reveal(1)', 'a = ask("one")'], {"one": {}})
    ['one']
    """
    known, variables = {id for id, fields in questions.items() if "truth" in fields}, {}
    for node in (node for cell in code for node in ast.walk(ast.parse(cell))):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and asks(node.value):
            variables |= {target.id: asks(node.value)[0] for target in node.targets if isinstance(target, ast.Name)}
        if isinstance(node, ast.Call):
            told = asks(node)
            known |= {told[0]} if told and told[1] else set()
            if isinstance(node.func, ast.Attribute) and node.func.attr == "reveal" and (node.args or node.keywords):
                known.add(variables.get(getattr(node.func.value, "id", None)))
    return sorted(set(questions) - known)


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_every_question_without_a_truth_is_revealed_by_a_later_cell(path):
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    code = ["\n".join(line for line in text.splitlines() if not line.lstrip().startswith(("%", "!"))) for text in cells]
    assert left_open(code, kept(path)) == []
