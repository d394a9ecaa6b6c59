"""Indexes words.txt by their letters into index.json, with what install.py put into site/."""

import json
from hashlib import sha256
from pathlib import Path

salt = Path("site/letters.txt").read_bytes()
index = {}
for word in Path("words.txt").read_text().split():
    for letter in sorted(set(word)):
        for _ in range(15_000):
            salt = sha256(salt + letter.encode()).digest()
        index.setdefault(letter, []).append(word)
Path("index.json").write_text(json.dumps(index, sort_keys=True))
