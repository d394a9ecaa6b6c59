"""Tars for the tests, made by Python's own tarfile: an independent judge of what the engine reads and writes."""

import io
import json
import tarfile
from hashlib import sha256

KINDS = {
    "file": tarfile.REGTYPE,
    "directory": tarfile.DIRTYPE,
    "symlink": tarfile.SYMTYPE,
    "hardlink": tarfile.LNKTYPE,
    "fifo": tarfile.FIFOTYPE,
    "character device": tarfile.CHRTYPE,
    "block device": tarfile.BLKTYPE,
}


def member(
    name, kind="file", content=b"", mode=0o644, uid=0, gid=0, mtime=1_700_000_000, link="", pax=None, device=(0, 0)
):
    """One member of a tar and its content."""
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.uid, info.gid, info.mtime, info.linkname = KINDS[kind], mode, uid, gid, mtime, link
    info.size = len(content) if kind == "file" else 0
    info.devmajor, info.devminor = device
    info.pax_headers = pax or {}
    return info, content


def tar(*members, mode="w"):
    """A tar of these members, open for reading."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode, format=tarfile.PAX_FORMAT, errors="surrogateescape") as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return io.BytesIO(packed.getvalue())


def docker_archive(*images, digest_names=True):
    """What `docker save` writes: each image a (tags, config, layers as bytes), with the digests filled in."""
    members, rows = [], []
    for tags, config, layers in images:
        diff_ids = ["sha256:" + sha256(layer).hexdigest() for layer in layers]
        raw = json.dumps(config | {"rootfs": {"type": "layers", "diff_ids": diff_ids}}).encode()
        name = sha256(raw).hexdigest()
        names = [f"{number}{one[7:20]}/layer.tar" for number, one in enumerate(diff_ids)]
        if digest_names:
            names = [f"blobs/sha256/{one[7:]}" for one in diff_ids]
        members += [member(path, content=layer) for path, layer in zip(names, layers, strict=True)]
        config_name = f"blobs/sha256/{name}" if digest_names else f"{name}.json"
        members.append(member(config_name, content=raw))
        rows.append({"Config": config_name, "RepoTags": tags, "Layers": names})
    members.append(member("manifest.json", content=json.dumps(rows).encode()))
    return tar(*members)
