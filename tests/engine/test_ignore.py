"""Rules of `.dockerignore`, as Docker's patternmatcher has them."""

import pytest
from drydock.model.ignore import Ignore


@pytest.mark.parametrize(
    ("text", "out", "kept"),
    [
        ("*.log", ["a.log"], ["x/a.log", "a.logs"]),
        ("**/*.log", ["a.log", "x/a.log", "x/y/a.log"], ["a.txt"]),
        ("**", ["a", "x/y"], []),
        ("x/**", ["x/a", "x/y/z"], ["x", "xa"]),
        ("**lib", ["lib", "x/lib", "x/lib/a"], ["mylib"]),
        ("a/**/z", ["a/z", "a/b/z", "a/b/c/z"], ["az"]),
        ("build/", ["build", "build/x"], ["src/build"]),
        ("/build", ["build/x"], ["src/build"]),
        ("./build/../dist", ["dist/x"], ["build"]),
        ("d?c", ["doc", "dec/x"], ["dc", "d/c"]),
        ("[ab].txt", ["a.txt"], ["c.txt"]),
        ("[^ab].txt", ["c.txt"], ["a.txt"]),
        ("a.c+", ["a.c+"], ["abc+", "a.cc"]),
        ("\\*", ["*"], ["a"]),
        ("# *.log\n\n  \n", [], ["a.log"]),
        ("*.md\n!README.md", ["a.md"], ["README.md"]),
        ("!README.md\n*.md", ["README.md"], []),
        ("docs\n!docs/keep", ["docs/a"], ["docs/keep", "docs/keep/a"]),
        ("*.log\r\n*.tmp\r\n", ["a.log", "a.tmp"], ["a"]),
        ("\ufeffa", ["a"], []),
    ],
)
def test_the_last_line_that_matches_a_path_or_a_folder_above_it_wins(text, out, kept):
    ignore = Ignore.parse(text)
    assert [path for path in out + kept if ignore.excludes(path)] == out


def test_why_names_the_line():
    ignore = Ignore.parse("# mine\n*.md\n!README.md")
    assert ignore.why("x.md") == "x.md stays out: line 2 of .dockerignore is *.md"
    assert ignore.why("README.md") == "README.md travels: line 3 of .dockerignore is !README.md"
    assert ignore.why("a") == "a travels: no line of .dockerignore speaks of it"
