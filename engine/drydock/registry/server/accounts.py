"""Who may use a registry: a file of names and hashed passwords, as `htpasswd -B` or `drydock registry password` writes.

    NAME:$2y$05$...            bcrypt, through the system's own libcrypt: Linux has one that knows it, macOS has not
    NAME:$scrypt$14$SALT$HASH  the standard library's scrypt (2 to the power of 14, r 8, p 1), so it works everywhere

Sources: RFC 7617 (Basic), RFC 7914 (scrypt), crypt(5).
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import ctypes
import functools
import hashlib
import hmac
import os
import secrets
import threading
from pathlib import Path

COST = 14  # 16 MiB and about 50 ms a guess
NO_FILE = "The file of passwords {path} cannot be read: {why}.\nTry: drydock registry password NAME --auth {path}"
NO_ENTRY = (
    "The file of passwords {path} has no entry that can be checked here ({why}).\n"
    "This registry knows bcrypt, where the system's libcrypt does, and its own scrypt.\n"
    "Try: drydock registry password NAME --auth {path}"
)


class BadAccounts(ValueError):
    """A file of passwords that cannot be used; the message says why, and what to try."""


class Accounts:
    """The names and hashes of a file, read anew when it changes."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises: BadAccounts."""
        self.path = path
        self._key = secrets.token_bytes(32)
        self._known: dict[str, bytes] = {}  # who has shown the right password: hashing it costs 50 ms, once
        self._slow = threading.Semaphore(2)  # so many guesses at once cannot keep the machine busy
        self._stamp: tuple[int, int] = (0, 0)
        self._entries: dict[str, str] = {}
        try:
            self._refresh()
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise BadAccounts(NO_FILE.format(path=path, why=why)) from None
        kinds = [_kind(one) for one in self._entries.values()]
        if not any(kinds):
            raise BadAccounts(NO_ENTRY.format(path=path, why="it is empty" if not kinds else "all are of other kinds"))
        self._decoy = entry(
            secrets.token_hex()
        )  # hashed for an unknown name: so the time tells not which names there are

    def know(self, authorization: str) -> bool:
        """Return True where an Authorization header gives a name of the file and its password."""
        with contextlib.suppress(OSError, ValueError):  # a file that is just being replaced: the old entries count
            self._refresh()
        name, password = _basic(authorization)
        if not name:
            return False
        proof = hmac.digest(self._key, f"{name}:{password}".encode(), "sha256")
        if hmac.compare_digest(self._known.get(name, b""), proof):
            return True
        known = self._entries.get(name)
        with self._slow:
            right = matches(password, known or self._decoy) and known is not None
        if right and self._entries.get(name) == known:
            self._known[name] = proof
        return right

    def _refresh(self) -> None:
        about = self.path.stat()
        stamp = (about.st_mtime_ns, about.st_size)
        if stamp != self._stamp:
            rows = [line.strip().partition(":") for line in self.path.read_text(encoding="utf-8").splitlines()]
            self._entries = {name: entry for name, _, entry in rows if entry and not name.startswith("#")}
            self._known, self._stamp = {}, stamp


def _basic(authorization: str) -> tuple[str, str]:
    """Return the name and the password of a Basic Authorization header, two empty texts where it is none.

    >>> _basic("Basic YW5uOnNlY3JldA==")
    ('ann', 'secret')
    """
    scheme, _, coded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        name, _, password = base64.b64decode(coded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return name, password


def entry(password: str) -> str:
    """Return a new entry for a password: bcrypt where it can be made here, since every registry reads it, or scrypt.

    >>> matches("secret", entry("secret"))
    True
    """
    if _library() is None or len(password.encode()) > 72:  # bytes after which bcrypt does not look
        return scrypted(password)
    letters = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    return _crypt(password, "$2y$10$" + "".join(secrets.choice(letters) for _ in range(22)))


def save(path: Path, name: str, entry: str) -> None:
    """Write an entry into a file of passwords, in place of an earlier one of that name; only its owner may read it."""
    old = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    kept = [line for line in old if line.partition(":")[0] != name]
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write("\n".join([*kept, f"{name}:{entry}", ""]))
    new.replace(path)


def scrypted(password: str) -> str:
    """Return a new entry of the kit's own kind for a password.

    >>> matches("secret", scrypted("secret")), matches("guess", scrypted("secret"))
    (True, False)
    """
    salt = secrets.token_bytes(16)
    parts = (base64.b64encode(part).decode() for part in (salt, _scrypt(password, salt, COST)))
    return f"$scrypt${COST}${'$'.join(parts)}"


def matches(password: str, entry: str) -> bool:
    """Return True where a password belongs to an entry; False too where the entry's kind is not known here."""
    if _kind(entry) == "bcrypt":
        return hmac.compare_digest(_crypt(password, entry).encode(), entry.encode())
    if _kind(entry) == "scrypt":
        _, _, cost, salt, made = entry.split("$")
        return hmac.compare_digest(_scrypt(password, base64.b64decode(salt), int(cost)), base64.b64decode(made))
    return False


def _kind(entry: str) -> str:
    """Return which kind of hash an entry is, or nothing where it cannot be checked here."""
    if entry.startswith("$scrypt$"):
        with contextlib.suppress(ValueError, binascii.Error):
            _, _, cost, salt, made = entry.split("$")
            if 10 <= int(cost) <= 20 and base64.b64decode(salt) and base64.b64decode(made):
                return "scrypt"
    if entry.startswith(("$2y$", "$2b$", "$2a$")) and _library() is not None:
        return "bcrypt"
    return ""


def _scrypt(password: str, salt: bytes, cost: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=1 << cost, r=8, p=1, maxmem=(1 << cost) * 2048, dklen=32)


_one = threading.Lock()  # crypt(3) gives its answer in a place that all threads share


def _crypt(password: str, entry: str) -> str:
    library = _library()
    if library is None or "\0" in password:
        return ""
    with _one:
        return (library.crypt(password.encode(), entry.encode()) or b"").decode("latin-1")


@functools.cache
def _library() -> ctypes.CDLL | None:
    """Return the system's libcrypt where it knows bcrypt."""
    if os.name != "posix":
        return None
    for name in ("libcrypt.so.1", "libcrypt.so.2", None):
        try:
            library = ctypes.CDLL(name)
            library.crypt.restype = ctypes.c_char_p
            setting = b"$2y$04$" + b"." * 22
            if len(library.crypt(b"", setting) or b"") == 60:
                return library
        except (OSError, AttributeError):
            continue
    return None
