"""How the front asks another part over the network, and what it does when that part is slow or silent."""

import http.client
import itertools
import json
import threading
import time
from urllib.parse import urlencode

CONNECT = 0.1  # seconds: a machine that is gone does not even refuse
FOREVER = 10.0  # seconds: without a timeout the front waits, and one of its workers with it
TURN = itertools.count()
mine = threading.local()  # each worker's open connections: to connect anew takes as long as to ask

# The remedies: set while the store runs (PUT /-/settings), so that nothing must be built for them.
settings = {"routes": {}, "timeout": None, "retries": 0, "backoff": 0.02, "fallback": False}


class Silent(Exception):
    """A part did not answer, or not in time."""


def over_network(part, order):
    for attempt in range(settings["retries"] + 1):
        if attempt:
            time.sleep(settings["backoff"] * 2 ** (attempt - 1))
        try:
            return once(part, order)
        except (OSError, http.client.HTTPException, Silent) as error:
            why = error
    raise Silent(f"{part}: {why!r}")


def once(part, order):
    copies = settings["routes"].get(part) or []
    if not copies:
        raise Silent(f"nobody is {part}")
    host, port = copies[next(TURN) % len(copies)]
    kept = vars(mine).setdefault("open", {})
    connection = kept.pop((host, port), None)
    try:
        if connection is None:
            raise ConnectionError("none is open yet")
        status, said = said_by(connection, part, order)
    except (ConnectionError, http.client.HTTPException):  # or it was closed meanwhile
        connection = http.client.HTTPConnection(host, port, timeout=CONNECT)
        connection.connect()
        status, said = said_by(connection, part, order)
    if connection.sock:
        kept[host, port] = connection
    if status != 200:
        raise Silent(f"{part} says {status}")
    return json.loads(said)


def said_by(connection, part, order):
    """Send one request on an open connection, and return status and answer."""
    try:
        connection.sock.settimeout(settings["timeout"] or FOREVER)
        connection.request("GET", f"/{part}?{urlencode(order)}")
        reply = connection.getresponse()
        return reply.status, reply.read()
    except BaseException:
        connection.close()
        raise
