"""Why nobody answered: the network's error in Go's words, as dockerd would print it, then what it means."""

from __future__ import annotations

import os
import socket
import ssl
from urllib.parse import urlsplit

from drydock.registry.errors import Cut, RegistryError, Unreachable, Untrusted, brief
from drydock.registry.trust import loopback

VERBS = {"GET": "Get", "HEAD": "Head", "POST": "Post", "PUT": "Put", "PATCH": "Patch", "DELETE": "Delete"}
NOBODY_HERE = "Nothing listens there: the registry is not running. Try: drydock registry start"
NOBODY_THERE = "Nothing listens there. Is the port right, and the registry running? Try: curl -v {root}"
NO_NAME = (
    "This machine cannot find that host: the name is wrong, or there is no network. Without one, use the class's "
    "registry, or bring the image as a file. Try: docker load -i FILE"
)
TOO_SLOW = "It did not answer in time: a firewall, or a proxy that is not set (HTTPS_PROXY). Try: curl -v {root}"
PLAIN = (
    'The registry speaks plain HTTP. If it is yours, list it: {{"insecure-registries": ["{host}"]}} in '
    "$DRYDOCK_HOME/daemon.json, then try again: docker login {host}"
)
NOT_TRUSTED = (
    "Nobody this machine trusts vouches for that certificate: it is self-made, or something between here and there "
    "looks into the traffic. Ask for the registry's CA file. Try: put it at /etc/docker/certs.d/{host}/ca.crt"
)


def explained(method: str, url: str, error: Exception, connected: bool) -> RegistryError:
    """Return what to tell for an error of the network; `connected` says that the other side had answered before."""
    parts = urlsplit(url)
    host, root = parts.netloc.rpartition("@")[2], f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/v2/"
    begin = f'{VERBS.get(method, method)} "{parts.scheme}://{host}{parts.path}": '
    if isinstance(error, ssl.SSLCertVerificationError):
        why = brief(error.verify_message or "unknown authority")
        return Untrusted(f"{begin}x509: {why}. {NOT_TRUSTED.format(host=host)}")
    if isinstance(error, ssl.SSLError) and "WRONG_VERSION" in str(error.reason or ""):
        return Untrusted(f"{begin}http: server gave HTTP response to HTTPS client. {PLAIN.format(host=host)}")
    if isinstance(error, ssl.SSLError):
        return Cut(f"{begin}tls: {brief(str(error.reason or error))}")
    if isinstance(error, socket.gaierror):
        return Unreachable(f"{begin}dial tcp: lookup {parts.hostname}: no such host. {NO_NAME}")
    if connected:
        slow = "the registry takes too long" if isinstance(error, TimeoutError) else brief(str(error) or "EOF")
        return Cut(f"{begin}{slow}")
    where = f"dial tcp {address(parts.hostname or '', parts.port or (443 if parts.scheme == 'https' else 80))}"
    if isinstance(error, TimeoutError):
        return Unreachable(f"{begin}{where}: i/o timeout. {TOO_SLOW.format(root=root)}")
    what = os.strerror(error.errno).lower() if isinstance(error, OSError) and error.errno else brief(str(error))
    cure = NOBODY_HERE if loopback(parts.hostname or "") else NOBODY_THERE.format(root=root)
    return Unreachable(f"{begin}{where}: connect: {what}. {cure}")


def address(host: str, port: int) -> str:
    """Return the address that a name stands for, as far as it can be found out.

    >>> address("127.0.0.1", 5055)
    '127.0.0.1:5055'
    """
    try:
        found = socket.getaddrinfo(host, port, family=socket.AF_INET, type=socket.SOCK_STREAM)
    except OSError:
        return f"{host}:{port}"
    return f"{found[0][4][0]}:{port}"
