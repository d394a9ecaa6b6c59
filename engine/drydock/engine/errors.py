"""What can go wrong in an engine, by kind; the API turns the kind into a status code, the text into its message.

Source: moby/errdefs (defs.go, http_helpers.go). The rooms below raise these and know nothing of HTTP.
"""

from __future__ import annotations


class EngineError(Exception):
    """Something failed in the engine itself; the text is what the client is shown."""

    status = 500


class NotFound(EngineError):
    """There is no such image, container, volume or network."""

    status = 404


class BadParameter(EngineError):
    """The request asks for something that makes no sense, such as an image name with a space in it."""

    status = 400


class Conflict(EngineError):
    """What is asked contradicts what is there, such as a name that is taken."""

    status = 409


class NotModified(EngineError):
    """It is so already: a running container is started, a stopped one stopped."""

    status = 304


class Forbidden(EngineError):
    """The thing exists and may not be touched, such as a network that the engine makes itself."""

    status = 403


class NotPossible(EngineError):
    """This engine cannot do it, and says why and what to do instead."""

    status = 501


class Unavailable(EngineError):
    """It cannot be done now, such as running a program where the kernel lets none run."""

    status = 503
