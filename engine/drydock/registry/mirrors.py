"""Where a registry answers: its own address, the mirrors before it, and whether plain HTTP will do.

Settings are Docker's own keys in `$DRYDOCK_HOME/daemon.json`, read at every use: {"registry-mirrors": ["https://..."],
"insecure-registries": ["192.168.1.5:5055"]}. Source: moby registry/config.go, registry/service_v2.go.
"""

from __future__ import annotations

import json
import os
import socket
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from platformdirs import user_data_dir

from drydock.registry.errors import RegistryError
from drydock.registry.trust import loopback

HUB = "registry-1.docker.io"
BAD_SETTINGS = "{path} cannot be used: {why}. Try: python3 -m json.tool {path}"


@dataclass(frozen=True)
class Endpoint:
    """One address that may have the image."""

    roots: tuple[str, ...]  # what to try in turn: https, then http where that will do
    insecure: bool = False  # nobody need vouch for it
    mirror: bool = False


@dataclass(frozen=True)
class Settings:
    """What the user has laid down about registries."""

    insecure: tuple[str, ...] = ()
    mirrors: tuple[str, ...] = ()
    root: str = ""  # an address given with its scheme: nothing else is asked

    @classmethod
    def read(cls, home: Path | None = None) -> Settings:
        """Read the settings of a home; none are the default. Raises: RegistryError where they make no sense."""
        folder = home or Path(os.environ.get("DRYDOCK_HOME") or user_data_dir("drydock", appauthor=False))
        path = folder / "daemon.json"
        try:
            said = json.loads(path.read_bytes())
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, RecursionError) as error:
            raise RegistryError(BAD_SETTINGS.format(path=path, why=error)) from None
        lists = [said.get(key, []) if isinstance(said, dict) else None for key in ("insecure-registries", MIRRORS)]
        if not all(isinstance(one, list) and all(isinstance(text, str) for text in one) for one in lists):
            raise RegistryError(BAD_SETTINGS.format(path=path, why="both settings are lists of texts"))
        insecure, mirrors = (tuple(one) for one in lists if one is not None)
        return cls(insecure, mirrors)

    def is_insecure(self, domain: str) -> bool:
        """Return whether plain HTTP will do: on this machine, and where the user says so.

        >>> Settings(("10.0.0.0/8",)).is_insecure("10.1.2.3:5000"), Settings(("lab:80",)).is_insecure("lab:80")
        (True, True)
        >>> Settings().is_insecure("localhost:5055"), Settings().is_insecure("ghcr.io")
        (True, False)
        """
        host = urlsplit(f"//{domain}").hostname or ""
        if loopback(host) or domain in self.insecure or host in self.insecure:
            return True
        networks = [one for one in self.insecure if "/" in one]
        return bool(networks) and any(within(address, one) for address in addresses(host) for one in networks)

    def endpoints(self, domain: str, push: bool = False) -> list[Endpoint]:
        """Return where to ask for a registry's images, in turn; a push goes to the registry itself.

        >>> Settings(mirrors=("https://mirror.example.org",)).endpoints("docker.io")[0].roots
        ('https://mirror.example.org',)
        >>> Settings().endpoints("localhost:5055")[0].roots
        ('http://localhost:5055', 'https://localhost:5055')
        >>> Settings(root="http://10.0.0.7:5055").endpoints("10.0.0.7:5055")[0].roots
        ('http://10.0.0.7:5055',)
        """
        if self.root:
            return [Endpoint((self.root,), insecure=self.root.startswith("http:"))]
        found = [self._mirror(url) for url in self.mirrors] if domain == "docker.io" and not push else []
        where = HUB if domain == "docker.io" else domain
        if not self.is_insecure(domain):
            return [*found, Endpoint((f"https://{where}",))]
        roots = (f"http://{where}", f"https://{where}")  # on loopback nobody listens: the likely one first
        ours = loopback(urlsplit(f"//{domain}").hostname or "")
        return [*found, Endpoint(roots if ours else roots[::-1], insecure=True)]

    def _mirror(self, url: str) -> Endpoint:
        text = url.rstrip("/")
        domain = urlsplit(text if "://" in text else f"//{text}").netloc
        insecure = self.is_insecure(domain)
        if "://" in text:
            return Endpoint((text,), insecure, mirror=True)
        return Endpoint((f"https://{text}", f"http://{text}") if insecure else (f"https://{text}",), insecure, True)


MIRRORS = "registry-mirrors"


def addresses(host: str) -> list[str]:
    """Return the addresses of a host; one that is not known has none."""
    try:
        return [str(row[4][0]) for row in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except OSError:
        return []


def within(address: str, network: str) -> bool:
    """Return whether an address is of a network; a text that is no network holds none.

    >>> within("10.1.2.3", "10.0.0.0/8"), within("10.1.2.3", "ten/8")
    (True, False)
    """
    try:
        return ip_address(address) in ip_network(network, strict=False)
    except ValueError:
        return False
