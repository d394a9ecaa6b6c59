"""What a registry's manifest lists, and whether it was there: the half of a transfer that no engine's stream tells.

The registry is asked from here, with the account that docker-py would push with: `client.login`'s, or that of
`~/.docker/config.json`. Where it
cannot be asked (a daemon in a machine of its own may see other hosts) the answer is that nothing is known.
"""

from __future__ import annotations

import base64
import json

import docker
import docker.auth
from docker.errors import DockerException

from drydock.model.reference import InvalidReference, Reference
from drydock.model.transfer import Blob
from drydock.registry import Credentials, Manifest, RegistryError, Repository
from drydock.registry.answer import Patience
from drydock.registry.http import Http

# The transfer itself is over when a manifest is read: nobody should wait long for its picture.
BRIEF = Patience(connect=5, first=5, last=5, span=5, pauses=())


def account(client: docker.DockerClient, name: str) -> Credentials | None:
    """Return who docker-py would be at the registry of an image's name; None where it knows nobody."""
    try:
        header = docker.auth.get_config_header(client.api, Reference.parse(name).domain)
        said = json.loads(base64.urlsafe_b64decode(header)) if header else {}
    except (DockerException, InvalidReference, ValueError):
        return None  # a credential helper that fails: the registry is asked as nobody
    user, password = (said.get(key) or said.get(key.capitalize()) or "" for key in ("username", "password"))
    return Credentials(str(user), str(password)) if user else None


def listed(name: str, digest: str, platform: str, who: Credentials | None = None) -> tuple[Blob, ...]:
    """Return what the manifest of this digest lists: layers from the base up, configuration, manifest, and its index.

    An index leads to the image of `platform` ("linux/amd64"). Empty where the registry cannot be asked from here.
    """
    try:
        with Repository(name, who, http=Http(BRIEF)) as repository:
            found = repository.manifest(digest)
            image = repository.resolved(found, platform)
        above = (Blob(found.digest, "index", size=found.size),) if found.is_index else ()
        return (*rows(image), *above)
    except (RegistryError, InvalidReference):
        return ()


def rows(image: Manifest) -> tuple[Blob, ...]:
    """Return what an image's manifest lists, and itself, with nothing moved yet."""
    layers = tuple(Blob(layer.digest, size=layer.size) for layer in image.layers)
    config = Blob(image.config.digest, "config", size=image.config.size)
    return (*layers, config, Blob(image.document.digest, "manifest", size=image.document.size))


def has(name: str, digest: str, who: Credentials | None = None) -> bool | None:
    """Return whether the repository has a configuration or manifest of this digest; None where it cannot be asked."""
    try:
        with Repository(name, who, http=Http(BRIEF)) as repository:
            return repository.size_of(digest) is not None or repository.digest(digest) != ""
    except (RegistryError, InvalidReference):
        return None
