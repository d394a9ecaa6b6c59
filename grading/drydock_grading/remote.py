"""What a registry says of a name: one manifest. Evidence beside the archive, never in its place.

It is asked as nobody: what a grader's or a student's account alone may see proves nothing to the other.
"""

from __future__ import annotations

from typing import Any

from drydock.model.reference import InvalidReference, Reference
from drydock.registry import Credentials, Document, RegistryError, Repository
from drydock.registry import NotThere as Missing
from drydock.registry.answer import Patience
from drydock.registry.errors import Cut, Unreachable
from drydock.registry.http import Http

LARGEST = 1 << 20


class NotThere(RuntimeError):
    """A registry that does not answer, or does not have the image: why."""


def manifest(name: str, platform: str = "linux/amd64", timeout: float = 10) -> tuple[str, str]:
    """Return (digest, text) of the manifest that a registry has under this name; of an index, the platform's own.

    Raises: NotThere.
    """
    try:
        reference = Reference.parse(name)
    except InvalidReference as error:
        raise NotThere(str(error)) from None
    which, where = reference.digest or reference.tag or "latest", reference.domain
    patience = Patience(connect=timeout, first=timeout, last=timeout, span=timeout, pauses=())
    try:
        with Repository(reference, Credentials(), http=Http(patience)) as repository:
            found = _small(repository.manifest(which))
            if "manifests" in found.json:
                found = _small(repository.manifest(_entry(found.json["manifests"], name, platform)))
    except Missing:
        raise NotThere(f"{where} answers 404 for {reference.path}:{which}.") from None
    except (Unreachable, Cut) as error:
        raise NotThere(f"{where} does not answer ({error}).") from None
    except RegistryError as error:
        raise NotThere(f"{where} does not give {reference.path}:{which} ({error}).") from None
    return found.digest, found.raw.decode("utf-8", "replace")


def _small(found: Document) -> Document:
    if found.size > LARGEST or not found.json:
        raise RegistryError("what it sent is no manifest, or one without end")
    return found


def _entry(listed: Any, name: str, platform: str) -> str:
    rows = [row for row in listed if isinstance(row, dict)] if isinstance(listed, list) else []
    fitting = [row for row in rows if _platform(row) == platform or len(rows) == 1]
    if not fitting:
        raise NotThere(f"{name} has no image for {platform}.")
    return str(fitting[0].get("digest"))


def _platform(row: dict[str, Any]) -> str:
    about = row.get("platform")
    about = about if isinstance(about, dict) else {}
    return f"{about.get('os')}/{about.get('architecture')}"
