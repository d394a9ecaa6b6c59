"""Where a container's neighbours find it."""

from contextlib import suppress

import pytest
from docker.errors import NotFound
from drydock.lessons.containers import NoContainer
from drydock.lessons.knock import address

pytestmark = pytest.mark.docker
BASE = "drydock-test/knock"
LATER = ("graph",)  # the same Docker and builder as containerd, on the other image store


@pytest.fixture
def made(daemon, busybox):
    """Make a container that runs a line of shell; afterwards all of them go, and their image."""
    busybox(BASE)
    held = []

    def make(line):
        held.append(daemon.containers.create(BASE, ["sh", "-c", line]))
        return held[-1]

    yield make
    for one in held:
        with suppress(NotFound):
            one.remove(force=True)
    daemon.images.remove(BASE)


def test_an_address_is_had_once_the_program_says_that_it_listens(made):
    waiting = made("sleep 1; echo ready; sleep 60")
    waiting.start()
    assert address(waiting, says="ready").count(".") == 3


def test_a_container_that_ended_says_its_last_words_and_what_to_try(made):
    ended = made("echo the port is taken; false")
    ended.start()
    ended.wait()
    with pytest.raises(NoContainer, match=r"It last said: the port is taken\nTry: run the cell again"):
        address(ended)


def test_a_container_that_is_gone_says_so(made, daemon):
    gone = made("true")
    daemon.api.remove_container(gone.id)
    with pytest.raises(NoContainer, match="is gone"):
        address(gone)
