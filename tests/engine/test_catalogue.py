"""The catalogue: names and IDs, what stands in the way of a removal, and what the API shows."""

import importlib.util
import json
import multiprocessing
from pathlib import Path

import pytest
from drydock.blobs import Blobs
from drydock.engine.errors import BadParameter
from drydock.engine.images import Catalogue, InUse, NoSuchImage, chain_id, inspect, made
from drydock.engine.snapshots import Layers, Snapshots

spec = importlib.util.spec_from_file_location("archives", Path(__file__).with_name("archives.py"))
archives = importlib.util.module_from_spec(spec)
spec.loader.exec_module(archives)
member, tar = archives.member, archives.tar


class Shop:
    """A catalogue with three images: base, middle made from it, top made from middle."""

    def __init__(self, home):
        self.events = []
        self.layers = Layers(home, Blobs(home / "blobs"))
        self.images = Catalogue(home, self.layers.blobs, self.layers, lambda *event: self.events.append(event))
        self.one, self.two = (self.layers.add(tar(member(name, content=name.encode() * 9))) for name in "ab")
        raw = made(None, self.one, config={"Cmd": ["sh"]}, created="2024-01-01T00:00:00Z", comment="Imported from -")
        self.base = self.images.add(raw, tags=["base"])
        self.middle = self.step(self.base, self.two, "RUN two", "2024-01-02T00:00:00Z")
        self.top = self.step(self.middle, None, "CMD top", "2024-01-03T00:00:00.123456789Z", "top:1", "top:2")

    def step(self, parent, layer, text, created, *tags):
        raw = made(parent.config, layer, config={"Cmd": [text]}, created_by=text, created=created, container_config={})
        return self.images.add(raw, parent.id, built=True, tags=tags)


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path)


def test_an_images_id_is_the_hash_of_its_config(shop):
    assert shop.top.id == shop.images.blobs.put(shop.top.raw)
    assert json.loads(shop.top.raw)["rootfs"]["diff_ids"] == [shop.one.diff_id, shop.two.diff_id]
    assert [row.get("empty_layer") for row in shop.top.config["history"]] == [None, None, True]
    assert list(shop.top.config) == sorted(shop.top.config), "as Go writes it: sorted at the top"


def test_an_image_is_found_by_name_by_id_and_by_the_beginning_of_one(shop):
    top = shop.top
    for name in ("top:1", "docker.io/library/top:2", top.id, top.id[7:], top.id[7:19], top.id[:20]):
        assert shop.images.get(name) == top
    assert shop.images.get("base") == shop.images.get("base:latest") == shop.base


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("none", "No such image: none:latest"),
        ("reg.io/a/b:1", "No such image: reg.io/a/b:1"),
        ("sha256:" + "0" * 64, "No such image: sha256:" + "0" * 64),
        ("abcdef012345", "No such image: abcdef012345:latest"),
        ("docker.io/library/x", "No such image: x:latest"),
    ],
)
def test_an_image_that_is_not_there_is_named_in_dockerds_words(shop, name, words):
    with pytest.raises(NoSuchImage) as caught:
        shop.images.get(name)
    assert str(caught.value) == words


def test_bad_names_are_refused_in_dockerds_words(shop):
    with pytest.raises(BadParameter, match=r"^invalid reference format: repository name must be lowercase$"):
        shop.images.get("Alpine")
    with pytest.raises(BadParameter, match=r"^invalid reference format$"):
        shop.images.tag(shop.base.id, "a b")


def test_a_tag_moves_and_leaves_a_nameless_image_behind(shop):
    shop.images.tag(shop.top.id, "base")
    assert shop.images.get("base") == shop.top and shop.images.tags(shop.base.id) == []
    assert shop.images.tags(shop.top.id) == ["base:latest", "top:1", "top:2"]


def test_children_and_steps(shop):
    assert shop.images.children("") == [shop.base] and shop.images.children(shop.base.id) == [shop.middle]
    assert shop.images.intermediate(shop.middle) and not shop.images.intermediate(shop.top)
    assert [record.id for record in shop.images.all()] == [shop.top.id, shop.middle.id, shop.base.id]


def test_what_is_known_gains_and_loses_nothing(shop):
    again = shop.images.add(shop.top.raw)
    assert again == shop.images.get("top:1") and again.built and again.parent == shop.middle.id


def test_the_catalogue_outlives_the_engine(shop, tmp_path):
    again = Catalogue(tmp_path, shop.layers.blobs, shop.layers)
    assert again.all() == shop.images.all() and again.tags(shop.top.id) == ["top:1", "top:2"]


def test_another_process_change_is_seen(shop, tmp_path):
    other = Catalogue(tmp_path, shop.layers.blobs, shop.layers)
    other.tag(shop.base.id, "other")
    assert shop.images.get("other") == shop.base
    shop.images.untag("other")
    assert not other.has("other")


# removal


def test_one_of_several_names_is_only_a_name(shop):
    assert shop.images.remove("top:1") == [{"Untagged": "top:1"}]
    assert shop.images.get("top:2") == shop.images.get(shop.top.id)


def test_the_last_name_takes_the_image_its_steps_and_their_layers(shop):
    shop.images.remove("top:1")
    assert shop.images.remove("top:2") == [
        {"Untagged": "top:2"},
        {"Deleted": shop.top.id},
        {"Deleted": shop.middle.id},
        {"Deleted": chain_id([shop.one.diff_id, shop.two.diff_id])},
    ]
    assert [record.id for record in shop.images.all()] == [shop.base.id]
    assert list(shop.layers.all()) == [shop.one.diff_id]
    assert sorted(shop.images.blobs.all()) == sorted([shop.base.id, shop.one.diff_id])


def test_noprune_leaves_the_parents(shop):
    shop.images.untag("top:1")
    assert shop.images.remove("top:2", noprune=True) == [{"Untagged": "top:2"}, {"Deleted": shop.top.id}]
    assert shop.images.has(shop.middle.id)


def test_a_parent_loses_its_name_and_stays(shop):
    assert shop.images.remove("base") == [{"Untagged": "base:latest"}]
    assert shop.images.has(shop.base.id)


@pytest.mark.parametrize(
    ("which", "force", "users", "words"),
    [
        ("base", False, [], "conflict: unable to delete {} (cannot be forced) - image has dependent child images"),
        (
            "top",
            False,
            [],
            "conflict: unable to delete {} (must be forced) - image is referenced in multiple repositories",
        ),
        (
            *("top", True, [("c" * 64, True)]),
            "conflict: unable to delete {} (cannot be forced) - image is being used by running container cccccccccccc",
        ),
    ],
)
def test_by_id_an_image_that_is_needed_is_refused(shop, which, force, users, words):
    record = getattr(shop, which)
    with pytest.raises(InUse) as caught:
        shop.images.remove(record.id[7:], force=force, in_use=lambda _: users)
    assert str(caught.value) == words.format(record.id[7:19])


def test_a_name_that_a_container_uses_needs_force(shop):
    shop.images.untag("top:1")
    users = {"in_use": lambda image_id: [("d" * 64, False)] if image_id == shop.top.id else []}
    with pytest.raises(InUse) as caught:
        shop.images.remove("top:2", **users)
    assert str(caught.value) == (
        'conflict: unable to remove repository reference "top:2" (must force) - container dddddddddddd is using its '
        f"referenced image {shop.top.id[7:19]}"
    )
    assert shop.images.remove("top:2", force=True, **users)[:2] == [{"Untagged": "top:2"}, {"Deleted": shop.top.id}]


def test_a_containers_snapshot_keeps_the_layers_of_a_removed_image(shop, tmp_path):
    snapshots = Snapshots(tmp_path, shop.layers)
    snapshots.create("c", shop.top.layers, "overlay")
    shop.images.remove(shop.top.id, force=True)
    assert set(shop.layers.all()) == {shop.one.diff_id, shop.two.diff_id}
    snapshots.get("c").remove()
    shop.images.recover()
    assert set(shop.layers.all()) == {shop.one.diff_id}


def test_prune_takes_the_nameless_or_all_that_nobody_uses(shop):
    assert shop.images.prune() == ([], 0)
    shop.images.untag("top:1")
    shop.images.untag("top:2")
    rows, freed = shop.images.prune()
    assert [row["Deleted"] for row in rows[:2]] == [shop.top.id, shop.middle.id] and freed == 9
    assert shop.images.prune(dangling=False, in_use=lambda _: [("e" * 64, False)]) == ([], 0)
    rows, freed = shop.images.prune(dangling=False)
    assert rows[0] == {"Untagged": "base:latest"} and freed == 9 and shop.images.all() == []


def test_events_say_what_happened(shop):
    shop.events.clear()
    shop.images.tag(shop.base.id, "new")
    shop.images.remove("new")
    shop.images.remove(shop.top.id, force=True)
    assert [(event[1], event[3]["name"]) for event in shop.events[:2]] == [
        ("tag", "new:latest"),
        ("untag", shop.base.id),
    ]
    assert [event[1] for event in shop.events[2:]] == ["untag", "untag", "delete", "delete"]


def test_recover_drops_what_is_half_there(shop, tmp_path):
    shop.layers.remove(shop.two.diff_id)
    again = Catalogue(tmp_path, shop.layers.blobs, shop.layers)
    again.recover()
    assert [record.id for record in again.all()] == [shop.base.id] and not again.has("top:1")


# what the API shows


def test_inspect_has_every_key_of_dockerds(shop):
    shown = inspect.image_json(shop.images, shop.images.get("top:1"))
    assert shown["RepoTags"] == ["top:1", "top:2"] and shown["Parent"] == shop.middle.id and shown["Size"] == 18
    assert shown["Config"]["Cmd"] == ["CMD top"] and "Shell" not in shown["Config"] and shown["Config"]["Env"] is None
    assert shown["Metadata"]["LastTagTime"].startswith("20") and shown["Created"] == "2024-01-03T00:00:00.123456789Z"
    assert inspect.image_json(shop.images, shop.base)["Comment"] == "Imported from -"


def test_history_names_the_steps_that_are_images(shop):
    rows = inspect.history_json(shop.images, shop.top)
    assert [(row["CreatedBy"], row["Id"], row["Size"], row["Tags"]) for row in rows] == [
        ("CMD top", shop.top.id, 0, ["top:1", "top:2"]),
        ("RUN two", shop.middle.id, 9, None),
        ("", shop.base.id, 9, ["base:latest"]),
    ]
    assert rows[0]["Created"] == 1704240000
    shop.images.add(
        made(shop.top.config, None, config={}, created_by="loaded", created="2024-01-04T00:00:00Z"), tags=["l"]
    )
    assert [row["Id"] for row in inspect.history_json(shop.images, shop.images.get("l"))][1:] == ["<missing>"] * 3


def test_a_nameless_image_is_listed_as_dockerd_lists_it(shop):
    row = inspect.summary_json(shop.images, shop.middle)
    assert row["RepoTags"] == ["<none>:<none>"] and row["RepoDigests"] == ["<none>@<none>"]
    assert inspect.summary_json(shop.images, shop.top)["RepoDigests"] is None


def _tag_many(home: Path, name: str) -> None:
    layers = Layers(home, Blobs(home / "blobs"))
    images = Catalogue(home, layers.blobs, layers)
    for number in range(20):
        images.tag(images.get("base").id, f"{name}:{number}")


@pytest.mark.slow
def test_several_processes_tag_at_once(shop, tmp_path):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_tag_many, args=(tmp_path, name)) for name in ("p", "q")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert len(shop.images.tags(shop.base.id)) == 41
