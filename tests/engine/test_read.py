"""Rules of reading images from archives and folders, honest and hostile."""

import contextlib
import gzip
import hashlib
import io
import json
import os
import tarfile

import pytest
import zstandard
from drydock import read
from drydock.model.tree import tree_at
from drydock.read.assemble import here
from drydock.read.layer import Limits, read_layer
from drydock.read.tarstream import BadArchive, Stream, members
from hypothesis import given, settings
from hypothesis import strategies as st

OTHER = "linux/s390x"


def sha(body):
    return hashlib.sha256(body).hexdigest()


def tar(*files, form=tarfile.PAX_FORMAT):
    """Make a tar of (name, content) pairs or TarInfos."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form, errors="surrogateescape") as one:
        for file in files:
            info, body = (file, b"") if isinstance(file, tarfile.TarInfo) else (tarfile.TarInfo(file[0]), file[1])
            if not isinstance(file, tarfile.TarInfo):
                info.size = len(body)
            one.addfile(info, io.BytesIO(body))
    return out.getvalue()


def special(name, kind, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def layer(*files, **options):
    return blob(tar(*files, **options))


def blob(body):
    return read_layer(io.BytesIO(body).read, "a layer")


def config(layers, platform=None, **more):
    system, architecture = (platform or here()).split("/")
    rows = [{"created_by": f"COPY {n} /"} for n in range(len(layers))] + [{"created_by": "CMD sh", "empty_layer": True}]
    body = {
        "os": system,
        "architecture": architecture,
        "config": {"Cmd": ["sh"]},
        "history": rows,
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + sha(one) for one in layers]},
    }
    return json.dumps(body | more).encode()


def old_style(layers, name="shop:1", **more):
    """Return the members of a `docker save` of 20.10."""
    raw = more.pop("raw", None) or config(layers)
    manifest = [
        {"Config": f"{sha(raw)}.json", "RepoTags": [name], "Layers": [f"{n}/layer.tar" for n in range(len(layers))]}
    ]
    return [
        *((f"{n}/layer.tar", body) for n, body in enumerate(layers)),
        (f"{sha(raw)}.json", raw),
        ("manifest.json", json.dumps(manifest).encode()),
    ]


def oci(images, pack=lambda body: body, wrap=False):
    """Return the members of an OCI layout: images is a list of (platform, layers)."""
    blobs, entries = {}, []
    for platform, layers in images:
        packed = [pack(one) for one in layers]
        raw = config(layers, platform if platform != "unknown/unknown" else None)
        manifest = {
            "config": {"digest": "sha256:" + sha(raw)},
            "layers": [{"digest": "sha256:" + sha(one)} for one in packed],
        }
        body = json.dumps(manifest).encode()
        for one in (*packed, raw, body):
            blobs[f"blobs/sha256/{sha(one)}"] = one
        system, architecture = platform.split("/")
        about = {"os": system, "architecture": architecture}
        entries.append({"digest": "sha256:" + sha(body), "platform": about})
    index = json.dumps({"manifests": entries}).encode()
    if wrap:
        blobs[f"blobs/sha256/{sha(index)}"] = index
        notes = {"io.containerd.image.name": "docker.io/library/shop:1"}
        index = json.dumps({"manifests": [{"digest": "sha256:" + sha(index), "annotations": notes}]}).encode()
    return [("oci-layout", b'{"imageLayoutVersion": "1.0.0"}'), *blobs.items(), ("index.json", index)]


def saved(tmp_path, files, name="image.tar", pack=lambda body: body):
    path = tmp_path / name
    path.write_bytes(pack(tar(*files)))
    return path


def unpacked(tmp_path, files):
    for name, body in files:
        place = tmp_path / "folder" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(body)
    return tmp_path / "folder"


BASE = tar(("etc/hosts", b"127.0.0.1\n"), ("old", b"old"))
TOP = tar(("app.py", b"print()\n"), (".wh.old", b""))
PACKS = {"plain": lambda body: body, "gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress}


@pytest.mark.parametrize("pack", PACKS.values(), ids=PACKS)
@pytest.mark.parametrize("style", ["old", "oci", "index in an index"])
def test_every_way_to_save_an_image_reads_as_the_same_image(tmp_path, style, pack):
    files = old_style([BASE, TOP]) if style == "old" else oci([(here(), [BASE, TOP])], pack, style != "oci")
    from_file = read.archive(saved(tmp_path, files))
    from_folder = read.folder(unpacked(tmp_path, files))
    from_packed = read.archive(saved(tmp_path, files, "image.tar.gz", gzip.compress))
    assert from_file.layers == from_folder.layers == from_packed.layers
    assert from_file.id == from_folder.id == from_packed.id == "sha256:" + sha(config([BASE, TOP]))
    assert [one.diff_id for one in from_file.layers] == ["sha256:" + sha(BASE), "sha256:" + sha(TOP)]
    assert [row.layer for row in from_file.history] == [0, 1, None]
    assert set(tree_at(from_file).nodes) == {"etc/hosts", "app.py"}
    for image in (from_file, from_folder, from_packed):
        assert image.content(0, "/etc/hosts") == b"127.0.0.1\n"
        assert image.content(1, "app.py") == b"print()\n"
    if style == "old":
        assert from_file.names == ("shop:1",)


def test_an_index_gives_this_platform_and_never_an_attestation(tmp_path):
    files = oci([("unknown/unknown", [TOP]), (OTHER, [TOP]), (here(), [BASE])])
    assert read.archive(saved(tmp_path, files)).platform == here()
    assert read.archive(saved(tmp_path, files), platform=OTHER).platform == OTHER
    with pytest.raises(BadArchive, match="no image for linux/mips"):
        read.archive(saved(tmp_path, files), platform="linux/mips")


def test_an_image_is_found_by_its_name_in_an_archive_of_several(tmp_path):
    one, two = old_style([BASE], "one:1"), old_style([BASE, TOP], "two:2")
    manifest = json.dumps(json.loads(one[-1][1]) + json.loads(two[-1][1])).encode()
    path = saved(tmp_path, [*one[:-1], *two[:-1], ("manifest.json", manifest)])
    assert read.archive(path, "docker.io/library/two:2").names == ("two:2",)
    assert read.archive(path).names == ("one:1",)
    with pytest.raises(BadArchive, match="Ask for one of one:1, two:2"):
        read.archive(path, "three")


class Daemon:
    """As much of a docker-py client as reading asks for; it sends `body` in pieces, then perhaps breaks off."""

    def __init__(self, body, breaks=None):
        self.api, self.body, self.breaks = self, body, breaks

    def version(self):
        return {"Version": "1"}

    def inspect_image(self, name):
        return {"Id": "sha256:1", "RepoTags": ["shop:1"], "Os": "linux", "Architecture": here()[6:]}

    def get_image(self, name, chunk_size):
        for at in range(0, len(self.body), 1000):
            yield self.body[at : at + 1000]
        if self.breaks:
            raise self.breaks


def test_a_daemon_that_stops_in_the_middle_is_a_clear_error():
    body = tar(*old_style([BASE, TOP]))
    assert read.image(Daemon(body), "shop:1").content(1, "app.py") == b"print()\n"
    with pytest.raises(BadArchive, match="Docker stopped in the middle"):
        read.image(Daemon(body[:3000], ConnectionError()), "shop:1")
    with pytest.raises(BadArchive, match="ends too early"):
        read.image(Daemon(body[:3100]), "shop:1")


def test_a_layer_saved_as_a_link_to_another_is_that_layer(tmp_path):
    files = old_style([BASE, BASE])
    files[1] = special("1/layer.tar", tarfile.SYMTYPE, "../0/layer.tar")
    for path in (saved(tmp_path, files), saved(tmp_path, files, "x.tgz", gzip.compress)):
        image = read.archive(path)
        assert image.layers[0] == image.layers[1] and image.content(1, "old") == b"old"


def test_links_in_a_circle_are_refused(tmp_path):
    files = old_style([BASE, BASE])
    files[0] = special("0/layer.tar", tarfile.SYMTYPE, "../1/layer.tar")
    files[1] = special("1/layer.tar", tarfile.SYMTYPE, "../0/layer.tar")
    with pytest.raises(BadArchive, match="circle"):
        read.archive(saved(tmp_path, files))


def test_a_folder_gives_no_file_outside_itself(tmp_path):
    files = old_style([BASE])
    (tmp_path / "outside").write_bytes(BASE)
    folder = unpacked(tmp_path, files)
    (folder / "0/layer.tar").unlink()
    (folder / "0/layer.tar").symlink_to("../../outside")
    with pytest.raises(BadArchive, match=r"lacks '0/layer\.tar'"):
        read.folder(folder)


@pytest.mark.parametrize("cut", [1, 300, 511, 700, 1300, 5000, 12000, 21000])
def test_a_cut_archive_says_so(tmp_path, cut):
    whole = tar(*old_style([BASE, TOP]))
    path = tmp_path / "cut.tar"
    path.write_bytes(whole[:cut])
    with pytest.raises(BadArchive):
        read.archive(path)


@settings(max_examples=60)
@given(st.integers(0, 9000))
def test_a_layer_cut_anywhere_is_never_taken_for_the_whole(cut):
    body = tar(("a", b"x" * 3000), ("b", b"y"))
    packed = gzip.compress(body)
    whole = blob(packed)
    with pytest.raises(BadArchive):
        blob(packed[: cut % len(packed)] or b"\x1f\x8b")
    with contextlib.suppress(BadArchive):
        assert blob(body[: cut % len(body)]).diff_id != whole.diff_id


def test_a_changed_layer_is_refused(tmp_path):
    files = dict(old_style([BASE, TOP]))
    files["1/layer.tar"] = tar(("app.py", b"evil()\n"))
    with pytest.raises(BadArchive, match="config names"):
        read.archive(saved(tmp_path, files.items()))


@pytest.mark.parametrize("which", range(1, 5))
def test_a_changed_blob_is_refused(tmp_path, which):
    files = oci([(here(), [BASE, TOP])])
    name, body = files[which]
    files[which] = (name, body.replace(b"o", b"0", 1) if body[:1] == b"{" else tar(("x", b"")))
    with pytest.raises(BadArchive, match=r"digest|checksum"):
        read.archive(saved(tmp_path, files))


def test_a_changed_config_is_refused(tmp_path):
    files = old_style([BASE])
    files[1] = (files[1][0], files[1][1] + b" ")
    with pytest.raises(BadArchive, match="digest"):
        read.archive(saved(tmp_path, files))


@pytest.mark.parametrize("name", ["../etc/passwd", "a/../../b", "/etc/passwd", "a/..", ".."])
def test_a_path_out_of_the_root_is_refused(name):
    with pytest.raises(BadArchive, match="outside its own root"):
        layer((name, b"x"))


def test_a_hard_link_out_of_the_root_is_refused_and_a_symlink_is_only_text():
    with pytest.raises(BadArchive, match="outside"):
        layer(special("a", tarfile.LNKTYPE, "../../etc/shadow"))
    assert layer(special("a", tarfile.SYMTYPE, "../../etc/shadow")).entries[0].link == "../../etc/shadow"


def test_kinds_are_kept():
    kinds = [
        special("c", tarfile.CHRTYPE),
        special("b", tarfile.BLKTYPE),
        special("p", tarfile.FIFOTYPE),
        special("d", tarfile.DIRTYPE),
        special("s", tarfile.SYMTYPE, "x"),
        ("f", b""),
        special("h", tarfile.LNKTYPE, "f"),
    ]
    names = ["character device", "block device", "fifo", "directory", "symlink", "file", "hardlink"]
    assert [one.kind for one in layer(*kinds).entries] == names


def test_of_two_members_of_one_name_the_last_wins():
    one = layer(("a", b"first"), ("b", b""), ("./a", b"last!!"))
    assert one.by_path["a"].digest == "sha256:" + sha(b"last!!") and len(one.entries) == 2 and one.size == 6


def test_whiteouts_and_opaque_directories_are_read_as_such():
    one = layer(("a/.wh.b", b""), ("c/.wh..wh..opq", b""), (".wh..wh..opq", b""), (".wh..wh.plnk", b""))
    assert (one.whiteouts, one.opaque, one.entries) == (("a/b",), ("c", ""), ())
    for bad in (".wh.", "a/.wh..", "a/.wh..."):
        with pytest.raises(BadArchive):
            layer((bad, b""))


def test_names_that_are_not_utf8_are_kept_byte_for_byte():
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        one = layer((name, b"x"), form=form)
        assert [os.fsencode(entry.path) for entry in one.entries] == [b"caf\xe9"]
        assert "caf\\xe9" in one.picture()


def test_long_names_and_large_numbers_are_read_in_every_format():
    name = "d/" * 60 + "x" * 150
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        info = tarfile.TarInfo(name)
        info.uid, info.mode, info.mtime = 5_000_000, 0o4755, 9_000_000_000
        (entry,) = layer(info, form=form).entries
        assert (entry.path, entry.uid, entry.mode, entry.mtime) == (name, 5_000_000, 0o4755, 9_000_000_000)
    split = "p" * 100 + "/" + "q" * 90
    assert layer((split, b""), form=tarfile.USTAR_FORMAT).entries[0].path == split


def test_capabilities_are_kept():
    info = tarfile.TarInfo("ping")
    info.pax_headers = {"SCHILY.xattr.security.capability": "\x01\x02"}
    assert layer(info).entries[0].xattrs == (("security.capability", "\x01\x02"),)


def test_sparse_files_are_refused():
    info = tarfile.TarInfo("s")
    info.pax_headers = {"GNU.sparse.major": "1"}
    with pytest.raises(BadArchive, match="sparse"):
        layer(info)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_a_bomb_is_refused(pack):
    body = pack(tar(("zeros", bytes(20_000_000))))
    with pytest.raises(BadArchive, match="bomb"):
        read_layer(io.BytesIO(body).read, "a layer", Limits(ratio=100, free=1_000_000))
    assert blob(body).size == 20_000_000  # a file of zeros is no attack


def test_too_many_files_are_refused():
    with pytest.raises(BadArchive, match="more than 5 files"):
        read_layer(io.BytesIO(tar(*((str(n), b"") for n in range(6)))).read, "a layer", Limits(entries=5))


@pytest.mark.slow
def test_a_hundred_thousand_files_are_read():
    info = tarfile.TarInfo("")
    block = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    out = bytearray()
    for n in range(100_000):
        block[:100] = f"dir{n % 100}/file{n}".encode().ljust(100, b"\0")
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
        out += block
    assert len(blob(bytes(out) + bytes(1024)).entries) == 100_000


@pytest.mark.parametrize(
    "files",
    [
        [],
        [("manifest.json", b"")],
        [("manifest.json", b"[]")],
        [("manifest.json", b"{")],
        [("manifest.json", b'[{"Config": "x", "Layers": ["y"]}]')],
        [("manifest.json", b'[{"Config": 7, "Layers": 8, "RepoTags": 9}]')],
        [("manifest.json", b"[" * 100_000)],
        [("manifest.json", b'"\xff"')],
        [("index.json", b'{"manifests": []}')],
        [("index.json", b'{"manifests": [{"digest": "../../x"}]}')],
        [("index.json", b"[]")],
    ],
)
def test_json_that_makes_no_sense_is_a_bad_archive(tmp_path, files):
    for path in (saved(tmp_path, files), saved(tmp_path, files, "x.tgz", gzip.compress)):
        with pytest.raises(BadArchive):
            read.archive(path)


def test_what_is_no_file_has_no_content(tmp_path):
    files = [("f", b"text"), special("h", tarfile.LNKTYPE, "f"), special("l", tarfile.LNKTYPE, "m")]
    image = read.archive(saved(tmp_path, old_style([tar(*files, special("m", tarfile.LNKTYPE, "l"))])))
    assert image.content(0, "h") == b"text"
    for path in ("l", "nowhere"):
        with pytest.raises(FileNotFoundError):
            image.content(0, path)


def test_content_is_capped(tmp_path):
    image = read.archive(saved(tmp_path, old_style([tar(("big", bytes(3 << 20)))])))
    assert len(image.content(0, "big")) == 1 << 20 and image.size == 3 << 20


NAMES = st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1, max_size=150)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(NAMES, st.binary(max_size=1500)), max_size=6),
    st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    st.integers(1, 4000),
)
def test_every_tar_is_read_as_tarfile_reads_it(files, form, piece):
    body = tar(*files, form=form)
    source = io.BytesIO(body)
    found = [
        (header.name, b"".join(map(bytes, content.all())))
        for header, content in members(Stream(lambda _: source.read(piece)))
    ]
    with tarfile.open(fileobj=io.BytesIO(body), errors="surrogateescape") as one:
        expected = [(info.name, one.extractfile(info).read()) for info in one]
    assert [(name.rstrip("/"), text) for name, text in found] == [(n.rstrip("/"), t) for n, t in expected]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_tar_is_read_or_is_a_bad_archive_and_nothing_else(data):
    body = bytearray(tar(("a", b"x" * 600), special("h", tarfile.LNKTYPE, "a"), ("é" * 120, b"y")))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    at = data.draw(st.integers(0, len(body) // 512 - 1)) * 512  # a header whose checksum is right again
    body[at + 148 : at + 156] = b"%06o\0 " % (sum(body[at : at + 512]) - sum(body[at + 148 : at + 156]) + 256)
    with contextlib.suppress(BadArchive):
        blob(bytes(body))


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=2000), st.sampled_from([b"", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"]))
def test_any_bytes_are_a_layer_or_a_bad_archive(body, head):
    with contextlib.suppress(BadArchive):
        blob(head + body)
