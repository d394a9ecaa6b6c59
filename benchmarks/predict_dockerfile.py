"""A Dockerfile of 300 steps parsed and predicted, for both builders, beside reading the same text alone.

What a learner waits for between an edit and the new prediction, engine apart: parse, resolve every step against a
context of 1,000 files, and say hit or miss with a reason for each.

    python benchmarks/predict_dockerfile.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from drydock.model.cache import Known, Plan
from drydock.model.context import Context, regular
from drydock.model.dockerfile import parse
from drydock.model.resolve import Base

STEPS, FILES, ROUNDS = 300, 1_000, 15
KINDS = (
    "RUN echo {n} && make part{n}",
    "COPY src/file{n}.py /app/",
    "ENV PART{n}=${{PART{n}:-value{n}}}",
    "WORKDIR /app/part{n}",
    "LABEL part{n}=yes",
    "COPY src/file{n}.py src/file1.py /both/",
)


def text() -> str:
    """Return the Dockerfile: 300 steps of six kinds on one base."""
    return "FROM base\n" + "\n".join(KINDS[n % len(KINDS)].format(n=n) for n in range(STEPS)) + "\n"


def median(work: Callable[[], object]) -> float:
    """Return the median time of a piece of work, in milliseconds."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def main() -> int:
    """Measure and print."""
    written = text()
    context = Context(tuple(regular(f"src/file{n}.py", b"print(%d)" % n, 0o644) for n in range(FILES)))
    known = Known(images={"base": Base("sha256:" + "1" * 64)})
    parsed = parse(written)
    print(f"{STEPS} steps, a context of {FILES} files; medians of {ROUNDS} rounds")
    print(f"split into lines alone: {median(written.splitlines):8.3f} ms")
    print(f"parsed:                 {median(lambda: parse(written)):8.1f} ms")
    for builder in ("classic", "buildkit"):
        took = median(lambda builder=builder: Plan(parsed, context, builder=builder, known=known).predictions)
        print(f"predicted, {builder + ':':12} {took:8.1f} ms")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
