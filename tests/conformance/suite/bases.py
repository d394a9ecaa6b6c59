"""The base image of the scenarios, from this machine's busybox: the same bytes, so the same ID, in every engine."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

from suite.tars import DAY

NAME = "conf-base:latest"
LABEL = "drydock-conf"  # inherited by what is built from it and by containers: so it can be found and removed

FILES = {
    "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\n"
    b"daemon:x:1:1:daemon:/:/bin/false\n"
    b"student:x:1000:1000::/home/student:/bin/sh\n",
    "etc/group": b"root:x:0:\ndaemon:x:1:\nwww:x:33:student\nstudent:x:1000:\n",
    "srv/old/one": b"one\n",
    "srv/old/two": b"two\n",
    "srv/keep/three": b"three\n",
    "srv/greeting": b"hello from the base\n",
}
FOLDERS = {
    **dict.fromkeys(
        ("bin", "etc", "home", "proc", "sys", "dev", "srv", "srv/old", "srv/keep", "usr", "usr/bin", "var"), (0o755, 0)
    ),
    "root": (0o700, 0),
    "tmp": (0o1777, 0),
    "home/student": (0o755, 1000),
}


def _member(tar: tarfile.TarFile, name: str, body: bytes | None = None, **more: object) -> None:
    info = tarfile.TarInfo(name)
    info.mtime = DAY
    for key, value in more.items():
        setattr(info, key, value)
    info.size = len(body or b"")
    tar.addfile(info, io.BytesIO(body or b""))


def root_fs() -> bytes:
    """Return the base's only layer: a tar with busybox, its links, three accounts and a few files to change."""
    packed = io.BytesIO()
    busybox = shutil.which("busybox") or "busybox"
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, (mode, owner) in FOLDERS.items():
            _member(tar, name, type=tarfile.DIRTYPE, mode=mode, uid=owner, gid=owner)
        _member(tar, "bin/busybox", Path(busybox).read_bytes(), mode=0o755)
        for applet in subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split():
            if applet != "busybox":
                _member(tar, f"bin/{applet}", type=tarfile.SYMTYPE, linkname="busybox", mode=0o777)
        for name, body in FILES.items():
            _member(tar, name, body, mode=0o644)
    return packed.getvalue()


def archive() -> bytes:
    """Return the base as `docker save` would write it."""
    layer = root_fs()
    config = {
        "architecture": "amd64",
        "config": {
            "Cmd": ["/bin/sh"],
            "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"],
            "Labels": {LABEL: "1"},
        },
        "created": "2024-01-01T00:00:00Z",
        "history": [{"created": "2024-01-01T00:00:00Z", "created_by": "busybox of this machine"}],
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
    }
    raw = json.dumps(config).encode()
    name = hashlib.sha256(raw).hexdigest() + ".json"
    manifest = [{"Config": name, "RepoTags": [NAME], "Layers": ["base/layer.tar"]}]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        _member(tar, name, raw)
        _member(tar, "base/layer.tar", layer)
        _member(tar, "manifest.json", json.dumps(manifest).encode())
    return packed.getvalue()
