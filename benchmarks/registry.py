"""Pull and push of 150 MB, the embedded engine beside dockerd: one registry (Debian's docker-registry) on loopback.

The image's files are this machine's own, from /usr, so that they pack as an image's do. Both engines and the registry
keep everything in memory; the sides take turns, and every figure is a median. Each first push finds an empty registry
and a layer that was never packed before.

    DRYDOCK_TEST_DAEMONS=unix:///... python benchmarks/registry.py [--small]
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import own

from engine import Engine, Socket, archive, classic, line, timed

PORT = int(os.environ.get("DRYDOCK_BENCH_PORT", "5069"))
NAME = f"127.0.0.1:{PORT}/bench/image"
FOLDERS = ("/usr/lib/python3", "/usr/lib/x86_64-linux-gnu", "/usr/bin", "/usr/share")


def layer(path: Path, size: int) -> int:
    """Write a layer of so many bytes of this machine's files; return how many files."""
    count = total = 0
    with tarfile.open(path, "w") as tar:
        for folder in FOLDERS:
            for file in sorted(Path(folder).rglob("*")):
                if total >= size:
                    return count
                if file.is_file() and not file.is_symlink() and file.stat().st_size < 8 << 20:
                    info = tar.gettarinfo(file)
                    info.uid = info.gid = 0
                    info.type, info.linkname = tarfile.REGTYPE, ""
                    info.size = file.stat().st_size
                    with file.open("rb") as content:
                        tar.addfile(info, content)
                    count, total = count + 1, total + info.size
    return count


class Registry:
    """Debian's docker-registry, its blobs in memory."""

    def __init__(self, folder: Path) -> None:
        self.data, self.config = folder / "registry", folder / "registry.yml"
        self.config.write_text(
            f"version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n"
            f'storage: {{filesystem: {{rootdirectory: {self.data}}}}}\nhttp: {{addr: "127.0.0.1:{PORT}"}}\n'
        )

    @contextmanager
    def running(self, empty: bool) -> Iterator[None]:
        """Serve what was kept, or nothing."""
        if empty:
            shutil.rmtree(self.data, ignore_errors=True)
        with subprocess.Popen(["docker-registry", "serve", str(self.config)], stderr=subprocess.DEVNULL) as process:
            try:
                end = time.monotonic() + 20
                while time.monotonic() < end:
                    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{PORT}/v2/"):
                        break
                    time.sleep(0.02)
                yield
            finally:
                process.terminate()


class Side:
    """One engine, and the most memory that it took."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.name = engine, engine.name
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(engine.path)
            self.pid = struct.unpack("3i", link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]

    def ask(self, path: str) -> None:
        """Send a request as an anonymous user, and read what is told to its end."""
        link = Socket(self.engine.path)
        try:
            link.request("POST", path, headers={"X-Registry-Auth": "e30="})
            said = link.getresponse().read()
        finally:
            link.close()
        if b'"status"' not in said or b'"errorDetail"' in said:
            raise RuntimeError(f"{self.name}: {path}: {said[-300:]!r}")

    def push(self) -> None:
        """Push the image."""
        self.ask(f"/v1.41/images/{NAME}/push?tag=1")

    def pull(self) -> None:
        """Pull the image."""
        self.ask(f"/v1.41/images/create?fromImage={NAME}&tag=1")

    def forget(self) -> None:
        """Remove the image."""
        with suppress(RuntimeError):
            self.engine.ask("DELETE", f"/images/{NAME}:1?force=1")

    def begin(self) -> None:
        """Forget how much memory it took."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def peak(self) -> float:
        """Return the most memory it took since, in MB."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(row.split()[1]) for row in text.splitlines() if row.startswith("VmHWM")) / 1000


def rounds(sides: list[Side], registry: Registry, image: Path, count: int) -> None:
    """Print the figures."""
    names = ("first push", "push, nothing changed", "pull", "pull, up to date", "memory, push", "memory, pull")
    took: dict[str, list[list[float]]] = {name: [[] for _ in sides] for name in names}
    for _ in range(count + 1):
        for number, side in enumerate(sides):

            def note(name: str, value: float, number: int = number) -> None:
                took[name][number].append(value)

            side.forget()
            side.engine.load(image)
            with registry.running(empty=True):
                side.begin()
                note(names[0], timed(side.push))
                note(names[4], side.peak())
                note(names[1], timed(side.push))
                side.forget()
                side.begin()
                note(names[2], timed(side.pull))
                note(names[5], side.peak())
                note(names[3], timed(side.pull))
            side.forget()
    for name in names:
        middle = [sorted(values[1:])[len(values[1:]) // 2] for values in took[name]]  # the first round warms up
        if name.startswith("memory"):
            print(f"{name + ', at most':38}" + "".join(f"{one:9.1f} MB" for one in middle), flush=True)
        else:
            line(name, middle, AIMS.get(name))
    ours = sorted(took["push, nothing changed"][0][1:])[count // 2]
    print(f"a push where nothing changed takes {ours * 1000:.0f} ms (aim: under 50 ms)")


AIMS: dict[str, float] = {"first push": 1.0, "pull": 1.0}


def main() -> int:
    """Read the options and measure in memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="15 MB instead of 150, fewer rounds")
    small = parser.parse_args().small
    theirs = classic()
    with tempfile.TemporaryDirectory(prefix="bench-", dir=os.environ.get("TMPDIR", "/dev/shm")) as name:
        folder = Path(name)
        folder.chmod(0o755)  # where root measures, an ordinary user runs the engine
        tar, image = folder / "layer.tar", folder / "image.tar"
        files = layer(tar, 15_000_000 if small else 150_000_000)
        archive(image, tar.read_bytes(), [f"{NAME}:1"])
        tar.unlink()
        with own.engine(home=folder / "home") as ours:
            sides = [Side(Engine("embedded", str(ours.socket))), *([Side(theirs)] if theirs else [])]
            print(f"{files} files{'':28}{'embedded':>14}{'dockerd' if theirs else '(no dockerd)':>12}")
            rounds(sides, Registry(folder), image, 2 if small else 3)
    return 0


if __name__ == "__main__":
    sys.exit(main())
