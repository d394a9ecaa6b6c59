"""Terminals: a pair of files, of which a program in the container has one end and the engine the other.

Source: man 4 pts, man 4 tty_ioctl.
"""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from pathlib import Path

TIOCGPTN = 0x80045430
TIOCSPTLCK = 0x40045431


def open_pair(multiplexer: str = "/dev/pts/ptmx") -> tuple[int, int]:
    """Return a new terminal: the engine's end and the program's end, whose name is right where this is called."""
    master = os.open(multiplexer, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    fcntl.ioctl(master, TIOCSPTLCK, struct.pack("i", 0))
    number = struct.unpack("i", fcntl.ioctl(master, TIOCGPTN, bytes(4)))[0]
    return master, os.open(Path(multiplexer).parent / str(number), os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)


def resize(terminal: int, rows: int, columns: int) -> None:
    """Tell the terminal, and by SIGWINCH its program, how large it is shown."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def take(terminal: int) -> None:
    """Make it the controlling terminal of this process, which must lead a session: Ctrl-C then sends SIGINT."""
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
