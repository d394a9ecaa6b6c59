"""From what an engine has and what lies beside the notebook to the two files that are handed in."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker import DockerClient
from docker.errors import ImageNotFound
from drydock.client import embedded
from drydock.lessons.remark import Remark
from drydock.read import context

from drydock_grading import bases, reading, remote
from drydock_grading.archive import Thin, config_of, savable, save
from drydock_grading.artifact import ABOUT, ARCHIVE, SCHEMA, Artifact
from drydock_grading.claims import LARGEST_NOTE

NO_IMAGE = "The engine has no image {name!r}. It was probably not built yet, or has another name.\nTry: docker images"


class NoImage(Remark, LookupError):
    """The engine has no image of that name; the message says why, probably, and what to try."""


@dataclass(frozen=True)
class Added:
    """One image as it went into the archive."""

    manifest: str
    diff_ids: list[str]
    base: bases.KnownBase | None


def pack(
    assignment: str,
    learner: str,
    client: DockerClient,
    name: str,
    folder: Path,
    pushed: str = "",
    dockerfiles: Iterable[str] = (),
    known: bases.Bases | None = None,
    others: Mapping[str, str] | None = None,
    notes: Iterable[str] = (),
) -> Artifact:
    """Write the artifact of an image beside the notebook, and return it as a grader will read it.

    `others` are images that are further parts of the work, by what each is (`db`); one that is not built yet is left
    out, and so is a note (a text file) that is not written yet: what is there can be graded already.
    Raises: NoImage, BadArtifact, drydock.read.context.NoContext.
    """
    known = bases.load() if known is None else known
    recipes = {path: recipe(folder, path) for path in dockerfiles}
    parts = {"": name, **(others or {})}
    with tempfile.TemporaryDirectory(prefix="drydock-pack-") as scratch:
        thin, added = Thin(Path(scratch)), {}
        for part, one in parts.items():
            try:
                added[part] = _add(thin, client, one, part, known, Path(scratch))
            except NoImage as error:
                if not others:
                    raise
                print(error)
        if added:
            thin.write(folder / ARCHIVE)
        else:
            (folder / ARCHIVE).unlink(missing_ok=True)
    said = client.version()
    found = reading.image((folder / ARCHIVE).read_bytes()) if added else Artifact()
    main = added.get("")
    whole = (main and main.base) or (bases.made_by_kit(found.image, found.carried) if found.image else None)
    about = {
        "schema": SCHEMA,
        "learner": learner,
        "assignment": assignment,
        "image": name if main else "",
        "engine": str((said.get("Platform") or {}).get("Name")) if embedded(said) else f"Docker {said.get('Version')}",
        "manifest": main.manifest if main else "",
        "config": found.config,
        "diff_ids": main.diff_ids if main else [],
        "base": {"name": whole.name, "diff_ids": list(whole.diff_ids)} if whole else None,
        "dockerfiles": recipes,
        "pushed": _pushed(pushed, found) if pushed else None,
    }
    if others:
        about["others"] = {part: one for part, one in parts.items() if part and part in added}
    if texts := {path: text for path in notes if (text := _note(folder / path))}:
        about["notes"] = texts
    _replace(folder / ABOUT, json.dumps(about, indent=1, sort_keys=True).encode() + b"\n")
    return reading.read(folder)


def _add(thin: Thin, client: DockerClient, name: str, part: str, known: bases.Bases, scratch: Path) -> Added:
    """Put one image of the engine into the archive. Raises: NoImage, BadArtifact."""
    try:
        wanted = client.api.inspect_image(name)
    except ImageNotFound:
        raise NoImage(NO_IMAGE.format(name=name)) from None
    diff_ids = [str(one) for one in (wanted.get("RootFS") or {}).get("Layers") or ()]
    saved = save(client, savable(name, wanted), scratch)
    base = known.under(diff_ids)
    manifest = thin.add(saved, config_of(saved, diff_ids, name), diff_ids, len(base.diff_ids) if base else 0, part)
    return Added(manifest, diff_ids, base)


def _note(path: Path) -> str:
    """Return the beginning of a text file, or nothing where there is none."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(LARGEST_NOTE)
    except FileNotFoundError:
        return ""


def _replace(path: Path, body: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".artifact-", delete=False) as out:
        out.write(body)
    Path(out.name).chmod(0o644)
    Path(out.name).replace(path)


def recipe(folder: Path, path: str) -> dict[str, Any]:
    """Return a Dockerfile's text and the listing of the folder that it builds in."""
    place = (folder / path).parent
    files = context.folder(place, Path(path).name).files
    rows = [_row(f.path, f.kind, f.size, f.mode, f.sha256, f.link, f.ignored) for f in files]
    return {"text": (folder / path).read_text(encoding="utf-8", errors="replace"), "context": rows}


def _row(path: str, kind: str, size: int, mode: int, digest: str, link: str, ignored: bool) -> dict[str, Any]:
    row = {"path": path, "kind": kind, "size": size, "mode": mode, "sha256": digest, "link": link, "ignored": ignored}
    return {k: v for k, v in row.items() if v not in ("", False)}


def _pushed(reference: str, found: Artifact) -> dict[str, str] | None:
    """Return what the registry has under the reference, or None where it has nothing: the artifact goes without."""
    platform = found.image.platform if found.image else "linux/amd64"
    try:
        digest, text = remote.manifest(reference, platform)
    except remote.NotThere as error:
        print(f"The registry's word for {reference} could not be had: {error}\nPush the image, then pack once more.")
        return None
    return {"reference": reference, "digest": digest, "manifest": text}
