"""Registries: where images are kept for others, asked and given over HTTP."""

from drydock.registry.credentials import Credentials, of_user
from drydock.registry.errors import NotThere, RegistryError, TooManyRequests, Unauthorized
from drydock.registry.manifest import Descriptor, Document, Manifest
from drydock.registry.mirrors import Settings
from drydock.registry.repository import Repository

__all__ = [
    "Credentials",
    "Descriptor",
    "Document",
    "Manifest",
    "NotThere",
    "RegistryError",
    "Repository",
    "Settings",
    "TooManyRequests",
    "Unauthorized",
    "of_user",
]
