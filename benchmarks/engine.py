"""The embedded engine beside dockerd: the same requests, the same images, both in memory, turn by turn in one run.

Every figure is a median; both sides are asked in turn, so that a busy machine slows both. The docker CLI's own start
is left out: requests go over the socket.

    DRYDOCK_TEST_DAEMONS=unix:///... python benchmarks/engine.py [--rung A|B|C] [--small] [--growth]
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import io
import json
import os
import secrets
import shutil
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import own

AIMS = {  # the issue's: ours by dockerd's
    "create, start, wait, remove `true`": {"A": 0.1, "B": 0.1, "C": 0.2},
    "cold 6-step build": {"A": 1.0, "B": 1.2, "C": 4.0},
    "all-cached rebuild": dict.fromkeys("ABC", 0.3),
    "list 500 images": dict.fromkeys("ABC", 1.0),
}
ENV = ["PATH=/bin"]
LABEL, RUN = (
    "org.drydock.bench",
    secrets.token_hex(8),
)  # on every image of this run: it shares no cache with earlier ones


class Socket(http.client.HTTPConnection):
    """HTTP over an engine's Unix socket; one connection a request, as the CLI does."""

    def __init__(self, path: str) -> None:
        super().__init__("engine", timeout=300)
        self.path = path

    def connect(self) -> None:
        """Connect to the socket's file."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(300)
        self.sock.connect(self.path)


class Engine:
    """One side: an address, and what is asked of it."""

    def __init__(self, name: str, path: str) -> None:
        self.name, self.path = name, path

    def ask(self, method: str, path: str, body: bytes | dict[str, Any] = b"", kind: str = "application/json") -> bytes:
        """Send a request and return the whole answer."""
        link = Socket(self.path)
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        try:
            link.request(method, "/v1.41" + path, data, {"Content-Type": kind})
            answer = link.getresponse()
            said = answer.read()
        finally:
            link.close()
        if answer.status >= 400 or b'"errorDetail"' in said:
            raise RuntimeError(f"{self.name}: {method} {path}: {answer.status} {said[-300:]!r}")
        return said

    def true(self) -> None:
        """Make a container of `true`, start it, wait for its end, remove it."""
        made = json.loads(self.ask("POST", "/containers/create", {"Image": "bench-base", "Cmd": ["true"]}))["Id"]
        self.ask("POST", f"/containers/{made}/start")
        assert json.loads(self.ask("POST", f"/containers/{made}/wait"))["StatusCode"] == 0
        self.ask("DELETE", f"/containers/{made}")

    def build(self, context: bytes, name: str = "bench-built", options: str = "") -> None:
        """Build a context."""
        self.ask("POST", f"/build?t={name}{options}", context, "application/x-tar")

    def load(self, archive: Path) -> None:
        """Load an archive."""
        self.ask("POST", "/images/load?quiet=1", archive.read_bytes(), "application/x-tar")

    def forget(self) -> None:
        """Remove the images that this run made: those with a name, then those that lost theirs to a newer one."""
        for image in json.loads(self.ask("GET", f"/images/json?filters={filters(label=[f'{LABEL}={RUN}'])}")):
            for name in image["RepoTags"] or ():
                if name != "<none>:<none>":
                    self.ask("DELETE", f"/images/{name}?force=1")
        self.ask("POST", f"/images/prune?filters={filters(label=[f'{LABEL}={RUN}'], dangling=['true'])}")


def filters(**wanted: list[str]) -> str:
    """Return filters as a query takes them."""
    return urllib.parse.quote(json.dumps(wanted))


# The images


def member(tar: tarfile.TarFile, name: str, body: bytes = b"", **more: Any) -> None:
    """Add a file to a tar."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(body), 0o755
    for key, value in more.items():
        setattr(info, key, value)
    tar.addfile(info, io.BytesIO(body))


def layer(files: int, size: int) -> bytes:
    """Return a layer: busybox, and files in folders of fifty, as a distribution's are."""
    packed, busybox = io.BytesIO(), shutil.which("busybox") or "busybox"
    with tarfile.open(fileobj=packed, mode="w") as tar:
        member(tar, "bin/busybox", Path(busybox).read_bytes())
        for applet in ("sh", "true", "cp", "rm", "ls", "mkdir", "echo", "cat", "sleep"):
            member(tar, f"bin/{applet}", type=tarfile.SYMTYPE, linkname="busybox")
        member(tar, "tmp", type=tarfile.DIRTYPE, mode=0o1777)
        for n in range(files):
            member(tar, f"usr/lib/p{n // 50}/f{n}", f"{n}\n".encode() * (size // len(f"{n}\n")))
    return packed.getvalue()


def archive(path: Path, packed: bytes, names: list[str]) -> None:
    """Write an archive of images that share one layer, and differ in a label."""
    with tarfile.open(path, "w") as tar:
        member(tar, "one/layer.tar", packed)
        manifest = []
        for name in names:
            config = {
                "architecture": "amd64",
                "os": "linux",
                "created": "2024-01-01T00:00:00Z",
                "config": {"Env": ENV, "Cmd": ["sh"], "Labels": {"name": name, LABEL: RUN}},
                "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(packed).hexdigest()]},
                "history": [{"created": "2024-01-01T00:00:00Z", "created_by": "benchmarks/engine.py"}],
            }
            raw = json.dumps(config).encode()
            member(tar, hashlib.sha256(raw).hexdigest() + ".json", raw)
            file = hashlib.sha256(raw).hexdigest() + ".json"
            manifest.append({"Config": file, "RepoTags": [name], "Layers": ["one/layer.tar"]})
        member(tar, "manifest.json", json.dumps(manifest).encode())


def context(dockerfile: str, files: int = 0) -> bytes:
    """Return a build context."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        member(tar, "Dockerfile", dockerfile.encode(), mode=0o644)
        for n in range(files):
            member(tar, f"src/f{n}", f"source {n}\n".encode() * 20, mode=0o644)
    return packed.getvalue()


SIX = """FROM bench-base
ENV a=1
WORKDIR /work
COPY src src
RUN echo small >small
RUN mkdir copied && for p in 0 1 2 3 4 5 6 7 8 9; do cp -r /usr/lib/p$p copied; done; rm -rf src
CMD ["sh"]
"""


# The embedded engine


def memory(pid: int) -> float:
    """Return the memory of a process and all below it in MB, shared pages counted once (Pss)."""
    total = 0
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            total += int(line.split()[1])
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return total / 1000 + sum(memory(int(child)) for child in children)


# The figures


def timed(what: Callable[[], object]) -> float:
    """Return how many seconds a call takes."""
    start = time.perf_counter()
    what()
    return time.perf_counter() - start


def in_turn(sides: list[Engine], what: Callable[[Engine], object], rounds: int) -> list[float]:
    """Return each side's median over some rounds, the sides asked in turn; the first round warms up."""
    took = [[timed(lambda side=side: what(side)) for side in sides] for _ in range(rounds + 1)][1:]
    return [statistics.median(column) for column in zip(*took, strict=True)]


def line(name: str, seconds: list[float], aim: float | None = None) -> None:
    """Print one figure: ours, dockerd's, the ratio and the aim."""
    ours, *theirs = (f"{one * 1000:9.1f} ms" for one in seconds)
    ratio = f"{seconds[0] / seconds[1]:6.2f}x" if theirs else "      -"
    told = "" if aim is None else f"  (aim: at most {aim}x)"
    print(f"{name:38}{ours}{theirs[0] if theirs else '':>12}{ratio}{told}", flush=True)


def compare(sides: list[Engine], rung: str, many: Path, rounds: int) -> None:
    """Print the figures that have a ratio."""
    cold, counter = context(SIX, 200), iter(range(1000))
    names = list(AIMS)
    aims = {name: AIMS[name].get(rung) for name in names}
    line(names[0], in_turn(sides, Engine.true, rounds * 3), aims[names[0]])
    fresh = [SIX.replace("a=1", f"a={next(counter) + 2}") for _ in range(rounds + 1)]
    turns = {side.name: iter(fresh) for side in sides}
    line(
        names[1], in_turn(sides, lambda side: side.build(context(next(turns[side.name]), 200)), rounds), aims[names[1]]
    )
    for side in sides:
        side.build(cold)
    line(names[2], in_turn(sides, lambda side: side.build(cold), rounds), aims[names[2]])
    for side in sides:
        side.load(many)
    line(names[3], in_turn(sides, lambda side: side.ask("GET", "/images/json"), rounds * 3), aims[names[3]])


def growth(sides: list[Engine], folder: Path) -> None:
    """Print how the cost of one more step grows with layers and with files."""
    for count in (1, 20, 60, 100):
        stack = "FROM bench-base\n" + "".join(f"COPY src/f{n} /f{n}\n" for n in range(count))
        for side in sides:
            side.build(context(stack, count), f"bench-stack{count}")
        line(f"RUN on {count} layers", step(sides, f"bench-stack{count}"))
    for files in (100, 1000, 10_000, 50_000):
        path = folder / "files.tar"
        archive(path, layer(files, 100), [f"bench-files{files}:latest"])
        for side in sides:
            side.load(path)
        line(f"RUN on {files} files", step(sides, f"bench-files{files}"))


def step(sides: list[Engine], name: str) -> list[float]:
    """Return how long one RUN on an image takes."""
    told = context(f"FROM {name}\nRUN echo x >/x\n")
    return in_turn(sides, lambda side: side.build(told, options="&nocache=1"), 3)


def classic() -> Engine | None:
    """Return the dockerd to compare with, where there is one."""
    for url in os.environ.get("DRYDOCK_TEST_DAEMONS", "").split():
        if "drydock-classic" in url:
            return Engine("dockerd", url.removeprefix("unix://"))
    return None


def measure(home: Path, rung: str, small: bool, grow: bool) -> None:
    """Start the engine, ask both sides, print."""
    told = ["--rung", rung] if rung else []
    starts = []
    for _ in range(5):
        begin = time.perf_counter()
        with own.engine(*told, home=home):
            starts.append(time.perf_counter() - begin)
    theirs = classic()
    with own.engine(*told, home=home) as ours:
        idle = memory(ours.process.pid)
        sides = [Engine("embedded", str(ours.socket)), *([theirs] if theirs else [])]
        info = json.loads(sides[0].ask("GET", "/info"))
        print(f"embedded engine: {info.get('Driver')} {info.get('DriverStatus')}")
        print(f"{'':38}{'embedded':>12}{'dockerd' if theirs else '(no dockerd)':>12}")
        base, many = home / "base.tar", home / "many.tar"
        archive(base, layer(600 if small else 7000, 1000 if small else 20_000), ["bench-base:latest"])
        archive(many, layer(1, 1), [f"bench-many{n}:latest" for n in range(500)])
        try:
            for side in sides:
                side.load(base)
            compare(sides, rung or "A", many, 3 if small else 7)
            if grow:
                growth(sides, home)
        finally:
            for side in sides:
                side.forget()
        line("start to first answer", [statistics.median(starts)])
        print(f"{'memory, idle after start':38}{idle:9.1f} MB{'':19}  (aim: under 60 MB)")
        print(f"{'memory, idle after all this':38}{memory(ours.process.pid):9.1f} MB")


def main() -> int:
    """Read the options and measure in memory, where the dockerd of tests/daemons/classic.sh keeps its data too."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rung", default="", choices=["A", "B", "C", ""], help="instead of the best that works")
    parser.add_argument("--small", action="store_true", help="600 files instead of 7,000, fewer rounds")
    parser.add_argument("--growth", action="store_true", help="also how cost grows with layers and files")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-", dir=os.environ.get("TMPDIR", "/dev/shm")) as folder:
        home = Path(folder)
        try:
            measure(home, told.rung, told.small, told.growth)
        except RuntimeError as error:
            print(f"{error}\n{(home / 'said').read_text()[-2000:]}", file=sys.stderr)
            return 1
        finally:
            subprocess.run(["chmod", "-R", "u+rwX", folder], check=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
