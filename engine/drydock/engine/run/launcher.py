"""The launcher: a small process with one thread, from which every container's shim is forked.

The engine has many threads, and a copy of a process with threads may find a lock held by a thread that the copy does
not have. Starting a new Python for each container instead would cost more time than all the rest (60 ms against 2).

Source: man 2 fork ("only async-signal-safe functions"); Python's documentation of os.fork since 3.12.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from drydock.engine.run import linux, shim, switch

SHIM, SWITCH = b"!", b"="
_START = "import sys; sys.path[:] = sys.argv[3:]; from drydock.engine.run.launcher import main; main()"


class Launcher:
    """The engine's side: starts the process when it is first needed, again if it was killed, and asks it for shims."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def shim(self) -> socket.socket:
        """Return the channel to a new shim."""
        return self._child(SHIM)

    def switch(self) -> socket.socket:
        """Return the channel to a new switch."""
        return self._child(SWITCH)

    def _child(self, kind: bytes) -> socket.socket:
        mine, theirs = socket.socketpair()
        with theirs, self._lock:
            if self._process is None or self._process.poll() is not None:
                self._restart()
            assert self._control is not None
            socket.send_fds(self._control, [kind], [theirs.fileno()])
        return mine

    def start(self) -> None:
        """Start the process now, so that the first container need not wait for it."""
        with self._lock:
            if self._process is None:
                self._restart()

    @property
    def pid(self) -> int:
        """The launcher's process ID, 0 when it does not run."""
        return self._process.pid if self._process else 0

    def _restart(self) -> None:
        self._end()
        stage = self.folder / "stage"  # the empty folder on which every container, unseen by the others, has its root
        stage.mkdir(parents=True, exist_ok=True)
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-I", "-S", "-c", _START, str(theirs.fileno()), str(stage), *sys.path]
            self._process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
                env={"LC_ALL": "C.UTF-8"},  # no token of a notebook server's environment comes near a container
            )

    def _end(self) -> None:
        if self._control:
            self._control.close()
        if self._process:
            self._process.wait()
        self._control = self._process = None

    def close(self) -> None:
        """End the launcher; the shims notice the end of their own channels."""
        with self._lock:
            self._end()


def main() -> None:
    """Be the launcher: fork one shim for every message, until the engine is gone."""
    control = socket.socket(fileno=int(sys.argv[1]))
    gc.disable()
    gc.freeze()  # a collection in a copy would touch, and so copy, all of its memory
    linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)  # what a killed shim leaves behind comes here
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda number, frame: _sweep(kids))
    kids: dict[int, bytes] = {}  # by process ID, which of the two it is
    while True:
        got, fds, _, _ = socket.recv_fds(control, 1, 1)
        if not got:
            break
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
        pid = os.fork()
        if pid == 0:
            control.close()
            _be(got, fds[0], sys.argv[2])
        kids[pid] = got
        os.close(fds[0])
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    while SHIM in kids.values():  # each has noticed, too, and is ending its programs
        signal.sigwait([signal.SIGCHLD])
        _sweep(kids)


def _be(kind: bytes, fd: int, stage: str) -> None:
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        with socket.socket(fileno=fd) as channel:
            switch.serve(channel) if kind == SWITCH else shim.serve(channel, stage)
    finally:
        os._exit(0)


def _sweep(kids: dict[int, bytes]) -> None:
    """Collect what has ended; where that is a shim, kill the programs it left."""
    orphans = False
    with suppress(ChildProcessError):
        while (pid := os.waitpid(-1, os.WNOHANG)[0]) != 0:
            orphans |= kids.pop(pid, b"") == SHIM
        for kid in Path("/proc/self/task", str(os.getpid()), "children").read_text().split() if orphans else ():
            if int(kid) not in kids:
                with suppress(ProcessLookupError):
                    os.kill(int(kid), signal.SIGKILL)
