"""The switch: networks apart from the machine's own, for containers that shall reach each other and nobody else.

An ordinary user may make a network name space inside a user name space, and there bridges, cables and addresses as root
would. One process holds such a name space with a bridge for each network; a container has a network name space of its
own, and a cable into each bridge. There is no way from here into the machine's network: that takes privileges, or a
program that plays the internet.

Source: man 7 network_namespaces, user_namespaces; man 4 veth; moby libnetwork/drivers/bridge (names, hardware address).
"""

from __future__ import annotations

import errno
import os
import select
import socket
import threading
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from drydock.engine.errors import EngineError
from drydock.engine.run import frames, linux
from drydock.engine.run.netlink import Netlink
from drydock.engine.run.spec import Plug

if TYPE_CHECKING:
    from drydock.engine.run.launcher import Launcher

NOT_HERE = "this machine gives an ordinary user no network of his own: {why}"


class Switch:
    """The engine's side of the process that holds the networks: started when the first is needed."""

    def __init__(self, launcher: Launcher) -> None:
        self.launcher = launcher
        self.lock = threading.Lock()
        self.pid = 0
        self._channel: socket.socket | None = None
        self._why: str | None = None

    def why_not(self) -> str:
        """Return why this machine can have no such networks; nothing where it can, which one trial cable proves."""
        with self.lock:
            if self._why is None:
                try:
                    trial = Plug("dd-trial", "172.16.0.1", 16, "dd-cable", "dd-end", "172.16.0.2")
                    self._ask({"trial": asdict(trial)})
                    self._why = ""
                except (EngineError, OSError) as error:
                    self._why = str(error)
            return self._why

    def start(self) -> int:
        """Return the process ID of the switch."""
        with self.lock:
            return self._started()

    def plug(self, pid: int, plug: Plug) -> None:
        """Lay a cable to a container that runs."""
        with self.lock:
            self._ask({"plug": asdict(plug), "pid": pid})

    def unplug(self, name: str) -> None:
        """Take a cable, or a bridge, away; one that is gone already is as good."""
        with self.lock, suppress(EngineError):
            if self._channel:
                self._ask({"remove": name})

    def close(self) -> None:
        """End the switch."""
        with self.lock:
            self._forget()

    def _started(self) -> int:
        if self._channel and select.select([self._channel], [], [], 0)[0]:
            self._forget()  # it never speaks first, so this is its end: it was killed
        if self._channel is None:
            self._channel = self.launcher.switch()
            answer = frames.receive(self._channel)
            if answer is None or "error" in answer[0]:
                self._forget()
                raise EngineError(NOT_HERE.format(why=answer[0]["error"] if answer else "it ended"))
            self.pid = int(answer[0]["pid"])
        return self.pid

    def _forget(self) -> None:
        if self._channel:
            self._channel.close()
        self._channel, self.pid = None, 0

    def _ask(self, message: dict[str, Any]) -> None:
        self._started()
        assert self._channel
        try:
            frames.send(self._channel, message)
            answer = frames.receive(self._channel)
        except OSError:
            answer = None
        if answer is None:
            self._forget()
            raise EngineError(NOT_HERE.format(why="the process that held them has ended"))
        if "error" in answer[0]:
            raise EngineError(NOT_HERE.format(why=answer[0]["error"]))


def lay(switch: int, container: int, plug: Plug) -> None:
    """Lay a cable between two networks, given as open files; the caller is in the second one afterwards.

    Raises: OSError.
    """
    linux.setns(switch, linux.CLONE_NEWNET)
    with Netlink() as net:
        _bridge(net, plug)
        hardware = b"\x02\x42" + socket.inet_aton(plug.address)
        net.cable(plug.cable, plug.bridge, plug.interface, container, hardware)
        net.up(plug.cable)
    linux.setns(container, linux.CLONE_NEWNET)
    with Netlink() as net:
        net.address(plug.interface, plug.address, plug.prefix)
        net.up(plug.interface)


def _bridge(net: Netlink, plug: Plug) -> None:
    try:
        net.bridge(plug.bridge)
    except OSError as error:
        if error.errno != errno.EEXIST:
            raise
        return
    net.address(plug.bridge, plug.gateway, plug.prefix)
    net.up(plug.bridge)


def serve(channel: socket.socket) -> None:
    """Be the switch until the engine is gone."""
    linux.die_with_parent()
    outside = (os.geteuid(), os.getegid())
    try:
        linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWNET)
        linux.map_user((0, 0), outside)
        Path("/proc/sys/net/ipv4/ip_forward").write_text("0")  # or it would lead from one network into another
    except OSError as error:
        return frames.send(channel, {"error": f"{error.filename or 'unshare'}: {error.strerror}"})
    linux.prctl(linux.PR_SET_DUMPABLE, 1)  # containers enter by /proc
    mine = os.open("/proc/self/ns/net", os.O_RDONLY)
    frames.send(channel, {"pid": os.getpid()})
    while got := frames.receive(channel):
        try:
            _obey(got[0], mine)
            frames.send(channel, {"done": True})
        except OSError as error:
            frames.send(channel, {"error": str(error.strerror)})
        finally:
            linux.setns(mine, linux.CLONE_NEWNET)


def _obey(message: dict[str, Any], mine: int) -> None:
    match message:
        case {"trial": plug}:
            with Netlink() as net:
                lay(mine, mine, Plug(**plug))
                net.remove(plug["cable"])
                net.remove(plug["bridge"])
        case {"plug": plug, "pid": int(pid)}:
            container = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
            try:
                lay(mine, container, Plug(**plug))
            finally:
                os.close(container)
        case {"remove": str(name)}:
            with Netlink() as net:
                net.remove(name)


def plugger(switch: int, plugs: tuple[Plug, ...]) -> socket.socket:
    """Enter the switch's user name space, and leave a child there that lays the cables once it is told to.

    The caller goes on into name spaces of its own, from where nothing can be done to the switch any more.
    """
    user, net = (os.open(f"/proc/{switch}/ns/{kind}", os.O_RDONLY) for kind in ("user", "net"))
    linux.setns(user, linux.CLONE_NEWUSER)
    os.close(user)
    mine, theirs = socket.socketpair()
    if os.fork() == 0:
        mine.close()
        _lay_when_told(theirs, net, plugs)
    theirs.close()
    os.close(net)
    return mine


def _lay_when_told(channel: socket.socket, net: int, plugs: tuple[Plug, ...]) -> NoReturn:
    try:
        frames.receive(channel)
        container = os.open(f"/proc/{os.getppid()}/ns/net", os.O_RDONLY)
        for plug in plugs:
            lay(net, container, plug)
        frames.send(channel, {"done": True})
    except BaseException as error:  # this copy of the engine must not go on
        frames.send(channel, {"error": str(error)})
    finally:
        os._exit(0)


def plugged(channel: socket.socket) -> None:
    """Have the cables laid to this process's network; raise OSError where it was not possible."""
    frames.send(channel, {"go": True})
    answer = frames.receive(channel)
    channel.close()
    os.wait()
    if answer is None or "error" in answer[0]:
        raise OSError(errno.ENETDOWN, answer[0]["error"] if answer else "no cable", "network")
