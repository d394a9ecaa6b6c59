"""A sentence of the course with code in it, between two backticks: how it is read where nothing can be set as code,
and as HTML.
"""

from __future__ import annotations

import re
from html import escape

CODE = re.compile(r"`([^`]+)`")


def as_text(sentence: str) -> str:
    """Return the sentence without its backticks.

    >>> as_text("`notes.txt` is new")
    'notes.txt is new'
    """
    return CODE.sub(r"\1", sentence)


def as_html(sentence: str) -> str:
    """Return the sentence as HTML: all of it is escaped, and what stands between backticks is set as code.

    >>> as_html("`notes.txt` is new & <b>small</b>")
    '<code>notes.txt</code> is new &amp; &lt;b&gt;small&lt;/b&gt;'
    """
    return CODE.sub(r"<code>\1</code>", escape(sentence))
