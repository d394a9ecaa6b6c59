"""Look at scenarios by hand: python tests/conformance/compare.py HOST [HOST] [--only PATTERN] [--record | --recorded]
     [--registry kit]

One address prints the transcripts, two print where they differ; --record writes what the engine said to recorded/,
--recorded compares with that.
"""

import argparse
import difflib
import fnmatch
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from differences import hidden
from suite.engines import Engine
from suite.normal import loose
from suite.recorded import read, write
from suite.scenario import SCENARIOS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("host", nargs="+")
    parser.add_argument("--only", default="*", help="names of scenarios, with * and ,")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--recorded", action="store_true", help="compare with what is recorded")
    parser.add_argument("--registry", default="debian", choices=("debian", "kit"), help="whose registry scenarios use")
    parser.add_argument("--times", action="store_true")
    told = parser.parse_args()
    chosen = [one for one in SCENARIOS if any(fnmatch.fnmatch(one.name, p) for p in told.only.split(","))]
    engines = [Engine(f"engine {n}", host) for n, host in enumerate(told.host)]
    differing, seconds = 0, [0.0] * len(engines)
    for one in chosen:
        said = []
        for n, engine in enumerate(engines):
            start = time.perf_counter()
            said.append(engine.perform(one, told.registry))
            took = time.perf_counter() - start
            seconds[n] += took
            if told.times:
                print(f"{took:6.2f} s  {one.name}", file=sys.stderr)
        if told.recorded:
            said = [loose(text) for text in said]
            said.insert(0, loose(read(one.name)))
        if told.record:
            write(one.name, said[0])
        if len(said) == 1:
            print(f"=== {one.name}: {one.rule}\n{said[0]}", flush=True)
        elif (said := [hidden(text, one.known, engines[-1].rung) for text in said]) and said[0] != said[1]:
            differing += 1
            print(f"=== {one.name}: {one.rule}")
            print(
                "\n".join(difflib.unified_diff(*(s.splitlines() for s in said), "one", "other", lineterm="", n=2)),
                flush=True,
            )
    for engine in engines:
        engine.close()
    print(f"{len(chosen)} scenarios, {differing} differ; seconds: {[round(s, 1) for s in seconds]}", file=sys.stderr)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
