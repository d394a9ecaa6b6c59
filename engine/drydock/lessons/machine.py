"""What of this machine goes into the lessons' images: a shell with its commands, and a python3 with its library."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from drydock.lessons.pack import Content

PROGRAMS = Path(__file__).parent / "base"
# What the lessons' Dockerfiles call; where there is no busybox these are taken from the machine one by one.
COMMANDS = (
    *("sh", "awk", "cat", "chmod", "cp", "cut", "date", "dd", "du", "echo", "env", "find", "grep", "gzip"),
    *("head", "id", "ls", "mkdir", "mv", "nc", "rm", "sed", "seq", "sha256sum", "sleep", "sort", "stat"),
    *("tail", "tar", "touch", "tr", "true", "uname", "wc", "xargs"),
)
OWN: dict[str, Content] = {
    "usr/bin/env": "/bin/env",  # where every script's first line looks for it
    "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": b"root:x:0:\nnogroup:x:65534:\n",
    "etc/os-release": b'PRETTY_NAME="drydock/base, made on this machine"\n',
}
# Of Python's library: nothing that needs a screen, a compiler or a network, no tests, no bytecode (its bytes vary).
LEFT_OUT = re.compile(
    r"(test|tests|idlelib|tkinter|turtledemo|lib2to3|ensurepip|pydoc_data|distutils|__phello__|__pycache__|"
    r"site-packages|dist-packages|config-.*|.*\.pyc|.*\.a|turtle\.py|EXTERNALLY-MANAGED|LICENSE\.txt|sitecustomize\.py|"
    r"(_test|_xx|xx|_tkinter|_curses|_dbm|_gdbm|nis|ossaudiodev|audioop).*\.so)"
)
ASK = """import json, sys, sysconfig
import http.server, sqlite3, ssl, json, hashlib
print(json.dumps([sys.executable, sysconfig.get_path("stdlib"), sys.version.split()[0], sys.version_info[:2]]))"""


def base() -> tuple[dict[str, Content], str]:
    """Return the files of drydock/base, and in words what they were taken from."""
    found, source = busybox() or commands()
    own = {"usr/bin/pkg": PROGRAMS / "pkg", "srv/packages/portscan": PROGRAMS / "portscan"}
    return OWN | {name: path.read_bytes() for name, path in own.items()} | found, source


def busybox() -> tuple[dict[str, Content], str] | None:
    """Return busybox under all its names, where the machine has a busybox that needs no library."""
    path = shutil.which("busybox")
    if path is None or b"/ld-" in Path(path).read_bytes()[:4096]:  # a dynamic program first names its loader
        return None
    names = subprocess.run([path, "--list"], capture_output=True, text=True, check=True).stdout.split()
    said = subprocess.run([path], capture_output=True, text=True, check=False).stdout.split()
    files: dict[str, Content] = {f"bin/{n}": "busybox" for n in names if re.fullmatch(r"[\w\[.-]+", n)}
    files["bin/busybox"] = Path(path).read_bytes()
    return files, f"this machine's busybox {said[1].lstrip('v')}"


def commands() -> tuple[dict[str, Content], str]:
    """Return the machine's own shell and commands with the libraries that `ldd` says they need."""
    files: dict[str, Content] = {}
    for command in COMMANDS:
        path = shutil.which(command)
        if path is None:
            continue
        files[f"bin/{command}"] = Path(path).read_bytes()
        files |= {where.lstrip("/"): Path(where).read_bytes() for _, where in libraries(path)}
    return files, "this machine's own shell and commands"


def python() -> tuple[dict[str, Content], str]:
    """Return this machine's python3 as drydock/python has it, below /usr/local as in Docker's own image `python`.

    The system's python3 comes first: its files are those of a package, so machines of one release make one image.
    """
    executable, library, version, (major, minor) = _complete_python()
    place = f"usr/local/lib/python{major}.{minor}"
    files: dict[str, Content] = {
        f"usr/local/bin/python{major}.{minor}": Path(executable).read_bytes(),
        "usr/local/bin/python3": f"python{major}.{minor}",
        "usr/local/bin/python": "python3",
    }
    files |= {f"{place}/{name}": (Path(library) / name).read_bytes() for name in _kept(Path(library))}
    files |= _needed([executable, *(str(p) for p in Path(library).rglob("*.so") if not LEFT_OUT.fullmatch(p.name))])
    return files, f"this machine's Python {version}"


def _complete_python() -> tuple[str, str, str, list[int]]:
    """Return (program, library, version, [major, minor]) of the system's python3 if it is whole, else of this one."""
    for candidate in ("/usr/bin/python3", sys.executable):
        try:
            done = subprocess.run([candidate, "-I", "-c", ASK], capture_output=True, text=True, check=True)
        except (
            OSError,
            subprocess.CalledProcessError,
        ):  # not there, or without parts that its distribution packs apart
            continue
        executable, library, version, numbers = json.loads(done.stdout)
        if tuple(numbers) >= (3, 9):
            return str(Path(executable).resolve()), library, version, numbers
    raise FileNotFoundError("This Python cannot load its own library.\nTry: install python3 whole, then run this again")


def _kept(library: Path, below: str = "") -> Iterator[str]:
    """Yield the files of Python's library that the image takes."""
    for path in sorted((library / below).iterdir()):
        if LEFT_OUT.fullmatch(path.name):
            continue
        name = f"{below}/{path.name}" if below else path.name
        if path.is_dir():
            yield from _kept(library, name)
        elif path.is_file():
            yield name


def _needed(programs: list[str]) -> dict[str, Content]:
    """Return the shared libraries of these programs, each where the image's own loader will look.

    A library beside a Python of its own (pyenv, conda) goes to the C library's folder: that is always looked in.
    """
    found = dict(pair for program in programs for pair in libraries(program))
    home = next((str(Path(where).parent) for name, where in found.items() if name.startswith("libc.")), "/lib")
    system = ("/lib", "/usr/lib")
    placed = {where if where.startswith(system) else f"{home}/{name}": where for name, where in found.items()}
    return {target.lstrip("/"): Path(where).read_bytes() for target, where in sorted(placed.items())}


def libraries(program: str) -> list[tuple[str, str]]:
    """Return the (name, path) of each shared library that `ldd` says a program needs, its loader included."""
    said = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    return [(Path(path).name, path) for path in re.findall(r"(?:=> )?(/\S+) \(0x", said)]
