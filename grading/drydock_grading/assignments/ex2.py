"""Exercise 2: repair two Dockerfiles, build one in an order that the cache rewards, push it."""

from drydock_grading.checks import cache, command, files, layers, pushed, secrets
from drydock_grading.checks.case import Assignment, Check

GIVEN = {  # the exercise's own files, by the digest of what was given out
    "course/Readme.txt": "sha256:a581de26b81b28111d77f254961746e46ffb449ae14ee7bfc92e7cbe71352c5b",
    "course/Question.py": "sha256:e100161fd82803bbc6bee564ebbf803adeb6b381fc51dc18744d224f375f3a09",
}
RECIPE = "playground/Dockerfile"

EX2 = Assignment(
    name="ex2",
    title="Build, push",
    bases=("drydock/python", "python"),
    repository="ac295_playground",
    checks=(
        # As it is handed out the playground earns base, files and size: a repair must not lose what is right already.
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
