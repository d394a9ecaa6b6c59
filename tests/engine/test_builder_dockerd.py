"""The same builds by dockerd 20.10 and by this builder: stream, every image's configuration, every layer's entries.

Nothing is recorded: both build afresh from one root file system, on a base image made for this run.
"""

import importlib.util
import io
import json
import os
import re
import subprocess
import tarfile
import time
from contextlib import suppress
from pathlib import Path

import docker
import pytest
from drydock.blobs import Blobs
from drydock.engine.build import Builder, Request
from drydock.engine.build.config import PATH, whole
from drydock.engine.errors import EngineError
from drydock.engine.images import Catalogue, made
from drydock.engine.run import Sandbox, Steps
from drydock.engine.snapshots import Layers, Snapshots

DAEMONS = os.environ.get("DRYDOCK_TEST_DAEMONS", "").split()
BASE, NEXT = "drydock-builder-test:base", "drydock-builder-test:next"
spec = importlib.util.spec_from_file_location("workshop", Path(__file__).with_name("workshop.py"))
workshop = importlib.util.module_from_spec(spec)
spec.loader.exec_module(workshop)
FILES = {"a.txt": "one\n", "b.txt": "two\n", "d": None, "d/c.txt": "three\n", "d/e/f": "four\n", "d/l": "->c.txt",
         "lnk": "->a.txt", "ld": "->d", "d/broken": "->nope"}  # fmt: skip
INNER = workshop.tar({"sub": None, "sub/x": "x\n", "ln": "->sub/x"}, uid=7, gid=8, mtime=1_600_000_000)
PIECE = {"t.tar": INNER, "a.txt": "one\n"}
MAKE = (
    "RUN mkdir -p /o/p && echo 1 > /o/p/f && ln /o/p/f /o/p/g && ln -s p /o/l && chown 3:4 /o/p/f && chmod 4711 /o/p/f "
    "&& mkdir /o/m && chmod 700 /o/m\n"
)

CASES = {
    "settings": "ENV A=1 B='x y' OLD\\ x=1\nENV A=2\nARG V=3\nRUN echo $V $A\nLABEL l=1 'b c'=d\nEXPOSE 80 53/udp\nVOLUME /data\n"
    'USER 1000:100\nENTRYPOINT ["echo"]\nCMD ["x"]\nSTOPSIGNAL SIGTERM\nSHELL ["/bin/sh","-e","-c"]\nRUN echo hi\n'
    "ONBUILD RUN echo trig\nMAINTAINER me\nWORKDIR /w\nCMD y\n",
    "files": "COPY a.txt /x\nCOPY a.txt /n/e/w/\nCOPY a.txt b.txt /two/\nCOPY lnk /l\nCOPY lnk /dir/\nCOPY d /d\nCOPY d /d2/\n"
    "COPY d/ /etc\nCOPY ld /ld\nCOPY . /all\nCOPY *.txt /t/\nCOPY d/c* /u/\nCOPY [ab].txt /w/\n",
    "files in a working directory": "WORKDIR /w\nCOPY a.txt .\nCOPY a.txt x/\nCOPY d .\nWORKDIR rel\nCOPY a.txt ./z\nWORKDIR /w/\nRUN pwd\n",
    "owners of files": "COPY --chown=5:6 d /c\nCOPY --chown=7 a.txt /p/q/r\nCOPY --chown=1:1 d /etc\n",
    "files over files": "COPY a.txt /b/sub/f\nCOPY b.txt /b/sub/f\nCOPY d /b/sub\nRUN mkdir -p /r/c.txt/k /r/e2 && touch /r/e\nCOPY d /r\n",
    "files through links": "RUN mkdir /real && ln -s real /sym && ln -s /real/deep /sym2\nCOPY a.txt /sym/\nCOPY a.txt /sym/x\nCOPY d /sym2\n",
    "files of a stage": MAKE + f"FROM {BASE}\nCOPY --from=one /o /o\nCOPY --from=0 /o/p/f /k\nCOPY --from=one /o/l /l\n"
    f"COPY --from=one --chown=9:9 /o /q\nCOPY --from=one /o/p/* /w/\nCOPY --from={BASE} /bin/sh /sh\n",
    "files from scratch": "FROM scratch AS e\nCOPY a.txt /a\nFROM scratch\nCOPY --from=e / /\n",
    "archives": "ADD t.tar /x\nADD t.tar /y/\nADD t.tar /\nADD a.txt /z\nCOPY t.tar /raw.tar\n",
    "directories": "WORKDIR /new/deep\nWORKDIR /etc\nWORKDIR ../x\n",
    "what a run leaves": "RUN mkdir -p /m/n && echo x > /m/n/f && ln -s f /m/n/l && ln /m/n/f /m/n/h && chmod 600 /m/n/f\n"
    "RUN rm -rf /m/n && echo y > /m/z\nRUN rm /m/z && mkdir /m/z\nRUN chown 12:34 /m/z; touch /m/o; chown 5 /m/o\n",
    "what a user leaves": "RUN mkdir /u && chmod 777 /u\nUSER 1000:50\nRUN touch /u/f && id -u\n",
    "volumes": "RUN mkdir /v2 && echo q > /v2/q\nVOLUME /v1 /v2\nRUN cat /v2/q; echo x > /v1/f; echo x > /v2/f; echo y > /z\nCOPY a.txt /v1/\n",
    "arguments": "ARG T\nARG U=$T\nRUN echo $T $U $http_proxy\nENV T=5\nRUN echo $T $U\n",
    "health": 'HEALTHCHECK --interval=1m30s --timeout=500ms --start-period=2s --retries=7 CMD ["t","u"]\nHEALTHCHECK CMD a b\nHEALTHCHECK NONE\n',
    "commands": 'CMD echo "hi" $HOME\nENTRYPOINT ["a","b\\"c"]\nCMD ["x"]\nENTRYPOINT sh -c\nENTRYPOINT []\nCMD []\n',
    "ports": 'ARG P="80 443"\nEXPOSE $P 53/udp\nEXPOSE 8000-8002\n',
    "as typed": "run   echo  hi  \\\n\n  there\nenv q=1\nLABEL h='<a&b>' u=é\nRUN printf 'h\\303\\251\\n'\n",
    "accounts": "RUN mkdir -p /etc && echo 'joe:x:77:88::/home/joe:/bin/sh' > /etc/passwd && echo 'grp:x:99:' > /etc/group\n"
    "COPY --chown=joe:grp a.txt /j\nUSER joe\nRUN id -u; echo $HOME\n",
    "triggers": "ONBUILD COPY a.txt /on\nONBUILD RUN echo trig\n",
    "triggers go off": f"FROM {NEXT}\nRUN true\n",
    "a failure": "RUN echo out; exit 7\n",
    "no such file": "COPY nope /x\n",
    "no such files": "COPY *.nope /x\n",
    "a link to nothing": "COPY d/* /x/\n",
    "a path above": "COPY ../etc /x\n",
    "two to one": "COPY a.txt b.txt /x\n",
    "no such stage": "COPY --from=3 /a /b\n",
    "no such account": "RUN mkdir -p /etc; echo a:x:1:1 > /etc/passwd\nCOPY --chown=zz a.txt /x\n",
    "no such port": "EXPOSE abc\n",
    "no such signal": "STOPSIGNAL foo\n",
    "no such user": "USER nope\nRUN true\n",
    "no such instruction": "FOO\n",
    "a heredoc": "RUN <<E\necho hi\nE\n",
    "half an ENV": "ENV A\n",
    "a word in ENV": "ENV A=1 B\n",
    "half a COPY": "COPY a\n",
    "no such flag": "ADD --foo=1 a b\n",
    "a SHELL of words": "SHELL foo\n",
    "a check of words": "HEALTHCHECK FOO\n",
    "FROM in ONBUILD": "ONBUILD FROM x\n",
    "a mount": "RUN --mount=type=cache,target=/x true\n",
    "a variable demanded": "ENV A=${B:?gone}\n",
}  # fmt: skip
OPTIONS = {
    "arguments": {"args": {"T": "9", "http_proxy": "http://p:1", "X": "1"}},
    "triggers": {"tags": (NEXT,)},
    "ports": {"labels": {"z": "1 $X", "y": "2"}},
    "directories": {"remove": False},
    "a failure": {"force_remove": True},
}


@pytest.fixture(scope="module")
def classic():
    """The dockerd 20.10 of the test daemons, with the base image in it."""
    if not DAEMONS:
        pytest.fail("no Docker daemon")
    for url in DAEMONS:
        client = docker.APIClient(base_url=url, timeout=120)
        if client.version()["Version"].startswith("20.10"):
            break
        client.close()
    else:
        pytest.fail("none of DRYDOCK_TEST_DAEMONS is dockerd 20.10: start tests/daemons/classic.sh")
    client.import_image_from_data(root(), repository=BASE, changes=[f"ENV {PATH}", 'CMD ["/bin/sh"]'])
    yield client
    for name in (NEXT, BASE):
        with suppress(docker.errors.ImageNotFound):  # only some of the tests make the one
            client.remove_image(name, force=True, noprune=True)
    client.close()


def root():
    """A root file system of busybox, as a tar."""
    binary = Path("/bin/busybox").read_bytes()
    names = subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True, check=True).stdout.split()
    links = {f"bin/{name}": "->busybox" for name in names if name != "busybox"}
    return workshop.tar({"bin": None, "etc": None, "tmp": None, "bin/busybox": binary, **links}, mode=0o755)


class Ours:
    """This engine's builder with a real sandbox."""

    def __init__(self, home):
        self.blobs = Blobs(home / "blobs")
        self.layers = Layers(home, self.blobs)
        self.images = Catalogue(home, self.blobs, self.layers)
        self.sandbox = Sandbox(home / "engine/tmp")
        snapshots, steps = Snapshots(home, self.layers), Steps(self.sandbox)
        kind = {"kind": lambda: self.sandbox.rung.kind}
        self.builder = Builder(self.images, self.layers, snapshots, steps.run, home / "engine/tmp", **kind)
        layer = self.layers.add(io.BytesIO(root()))
        config = whole({"Env": [PATH], "Cmd": ["/bin/sh"]})
        self.images.add(made(None, layer, config=config, container_config={}, comment="Imported from -"), tags=(BASE,))

    def build(self, context, **options):
        try:
            return list(self.builder.build(Request(**options), io.BytesIO(context)))
        except EngineError as error:
            return [{"status": error.status, "message": str(error)}]

    def chain(self, image):
        while image:
            record = self.images.get(image)
            yield record.config
            image = record.parent

    def entries(self, image):
        for diff_id in self.images.get(image).layers:
            with self.blobs.open(diff_id) as blob:
                yield rows(blob)


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """This engine's builder."""
    engine = Ours(tmp_path_factory.mktemp("ours"))
    yield engine
    engine.sandbox.close()


def theirs(client, context, **options):
    """Build with dockerd, by the API itself: docker-py's own build() hides errors before the stream."""
    query = {"rm": True, "t": options.get("tags", ())}
    names = {"args": "buildargs", "labels": "labels", "remove": "rm", "force_remove": "forcerm"}
    for name, key in names.items():
        if name in options:
            value = options[name]
            query[key] = json.dumps(value) if isinstance(value, dict) else value
    answer = client._post(client._url("/build"), data=context, params=query, stream=True)
    if answer.status_code != 200:
        return [{"status": answer.status_code, "message": answer.json()["message"]}]
    return list(client._stream_helper(answer, decode=True))


def saved(client, image):
    """One image of dockerd's, as an open archive."""
    return tarfile.open(fileobj=io.BytesIO(b"".join(client.get_image(image))))


def their_chain(client, image):
    """The configurations of an image and those it was made from."""
    while image:
        with saved(client, image) as archive:
            (manifest,) = json.load(archive.extractfile("manifest.json"))
            yield json.load(archive.extractfile(manifest["Config"]))
        image = client.inspect_image(image)["Parent"]


def their_entries(client, image):
    """The entries of each layer."""
    with saved(client, image) as archive:
        (manifest,) = json.load(archive.extractfile("manifest.json"))
        for name in manifest["Layers"]:
            yield rows(archive.extractfile(name))


def rows(blob):
    """A layer's entries as text; a time of this day is "now"."""
    day = time.time() - 86400
    with tarfile.open(fileobj=blob) as layer:
        return [
            f"{e.name} {e.type.decode()} {e.mode:o} {e.uid}:{e.gid} {e.size} {e.linkname} "
            f"{'now' if e.mtime > day else int(e.mtime)}"
            for e in layer
        ]


OWN = ("Step ", "\n", " ---> ", "Removing ", "Successfully ", "[Warning]", "# Executing", "s")


def joined(messages):
    """The messages, with what a program wrote in several pieces joined: where a pipe is cut is chance."""
    found = []
    for message in messages:
        pieces = [one.get("stream", "") for one in (*found[-1:], message)]
        if len(pieces) == 2 and all(piece and not piece.startswith((*OWN, "\x1b")) for piece in pieces):
            found[-1] = {"stream": "".join(pieces)}
        else:
            found.append(message)
    return found


def plain(messages):
    """A stream with its IDs numbered in the order in which they come."""
    numbers = {}

    def number(match):
        return numbers.setdefault(match[0], f"<{len(numbers)}>")

    said = (re.sub(r"sha256:[0-9a-f]{64}", "<id>", json.dumps(message)) for message in joined(messages))
    return [re.sub(r"\b[0-9a-f]{12}\b", number, one) for one in said]


def settings(config):
    """A configuration without what differs from build to build: times, names of containers, IDs."""
    config = {**config, "created": "", "docker_version": "", "rootfs": len(config["rootfs"]["diff_ids"])}
    if "container" in config:
        config["container"] = "<container>"
    config["history"] = [{**row, "created": ""} for row in config["history"]]
    for key in ("config", "container_config"):
        hidden = {name: bool(config[key].get(name)) for name in ("Image", "Hostname")}
        config[key] = {**config[key], **hidden}
    return json.dumps(config, sort_keys=False)  # the order counts too: an image's ID is a hash of this text


@pytest.mark.docker
@pytest.mark.parametrize("name", CASES)
def test_both_build_the_same(name, classic, ours):
    recipe = CASES[name] if CASES[name].startswith("FROM") else f"FROM {BASE} AS one\n{CASES[name]}"
    files = PIECE if name == "archives" else FILES
    fresh = {} if name != "files from scratch" else {"a.txt": f"{time.time()}\n"}
    context = workshop.tar({"Dockerfile": recipe, **files, **fresh})
    options = OPTIONS.get(name, {})
    wanted, got = theirs(classic, context, **options), ours.build(context, **options)
    assert plain(got) == plain(wanted)
    ends = [[one["aux"]["ID"] for one in messages if "aux" in one] for messages in (wanted, got)]
    for their_end, our_end in zip(*ends, strict=True):
        theirs_, ours_ = list(their_chain(classic, their_end)), list(ours.chain(our_end))
        above = len(theirs_) - 1 if "FROM scratch" not in recipe else len(theirs_)
        assert list(map(settings, ours_[:above])) == list(map(settings, theirs_[:above]))
        assert list(ours.entries(our_end)) == list(their_entries(classic, their_end))


@pytest.mark.docker
def test_both_find_the_same_in_the_cache(classic, ours):
    recipe = f"FROM {BASE} AS one\nENV CACHE=1\nCOPY d /d\nRUN true\nFROM {BASE}\nCOPY --from=one /d /x\nCMD x\n"
    for files in (FILES, FILES, {**FILES, "a.txt": "other"}, {**FILES, "d/c.txt": "other"}):
        context = workshop.tar({"Dockerfile": recipe, **files})
        assert workshop.hits(ours.build(context)) == workshop.hits(theirs(classic, context))
