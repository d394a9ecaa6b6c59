"""A builder on a home of its own, with contexts made of a dict and RUN played by the test: what its tests share."""

import io
import tarfile
import threading

from drydock.blobs import Blobs
from drydock.engine.build import Builder, Request
from drydock.engine.build.config import PATH, whole
from drydock.engine.images import Catalogue, made
from drydock.engine.snapshots import Journal, Layers, New, Snapshots
from drydock.model.layer import Entry


def tar(files, **header):
    """Pack files (path -> text, bytes, None for a folder, "->target" for a link)."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.mode, entry.mtime = 0o644, 1_700_000_000
            for key, value in header.items():
                setattr(entry, key, value)
            if content is None:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            elif isinstance(content, str) and content.startswith("->"):
                entry.type, entry.linkname = tarfile.SYMTYPE, content[2:]
            data = content.encode() if isinstance(content, str) else content or b""
            entry.size = len(data) if entry.isreg() else 0
            archive.addfile(entry, io.BytesIO(data) if entry.isreg() else None)
    return packed.getvalue()


class Workshop:
    """A home, a base image `base:1` with /bin/sh in it, and a builder."""

    def __init__(self, home, **base):
        self.home = home
        self.layers = Layers(home, Blobs(home / "blobs"))
        self.images = Catalogue(home, self.layers.blobs, self.layers)
        self.snapshots = Snapshots(home, self.layers)
        self.ran = []  # (args, env, cwd, user) of every RUN
        self.plays = {}  # a command's last word -> what it does: called with (snapshot, on_output, cancelled)
        self.builder = Builder(self.images, self.layers, self.snapshots, self._run, home / "engine/tmp")
        self.base = self.image("base:1", {"bin/sh": "#!", "etc/passwd": "joe:x:77:88::/:/bin/sh\n"}, **base)

    def image(self, name, files, **config):
        """Make an image of files."""
        layer = self.layers.add(io.BytesIO(tar(files)))
        config = whole({"Env": [PATH], "Cmd": ["/bin/sh"], **config})
        return self.images.add(made(None, layer, config=config, container_config={}), tags=(name,))

    def build(self, recipe, files=None, cancelled=None, packed=None, **request):
        """Build and return the messages."""
        context = packed or tar({"Dockerfile": recipe, **(files or {})})
        return list(self.builder.build(Request(**request), io.BytesIO(context), cancelled))

    def made(self, recipe, files=None, **request):
        """Build, and return the image."""
        messages = self.build(recipe, files, **request)
        assert "errorDetail" not in messages[-1], messages[-1]
        return self.images.get([one["aux"]["ID"] for one in messages if "aux" in one][-1])

    def tree(self, image):
        """Return an image's files: path -> text, or kind."""
        view = self.layers.view(image.layers)
        return {
            e.path: view.read(e.path).decode(errors="replace") if e.kind == "file" else e.kind
            for e in view.walk()
            if e.path
        }

    def entry(self, image, path):
        """Return one entry of an image."""
        return self.layers.view(image.layers).lookup(path, follow=False)

    def writes(self, path, content=b"x"):
        """Return a play that writes one file."""

        def play(snapshot, on_output, cancelled):
            snapshot.write([New(Entry(path, "file", len(content), mtime=1_700_000_000), content)])
            return 0

        return play

    def _run(self, snapshot, args, env, cwd, user, network, on_output, cancelled=lambda: False, **options):
        self.ran.append((list(args), list(env), cwd, user))
        play = self.plays.get(args[-1])
        return (play(snapshot, on_output, cancelled) if play else 0), Journal()


def text(messages):
    """Return what a build prints, IDs replaced."""
    said = "".join(one.get("stream", "") for one in messages)
    return "\n".join(" ".join("ID" if len(w) == 12 and not w.strip("0123456789abcdef") else w for w in line.split(" "))
                     for line in said.split("\n"))  # fmt: skip


def hits(messages):
    """Return for each instruction whether it came from the cache."""
    steps = "".join(one.get("stream", "") for one in messages).split("Step ")[1:]
    return [" ---> Using cache\n" in one for one in steps]


def waits():
    """Return a play that lasts until it is cancelled, and the event that says that it began."""
    began = threading.Event()
    tick = threading.Event()

    def play(snapshot, on_output, cancelled):
        began.set()
        while not cancelled():
            tick.wait(0.01)
        return 137

    return play, began
