"""What artifact.json says of a piece of work: claims, read with care, of which the archive bears some out.

Every size and count has an end, and JSON made to hurt is told from JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from hashlib import sha256
from itertools import islice
from typing import Any

from drydock.model.context import Context, ContextFile
from drydock.model.layer import human

from drydock_grading.artifact import ABOUT, ARCHIVE, SCHEMA, About, Pushed, Recipe

LARGEST_JSON = 4_000_000  # bytes of artifact.json, of a manifest or a configuration
LAYERS = 127
FILES = 5000  # of a folder with a Dockerfile
NOTES, LARGEST_NOTE = 10, 20_000  # texts that travel with the work, and the characters of one
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
PACK = "Run the cell that packs your work once more, then submit again."


class BadArtifact(ValueError):
    """An artifact that cannot be graded: what is wrong, and what to do."""


def about(raw: bytes) -> About:
    """Return what artifact.json says. Raises: BadArtifact."""
    said = an_object(raw, ABOUT)
    if said.get("schema") != SCHEMA:
        raise BadArtifact(f"{ABOUT} has the schema {str(said.get('schema'))[:20]!r}, not {SCHEMA}. {PACK}")
    recipes = a_dict(said.get("dockerfiles"))
    if len(recipes) > 20:
        raise BadArtifact(f"{ABOUT} has {len(recipes)} Dockerfiles. {PACK}")
    text = {k: str(said.get(k) or "")[:500] for k in ("learner", "assignment", "image", "engine", "manifest", "config")}
    return About(
        **text,
        diff_ids=tuple(str(one) for one in a_list(said.get("diff_ids"))[:LAYERS]),
        base=str(a_dict(said.get("base")).get("name") or "")[:200],
        recipes={str(path): recipe_of(a_dict(recipe)) for path, recipe in recipes.items()},
        pushed=_pushed(a_dict(said.get("pushed"))) if said.get("pushed") else None,
        others={str(role)[:40]: str(name)[:200] for role, name in islice(a_dict(said.get("others")).items(), NOTES)},
        notes=_notes(a_dict(said.get("notes"))),
    )


def recipe_of(said: Mapping[str, Any]) -> Recipe:
    """Return a Dockerfile and the listing of its folder. Raises: BadArtifact."""
    rows = a_list(said.get("context"))
    if len(rows) > FILES:
        raise BadArtifact(f"{ABOUT} lists more than {FILES} files beside a Dockerfile. Try: a .dockerignore, then pack")
    return Recipe(str(said.get("text") or ""), Context(tuple(_file(a_dict(row)) for row in rows)))


def _file(row: Mapping[str, Any]) -> ContextFile:
    path, kind, digest = str(row.get("path") or ""), str(row.get("kind") or "file"), str(row.get("sha256") or "")
    try:
        size, mode = int(row.get("size") or 0), int(row.get("mode") or 0) & 0o7777
    except (TypeError, ValueError, OverflowError):
        raise BadArtifact(f"{ABOUT} gives {path[:80]!r} a size or a mode that is no number. {PACK}") from None
    # What the builder's cache compares is the content; the digest of it serves as well as its own hash would.
    tarsum = sha256(f"{path}\0{kind}\0{mode}\0{digest}".encode("utf-8", "surrogatepass")).hexdigest()
    return ContextFile(path, kind, size, mode, digest, str(row.get("link") or ""), tarsum, 0, bool(row.get("ignored")))


def _notes(said: Mapping[str, Any]) -> dict[str, str]:
    if len(said) > NOTES or any(len(str(text)) > LARGEST_NOTE for text in said.values()):
        raise BadArtifact(f"{ABOUT} has more than {NOTES} notes, or one of more than {LARGEST_NOTE} characters. {PACK}")
    return {str(path): text for path, text in said.items() if isinstance(text, str)}


def _pushed(said: Mapping[str, Any]) -> Pushed:
    digest, text = str(said.get("digest") or ""), str(said.get("manifest") or "")
    if not DIGEST.fullmatch(digest) or digest != "sha256:" + sha256(text.encode("utf-8", "replace")).hexdigest():
        raise BadArtifact(f"{ABOUT}: the manifest that was pushed is not what its digest says. {PACK}")
    config = a_dict(an_object(text.encode(), "the pushed manifest").get("config")).get("digest")
    return Pushed(str(said.get("reference") or "")[:300], digest, text, str(config or ""))


def an_object(raw: bytes | None, name: str) -> dict[str, Any]:
    """Return a JSON object, however it may be made to hurt: size, depth, numbers without end."""
    if raw is None:
        raise BadArtifact(f"{ARCHIVE} lacks {name}. {PACK}")
    if len(raw) > LARGEST_JSON:
        raise BadArtifact(f"{name} has {human(len(raw))} of JSON, which is no {name}. {PACK}")
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BadArtifact(f"{name} is no JSON ({type(error).__name__}). {PACK}") from None
    if not isinstance(value, dict):
        raise BadArtifact(f"{name} is no JSON object. {PACK}")
    return value


def a_dict(value: object) -> dict[str, Any]:
    """Return a JSON object, or an empty one in the place of anything else."""
    return value if isinstance(value, dict) else {}


def a_list(value: object) -> list[Any]:
    """Return a JSON list, or an empty one in the place of anything else."""
    return value if isinstance(value, list) else []
