"""Guess the word: a letter, and the game says which words are still possible."""

import json
from pathlib import Path

WELCOME = "Which letter is in it?"


def possible(letters: str) -> list[str]:
    """Return the words that have all of these letters."""
    index = json.loads(Path("index.json").read_text())
    found = [set(index.get(letter, ())) for letter in letters]
    return sorted(set.intersection(*found)) if found else []


if __name__ == "__main__":
    print(WELCOME)
    for letter in "en":
        print(letter, possible(letter))
