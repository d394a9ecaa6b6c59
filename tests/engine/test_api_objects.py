"""Volumes, networks, published ports and mounts as objects: no server, no container."""

import json
from types import SimpleNamespace

import pytest
from drydock.engine.api.mounts import bind, mounts
from drydock.engine.errors import BadParameter, Conflict, Forbidden, NotFound, NotPossible
from drydock.engine.events import Events
from drydock.engine.networks import Networks
from drydock.engine.volumes import ANONYMOUS, Volumes


@pytest.fixture
def volumes(tmp_path):
    return Volumes(tmp_path / "volumes")


@pytest.fixture
def networks(tmp_path):
    return Networks(tmp_path / "networks.json")


@pytest.fixture
def daemon(volumes):
    """As much of an engine as mounts need."""
    return SimpleNamespace(volumes=volumes, events=Events(), containers=SimpleNamespace(get=None))


# Volumes


def test_a_volume_is_a_folder_and_creating_it_again_finds_it(volumes):
    made = volumes.create("data", {"a": "b"})
    (made.mountpoint / "x").write_text("12345")
    assert volumes.create("data", {"other": "label"}) == made
    assert volumes.get("data").size() == 5 and volumes.get("data").json()["Labels"] == {"a": "b"}


def test_a_volume_without_a_name_is_known_as_anonymous(volumes):
    made = volumes.create()
    assert len(made.name) == 64 and ANONYMOUS in made.labels


@pytest.mark.parametrize("name", ["a", "../up", "a/b", "ä" * 3, "-x", "x" * 300])
def test_a_volumes_name_never_leaves_its_folder(volumes, name):
    with pytest.raises(BadParameter):
        volumes.create(name)
    with pytest.raises(NotFound):
        volumes.get(name)


def test_a_volume_in_use_stays_even_by_force(volumes):
    volumes.create("used")
    with pytest.raises(Conflict, match="volume is in use"):
        volumes.remove("used", ["c1"], force=True)
    volumes.remove("used", [])
    with pytest.raises(NotFound):
        volumes.remove("used", [])
    volumes.remove("used", [], force=True)


def test_a_folder_that_nobody_may_enter_goes_with_its_volume(volumes):
    locked = volumes.create("locked").mountpoint / "inner"
    (locked / "deep").mkdir(parents=True)
    locked.chmod(0)
    volumes.remove("locked", [])
    assert not (volumes.folder / "locked").exists()


def test_what_a_kill_left_of_a_volume_goes_at_the_next_start(volumes):
    volumes.create("whole")
    (volumes.folder / "half" / "_data").mkdir(parents=True)
    volumes.recover()
    assert [v.name for v in volumes.all()] == ["whole"] and not (volumes.folder / "half").exists()


def test_mounting_for_a_volume_needs_privileges(volumes):
    with pytest.raises(NotPossible, match="device"):
        volumes.create("nfs", options={"type": "nfs", "device": ":/x"})
    with pytest.raises(NotFound, match="plugin"):
        volumes.create("other", driver="convoy")


# Mounts


def test_a_bind_and_a_volume_look_as_in_docker_inspect(daemon, tmp_path):
    found = bind(daemon, f"{tmp_path}:/in:ro")
    assert (found["Type"], found["Destination"], found["RW"], found["Mode"]) == ("bind", "/in", False, "ro")
    named = bind(daemon, "data:/var/lib/")
    assert (named["Type"], named["Name"], named["Destination"], named["Fresh"]) == ("volume", "data", "/var/lib", True)


@pytest.mark.parametrize(
    "text", ["", ":", "a:b:c:d", "data:relative", "data:/", "data:/x:wild", "/h:/x:ro,rw", "relative"]
)
def test_a_mount_that_makes_no_sense_is_refused(daemon, text):
    with pytest.raises(BadParameter):
        bind(daemon, text)


def test_mount_makes_no_folder_of_the_host_and_v_does(daemon, tmp_path):
    missing = tmp_path / "missing"
    wanted = {"Mounts": [{"Type": "bind", "Source": str(missing), "Target": "/x"}]}
    with pytest.raises(BadParameter, match="bind source path does not exist"):
        mounts(daemon, {}, wanted, {})
    mounts(daemon, {}, {"Binds": [f"{missing}:/x"]}, {})
    assert missing.is_dir()


def test_two_mounts_in_one_place_are_refused_and_an_images_volume_gives_way(daemon, tmp_path):
    with pytest.raises(BadParameter, match="Duplicate mount point: /x"):
        mounts(daemon, {}, {"Binds": [f"{tmp_path}:/x", "data:/x"]}, {})
    found = mounts(daemon, {}, {"Binds": [f"{tmp_path}:/x"]}, {"Volumes": {"/x": {}, "/y": {}}})
    assert [(m["Type"], m["Destination"]) for m in found] == [("bind", "/x"), ("volume", "/y")]


def test_an_images_volume_gives_way_to_a_tmpfs(daemon):
    assert mounts(daemon, {}, {"Tmpfs": {"/x": ""}}, {"Volumes": {"/x": {}}}) == []


# Networks


def test_networks_are_kept_and_the_three_of_docker_are_always_there(networks):
    made = networks.create("web", labels={"a": "b"})
    again = Networks(networks.path)
    assert [n.name for n in again.all()] == ["bridge", "host", "none", "web"]
    assert again.get("web") == made == again.get(made.id[:8])
    assert again.get("default").name == "bridge"


def test_each_network_has_addresses_of_its_own_and_each_container_one(networks):
    one, two = networks.create("one"), networks.create("two")
    assert one.subnet != two.subnet and one.subnet.startswith("127.")
    first, second = networks.address(one, "c1"), networks.address(one, "c2")
    assert first != second and networks.address(one, "c1") == first
    assert networks.release("c1") == [one]
    assert networks.address(one, "c3") == first


def test_an_address_of_ones_own_must_be_free_and_inside(networks):
    web = networks.create("web")
    wanted = web.gateway[:-1] + "77"
    assert networks.address(web, "c1", wanted) == wanted
    with pytest.raises(Conflict):
        networks.address(web, "c2", wanted)
    for bad in ("10.0.0.1", "x"):
        with pytest.raises(BadParameter):
            networks.address(web, "c2", bad)


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        ({"name": ""}, BadParameter),
        ({"name": "host"}, Forbidden),
        ({"name": "web"}, Conflict),
        ({"name": "x", "driver": "overlay"}, NotFound),
        ({"name": "x", "ipam": [{"Subnet": "10.0.0.0/8"}]}, NotPossible),
        ({"name": "x", "ipv6": True}, NotPossible),
    ],
)
def test_a_network_that_cannot_be_is_refused(networks, wanted, error):
    networks.create("web")
    with pytest.raises(error):
        networks.create(**wanted)


def test_a_network_in_use_and_dockers_own_stay(networks):
    with pytest.raises(Forbidden, match="pre-defined"):
        networks.remove(networks.get("bridge"))
    with pytest.raises(Forbidden, match="has active endpoints"):
        networks.remove(networks.create("web"), endpoints=1)


def test_a_cut_off_write_leaves_the_old_networks(networks):
    networks.create("web")
    networks.path.with_suffix(".new").write_text('[{"name": "ha')
    assert Networks(networks.path).get("web")
    assert json.loads(networks.path.read_text())
