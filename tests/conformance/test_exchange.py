"""What one engine saves the other loads: the same ID, the same layers, and it runs."""

import io
from dataclasses import replace

import pytest
from drydock import read

DOCKERFILE = b"""FROM conf-base
ENV a=1
RUN echo hi >/srv/hi; rm -r /srv/old; mkdir /srv/old; chown 5:6 /srv/greeting; chmod 4755 /srv/hi; ln /srv/hi /srv/hard
RUN rm /srv/keep/three; ln -s hi /srv/soft; mkfifo /srv/pipe
WORKDIR /srv
ENTRYPOINT ["cat"]
CMD ["hi"]
"""
NAME = "conf-exchange"


@pytest.fixture
def sides(dockerd, ours):
    """Both engines, without what the other tests make."""
    if dockerd is None:
        pytest.fail("DRYDOCK_TEST_DAEMONS has no dockerd of tests/daemons/classic.sh")
    engines = {"dockerd": dockerd.engine, "embedded": ours.engine}
    yield engines
    for engine in engines.values():
        engine.clear()


@pytest.mark.docker
@pytest.mark.parametrize("way", [("dockerd", "embedded"), ("embedded", "dockerd")], ids=" to ".join)
def test_an_image_that_one_engine_saves_is_the_same_in_the_other(way, sides):
    giver, taker = (sides[name].client for name in way)
    giver.images.build(fileobj=io.BytesIO(DOCKERFILE), tag=NAME, rm=True)
    archive = b"".join(giver.images.get(NAME).save(named=True))
    (loaded,) = taker.images.load(archive)
    assert (loaded.id, loaded.tags) == (giver.images.get(NAME).id, [f"{NAME}:latest"])
    mine, theirs = read.image(giver, NAME), read.image(taker, NAME)
    assert [layer.diff_id for layer in mine.layers] == [layer.diff_id for layer in theirs.layers]
    assert replace(mine, layers=(), source="", content=None) == replace(theirs, layers=(), source="", content=None)
    assert [layer.entries for layer in mine.layers] == [layer.entries for layer in theirs.layers]
    assert taker.containers.run(NAME, remove=True) == b"hi\n"
    assert taker.containers.run(NAME, ["soft"], remove=True) == b"hi\n"


@pytest.mark.docker
def test_what_one_engine_built_is_a_cache_for_the_other(sides):
    sides["dockerd"].client.images.build(fileobj=io.BytesIO(DOCKERFILE), tag=NAME, rm=True)
    archive = b"".join(sides["dockerd"].client.images.get(NAME).save(named=True))
    ours = sides["embedded"].client
    ours.images.load(archive)
    image, log = ours.images.build(fileobj=io.BytesIO(DOCKERFILE), tag="conf-again", cache_from=[NAME], rm=True)
    assert "".join(line.get("stream", "") for line in log).count("Using cache") == 6
    assert image.id == ours.images.get(NAME).id
