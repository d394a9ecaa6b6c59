"""What dockerd 20.10 said to each scenario, kept as text: the other side where a machine has no dockerd."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent.parent / "recorded"


def read(name: str) -> str:
    """Return the recorded transcript of a scenario."""
    try:
        return (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    except FileNotFoundError:
        raise LookupError(f"nothing is recorded for {name}: compare.py HOST --only {name} --record") from None


def write(name: str, transcript: str) -> None:
    """Record a transcript."""
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.txt").write_text(transcript, encoding="utf-8")
