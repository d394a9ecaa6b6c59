"""Progress: counted from the answers, carried in one file that is read as a stranger's, set back with a copy kept."""

import io
import json
import re
import sys
from pathlib import Path

import pytest
from drydock import cli, record
from drydock.record import learners, lines, travel
from drydock.record.learners import OddName
from drydock.record.travel import BadProgress

HEAD = {"schema": 1, "kind": "drydock-progress"}
ROW = {"notebook": "06", "question": "q", "answer": "a", "truth": "a", "right": True, "time": 1.5}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home of the test's own, and a learner of whom nobody knows the name."""
    for name in ("DRYDOCK_LEARNER", "JUPYTERHUB_USER", *learners.BINDER):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DRYDOCK_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def answer(question="again-runs", right=True, notebook="06"):
    record.save_prediction(notebook, question, "a", "a" if right else "b", right)


def part(name):
    return next(part for part in record.progress().parts if part.name.startswith(name))


def written(path, *rows, **head):
    path.write_text("".join(json.dumps(row) + "\n" for row in (HEAD | {"answers": len(rows)} | head, *rows)))
    return path


def elsewhere(monkeypatch, tmp_path):
    monkeypatch.setenv("DRYDOCK_HOME", str(tmp_path / "elsewhere"))


def test_the_first_answer_whose_truth_is_known_is_the_one_that_can_be_right():
    answer("again-runs", right=False)
    answer("again-runs")
    record.save_prediction("06", "order", "a")  # before the truth was known
    answer("order")
    answer("no-such-question")
    found = part("06")
    assert (found.answered, found.right) == (2, 1) and found.asked > 2


def test_progress_is_a_table_that_a_saved_notebook_keeps_and_the_same_in_text():
    answer()
    shown = record.progress()._repr_mimebundle_()
    row = '<th scope="row">06-build-cache</th><td>1</td>'
    assert '<meter min="0"' in shown["text/html"] and row in shown["text/html"]
    assert re.search(r"You answered 1 of \d+ (.|\n)*06-build-cache +1 ", shown["text/plain"])


def test_a_name_is_asked_for_once_and_takes_over_what_was_answered_without_one(monkeypatch):
    answer()
    assert "no name" in record.call_me()
    assert "under the name ada" in record.call_me(" ada ") and "under the name ada" in record.call_me()
    assert part("06").answered == 1 and record.predictions()[0]["learner"] == "ada"
    monkeypatch.setenv("JUPYTERHUB_USER", "bob")
    assert "$JUPYTERHUB_USER" in record.call_me() and part("06").answered == 0
    with pytest.raises(OddName, match="Try:"):
        record.call_me("../ada\n")


@pytest.mark.parametrize("variable", ["BINDER_LAUNCH_HOST", "BINDER_REPO_URL", "BINDER_REQUEST"])
def test_the_name_that_binder_makes_up_is_nobodys(monkeypatch, variable):
    monkeypatch.setenv("JUPYTERHUB_USER", "course-drydock-k3jx8q2v")
    monkeypatch.setenv(variable, "v2/gh/course/drydock/main")
    assert "no name" in record.call_me()
    assert "under the name ada" in record.call_me("ada")
    answer()
    assert record.predictions()[0]["learner"] == "ada"
    monkeypatch.setenv("DRYDOCK_LEARNER", "bob")
    assert "$DRYDOCK_LEARNER" in record.call_me()


def test_a_service_called_binder_beside_a_hub_is_not_binder(monkeypatch):
    """Kubernetes tells every pod of the services in its name space: BINDER_SERVICE_HOST, BINDER_PORT."""
    monkeypatch.setenv("JUPYTERHUB_USER", "ada")
    monkeypatch.setenv("BINDER_SERVICE_HOST", "127.0.0.1")
    assert "$JUPYTERHUB_USER" in record.call_me()


def test_answers_go_elsewhere_and_come_back_merged_without_twins(tmp_path, monkeypatch):
    answer()
    file = tmp_path / "mine.jsonl"
    assert "your answers, 1 in all" in record.export(file)
    elsewhere(monkeypatch, tmp_path)
    answer("order")
    record.call_me("ada")
    assert "1 of 1 answers" in record.take_in(file)
    assert "0 of 1 answers" in record.take_in(file) and "already" in record.take_in(file)
    assert [row["question"] for row in record.predictions()] == ["again-runs", "order"]  # by time, not by arrival
    assert part("06").answered == 2


def test_an_export_is_not_written_over_by_one_that_knows_less(tmp_path, monkeypatch):
    answer()
    file = tmp_path / "mine.jsonl"
    record.export(file)
    record.export(file)
    elsewhere(monkeypatch, tmp_path)
    with pytest.raises(BadProgress, match="not here yet"):
        record.export(file)
    other = tmp_path / "thesis.txt"
    other.write_text("mine")
    with pytest.raises(BadProgress, match="not written over"):
        record.export(other)
    assert other.read_text() == "mine"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (ROW | {"time": float("nan")}, "line 2"),
        (ROW | {"time": -1}, "line 2"),
        (ROW | {"time": True}, "line 2"),
        (ROW | {"answer": "a" * 3000}, "line 2"),
        (ROW | {"answer": [[["a"]]]}, "line 2"),
        (ROW | {"answer": ["a"] * 99}, "line 2"),
        (ROW | {"truth": {"a": 1}}, "line 2"),
        (ROW | {"truth": 10**400}, "line 2"),
        (ROW | {"right": "yes"}, "line 2"),
        (ROW | {"notebook": "../../etc"}, "line 2"),
        (ROW | {"question": None}, "line 2"),
        ([ROW], "line 2"),
    ],
)
def test_an_answer_that_is_none_is_refused_with_its_file(wrong, says, tmp_path):
    answer()
    with pytest.raises(BadProgress, match=rf"{says}(.|\n)*Nothing was changed(.|\n)*Try:"):
        record.take_in(written(tmp_path / "bad.jsonl", wrong))
    assert len(record.predictions()) == 1


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no progress of Drydock"),
        (b"\x00\xff\xfe" * 50, "no progress of Drydock"),
        (b"[" * 100_000, "no progress of Drydock"),
        (b'{"schema": 1, "kind": "drydock-progress", "answers": 2}\n' + json.dumps(ROW).encode() + b"\n", "damaged"),
        (b'{"schema": 1, "kind": "drydock-progress", "answers": 1}\n' + json.dumps(ROW).encode()[:40], "damaged"),
        (b'{"schema": 1, "kind": "drydock-progress", "answers": 1e99}\n', "damaged"),
        (b'{"schema": 2, "kind": "drydock-progress", "answers": 0}\n', "schema 2; this one reads 1"),
        (b'{"kind": "drydock-progress", "answers": 0}\n', "another version"),
        (b" " * (travel.LARGEST + 1), "larger than"),
    ],
)
def test_a_file_that_is_damaged_or_strange_is_refused_and_nothing_is_lost(data, says, tmp_path):
    answer()
    file = tmp_path / "bad.jsonl"
    file.write_bytes(data)
    with pytest.raises(BadProgress, match=rf"{says}(.|\n)*Try:"):
        record.take_in(file)
    assert len(record.predictions()) == 1


def test_what_an_answer_brings_besides_its_fields_is_not_kept(tmp_path):
    record.take_in(written(tmp_path / "more.jsonl", ROW | {"learner": "bob", "html": "<script>"}, ROW))
    assert record.predictions() == [ROW | {"schema": 1, "learner": "me"}]


def test_more_answers_than_anybody_gives_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(travel, "MOST", 3)
    answer()
    with pytest.raises(BadProgress, match="more than 3"):
        record.take_in(written(tmp_path / "many.jsonl", *(ROW | {"time": n} for n in range(3))))
    assert len(record.predictions()) == 1


def test_a_reset_keeps_a_copy_that_can_be_taken_in_again(home):
    answer()
    said = record.reset()
    assert record.predictions() == [] and "To undo: drydock progress import" in said
    (copy,) = (home / "record").glob("progress-before-reset-*")
    record.take_in(copy)
    assert part("06").answered == 1
    record.reset()
    assert len(list((home / "record").glob("progress-before-reset-*"))) == 2  # none is written over
    assert "nothing to reset" in record.reset()


def test_lines_of_another_schema_outlive_every_change(home):
    answer()
    with lines.path("predictions").open("a") as file:
        file.write('{"schema": 2, "new": "er"}\n{"cut o')
    answer("order")
    kept = lines.path("predictions").read_text().splitlines()
    assert '{"schema": 2, "new": "er"}' in kept and '{"cut o' in kept and len(record.predictions()) == 2


def test_the_command_shows_exports_imports_and_asks_before_it_resets(tmp_path, capsys, monkeypatch):
    answer()
    file = str(tmp_path / "mine.jsonl")
    assert cli.main(["progress"]) == 0 and "06-build-cache" in capsys.readouterr().out
    assert cli.main(["progress", "export", file]) == 0 and Path(file).is_file()
    assert cli.main(["progress", "import", file]) == 0 and "0 of 1 answers" in capsys.readouterr().out
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert cli.main(["progress", "reset"]) == 1 and "Try: drydock progress reset --yes" in capsys.readouterr().out
    assert cli.main(["progress", "reset", "--yes"]) == 0 and record.predictions() == []
    assert cli.main(["progress", "import", str(tmp_path / "none")]) == 1 and "Try:" in capsys.readouterr().err
