"""The still picture of a widget: what a saved notebook, a printout or a screen reader gets of it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from drydock.model.prose import as_html, as_text

MAX_HTML = 30_000  # characters: more than that makes a notebook slow to open and hard to review
MAX_MARKS = 24
INK, PAPER, BAR, EDGE = "#1a1a1a", "#ffffff", "#c7d8f0", "#44618c"


def safe(text: object, limit: int = 200) -> str:
    """Return a text that can be shown anywhere: what cannot be printed (or would turn the line round) is replaced.

    Names, paths and log lines come from strangers' images.

    >>> safe("a\\x1b[31mb\\u202ec")
    'a�[31mb�c'
    >>> safe("a long line", 6)
    'a lon…'
    """
    shown = "".join(c if c.isprintable() else "\ufffd" for c in str(text).replace("\n", " ").replace("\t", " "))
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


class Code(str):
    """A text that is code from end to end, or a name from outside: a backtick in it is its own."""


def written(text: object, limit: int = 200) -> str:
    """Return a text for a place where nothing can be set as code, such as an image.

    >>> written("`notes.txt` is new"), written(Code("RUN echo `date`"))
    ('notes.txt is new', 'RUN echo `date`')
    """
    return safe(text if isinstance(text, Code) else as_text(str(text)), limit)


def _cell(text: object) -> str:
    return f"<code>{escape(safe(text))}</code>" if isinstance(text, Code) and text else as_html(safe(text))


@dataclass(frozen=True)
class Mark:
    """One line of the picture: a state as glyph and word, a text, and a bar where there is something to measure."""

    state: str  # glyph and word, never a colour alone
    text: str
    size: float = 0  # from 0 to 1: length of the bar
    note: str = ""
    dashed: bool = False


def drawing(title: str, marks: Sequence[Mark]) -> str:
    """Return the marks as SVG on a light card of its own: inside an image the page's theme cannot be seen."""
    shown = marks[:MAX_MARKS]
    height = 44 + 24 * (len(shown) + (len(marks) > MAX_MARKS))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="720" height="{height}" viewBox="0 0 720 {height}" '
        f'font-family="sans-serif" font-size="13" fill="{INK}">'
        f'<rect x="1" y="1" width="718" height="{height - 2}" rx="6" fill="{PAPER}" stroke="{EDGE}"/>'
        f'<text x="14" y="24" font-weight="bold">{escape(written(title, 95))}</text>'
    ]
    for n, mark in enumerate(shown):
        y = 34 + 24 * n
        if mark.size > 0:
            dash = ' stroke-dasharray="4 3"' if mark.dashed else ""
            fill = "none" if mark.dashed else BAR
            width = max(2, round(mark.size * 470))
            parts.append(f'<rect x="120" y="{y}" width="{width}" height="20" fill="{fill}" stroke="{EDGE}"{dash}/>')
        parts.append(f'<text x="14" y="{y + 15}">{escape(safe(mark.state, 16))}</text>')
        parts.append(f'<text x="126" y="{y + 15}">{escape(written(mark.text, 68))}</text>')
        parts.append(f'<text x="706" y="{y + 15}" text-anchor="end">{escape(written(mark.note, 24))}</text>')
    if len(marks) > MAX_MARKS:
        parts.append(f'<text x="126" y="{height - 14}">and {len(marks) - MAX_MARKS} more</text>')
    return "".join(parts) + "</svg>"


def table(head: Sequence[str], rows: Sequence[Sequence[object]], limit: int) -> str:
    """Return the rows as an HTML table of about `limit` characters at most; it says how many were left out."""
    made = "<tr>" + "".join(f"<th>{escape(safe(name))}</th>" for name in head) + "</tr>"
    for n, row in enumerate(rows):
        line = "<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>"
        if len(made) + len(line) > limit:
            made += f'<tr><td colspan="{len(head)}">and {len(rows) - n} more</td></tr>'
            break
        made += line
    return f"<table>{made}</table>"


def figure(
    sentence: str, title: str, marks: Sequence[Mark], head: Sequence[str], rows: Sequence[Sequence[object]]
) -> str:
    """Return the still picture as HTML that JupyterLab keeps even in a notebook it does not trust.

    It strips inline SVG, style and script there; an image with a data URL, a caption and a table stay.
    """
    image = base64.b64encode(drawing(title, marks).encode()).decode()
    begin = (
        f'<figure><img alt="{escape(written(sentence, 600))}" src="data:image/svg+xml;base64,{image}">'
        f"<figcaption>{as_html(safe(sentence, 600))}</figcaption></figure>"
        "<details><summary>The same as a table</summary>"
    )
    return begin + table(head, rows, MAX_HTML - len(begin) - 200) + "</details>"
