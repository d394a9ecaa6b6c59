"""The classic builder on its own: contexts, instructions, the cache, what goes wrong; RUN is played, not run."""

import bz2
import gzip
import importlib.util
import io
import json
import lzma
import os
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from drydock.engine.build import CommitRequest, Request, changed, commit, run
from drydock.engine.errors import BadParameter, EngineError
from drydock.engine.snapshots import New
from drydock.model.layer import Entry
from drydock.read.tarstream import BadArchive

spec = importlib.util.spec_from_file_location("workshop", Path(__file__).with_name("workshop.py"))
workshop = importlib.util.module_from_spec(spec)
spec.loader.exec_module(workshop)
tar, text, hits = workshop.tar, workshop.text, workshop.hits


@pytest.fixture
def shop(tmp_path):
    """A builder on a home of its own."""
    return workshop.Workshop(tmp_path)


# the stream


def test_a_build_says_what_dockerd_says(shop):
    shop.plays["make"] = lambda snapshot, out, cancelled: (out(1, b"caf\xc3"), out(1, b"\xa9\n"), out(2, b"oh\n"), 0)[
        -1
    ]
    messages = shop.build("FROM base:1\nENV A=1\nCOPY a /b/\nRUN make\n", {"a": "1"}, tags=("me/x:1", "me/x:1", "y"))
    assert text(messages) == (
        "Step 1/4 : FROM base:1\n ---> ID\n"
        "Step 2/4 : ENV A=1\n ---> Running in ID\nRemoving intermediate container ID\n ---> ID\n"
        "Step 3/4 : COPY a /b/\n ---> ID\n"
        "Step 4/4 : RUN make\n ---> Running in ID\ncafé\n\x1b[91moh\n\x1b[0m"
        "Removing intermediate container ID\n ---> ID\n"
        "Successfully built ID\nSuccessfully tagged me/x:1\nSuccessfully tagged y:latest\n"
    )
    assert [list(m) for m in messages if "aux" in m] == [["aux"]]
    assert shop.images.get("y").id == shop.images.get("me/x:1").id


def test_the_second_build_comes_from_the_cache_and_makes_no_view(shop, monkeypatch):
    recipe = "FROM base:1\nWORKDIR /w\nCOPY a /b/\nRUN make\nFROM base:1\nCOPY --from=0 /b /c\nCMD x\n"
    first = shop.made(recipe, {"a": "1"})
    monkeypatch.setattr(shop.layers, "view", lambda chain: pytest.fail("a cached build needs no file system"))
    messages = shop.build(recipe, {"a": "1"})
    assert hits(messages) == [False, True, True, True, False, True, True]
    assert messages[-2]["aux"]["ID"] == first.id
    assert len(shop.ran) == 1


def test_quiet_says_the_id_alone(shop):
    (message,) = shop.build("FROM base:1\nENV A=1\n", quiet=True)
    assert message["stream"].strip() in {one.id for one in shop.images.all()}


def test_quiet_says_everything_when_it_fails(shop):
    shop.plays["false"] = lambda *_: 3
    messages = shop.build("FROM base:1\nRUN false\n", quiet=True)
    assert messages[0]["stream"] == "Step 1/2 : FROM base:1"
    assert messages[-1]["errorDetail"]["code"] == 3


def test_without_rm_no_container_is_said_to_go(shop):
    assert "Removing" not in text(shop.build("FROM base:1\nENV A=1\n", remove=False))


def test_a_silent_run_says_nothing_now_and_then(shop, monkeypatch):
    monkeypatch.setattr(run, "KEEP_ALIVE_AFTER", 0.01)
    go = threading.Event()

    def play(snapshot, out, cancelled):
        assert go.wait(10)
        return 0

    shop.plays["slow"] = play
    messages = shop.builder.build(Request(), io.BytesIO(tar({"Dockerfile": "FROM base:1\nRUN slow\n"})))
    for message in messages:
        if message == {"stream": ""}:
            go.set()
    assert go.is_set()


def test_a_step_that_fails_is_the_last_message(shop):
    shop.plays["exit 7"] = lambda *_: 7
    last = shop.build("FROM base:1\nRUN exit 7\n")[-1]
    said = "The command '/bin/sh -c exit 7' returned a non-zero code: 7"
    assert last == {"errorDetail": {"code": 7, "message": said}, "error": said}
    assert list(shop.snapshots.all()) == []


@pytest.mark.parametrize("how", ["close", "event"])
def test_a_cancelled_build_stops_its_step_and_keeps_those_before(shop, how):
    play, began = workshop.waits()
    shop.plays["long"] = play
    cancelled = threading.Event()
    context = io.BytesIO(tar({"Dockerfile": "FROM base:1\nENV A=1\nRUN long\n"}))
    messages = shop.builder.build(Request(tags=("t:1",)), context, cancelled)
    said = []
    for message in messages:
        said.append(message)
        if " ---> Running in" in message.get("stream", "") and sum("Running in" in str(m) for m in said) == 2:
            break
    if how == "close":
        closing = threading.Thread(target=lambda: (began.wait(10), cancelled.set()))
        closing.start()
        list(messages)
        closing.join()
    else:
        messages.close()
    assert list(shop.snapshots.all()) == [] and not shop.images.has("t:1")
    shop.plays.clear()
    assert hits(shop.build("FROM base:1\nENV A=1\nRUN long\n")) == [False, True, False]


# the context


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_a_context_may_be_packed(shop, pack):
    packed = pack(tar({"Dockerfile": "FROM base:1\nCOPY . /c\n", "d": None, "d/f": "hi"}))
    messages = shop.build("", packed=packed)
    assert shop.tree(shop.images.get(messages[-2]["aux"]["ID"]))["c/d/f"] == "hi"


def test_a_context_cut_short_is_an_error_of_the_client(shop):
    whole = tar({"Dockerfile": "FROM base:1\n", "big": "x" * 20000})
    for packed in (whole[:15000], gzip.compress(whole)[:-20], bz2.compress(whole)[:-9], b"no tar at all" * 99):
        with pytest.raises(BadParameter):
            shop.build("", packed=packed)


@pytest.mark.parametrize("name", ["../out", "a/../../out"])
def test_a_path_out_of_the_context_is_refused(shop, name, tmp_path):
    with pytest.raises(BadParameter, match="outside its own root"):
        shop.build("FROM base:1\n", {name: "x"})
    assert not (tmp_path.parent / "out").exists()


def test_a_link_of_the_context_never_leads_out(shop, tmp_path):
    (tmp_path / "secret").write_text("s")
    messages = shop.build("FROM base:1\nCOPY l /l\n", {"l": f"->{tmp_path}/secret"})
    assert "file not found in build context" in messages[-1]["error"]


def test_the_dockerfile_is_found_by_its_name_whatever_the_case(shop):
    assert "FROM base:1" in text(shop.build("", packed=tar({"dockerfile": "FROM base:1\n"})))
    assert "ENV A=1" in text(shop.build("FROM x\n", {"d/F": "FROM base:1\nENV A=1\n"}, dockerfile="d/F"))
    with pytest.raises(EngineError, match="Cannot locate specified Dockerfile: G"):
        shop.build("FROM base:1\n", dockerfile="G")
    with pytest.raises(BadParameter, match=r"the Dockerfile \(Dockerfile\) cannot be empty"):
        shop.build("")


def test_dockerignore_takes_itself_and_the_dockerfile_out(shop):
    files = {"a": "1", ".dockerignore": "Dockerfile\n.dockerignore\n"}
    image = shop.made("FROM scratch\nCOPY . /\n", files)
    assert shop.tree(image) == {"a": "1"}
    assert set(shop.tree(shop.made("FROM scratch\nCOPY . /\n", {"a": "1"}))) == {"a", "Dockerfile"}


def test_a_remote_context_is_refused_with_the_way_out(shop):
    with pytest.raises(BadParameter, match="docker build"):
        shop.build("", remote="https://example.org/x.git")


# instructions


def test_copy_lays_files_down_where_dockerd_would(shop):
    files = {"a": "1", "b": "2", "d": None, "d/c": "3", "d/l": "->c", "l": "->a"}
    recipe = (
        "FROM base:1\nWORKDIR /w\nCOPY a b x/\nCOPY d .\nCOPY l /link\nCOPY d /etc\nCOPY [ab] /two/\n"
        "COPY --chown=joe:9 a /own/er/f\nCOPY ./d/c /w\n"
    )
    tree = shop.tree(image := shop.made(recipe, files))
    assert tree["w/x/a"] == "1" and tree["w/x/b"] == "2" and tree["w/c"] == "3" and tree["w/l"] == "symlink"
    assert tree["link"] == "1" and tree["etc/c"] == "3" and "etc/passwd" in tree and tree["two/b"] == "2"
    owners = [(one.uid, one.gid) for path in ("own", "own/er", "own/er/f") if (one := shop.entry(image, path))]
    assert owners == [(77, 9)] * 3


def test_a_directory_in_place_of_a_file_hides_it(shop):
    image = shop.made("FROM base:1\nCOPY a /x\nCOPY b /x2/x\nCOPY d /\n", {"a": "1", "b": "2", "d/x/f": "3"})
    assert shop.tree(image)["x/f"] == "3"
    assert shop.layers.get(image.layers[-1]).opaque == ("x",)


def test_copy_takes_setuid_away_and_copy_from_keeps_it(shop):
    inner = tar({"s": "x"}, mode=0o4755)
    recipe = "FROM scratch AS a\nADD t.tar /\nCOPY s /s2\nFROM scratch\nCOPY --from=a / /\n"
    messages = shop.build("", packed=tar({"Dockerfile": recipe, "s": "x", "t.tar": inner}, mode=0o4755))
    image = shop.images.get(messages[-2]["aux"]["ID"])
    assert oct(shop.entry(image, "s").mode) == "0o4755"
    assert oct(shop.entry(image, "s2").mode) == "0o755"


def test_add_unpacks_a_local_archive_and_copy_does_not(shop):
    packed = gzip.compress(tar({"d/f": "hi"}, uid=5, gid=6))
    image = shop.made("FROM scratch\nADD t.tgz /x\nCOPY t.tgz /y/\nADD a /z\n", {"t.tgz": packed, "a": "no archive"})
    tree = shop.tree(image)
    assert tree["x/d/f"] == "hi" and tree["z"] == "no archive" and "y/t.tgz" in tree
    assert (shop.entry(image, "x/d/f").uid, shop.entry(image, "x/d/f").gid) == (5, 6)


@pytest.fixture
def site(tmp_path):
    """The address of a web server with one file, /f.txt."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www/f.txt").write_text("hello")
    os.utime(tmp_path / "www/f.txt", (1_600_000_000, 1_600_000_000))

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path / "www")) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_add_fetches_from_a_web_server(shop, site):
    recipe = f"FROM scratch\nADD {site}/f.txt /d/\nADD --chown=3:4 {site}/f.txt /g\n"
    messages = shop.build(recipe)
    image = shop.images.get(messages[-2]["aux"]["ID"])
    entry = shop.entry(image, "d/f.txt")
    assert (entry.mode, entry.mtime, entry.uid, shop.entry(image, "g").uid) == (0o600, 1_600_000_000, 0, 3)
    assert shop.tree(image)["g"] == "hello"
    assert next(m["progressDetail"] for m in messages if m.get("status") == "Downloading") == {"current": 5, "total": 5}
    assert hits(shop.build(recipe)) == [False, True, True]


def test_a_web_server_that_has_it_not_is_an_error(shop, site):
    assert "failed to GET" in shop.build(f"FROM scratch\nADD {site}/none /x\n")[-1]["error"]
    error = shop.build("FROM scratch\nADD http://127.0.0.1:1/x /x\n")[-1]["error"]
    assert error == 'ADD failed: Get "http://127.0.0.1:1/x": dial tcp 127.0.0.1:1: connect: connection refused'


def test_copy_from_keeps_owners_and_hard_links(shop):
    def play(snapshot, out, cancelled):
        snapshot.write([
            New(Entry("o", "directory", mode=0o700, uid=1, gid=2)), New(Entry("o/a", "file", 1, uid=3, gid=4), b"x"),
            New(Entry("o/b", "hardlink", uid=3, gid=4, link="o/a")),
        ])  # fmt: skip
        return 0

    shop.plays["make"] = play
    image = shop.made("FROM base:1 AS x\nRUN make\nFROM scratch\nCOPY --from=x /o /p\n")
    layer = shop.layers.get(image.layers[0])
    assert [(e.path, e.kind, e.link) for e in layer.entries][1:] == [("p/a", "file", ""), ("p/b", "hardlink", "p/a")]
    assert (layer.by_path["p/a"].uid, layer.by_path["p/b"].gid) == (3, 4)


def test_run_gets_arguments_proxies_and_the_user(shop):
    shop.made(
        "FROM base:1\nARG V=1\nARG W\nARG PATH\nENV A=2\nUSER joe\nWORKDIR /w\nRUN env\n",
        args={"W": "w", "http_proxy": "http://p:1", "PATH": "/x"},
    )
    ((args, env, cwd, user),) = shop.ran
    assert args == ["/bin/sh", "-c", "env"] and cwd == "/w" and user == "joe"
    assert {"V=1", "W=w", "http_proxy=http://p:1", "A=2"} < set(env)
    assert [pair for pair in env if pair.startswith("PATH=")] == [workshop.PATH]


def test_arguments_that_nobody_declares_are_warned_of(shop):
    said = text(shop.build("FROM base:1\nARG A\n", args={"A": "1", "B": "2", "C": None, "no_proxy": "x"}))
    assert "[Warning] One or more build-args [B C] were not consumed\n" in said


def test_what_a_run_writes_into_a_volume_is_lost(shop):
    shop.plays["make"] = shop.writes("v/f")
    shop.plays["twice"] = shop.writes("old/f")
    image = shop.made("FROM base:1\nVOLUME /v\nRUN make\n")
    assert shop.tree(image)["v"] == "directory" and "v/f" not in shop.tree(image)
    image = shop.made("FROM base:1\nCOPY Dockerfile /old/d\nVOLUME /old\nRUN twice\n")
    assert image.config["history"][-1]["empty_layer"] is True


def test_settings_go_into_the_image_as_dockerd_writes_them(shop):
    config = shop.made(
        "FROM base:1\nENV A=1 B='x y'\nLABEL b=2 a=1\nEXPOSE 80 53/udp\nVOLUME [\"/z\", \"/v\"]\nUSER 5\nCMD echo hi\n"
        'ENTRYPOINT ["e"]\nSTOPSIGNAL SIGINT\nSHELL ["/bin/sh", "-e"]\nONBUILD RUN x\nMAINTAINER me\n'
        "HEALTHCHECK --interval=2s --retries=3 CMD true\n"
    ).config  # fmt: skip
    made = config["config"]
    assert made["Env"] == [workshop.PATH, "A=1", "B=x y"] and made["Labels"] == {"a": "1", "b": "2"}
    assert list(made["ExposedPorts"]) == ["53/udp", "80/tcp"] and list(made["Volumes"]) == ["/v", "/z"]
    assert made["Cmd"] == ["/bin/sh", "-c", "echo hi"] and made["Entrypoint"] == ["e"] and made["User"] == "5"
    assert made["Healthcheck"] == {"Test": ["CMD-SHELL", "true"], "Interval": 2 * 10**9, "Retries": 3}
    assert made["OnBuild"] == ["RUN x"] and config["author"] == "me" and made["StopSignal"] == "SIGINT"
    assert config["container_config"]["Cmd"][-2:][0] == "#(nop) "


def test_entrypoint_takes_away_the_command_of_the_base_alone(shop):
    assert shop.made('FROM base:1\nENTRYPOINT ["e"]\n').config["config"]["Cmd"] is None
    assert shop.made('FROM base:1\nCMD ["c"]\nENTRYPOINT ["e"]\n').config["config"]["Cmd"] == ["c"]


def test_onbuild_triggers_run_in_the_next_build(shop):
    shop.made("FROM base:1\nONBUILD COPY a /a\nONBUILD ENV B=1\n", tags=("parent:1",))
    said = text(messages := shop.build("FROM parent:1\nENV C=1\n", {"a": "1"}))
    assert "Step 1/2 : FROM parent:1\n# Executing 2 build triggers\n ---> Running in ID\n" in said
    image = shop.images.get(messages[-2]["aux"]["ID"])
    assert shop.tree(image)["a"] == "1" and image.config["config"]["OnBuild"] is None


def test_labels_of_the_command_line_become_steps(shop):
    messages = shop.build("FROM base:1\n", labels={"z": "1 $X 'q'", "a": "b"})
    assert "Step 2/3 : LABEL a=b" in text(messages) and "Step 3/3 : LABEL z=1 $X 'q'" in text(messages)
    image = shop.images.get(messages[-2]["aux"]["ID"])
    assert image.config["config"]["Labels"] == {"a": "b", "z": "1 $X 'q'"}


def test_a_target_stops_the_build_there(shop):
    recipe = "FROM base:1 AS one\nENV A=1\nFROM base:1 AS two\nENV B=1\n"
    assert "Step 2/2 : ENV A=1" in text(shop.build(recipe, target="ONE"))
    with pytest.raises(BadParameter, match="failed to reach build target three in Dockerfile"):
        shop.build(recipe, target="three")


@pytest.mark.parametrize(
    ("recipe", "error"),
    [
        ("COPY x /y", "COPY failed: file not found in build context or excluded by .dockerignore: stat x: file"),
        ("COPY *.x /y", "COPY failed: no source files were specified"),
        ("COPY ../x /y", "COPY failed: forbidden path outside the build context: ../x ()"),
        ("COPY a Dockerfile /y", "When using COPY with more than one source file, the destination must be a directory"),
        ("COPY https://example.org/x /y", "COPY failed: source can't be a URL for COPY"),
        ("COPY --from=0 a /y", "invalid from flag value 0: refers to current build stage"),
        ("COPY --from=7 a /y", "invalid from flag value 7: index out of bounds"),
        ("COPY --from=none:1 a /y", "invalid from flag value none:1: none:1 is not on this engine"),
        ("COPY --from=base:1 /no /y", "COPY failed: stat no: file does not exist"),
        ("COPY --chown=ann a /y", "unable to convert uid/gid chown string to host mapping: can't find uid for user"),
        ("COPY --chmod=1 a /y", "the --chmod option requires BuildKit."),
        ("COPY a /etc/passwd/x/y", "failed to copy files: failed to create new directory: mkdir /etc/passwd"),
        ("RUN --mount=type=cache,target=/x true", "the --mount option requires BuildKit."),
        ("EXPOSE abc", "Invalid containerPort: abc"),
        ("EXPOSE 1/x", "Invalid proto: x"),
        ("STOPSIGNAL foo", "Invalid signal: foo"),
        ('VOLUME [""]', "VOLUME specified can not be an empty string"),
        ("ENV A=${B:?gone}", 'failed to process "${B:?gone}": B: gone'),
        ("WORKDIR /etc/passwd", "Cannot mkdir: /etc/passwd is not a directory"),
        ("FROM none:1", "none:1 is not on this engine"),
        ("FROM $X", "base name ($X) should not be blank"),
        ("ENV A=1\nFROM base:1 AS x\nFROM base:1 AS x", "x stage name already used"),
    ],
)  # fmt: skip
def test_what_fails_in_a_step_ends_the_stream_with_dockerds_words(shop, recipe, error):
    last = shop.build(f"FROM base:1\n{recipe}\n", {"a": "1"})[-1]
    assert last["error"].startswith(error)
    assert last["errorDetail"] == {"message": last["error"]}


@pytest.mark.parametrize(
    ("recipe", "error"),
    [
        ("FROM base:1\nFOO x\n", "dockerfile parse error line 2: unknown instruction: FOO"),
        ("RUN x\n", "no build stage in current context"),
        ("# c\n", "failed to parse Dockerfile: file with no instructions"),
        ("FROM base:1\nRUN <<E\necho hi\nE\n", "dockerfile parse error line 3: unknown instruction: ECHO"),
        ("FROM base:1\nENV A\n", "failed to parse Dockerfile: ENV must have two arguments"),
        ("FROM base:1\nADD --foo=1 a b\n", "dockerfile parse error line 2: Unknown flag: foo"),
        ("FROM base:1 AS 1x\n", 'dockerfile parse error line 1: invalid name for build stage: "1x"'),
    ],
)
def test_a_bad_dockerfile_is_refused_before_anything_is_said(shop, recipe, error):
    with pytest.raises(BadParameter) as caught:
        shop.build(recipe)
    assert str(caught.value).startswith(error)


def test_an_image_of_nothing_is_none(shop):
    assert shop.build("FROM scratch\n")[-1]["error"] == "No image was generated. Is your Dockerfile empty?"


def test_pull_asks_the_registry_even_for_an_image_that_is_here(shop):
    assert "base:1 is not on this engine, and it cannot pull" in shop.build("FROM base:1\n", pull=True)[-1]["error"]


# the cache


def test_the_first_miss_makes_every_later_step_miss(shop):
    recipe = "FROM base:1\nENV A={}\nRUN one\nRUN two\nFROM base:1\nENV B=1\n"
    shop.made(recipe.format(1))
    assert hits(shop.build(recipe.format(1))) == [False, True, True, True, False, True]
    assert hits(shop.build(recipe.format(2))) == [False, False, False, False, False, True]
    assert not any(hits(shop.build(recipe.format(1), no_cache=True)))


def test_content_mode_and_owner_count_and_the_time_does_not(shop):
    recipe = "FROM base:1\nCOPY a /a\n"

    def hit(content="1", **header):
        return hits(shop.build("", packed=tar({"Dockerfile": recipe, "a": content}, **header)))[1]

    hit()
    assert hit(mtime=5) and hit(uname="x")
    assert not hit("2") and not hit(mode=0o755) and not hit(uid=7)
    assert hit("2"), "what was built in between is there too"


def test_of_two_results_the_newest_counts(shop):
    shop.plays["make"] = shop.writes("f", b"1")
    shop.made("FROM base:1\nRUN make\n")
    shop.plays["make"] = shop.writes("f", b"2")
    newest = shop.made("FROM base:1\nRUN make\n", no_cache=True)
    assert shop.made("FROM base:1\nRUN make\n").id == newest.id


def test_an_image_that_was_sent_is_no_result_of_a_step(shop):
    made = shop.made("FROM base:1\nRUN make\n")
    forged = json.loads(made.raw) | {"created": "2999-01-01T00:00:00Z"}
    shop.images.add(json.dumps(forged).encode(), parent=shop.base.id)  # not built here
    assert shop.made("FROM base:1\nRUN make\n").id == made.id


def test_cache_from_takes_the_steps_of_an_image_that_was_sent(shop, tmp_path):
    recipe = "FROM base:1\nENV A=1\nRUN make\nENV B=1\nCMD x\n"
    shop.plays["make"] = shop.writes("f")
    sent = shop.made(recipe)
    other = workshop.Workshop(tmp_path / "other")
    other.images.add(shop.base.raw, tags=("base:1",))
    other.layers.write([New(Entry("f", "file", 1, mtime=1_700_000_000), b"x")])
    other.images.add(sent.raw, tags=("sent:1",))
    assert not any(hits(other.build(recipe, cache_from=("none:1",))))
    other = workshop.Workshop(tmp_path / "third")
    other.images.add(shop.base.raw, tags=("base:1",))
    other.layers.write([New(Entry("f", "file", 1, mtime=1_700_000_000), b"x")])
    other.images.add(sent.raw, tags=("sent:1",))
    messages = other.build(recipe, cache_from=("sent:1",))
    assert hits(messages) == [False, True, True, True, True] and messages[-2]["aux"]["ID"] == sent.id
    edited = other.build(recipe.replace("B=1", "B=2"), cache_from=("sent:1",))
    assert hits(edited) == [False, True, True, False, False]


# commit


class Container:
    """What commit asks of a container."""

    id, image_id, running, paused = "c" * 64, "", True, False

    def __init__(self, image, **config):
        self.image_id, self.said = image.id, []
        self.config = {**image.config["config"], "Hostname": "h", **config}

    def changes(self):
        self.said.append("changes")
        return (New(Entry("new", "file", 1), b"x"),)

    def pause(self):
        self.said.append("pause")

    def unpause(self):
        self.said.append("unpause")

    def tell(self, action, **attributes):
        self.said.append(action)


def test_commit_makes_an_image_of_a_container(shop):
    box = Container(shop.base, Cmd=["make"])
    request = CommitRequest("me/it", "2", "ann", "done", ('CMD ["y"]', "ENV Z=1"))
    image = shop.images.get(commit(shop.images, shop.layers, box, request))
    assert box.said == ["pause", "changes", "commit", "unpause"]
    assert image.id == shop.images.get("me/it:2").id and shop.tree(image)["new"] == "x"
    assert image.config["config"]["Cmd"] == ["y"] and "Z=1" in image.config["config"]["Env"]
    row = image.config["history"][-1]
    assert (row["author"], row["comment"], row["created_by"]) == ("ann", "done", "make")
    commit(shop.images, shop.layers, box, CommitRequest(pause=False))
    assert box.said[4:] == ["changes", "commit"]


def test_a_container_goes_on_when_its_commit_fails(shop):
    box = Container(shop.base)
    box.changes = lambda: (_ for _ in ()).throw(EngineError("disk"))
    with pytest.raises(EngineError):
        commit(shop.images, shop.layers, box, CommitRequest())
    assert box.said == ["pause", "unpause"]


def test_what_no_commit_takes_is_named():
    with pytest.raises(BadParameter, match="run is not a valid change command"):
        changed({}, ("RUN x",))
    with pytest.raises(BadParameter, match="foo is not a valid change command"):
        changed({}, ("FOO x",))


# the request


def test_docker_py_and_the_cli_are_both_understood():
    cli = {"t": ["a:1"], "rm": ["1"], "buildargs": ['{"A":null}'], "cachefrom": ["[]"], "nocache": [""]}
    py = {"rm": ["False"], "nocache": ["True"], "q": ["False"], "pull": ["False"]}
    assert (Request.parse(cli).remove, Request.parse(cli).args) == (True, {"A": None})
    assert (Request.parse(py).remove, Request.parse(py).no_cache, Request.parse(py).quiet) == (False, True, False)
    assert Request.parse({}).remove


@pytest.mark.parametrize(
    "query",
    [{"buildargs": ["{"]}, {"labels": ["[1]"]}, {"cachefrom": ['{"a": 1}']}, {"shmsize": ["x"]}, {"version": ["2"]}],
)
def test_a_request_that_makes_no_sense_is_the_clients_error(query):
    with pytest.raises(BadParameter):
        Request.parse(query)


def test_the_builder_raises_nothing_the_api_does_not_know(shop):
    assert issubclass(BadParameter, EngineError) and not issubclass(BadArchive, EngineError)
    with pytest.raises(EngineError):
        shop.build("", packed=b"\x1f\x8bbroken")
