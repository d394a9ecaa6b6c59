"""Links: `--link db:store` on the default network, where no names are known otherwise.

A link gives a container another one's address as a line of /etc/hosts and as environment variables, which is how
containers found each other before there were networks with names.

Source: moby v20.10 daemon/links/links.go, daemon/daemon_unix.go (registerLinks).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from drydock.engine.errors import BadParameter, EngineError, NotFound

if TYPE_CHECKING:
    from drydock.engine.run import Container, Containers

Target = tuple[str, "Container"]


def parsed(containers: Containers, links: Iterable[str]) -> list[list[str]]:
    """Return a new container's links as pairs of ID and alias.

    Raises: BadParameter where there is no such container.
    """
    found = []
    for link in links:
        name, _, alias = link.removeprefix("/").partition(":")
        try:
            other = containers.get(name)
        except NotFound as error:
            raise BadParameter(f"could not get container for {name[:128]}: {error}") from None
        found.append([other.id, alias or other.name])
    return found


def shown(containers: Containers, container: Container) -> list[str] | None:
    """Return a container's links as `docker inspect` shows them: `/db:/web/store`."""
    links = targets(containers, container, running=False)
    return [f"/{other.name}:/{container.name}/{alias}" for alias, other in links] or None


def targets(containers: Containers, container: Container, running: bool = True) -> list[Target]:
    """Return a container's links: the alias and the other container.

    Raises: EngineError where one should run and does not, or is in a network of its own.
    """
    found = []
    for id, alias in (container.networking or {}).get("Linked") or ():
        try:
            other = containers.get(id)
        except NotFound:
            continue  # it was removed, and the link with it
        if running and not other.running:
            raise EngineError(f"Cannot link to a non running container: /{other.name} AS /{container.name}/{alias}")
        if running and (other.host_config.get("NetworkMode") or "default") not in ("default", "bridge"):
            raise BadParameter(f"Cannot link to /{other.name}, as it does not belong to the default network")
        found.append((alias, other))
    return found


def environment(name: str, links: Iterable[Target]) -> tuple[str, ...]:
    """Return the variables that a container finds of its links."""
    found: list[str] = []
    for alias, other in links:
        found += variables(name, alias, other.place.address, other.config)
    return tuple(found)


def variables(name: str, alias: str, address: str, config: Mapping[str, Any]) -> list[str]:
    """Return the variables of one link: its ports, and the other container's own variables.

    >>> variables("web", "db-1", "127.17.0.2", {"ExposedPorts": {"80/tcp": {}}, "Env": ["A=1", "PATH=/bin"]})[:3]
    ['DB_1_PORT=tcp://127.17.0.2:80', 'DB_1_PORT_80_TCP=tcp://127.17.0.2:80', 'DB_1_PORT_80_TCP_ADDR=127.17.0.2']
    """
    prefix = alias.replace("-", "_").upper()
    ports = sorted((int(number), kind != "tcp", kind or "tcp") for number, kind in _ports(config))
    found = [f"{prefix}_PORT={kind}://{address}:{number}" for number, _, kind in ports[:1]]
    for number, _, kind in ports:
        one = f"{prefix}_PORT_{number}_{kind.upper()}"
        found += [f"{one}={kind}://{address}:{number}", f"{one}_ADDR={address}"]
        found += [f"{one}_PORT={number}", f"{one}_PROTO={kind}"]
    found.append(f"{prefix}_NAME=/{name}/{alias}")
    known = [pair for pair in config.get("Env") or () if "=" in pair]
    return [*found, *(f"{prefix}_ENV_{pair}" for pair in known if pair.partition("=")[0] not in ("HOME", "PATH"))]


def _ports(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    split = [port.partition("/")[::2] for port in config.get("ExposedPorts") or ()]
    return [(number, kind) for number, kind in split if number.isdigit()]
