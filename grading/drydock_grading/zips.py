"""Submissions that come as .zip files, one for each student: opened with care, as whatever comes from outside."""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path

from nbgrader.plugins import ExtractorPlugin

WANTED = re.compile(r"(?:[^/]+/)?([^/]+\.ipynb|artifact\.json|artifact\.oci\.tar)")
FILES = 2000  # of a .zip, its data and checkpoints included
LARGEST = 60_000_000  # bytes of one file, unpacked; an artifact has 50 MB at most
UNREADABLE = (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, ValueError)  # BadZip is a ValueError
STRANGE = "%s is passed over: %s"


class BadZip(ValueError):
    """A .zip that is none, or that is too large or too strange to be a submission; the message says why."""


class Zips(ExtractorPlugin):
    """Takes a student's notebook and artifact out of STUDENT.zip; one that cannot be read stops no other.

    Only these files are written, by names of one part: nothing in a .zip can choose another place. Links do not count
    as files, and a .zip within is not opened.
    """

    def extract(self, archive_path: str, extracted_path: str) -> None:
        """Unpack every .zip of a folder into a folder of the same name."""
        for path in sorted(Path(archive_path).rglob("*.zip")):
            try:
                unpack(path, Path(extracted_path) / path.stem)
            except UNREADABLE as error:
                self.log.error(STRANGE, path.name, error)


def unpack(path: Path, folder: Path) -> None:
    """Write the notebook and the artifact of one .zip. Raises: BadZip, zipfile.BadZipFile, OSError."""
    with zipfile.ZipFile(path) as archive:
        rows = archive.infolist()
        if len(rows) > FILES:
            raise BadZip(f"it has {len(rows)} files, and a submission has a dozen")
        wanted = [(row, match[1]) for row in rows if (match := WANTED.fullmatch(row.filename)) and _is_file(row)]
        wanted = [(row, name) for row, name in wanted if ".ipynb_checkpoints" not in row.filename]
        if not wanted:
            raise BadZip("it has neither a notebook nor an artifact")
        folder.mkdir(parents=True, exist_ok=True)
        for row, name in wanted:
            with archive.open(row) as source:
                body = source.read(LARGEST + 1)
            if len(body) > LARGEST:
                raise BadZip(f"{name} unpacks to more than {LARGEST // 1_000_000} MB")
            (folder / name).write_bytes(body)


def _is_file(row: zipfile.ZipInfo) -> bool:
    kind = row.external_attr >> 28  # the file type of a Unix mode; 0 where another system packed it
    return not row.is_dir() and kind in (0, 8)
