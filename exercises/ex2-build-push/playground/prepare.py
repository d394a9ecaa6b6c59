"""Turn names.txt into names.json: slow, as installing packages is, and needed once for each names.txt."""

import json
import time
from pathlib import Path

HERE = Path(__file__).parent

names = {}
for line in (HERE / "names.txt").read_text(encoding="utf-8").splitlines():
    name, _, meaning = line.partition(": ")
    print(f"preparing {name} ...", flush=True)
    time.sleep(0.5)
    names[name] = meaning
(HERE / "names.json").write_text(json.dumps(names, indent=1, sort_keys=True), encoding="utf-8")
