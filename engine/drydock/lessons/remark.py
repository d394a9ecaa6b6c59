"""An error that is no fault of a program: something that a cell needs has not been done yet."""

from __future__ import annotations


class Remark(Exception):
    """Something has to be done first; a notebook shows what the message says, and no traceback.

    A traceback leads to the line of a program that is wrong. Here none is: the learner's next step is in the message.
    """

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows of it (IPython.core.interactiveshell.InteractiveShell.showtraceback)."""
        return str(self).splitlines()
