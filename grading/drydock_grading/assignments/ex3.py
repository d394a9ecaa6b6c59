"""Exercise 3, to play: two services, cache golf, and an image that keeps a secret. What is looked at, what it earns."""

from drydock_grading.checks import detective, golf, services
from drydock_grading.checks.case import Assignment, Check

DB = {
    "db/db.py": "sha256:29d5fc9a40432992859b0d17238e89f12b5fe0826e08e0f45d2e3a1c17148961",
    "db/stock.json": "sha256:de8dd339fb788bc4422ae9b70fc5ac6229008eb5edbe52d3c69c70cd3c0ac8d1",
}
WEB = {
    "web/web.py": "sha256:193475638be3f9c192f34c6ce0a7a6a5753365390255b423bb2ac28107bec36b",
    "web/catalogue.json": "sha256:2645b31865a2f52c1e8dcabc1e07da55128a4887e6c88950cfe70c6cc0db45d3",
}

EX3 = Assignment(
    name="ex3",
    title="Play",
    bases=("drydock/python", "python"),
    repository="",
    checks=(
        # As it is handed out, web starts, by way of a shell: half a point. Nothing else earns anything.
        Check("ex3.db", 2, services.database(2, "db", DB, "db/db.py"), image=None),
        Check("ex3.web", 3, services.front(3, "v1", WEB, "web/web.py", 7433), image=None),
        Check("ex3.receipts", 3, services.receipts(3), image=False),
        Check("ex3.upgrade", 2, services.upgrade(2, "v1", "web/web.py", "web/catalogue.json")),
        Check("ex3.golf", 4, golf.played(4, "golf/Dockerfile", "golf"), image=False),
        Check("ex3.base", 1, detective.base(1), image=False),
        Check("ex3.steps", 2, detective.steps(2), image=False),
        Check("ex3.secret", 3, detective.secret(3), image=False),
    ),
)
