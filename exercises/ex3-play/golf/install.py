"""Installs the packages that packages.txt names, into site/. It stands for `pip install`, and takes its time."""

from hashlib import sha256
from pathlib import Path

site = Path("site")
site.mkdir(exist_ok=True)
for name in Path("packages.txt").read_text().split():
    work = name.encode()
    for _ in range(1_500_000):
        work = sha256(work).digest()
    (site / f"{name}.txt").write_text(work.hex())
