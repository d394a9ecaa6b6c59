"""The instructions that only change how a container of the image starts: one function for each.

Source: moby builder/dockerfile/dispatchers.go (tag v20.10.24). `docker commit --change` takes most of them too.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from drydock.engine.build.config import Config, whole
from drydock.engine.errors import BadParameter
from drydock.model.context import Context
from drydock.model.dockerfile import Dockerfile, Instruction, Stage, parse
from drydock.model.lines import DockerfileError
from drydock.model.resolve import SHELL, Base, Resolved, Scope, health_test, nanoseconds, step

COMMITTABLE = ["CMD", "ENTRYPOINT", "HEALTHCHECK", "ENV", "EXPOSE", "LABEL", "ONBUILD", "USER", "VOLUME", "WORKDIR"]
PORT = re.compile(r"(\d+)(?:-(\d+))?")


@dataclass
class Settings:
    """What the instructions so far have set: the configuration of the image to be, and what variables they see."""

    config: Config
    scope: Scope
    author: str = ""
    cmd_set: bool = False  # a CMD of this Dockerfile survives an ENTRYPOINT, the base image's does not
    notes: list[str] = field(default_factory=list)  # what the builder has to say about the last instruction

    @classmethod
    def of(cls, image: str, config: Config, values: dict[str, str], given: dict[str, str], escape: str) -> Settings:
        """Return the settings at the beginning of a stage."""
        base = Base(
            image,
            tuple(config["Env"] or ()),
            config["WorkingDir"],
            config["User"],
            tuple(config.get("Shell") or ()),
            tuple(config["Cmd"] or ()),
            tuple(config["OnBuild"] or ()),
        )
        return cls(config, Scope(base, values, given, escape))

    @property
    def shell(self) -> list[str]:
        """Return what runs a command that is written as one line."""
        return list(self.scope.shell or SHELL)

    def words(self, i: Instruction) -> list[str]:
        """Return a command's words, with the shell before it where it is written as one line."""
        return list(i.words) if i.json else [*self.shell, i.arguments] if i.arguments else []

    def resolve(self, df: Dockerfile, stage: Stage, index: int, i: Instruction, context: Context) -> Resolved:
        """Return the instruction with its variables replaced."""
        return step(df, stage, index, i, self.scope, context)


def env(at: Settings, i: Instruction) -> None:
    """ENV: a variable of every process from here on, in the build and in the container."""
    at.config["Env"] = [f"{name}={value}" for name, value in at.scope.env.items()]


def label(at: Settings, i: Instruction) -> None:
    """LABEL: a note on the image."""
    pairs = ((at.scope.expand(name), at.scope.expand(value)) for name, value in i.pairs)
    at.config["Labels"] = dict(sorted({**(at.config["Labels"] or {}), **dict(pairs)}.items()))


def maintainer(at: Settings, i: Instruction) -> None:
    """MAINTAINER: who made it."""
    at.author = i.arguments


def cmd(at: Settings, i: Instruction) -> None:
    """CMD: what runs when nothing else is said."""
    at.config["Cmd"] = at.words(i)
    at.cmd_set = at.cmd_set or bool(i.arguments)


def entrypoint(at: Settings, i: Instruction) -> None:
    """ENTRYPOINT: what always runs; it takes the base image's CMD away."""
    at.config["Entrypoint"] = at.words(i) or None
    if not at.cmd_set:
        at.config["Cmd"] = None


def expose(at: Settings, i: Instruction) -> None:
    """EXPOSE: the ports on which the program listens."""
    words = [port for word in i.words for port in at.scope.expand(word).split()]
    found: dict[str, Any] = {port: {} for word in words for port in ports(word)}
    at.config["ExposedPorts"] = dict(sorted({**(at.config.get("ExposedPorts") or {}), **found}.items()))


def ports(text: str) -> list[str]:
    """Return the ports that a word of EXPOSE names.

    >>> ports("80"), ports("53/udp"), ports("8000-8002")
    (['80/tcp'], ['53/udp'], ['8000/tcp', '8001/tcp', '8002/tcp'])

    Raises: BadParameter with dockerd's words.
    """
    number, slash, protocol = text.rpartition(":")[2].partition("/")
    match = PORT.fullmatch(number)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
    if not match or first > last or last > 65535:
        raise BadParameter(f"Invalid containerPort: {number}" if number else f"No port specified: {text}<empty>")
    if slash and protocol.lower() not in ("tcp", "udp", "sctp"):
        raise BadParameter(f"Invalid proto: {protocol}")
    return [f"{port}/{protocol.lower() or 'tcp'}" for port in range(first, last + 1)]


def user(at: Settings, i: Instruction) -> None:
    """USER: who runs what follows, and the container's program."""
    at.config["User"] = at.scope.user


def volume(at: Settings, i: Instruction) -> None:
    """VOLUME: a folder whose files stay outside of the image's layers."""
    names = [at.scope.expand(word) for word in i.words]
    if "" in names:
        raise BadParameter("VOLUME specified can not be an empty string")
    at.config["Volumes"] = dict(sorted({**(at.config["Volumes"] or {}), **{name: {} for name in names}}.items()))


def stop_signal(at: Settings, i: Instruction) -> None:
    """STOPSIGNAL: how `docker stop` asks the program to end."""
    text = at.scope.expand(i.arguments)
    if not is_signal(text):
        raise BadParameter(f"Invalid signal: {text}")
    at.config["StopSignal"] = text


def is_signal(text: str) -> bool:
    """Return whether a text names a signal.

    >>> is_signal("SIGTERM"), is_signal("9"), is_signal("rtmin+3"), is_signal("0"), is_signal("foo")
    (True, True, True, False, False)
    """
    if text.lstrip("-").isdecimal():
        return int(text) != 0
    name = text.upper().removeprefix("SIG")
    if match := re.fullmatch(r"RTM(?:IN\+|AX-)(\d+)", name):
        return int(match[1]) <= 15
    return f"SIG{name}" in signal.Signals.__members__


def shell(at: Settings, i: Instruction) -> None:
    """SHELL: what runs the commands that are written as one line."""
    at.config["Shell"] = list(i.words)


def onbuild(at: Settings, i: Instruction) -> None:
    """ONBUILD: an instruction for the day when another image is built on this one."""
    at.config["OnBuild"] = [*(at.config["OnBuild"] or ()), i.arguments]


def healthcheck(at: Settings, i: Instruction) -> None:
    """HEALTHCHECK: how to ask the running program whether it is well."""
    old = (at.config.get("Healthcheck") or {}).get("Test") or []
    if old and old[0] != "NONE":
        at.notes.append(f"Note: overriding previous HEALTHCHECK: [{' '.join(old)}]\n")
    found: dict[str, Any] = {"Test": list(health_test(i))}
    for key, flag in (("Interval", "interval"), ("Timeout", "timeout"), ("StartPeriod", "start-period")):
        if time := nanoseconds(i.flag(flag) or ""):
            found[key] = time
    if retries := int(i.flag("retries") or 0):
        found["Retries"] = retries
    at.config["Healthcheck"] = found


def workdir(at: Settings, i: Instruction) -> None:
    """WORKDIR: where what follows runs; the directory itself is made by the build's step."""
    at.config["WorkingDir"] = at.scope.workdir


def arg(at: Settings, i: Instruction) -> None:
    """ARG: a variable for the build alone; the scope knows it, the image does not."""


SETTINGS: dict[str, Callable[[Settings, Instruction], None]] = {
    "ARG": arg,
    "CMD": cmd,
    "ENTRYPOINT": entrypoint,
    "ENV": env,
    "EXPOSE": expose,
    "HEALTHCHECK": healthcheck,
    "LABEL": label,
    "MAINTAINER": maintainer,
    "ONBUILD": onbuild,
    "SHELL": shell,
    "STOPSIGNAL": stop_signal,
    "USER": user,
    "VOLUME": volume,
    "WORKDIR": workdir,
}


def set_by(at: Settings, i: Instruction) -> None:
    """Carry out one instruction; the configuration comes out in Go's order of keys."""
    at.notes.clear()
    SETTINGS[i.keyword](at, i)
    at.config = whole(at.config)


def changed(config: Config, lines: tuple[str, ...]) -> Config:
    """Return a configuration after Dockerfile lines, as `docker commit --change` and `docker import --change` do.

    >>> changed({"User": "me"}, ("CMD [\\"sh\\"]", "ENV A=1"))["Cmd"]
    ['sh']

    Raises: BadParameter with dockerd's words.
    """
    try:
        df = parse("\n".join(["FROM scratch", *lines]).encode("utf-8", "surrogateescape")) if lines else None
    except DockerfileError as error:
        what = error.docker.partition(": ")[2] or str(error)
        if what.startswith("unknown instruction: "):
            what = f"{what.rpartition(' ')[2].lower()} is not a valid change command"
        raise BadParameter(what) from None
    at = Settings.of("", whole(config), {}, {}, "\\")
    for n, i in enumerate(df.stages[0].instructions[1:] if df else (), 1):
        if i.keyword not in COMMITTABLE:
            raise BadParameter(f"{i.keyword.lower()} is not a valid change command")
        assert df is not None
        at.resolve(df, df.stages[0], n, i, Context())
        set_by(at, i)
    return at.config
