"""Reading an image of about 1 GB and 50,000 files, against tar and sha256sum on the same bytes.

Both sides list every member and hash every layer, with the archive in the page cache. Ours hashes each file too,
which tar and sha256sum do not.

    python benchmarks/read_image.py [--small]
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import random
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

LAYERS = 5
OURS = """
import resource, sys, time
from drydock import read
start = time.perf_counter()
image = read.archive(sys.argv[1])
seconds = time.perf_counter() - start
print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, sum(len(one.entries) for one in image.layers))
"""


def layer(path: Path, files: int, size: int, seed: int) -> str:
    """Write one layer of that many files; return its digest."""
    noise = random.Random(seed).randbytes(1 << 20)
    with tarfile.open(path, "w") as tar:
        for n in range(files):
            info = tarfile.TarInfo(f"usr/lib/package{n % 500}/folder{seed}/file{n}.py")
            info.size = size // 2 + (n * 7919) % size
            start = n % 4096
            body = (noise[start:] * (info.size // (len(noise) - 4096) + 1))[: info.size]
            tar.addfile(info, io.BytesIO(body))
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def archive(folder: Path, files: int, total: int) -> Path:
    """Write an archive as `docker save` does: layers, config, manifest."""
    names = [f"{n}/layer.tar" for n in range(LAYERS)]
    target = folder / "image.tar"
    with tarfile.open(target, "w") as tar:
        ids = []
        for n, name in enumerate(names):
            part = folder / "layer.tar"
            ids.append("sha256:" + layer(part, files // LAYERS, total // files, n))
            tar.add(part, name)
            part.unlink()
        config = json.dumps({"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": ids}}).encode()
        manifest = [{"Config": f"{hashlib.sha256(config).hexdigest()}.json", "RepoTags": None, "Layers": names}]
        for name, body in ((manifest[0]["Config"], config), ("manifest.json", json.dumps(manifest).encode())):
            info = tarfile.TarInfo(str(name))
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    return target


def plain(path: Path) -> float:
    """Time tar and sha256sum: each layer taken out of the archive, listed, and hashed."""
    start = time.perf_counter()
    for n in range(LAYERS):
        take = f"tar -xOf {path} {n}/layer.tar"
        subprocess.run(f"{take} | tar -tv >/dev/null", shell=True, check=True)
        subprocess.run(f"{take} | sha256sum >/dev/null", shell=True, check=True)
    return time.perf_counter() - start


def simplest(path: Path) -> float:
    """Time the least that tar and sha256sum can do: list the archive, hash the archive."""
    start = time.perf_counter()
    subprocess.run(["tar", "-tf", path], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["sha256sum", path], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> int:
    """Make the archive, time both sides in one run, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="50 MB and 2,500 files")
    small = parser.parse_args().small
    files, total = (2_500, 50_000_000) if small else (50_000, 1_000_000_000)
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as folder:
        path = archive(Path(folder), files, total)
        subprocess.run(["cat", path], check=True, stdout=subprocess.DEVNULL)  # into the page cache
        least, theirs = simplest(path), plain(path)
        done = subprocess.run([sys.executable, "-c", OURS, path], check=True, capture_output=True, text=True)
        seconds, memory, entries = (float(one) for one in done.stdout.split())
        print(f"archive: {path.stat().st_size / 1e6:.0f} MB, {entries:.0f} files in {LAYERS} layers")
    print(f"tar -t and sha256sum of the archive alone: {least:.2f} s")
    print(f"tar -t and sha256sum of each layer:        {theirs:.2f} s")
    print(f"read.archive (each layer and each file):   {seconds:.2f} s, peak memory {memory / 1e6:.0f} MB")
    print(f"ratio: {seconds / least:.2f} to the archive alone, {seconds / theirs:.2f} to each layer (aim: at most 2)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
