"""The glossary and the map of the lecture name places that exist, and each misconception is provoked somewhere."""

import re
import tomllib
from functools import cache
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PLACE = re.compile(r"`(\d\d|ex\d)/([\w-]+)`")
MISCONCEPTIONS = 16


@cache
def notebook(key):
    """Return the course's notebook of that number, or the exercise's; None where there is none."""
    found = sorted(ROOT.glob(f"notebooks/{key}-*.ipynb")) + sorted(ROOT.glob(f"exercises/{key}-*/*.ipynb"))
    return found[0] if found else None


@cache
def questions(key):
    folder = ROOT / "notebooks" / key if key.isdigit() else notebook(key).parent
    return set(tomllib.loads((folder / "questions.toml").read_text()))


@cache
def cells(key):
    return {cell.id for cell in nbformat.read(notebook(key), as_version=4).cells}


def rows(text, heading):
    """Return the cells of the table under a heading, row by row, without its head."""
    table = re.search(rf"## {heading}[^#]*?\n\|.*\n\|[-|]+\|\n((?:\|.*\n)+)", text)
    return [line.strip("|").split("|") for line in table[1].splitlines()]


@pytest.mark.parametrize("name", ["glossary.md", "lecture.md"])
def test_every_notebook_cell_and_question_that_is_named_exists(name):
    places = PLACE.findall((DOCS / name).read_text())
    assert len(places) > 20
    assert sorted({key for key, _ in places if notebook(key) is None}) == []
    assert [f"{key}/{id}" for key, id in places if id not in cells(key) | questions(key)] == []


def test_each_misconception_is_provoked_by_a_question():
    found = rows((DOCS / "lecture.md").read_text(), "Sixteen misconceptions")
    asked = {row[0].strip(): [id in questions(key) for key, id in PLACE.findall(row[1])] for row in found}
    assert len(asked) == MISCONCEPTIONS
    assert [what for what, places in asked.items() if not places or not all(places)] == []


def test_every_part_and_example_of_the_lecture_has_a_place():
    text = (DOCS / "lecture.md").read_text()
    for heading in ("Its parts", "Its own examples", "What has aged"):
        assert [row[0] for row in rows(text, heading) if not PLACE.search(row[-1])] == []


def test_a_word_of_the_glossary_is_told_once_in_the_order_of_the_alphabet():
    lines = (DOCS / "glossary.md").read_text().splitlines()
    words = [line.split("|")[1].strip(" `.").lower() for line in lines if PLACE.search(line)]
    assert words == sorted(set(words))
