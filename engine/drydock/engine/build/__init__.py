"""Builds: a context and a Dockerfile become an image, and a container becomes one by commit."""

from drydock.engine.build.builder import Builder
from drydock.engine.build.commit import Committable, commit
from drydock.engine.build.request import CommitRequest, Request
from drydock.engine.build.settings import changed

__all__ = ["Builder", "CommitRequest", "Committable", "Request", "changed", "commit"]
