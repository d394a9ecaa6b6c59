"""Platforms: for which kind of machine an image's programs were made, such as linux/amd64 or linux/arm/v7.

Source: containerd v1.5 platforms/{platforms,database,compare}.go; moby v20.10 daemon/create.go, images/image.go.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drydock.engine.errors import BadParameter

SYSTEMS = "aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9 solaris windows zos"
MACHINES = (
    "386 amd64 amd64p32 arm armbe arm64 arm64be ppc64 ppc64le mips mipsle mips64 mips64le mips64p32 mips64p32le "
    "ppc riscv riscv64 s390 s390x sparc sparc64 wasm loong64"
)
OTHER_NAMES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "i386": "386", "i686": "386", "armel": "arm"}
OTHER_NAMES |= {"armhf": "arm", "armv7l": "arm", "macos": "darwin"}
RUNS_TOO = {"amd64": ("386",), "arm64": ("arm",)}  # what a machine of one kind executes of another
PART = re.compile(r"[A-Za-z0-9_-]+")
INVALID = (
    '"{part}" is an invalid component of "{text}": platform specifier component must match "^[A-Za-z0-9_-]+$": '
    "invalid argument"
)
MISMATCH = (
    "image with reference {name} was found but does not match the specified platform: wanted {wanted}, actual: {actual}"
)
FOREIGN = (
    "The requested image's platform ({image}) does not match the detected host platform ({here}) "
    "and no specific platform was requested"
)


@dataclass(frozen=True)
class Platform:
    """An operating system, a kind of processor, and of ARM's its generation."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    def runs(self, image: Platform) -> bool:
        """Return whether a machine of this platform executes programs made for another.

        >>> Platform("linux", "arm", "v7").runs(Platform("linux", "arm", "v6"))
        True
        >>> Platform("linux", "amd64").runs(Platform("linux", "arm64"))
        False
        """
        if self.os != image.os:
            return False
        if self.architecture == image.architecture:
            return self.architecture != "arm" or (image.variant or "v7") <= (self.variant or "v7")
        return image.architecture in RUNS_TOO.get(self.architecture, ())


def here() -> Platform:
    """Return this machine's platform."""
    return Platform("linux", _normal(platform.machine()))


def of(config: Mapping[str, Any]) -> Platform:
    """Return the platform of an image by its configuration."""
    architecture = str(config.get("architecture") or "")
    return Platform(str(config.get("os") or "linux"), _normal(architecture), str(config.get("variant") or ""))


def parse(text: str) -> Platform:
    """Return the platform that a text names; one part alone stands for the system or the machine.

    >>> str(parse("linux/aarch64")), str(parse("linux/arm/v7")), parse("linux") == here()
    ('linux/arm64', 'linux/arm/v7', True)

    Raises: BadParameter in containerd's words.
    """
    parts = text.split("/")
    if "*" in text:
        raise BadParameter(f'"{text[:80]}": wildcards not yet supported: invalid argument')
    for part in parts:
        if not PART.fullmatch(part):
            raise BadParameter(INVALID.format(part=part[:80], text=text[:80]))
    first = _normal(parts[0])
    if len(parts) == 1 and first in SYSTEMS.split():
        return Platform(first, here().architecture)
    if len(parts) == 1 and first in MACHINES.split():
        return Platform("linux", first)
    if len(parts) == 1:
        raise BadParameter(f'"{text[:80]}": unknown operating system or architecture: invalid argument')
    if len(parts) > 3:
        raise BadParameter(f'"{text[:80]}": cannot parse platform specifier: invalid argument')
    return Platform(first, _normal(parts[1]), parts[2].lower() if len(parts) == 3 else "")


def foreign(config: Mapping[str, Any]) -> str:
    """Return the warning for an image whose programs this machine does not execute, or nothing."""
    image = of(config)
    return "" if here().runs(image) else FOREIGN.format(image=image, here=here())


def _normal(word: str) -> str:
    return OTHER_NAMES.get(word.lower(), word.lower())
