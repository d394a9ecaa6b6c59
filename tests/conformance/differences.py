"""What is known to differ between dockerd and the embedded engine, each thing once and with its reason.

A scenario names the entries that apply to it. An entry rewrites lines of the transcripts so that only what is known
to differ becomes equal; one that no scenario needs fails `test_every_known_difference_is_needed`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """One thing that differs: what a learner sees, why, and the text that is put in its place on both sides."""

    what: str
    why: str
    pattern: str
    put: str = "<known difference>"

    def hide(self, transcript: str) -> str:
        """Return the transcript with what is known to differ replaced."""
        return re.sub(self.pattern, self.put, transcript, flags=re.MULTILINE)


DIFFERENCES: dict[str, Difference] = {}


def hidden(transcript: str, names: tuple[str, ...] | list[str]) -> str:
    """Return a transcript without the known differences of these names."""
    for name in names:
        transcript = DIFFERENCES[name].hide(transcript)
    return transcript
