"""Every link leads to a file that is there, and a learner who follows the notebooks comes to each exercise."""

import re
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"))
EXERCISES = sorted(ROOT.glob("exercises/*/ex*.ipynb"))
PAGES = [*sorted(ROOT.glob("docs/*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
LINK = re.compile(r"(?<!`)\]\(([^)\s]+)\)")


def links(path):
    """Return where the links of a notebook's texts, or of a page, lead to on this machine."""
    if path.suffix == ".ipynb":
        cells = nbformat.read(path, as_version=4).cells
        text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    else:
        text = path.read_text(encoding="utf-8")
    targets = [unquote(target.partition("#")[0]) for target in LINK.findall(text) if "://" not in target]
    return [(path.parent / target).resolve() for target in targets if target]


@pytest.mark.parametrize("path", [*NOTEBOOKS, *EXERCISES, *PAGES], ids=lambda path: path.stem)
def test_every_link_leads_to_a_file(path):
    assert [str(target) for target in links(path) if not target.exists()] == []


def test_every_exercise_is_linked_from_the_start_and_where_it_can_be_done():
    assert len(EXERCISES) == 3
    linked = {path.name[:2]: set(links(path)) for path in NOTEBOOKS}
    assert set(NOTEBOOKS[1:]) | set(EXERCISES) <= linked["00"]
    assert all(path in linked[after] for path, after in zip(EXERCISES, ("05", "06", "08"), strict=True))
    assert all(following in links(path) for path, following in pairwise(NOTEBOOKS))


@pytest.mark.parametrize("path", EXERCISES, ids=lambda path: path.stem)
def test_no_link_of_an_exercise_leads_out_of_its_folder(path):
    """It is also handed out alone, and unpacked where nothing else of the course lies beside it."""
    assert [str(target) for target in links(path) if not target.is_relative_to(path.parent)] == []
