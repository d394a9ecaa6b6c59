"""Why a pull or push was refused, in a student's words: engines and registries say it in many, mostly their libraries'.

The engine's own words are quoted, their first sentence, so that they can be searched for; then come the likely reason
and one command.
"""

from __future__ import annotations

import re

from drydock.model.layer import shown
from drydock.model.reference import InvalidReference, Reference

LOOPBACK = re.compile(r"^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$")
LONGEST = 400  # characters of the engine's words; a registry may answer with a whole page
TWICE = re.compile(r"\b([\w ]+): \1(?=$|[:.])")  # "manifest unknown: manifest unknown" is a code, and the words for it
SENTENCE = re.compile(r"\.(?: (?=[A-Z])|$)")  # where the next one begins: the engine's advice, or a registry's
ABSENT = re.compile(r"does not exist locally|tag does not exist|No such image", re.IGNORECASE)

# What the words hold, in the order in which they are tried; what it probably means; what to try; and what to try where
# the registry is not on this machine, if that is something else.
REASONS = (
    (
        r"toomanyrequests|too many requests|\b429\b|rate limit",
        "{host} counts pulls per account or, without one, per address: a whole class may share one count.",
        "docker login {host}   (an account has a count of its own; or pull from the class's registry)",
        "",
    ),
    (
        r"verification failed|unexpected commit digest|digest mismatch|not what its digest says",
        "What came is not what its digest says: damaged on the way, or changed by somebody. Nothing of it was kept.",
        "the same once more; if it stays so, tell whoever runs {host}",
        "",
    ),
    (
        r"HTTP response to HTTPS client|first record does not look like a TLS",
        "{host} speaks plain HTTP, which Docker accepts on this machine only (127.0.0.0/8).",
        "localhost:PORT in the name instead of {host}; or have {host} listed in Docker's insecure-registries",
        "",
    ),
    (
        r"x509|certificate",
        "The engine does not know who signed {host}'s certificate; a network that reads all traffic has its own.",
        "curl -v https://{host}/v2/   (`issuer:` says who signed; ask that network's people for their certificate)",
        "",
    ),
    (
        r"connection refused",
        "Nothing listens at {host}: the registry is probably not started, or has another port.",
        "drydock registry start",
        "curl -v https://{host}/v2/",
    ),
    (
        r"no such host|server misbehaving|network is unreachable|no route to host|i/o timeout|handshake timeout"
        r"|deadline exceeded|Client\.Timeout|name resolution",
        "The engine cannot reach {host}: the name is misspelled, or there is no network here, or a proxy is needed.",
        "drydock registry status",
        "curl -v https://{host}/v2/   (without a network, images come from the class's registry, or from files)",
    ),
    (
        r"no basic auth|authorization failed|authentication required|\b401\b|incorrect username",
        "{host} wants to know who you are, and the engine has no name and password for it, or wrong ones.",
        "docker login {host}",
        "",
    ),
    (
        r"denied|unauthorized|insufficient_scope|\b403\b",
        "You are not logged in at {host}, or {repository} is not there, or is not yours.",
        "docker login {host}   (then use a repository of your own: YOURNAME/...)",
        "",
    ),
    (
        r"no matching manifest|does not match the specified platform",
        "The image is there, but not for this machine's kind of processor.",
        "docker manifest inspect {name}   (it lists the platforms that there are)",
        "",
    ),
    (
        r"manifest unknown|name unknown|not found|no such repository|\b404\b",
        "{host} has no {repository}, or not under this tag.",
        "curl http://{host}/v2/_catalog   (it lists the repositories; push an image before you pull it)",
        "docker search {repository}   (it shows how the name is spelled)",
    ),
    (r"no space left", "The disk of the engine, or of the registry, is full.", "docker system df", ""),
)
OTHERWISE = "The network or the registry probably failed for a moment; what has moved is not moved again."
AGAIN = "the same again: run the cell once more"


def explained(said: str, name: str, push: bool = False) -> str:
    """Return what happened, what it probably means and the one command to try, from an engine's words.

    >>> print(explained("dial tcp 127.0.0.1:5055: connect: connection refused", "localhost:5055/app:1", push=True))
    localhost:5055/app:1 was not pushed: dial tcp 127.0.0.1:5055: connect: connection refused
    Nothing listens at localhost:5055: the registry is probably not started, or has another port.
    Try: drydock registry start
    """
    failed = f"{name} was not {'pushed' if push else 'pulled'}:"
    said = shown(" ".join(said.split()).partition(" Try: ")[0])  # advice is not taken from a registry
    said = said if len(said) <= LONGEST else said[:LONGEST] + "..."
    meaning, cure = _reason(said, name, push)
    quoted = TWICE.sub(r"\1", SENTENCE.split(said)[0])
    return f"{failed} {quoted}\n{meaning}\nTry: {cure}"


def _reason(said: str, name: str, push: bool) -> tuple[str, str]:
    if push and ABSENT.search(said):
        return f"The engine has no image called {name}.", f"docker tag IMAGE {name}   (`docker images` lists them)"
    try:
        reference = Reference.parse(name)
        host, repository = reference.domain, reference.path
    except InvalidReference:
        host, repository = "the registry", name
    for words, meaning, here, elsewhere in REASONS:
        if re.search(words, said, re.IGNORECASE):
            cure = here if LOOPBACK.match(host) else elsewhere or here
            told = {"host": host, "repository": repository, "name": name}
            # Docker Hub is where one logs in without naming it
            return meaning.format(**told), cure.format(**told).replace("docker login docker.io", "docker login")
    return OTHERWISE, AGAIN
