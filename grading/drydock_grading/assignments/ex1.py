"""Exercise 1: pull an image, change it, push it. What is looked at, and what it earns."""

from drydock_grading.checks import command, files, layers, pushed, secrets
from drydock_grading.checks.case import Assignment, Check

GIVEN = {  # the exercise's own files, by the digest of what was given out
    "course/Readme.txt": "sha256:78becee83750e33180891b86680f81d7bd301a58725bda3749124dc9b9bbd437",
    "course/Question.py": "sha256:8017a0ec419e49c9f794ecb001bcc749d7564d30cb3ab3ac0f134ed0620a6542",
}
ANSWER = "course/Answer.txt"
# The name that is asked for, by its words' digests: students install this package, and may read it.
SURNAME = "befbf8904fd63be3f39566ce2873e224cc32c6ec69e6c2196611416e40c45192"
FIRST_NAME = "b40dfb36a74b3232618976f41acbb7b098a31569f8ec473d5e47d32eaa8a3214"

EX1 = Assignment(
    name="ex1",
    title="Pull, modify, push",
    bases=("drydock/python", "python"),
    repository="ac295_playground",
    checks=(
        # The course's image, handed in as it was pulled, earns base and course: they say that it is still underneath.
        Check("ex1.base", 2, layers.base(2)),
        Check("ex1.course", 2, files.given(2, GIVEN)),
        Check("ex1.layer", 2, layers.own(2, ANSWER, GIVEN)),
        Check("ex1.answer", 4, files.answer(4, ANSWER, SURNAME, FIRST_NAME)),
        Check("ex1.nonce", 3, files.code(3, ANSWER)),
        Check("ex1.cmd", 2, command.starts(2, ANSWER, before=("cat", "Readme.txt"))),
        Check("ex1.clean", 1, layers.changed(GIVEN, layers.junk(1), 1)),
        Check("ex1.secret", 2, layers.changed(GIVEN, secrets.none_in(2), 2)),
        Check("ex1.pushed", 2, pushed.equal(2)),
    ),
)
