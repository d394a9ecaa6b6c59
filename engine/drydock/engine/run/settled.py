"""A container's configuration, settled: what the client sent, completed by the image's, in Docker's rules.

Source: moby v20.10 daemon/commit.go (merge), daemon/container.go, oci/defaults.go (DefaultPathEnv).
"""

from __future__ import annotations

import random
import re
import signal
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from drydock.engine.errors import BadParameter

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
BAD_NAME = "Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
LEFT = (
    *("admiring", "brave", "calm", "clever", "eager", "elegant", "focused", "gallant"),
    *("happy", "jolly", "kind", "lucid", "modest", "nice", "quirky", "sharp"),
)
RIGHT = (
    *("babbage", "bell", "boole", "curie", "darwin", "dijkstra", "euler", "franklin", "galileo", "goodall", "hopper"),
    *("hypatia", "knuth", "lamport", "liskov", "lovelace", "mccarthy", "newton", "noether", "pascal", "ritchie"),
    *("shannon", "swartz", "tesla", "thompson", "turing", "wilson", "wozniak"),
)


def completed(config: Mapping[str, Any], image: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration with what the image says where the client said nothing.

    >>> completed({"Cmd": ["ls"], "Env": ["A=2"]}, {"Env": ["A=1", "B=1"], "Entrypoint": ["sh"], "User": "me"})["Env"]
    ['A=2', 'B=1']
    """
    found = dict(config)
    for key in ("Cmd", "Entrypoint", "Shell", "OnBuild"):
        if isinstance(found.get(key), str):
            found[key] = [found[key]]
    if found.get("Entrypoint") == [""]:  # `--entrypoint ""`: neither the image's entrypoint nor its command
        found["Entrypoint"] = []
        found["Cmd"] = found.get("Cmd") or []
    elif not found.get("Entrypoint"):
        if not found.get("Cmd"):
            found["Cmd"] = image.get("Cmd")
        if found.get("Entrypoint") is None:
            found["Entrypoint"] = image.get("Entrypoint")
    for key in ("User", "WorkingDir", "StopSignal", "StopTimeout"):
        found[key] = found.get(key) or image.get(key)
    for key in ("ExposedPorts", "Volumes", "Labels"):
        both = {**(image.get(key) or {}), **(found.get(key) or {})}
        found[key] = both or ({} if key == "Labels" else None)
    found["Env"] = environment(found.get("Env") or [], image.get("Env") or [])
    found["Healthcheck"] = health(found.get("Healthcheck"), image.get("Healthcheck"))
    for key in ("StopSignal", "StopTimeout", "Healthcheck", "ExposedPorts", "Shell"):
        if not found.get(key):
            found.pop(key, None)
    for key in ("User", "WorkingDir"):
        found[key] = found[key] or ""
    return found


def environment(own: Sequence[str], image: Sequence[str]) -> list[str]:
    """Return the client's variables, then the image's that it did not set."""
    mine = {one.partition("=")[0] for one in own}
    return [*own, *(one for one in image if one.partition("=")[0] not in mine)]


def health(own: Mapping[str, Any] | None, image: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the health check: each part that the client left out is the image's."""
    if not own:
        return dict(image) if image else None
    return {**(image or {}), **{key: value for key, value in own.items() if value}}


def inside(config: Mapping[str, Any], hostname: str, host: str = "", linked: Sequence[str] = ()) -> list[str]:
    """Return the environment that a container's programs find."""
    given = config.get("Env") or []
    first = [PATH, f"HOSTNAME={hostname}"]
    first += ["TERM=xterm"] if config.get("Tty") else []
    first += [f"HOST={host}"] if host else []
    first += linked
    names = {one.partition("=")[0] for one in given}
    unset = {one for one in given if "=" not in one}
    return [*(one for one in first if one.partition("=")[0] not in names), *(one for one in given if one not in unset)]


def command(config: Mapping[str, Any]) -> list[str]:
    """Return what is run: entrypoint, then command.

    Raises: BadParameter where there is neither.
    """
    words = [*(config.get("Entrypoint") or []), *(config.get("Cmd") or [])]
    if not words or (words == [""]):
        raise BadParameter("No command specified")
    return words


def named(name: str, taken: Collection[str]) -> str:
    """Return the name a container gets: the wanted one if it can be, or one made up.

    Raises: BadParameter.
    """
    if name:
        if not NAME.fullmatch(name):
            raise BadParameter(BAD_NAME.format(name=name[:80]))
        return name
    while True:
        found = f"{random.choice(LEFT)}_{random.choice(RIGHT)}"
        if found in taken:
            found += str(random.randrange(10**6))
        if found not in taken:
            return found


def number(text: str | int) -> int:
    """Return a signal's number.

    >>> number("SIGTERM"), number("kill"), number(2)
    (15, 9, 2)
    """
    word = str(text).upper().removeprefix("SIG")
    if word.isdigit() and 0 < int(word) < signal.NSIG:
        return int(word)
    try:
        return int(signal.Signals[f"SIG{word}"])
    except KeyError:
        raise BadParameter(f"Invalid signal: {str(text)[:40]}") from None
