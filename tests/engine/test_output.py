"""What a container wrote reaches whoever asked for it, also when the container is gone before they look."""

from drydock.engine.run.output import Output


def said(lines):
    return [row["log"] for row in lines]


def follow(output, tail=None):
    return output.lines(True, tail, lambda row: True, lambda: False)


def test_a_log_that_was_asked_for_outlives_its_container(tmp_path):
    output = Output(tmp_path / "log.json")
    output.begin()
    early = follow(output)  # docker run --rm asks, waits for the end, removes, and only then reads
    output.write(1, b"Good to see you!\n")
    late = follow(output, tail=1)
    output.end()
    (tmp_path / "log.json").unlink()
    assert said(early) == said(late) == ["Good to see you!\n"]


def test_what_a_program_writes_between_two_looks_is_followed(tmp_path):
    output = Output(tmp_path / "log.json")
    output.begin()
    output.write(1, b"one\n")
    lines = follow(output)
    assert next(lines)["log"] == "one\n"
    output.write(2, b"two\nthree")
    assert next(lines)["log"] == "two\n"
    output.end()
    assert said(lines) == ["three"]
