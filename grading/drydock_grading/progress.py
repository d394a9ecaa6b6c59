"""How far a long row of like things has come: one line for each, and when the rest will be done."""

from __future__ import annotations

import time


class Progress:
    """Counts steps towards a known number, and prints a line for each as it ends."""

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0
        self.began = time.monotonic()

    def step(self, name: str, text: str) -> None:
        """Print that one more is done, and how long the others will take if they take as long."""
        self.done += 1
        print(line(self.done, self.total, name, text, time.monotonic() - self.began), flush=True)


def line(done: int, total: int, name: str, text: str, seconds: float) -> str:
    """Return the line of one step.

    >>> line(3, 12, "ada", "20 of 24", 6.0)
    '[##------]  3/12  ada: 20 of 24  (18 s left)'
    """
    bar = "#" * (8 * done // total)
    left = seconds / done * (total - done)
    rest = f"  ({left / 60:.0f} min left)" if left >= 120 else f"  ({left:.0f} s left)" if done < total else ""
    return f"[{bar:-<8}] {done:>{len(str(total))}}/{total}  {name}: {text}{rest}"
