"""Exercise 2: repair two Dockerfiles, build one in an order that the cache rewards, push it."""

from pathlib import Path

from drydock_grading.checks import cache, command, files, layers, pushed, secrets
from drydock_grading.checks.case import Assignment, Check

HERE = Path(__file__).parent / "playground"
GIVEN = {"course/Readme.txt": "Readme.txt", "course/Question.py": "Question.py"}
RECIPE = "playground/Dockerfile"

EX2 = Assignment(
    name="ex2",
    title="Build, push",
    bases=("drydock/python", "python"),
    repository="ac295_playground",
    files={name: (HERE / name).read_bytes() for name in GIVEN.values()},
    checks=(
        Check("ex2.hello", 3, command.repaired(3, "hello/Dockerfile", "hello.py"), image=False),
        Check("ex2.base", 2, layers.base(2)),
        Check("ex2.cmd", 3, command.starts(3, "course/Question.py", shell=1)),
        Check("ex2.files", 2, files.given(2, GIVEN, ["course/names.json"])),
        Check("ex2.cache", 3, cache.ordered(3, RECIPE, "Question.py", "prepare.py", "Readme.txt")),
        Check("ex2.clean", 1, layers.junk(1)),
        Check("ex2.secret", 2, secrets.none_in(2)),
        Check("ex2.size", 1, layers.small(1, 1_000_000)),
        Check("ex2.nonce", 2, files.baked(2, "course")),
        Check("ex2.pushed", 1, pushed.equal(1)),
    ),
)
