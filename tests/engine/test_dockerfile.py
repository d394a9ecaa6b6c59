"""The parser takes what Docker takes, and says in which line it does not."""

import itertools

import pytest
from drydock.model.dockerfile import DockerfileError, parse
from drydock.model.expansion import ExpansionError, expand
from hypothesis import given
from hypothesis import strategies as st


def test_a_continued_instruction_keeps_its_line_range_and_drops_comments_inside():
    i = parse("FROM a\nRUN one && \\\n  # why\n\n  two\nCMD x").instructions[1]
    assert (i.text, i.lines) == ("RUN one &&   two", (2, 5))


def test_the_escape_directive_changes_what_continues_a_line():
    assert parse("# escape=`\nFROM a\nRUN dir c:\\ `\n  /b").instructions[1].text == "RUN dir c:\\   /b"


def test_a_directive_after_another_comment_is_only_a_comment():
    assert parse("# hello\n# escape=`\nFROM a").escape == "\\"


def test_heredocs_belong_to_their_instruction_and_hide_what_looks_like_one():
    run, copy = parse("FROM a\nRUN <<EOF\nFROM b\nEOF\nCOPY <<'A' <<-B /x/\n$a\nA\n\tb\nB\n").instructions[1:]
    assert run.heredocs[0].content == "FROM b\n" and run.heredocs[0].expand
    assert [(h.name, h.content, h.expand) for h in copy.heredocs] == [("A", "$a\n", False), ("B", "b\n", True)]


def test_json_that_is_no_json_is_a_shell_line_with_a_warning():
    read = parse("FROM a\nCMD ['x']")
    assert not read.instructions[1].json and "double quotes" in read.warnings[0]


@pytest.mark.parametrize(
    ("text", "line", "cure"),
    [
        ("", 1, "Begin with FROM"),
        ("# only a comment", 1, "Begin with FROM"),
        ("RUN x\nFROM a", 1, "begin with FROM"),
        ("ARG A", 1, "FROM alpine"),
        ("FROM", 1, "FROM image"),
        ("FROM a b", 1, "AS name"),
        ("FROM a AS 1x", 1, "letters"),
        ("FROM a\nRUNN x", 2, "RUN?"),
        ("FROM a\nCOPY x", 2, "source destination"),
        ("FROM a\nCOPY --form=x a b", 2, "--from"),
        ("FROM a\nENV A", 2, "name=value"),
        ("FROM a\nENV A=1 B", 2, "quotes"),
        ("FROM a\nLABEL =x", 2, "name=value"),
        ("FROM a\nARG", 2, "ARG name"),
        ("FROM a\nEXPOSE", 2, "port"),
        ("FROM a\nVOLUME", 2, "folder"),
        ("FROM a\nWORKDIR", 2, "WORKDIR"),
        ("FROM a\nUSER", 2, "USER"),
        ("FROM a\nSHELL sh -c", 2, "/bin/bash"),
        ("FROM a\nHEALTHCHECK PING x", 2, "CMD or NONE"),
        ("FROM a\nONBUILD FROM b", 2, "Any other"),
        ("FROM a\nONBUILD COPY x", 2, "source destination"),
        ("FROM a\nRUN <<EOF\nx", 2, "EOF"),
        ("FROM a\nRUN", 2, "RUN and what"),
        (b"FROM a\n\xff\xfe", 2, "UTF-8"),
        (b"\x7fELF\0\0", 1, "binary"),
        ("x" * 1_000_001, 1, "1 MB"),
    ],
)
def test_an_error_names_the_line_and_the_cure(text, line, cure):
    with pytest.raises(DockerfileError) as caught:
        parse(text)
    assert caught.value.line == line and cure in str(caught.value)


def test_an_unknown_target_names_the_stages():
    with pytest.raises(DockerfileError, match="The stages are: one"):
        parse("FROM a AS one").needed("two")


@given(st.text())
def test_any_text_is_read_or_refused_with_a_line(text):
    try:
        parse(text)
    except DockerfileError as error:
        assert error.line >= 1


@given(st.lists(st.sampled_from(["FROM a", "RUN x \\", " y", "# c", "", "ENV A=$B", "COPY <<E /f", "E", "\\"])))
def test_line_ranges_follow_each_other_and_cover_real_lines(rows):
    try:
        found = parse("\n".join(rows)).instructions
    except DockerfileError:
        return
    for before, after in itertools.pairwise(found):
        assert before.lines[0] <= before.lines[1] < after.lines[0] <= len(rows)


@given(st.text(alphabet="${}:-+?#%/'\"\\ab"), st.dictionaries(st.sampled_from("ab"), st.text(max_size=5)))
def test_any_word_is_expanded_or_refused(word, env):
    try:
        assert isinstance(expand(word, env), str)
    except ExpansionError as error:
        assert str(error)
