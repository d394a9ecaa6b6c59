"""Which checks a test cell calls, read from its text: nothing is executed to find out."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

HIDDEN = re.compile(
    r"^[^\n]*BEGIN HIDDEN TESTS[^\n]*\n(.*?)^[^\n]*END HIDDEN TESTS[^\n]*(?:\n|\Z)", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Call:
    """One `check("id")` of a test cell."""

    id: str
    hidden: bool = False


def calls(source: str) -> tuple[Call, ...]:
    r"""Return the checks that a test cell calls, those between `BEGIN` and `END HIDDEN TESTS` marked as hidden.

    >>> calls('check("ex1.base")\n### BEGIN HIDDEN TESTS\ncheck("ex1.nonce")\n### END HIDDEN TESTS')
    (Call(id='ex1.base', hidden=False), Call(id='ex1.nonce', hidden=True))
    """
    parts = [(shown(source), False), *((body, True) for body in HIDDEN.findall(source))]
    return tuple(Call(id, hidden) for text, hidden in parts for id in _ids(text))


def shown(source: str) -> str:
    r"""Return a cell's text without its hidden tests.

    >>> shown("a = 1\n### BEGIN HIDDEN TESTS\nassert a\n### END HIDDEN TESTS\nb = 2")
    'a = 1\nb = 2'
    """
    return HIDDEN.sub("", source)


def _ids(text: str) -> list[str]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _name(node.func) == "check"]
    found.sort(key=lambda node: (node.lineno, node.col_offset))
    return [
        arg.value for n in found for arg in n.args[:1] if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
    ]


def _name(function: ast.expr) -> str:
    return (
        function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
    )
