"""Visits to a container by name: what is said where nobody is there, and how many are kept."""

import docker
import pytest
from drydock.lessons import visits
from drydock.lessons.containers import NoContainer


@pytest.fixture
def client(embedded):
    one = docker.DockerClient(base_url=embedded, timeout=60)
    yield one
    one.close()


def test_a_visit_to_nobody_says_what_to_start_and_writes_nothing(client, tmp_path):
    with pytest.raises(NoContainer, match=r"Try: .*docker run -d --name visits-nobody"):
        visits.visit(client, "visits-nobody", 80, into=tmp_path / "visits.txt")
    assert list(tmp_path.iterdir()) == []


def test_who_is_not_there_is_said_and_leaving_twice_does_no_harm(client, capsys):
    visits.standing(client, "visits-nobody")
    visits.leave(client, "visits-nobody", network="visits-nowhere")
    assert capsys.readouterr().out == "visits-nobody: not there\nRemoved: nothing was there.\n"


def test_the_newest_visits_are_kept_whole(tmp_path):
    path = tmp_path / "visits.txt"
    for number in range(visits.KEPT + 5):
        visits._keep(path, f"{visits.MARK}http://web:1/\nanswer {number}\n")
    kept = path.read_text()
    assert kept.count("answer") == visits.KEPT
    assert kept.startswith(f"{visits.MARK}http://web:1/\nanswer 5\n") and kept.endswith("answer 64\n")
