"""Whom to believe: certificates of https registries, and where plain HTTP will do.

Source: docker documentation "Use a certificate for registry access" (/etc/docker/certs.d), moby registry/config.go.
"""

from __future__ import annotations

import ssl
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path

CERTIFICATES = Path("/etc/docker/certs.d")


def loopback(host: str) -> bool:
    """Return whether a host is this machine, so that nobody listens on the way.

    >>> loopback("localhost"), loopback("127.0.0.1"), loopback("::1"), loopback("registry.local")
    (True, True, True, False)
    """
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


@lru_cache(16)
def context(host: str, insecure: bool) -> ssl.SSLContext:
    """Return how a connection to `host:port` is secured: by the machine's certificates, and those laid down for it."""
    if insecure:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
        return made
    made = ssl.create_default_context()
    for folder in (CERTIFICATES / host, CERTIFICATES / host.removesuffix(":443")):
        for path in sorted(folder.glob("*.crt")) if folder.is_dir() else ():
            made.load_verify_locations(path)
    return made
