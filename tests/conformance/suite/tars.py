"""The archives that some scenarios unpack, by scenario and file name: made here, because text cannot hold them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from typing import Any

DAY = 1704067200  # 2024-01-01, the day of all the suite's files
CAP_NET_RAW = "\x01\x00\x00\x02\x00\x20" + "\x00" * 14  # security.capability, revision 2: cap_net_raw+ep


def packed(*members: tuple[str, bytes | None, dict[str, Any]], mode: str = "w") -> bytes:
    """Return a tar of members: a name, content or None, attributes of the TarInfo."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=tarfile.PAX_FORMAT) as tar:  # type: ignore[call-overload]
        for name, body, more in members:
            info = tarfile.TarInfo(name)
            info.mtime = DAY
            for key, value in more.items():
                setattr(info, key, value)
            info.size = len(body or b"")
            tar.addfile(info, io.BytesIO(body or b""))
    return out.getvalue()


def image(name: str, architecture: str) -> bytes:
    """Return an archive, as `docker load` takes it, of an image for another kind of machine."""
    layer = packed(("hello", b"no program\n", {"mode": 0o755}))
    rootfs = {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]}
    config = {
        "architecture": architecture,
        "os": "linux",
        "rootfs": rootfs,
        "config": {"Labels": {"drydock-conf": "1"}},
    }
    raw = json.dumps(config | {"history": [{"created_by": "by hand"}]}).encode()
    files = {f"{hashlib.sha256(raw).hexdigest()}.json": raw, "layer.tar": layer}
    manifest = [{"Config": next(iter(files)), "RepoTags": [name], "Layers": ["layer.tar"]}]
    files["manifest.json"] = json.dumps(manifest).encode()
    return packed(*((path, body, {}) for path, body in files.items()))


TARS = {
    "platform-foreign/arm.tar": image("conf-arm:latest", "arm64"),
    "add-tar/a.tar": packed(
        ("d/", None, {"type": tarfile.DIRTYPE, "mode": 0o750, "uid": 5, "gid": 6}),
        ("d/plain", b"plain\n", {"mode": 0o640, "uid": 7, "gid": 8, "uname": "nobody", "gname": "nogroup"}),
        ("d/setuid", b"#!/bin/sh\n", {"mode": 0o4755}),
        ("d/hard", None, {"type": tarfile.LNKTYPE, "linkname": "d/plain"}),
        ("d/soft", None, {"type": tarfile.SYMTYPE, "linkname": "../away", "mode": 0o777}),
        ("d/cap", b"capable\n", {"mode": 0o755, "pax_headers": {"SCHILY.xattr.security.capability": CAP_NET_RAW}}),
        ("d/pipe", None, {"type": tarfile.FIFOTYPE, "mode": 0o600}),
        ("d/\u00fcml\u00e4ut \u2603", b"snow\n", {}),
        ("d/" + "long" * 40, b"long name\n", {}),
    ),
    "add-packed/a.tgz": gzip.compress(packed(("f", b"gz\n", {})), mtime=0),
    "add-packed/a.tbz": packed(("f", b"bz\n", {}), mode="w:bz2"),
    "add-packed/a.txz": packed(("f", b"xz\n", {}), mode="w:xz"),
    "add-packed/a.zip": b"PK\x05\x06" + bytes(18),
    "add-chown/a.tar": packed(("f", b"f\n", {"uid": 3, "gid": 3})),
    "add-over/a.tar": packed(
        ("srv/old/one", b"replaced\n", {}),
        ("srv/new", b"new\n", {}),
        ("srv/keep", b"now a file\n", {}),
    ),
    "cache-add-tar/a.tar": bytes(10240),  # an archive of nothing
}
