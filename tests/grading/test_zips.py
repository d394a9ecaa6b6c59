"""What students hand in as .zip: read with limits, written nowhere else, and one that is broken stops no other."""

import zipfile

import pytest
from drydock_grading import zips
from drydock_grading.zips import BadZip, Zips, unpack


def packed(path, files, link=None):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            archive.writestr(name, body)
        if link:
            row = zipfile.ZipInfo(link)
            row.external_attr = 0o120777 << 16
            archive.writestr(row, "/etc/passwd")
    return path


def test_notebook_and_artifact_come_out_with_and_without_a_folder_around_them(tmp_path):
    unpack(packed(tmp_path / "a.zip", {"ex2.ipynb": "{}", "artifact.json": "{}", "hello/hello.py": ""}), tmp_path / "a")
    unpack(packed(tmp_path / "b.zip", {"ex2-build-push/ex2.ipynb": "{}", "artifact.oci.tar": b"x"}), tmp_path / "b")
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["artifact.json", "ex2.ipynb"]
    assert sorted(p.name for p in (tmp_path / "b").iterdir()) == ["artifact.oci.tar", "ex2.ipynb"]


def test_no_name_leads_out_of_the_folder_and_no_link_is_written(tmp_path):
    names = {"../artifact.json": "{}", "/artifact.json": "{}", "a/b/ex2.ipynb": "{}", "..\\x.ipynb": "{}"}
    path = packed(tmp_path / "a.zip", names | {"mine.ipynb": "{}"}, link="artifact.oci.tar")
    unpack(path, tmp_path / "in" / "a")
    assert [p for p in tmp_path.rglob("*") if p.is_symlink()] == []
    outside = [p for p in tmp_path.rglob("*") if p.is_file() and p.parent != tmp_path / "in" / "a"]
    assert outside == [path]


def test_what_unpacks_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(zips, "LARGEST", 1_000_000)
    with pytest.raises(BadZip, match="unpacks to more than"):
        unpack(packed(tmp_path / "a.zip", {"ex2.ipynb": bytes(5_000_000)}), tmp_path / "a")
    with pytest.raises(BadZip, match="has 2001 files"):
        unpack(packed(tmp_path / "b.zip", {f"{n}": "" for n in range(2001)}), tmp_path / "b")


def test_a_broken_zip_stops_no_other(tmp_path):
    (tmp_path / "in").mkdir()
    packed(tmp_path / "in" / "zoe.zip", {"ex2.ipynb": "{}"})
    packed(tmp_path / "in" / "empty.zip", {"photo.png": "x"})
    (tmp_path / "in" / "bad.zip").write_bytes(b"PK\x03\x04 cut off")
    whole = packed(tmp_path / "in" / "cut.zip", {"ex2.ipynb": "x" * 5000}).read_bytes()
    (tmp_path / "in" / "cut.zip").write_bytes(whole[:20] + b"\0" * 20 + whole[40:])
    Zips().extract(str(tmp_path / "in"), str(tmp_path / "out"))
    assert [p.name for p in (tmp_path / "out").glob("*/*.ipynb")] == ["ex2.ipynb"]
