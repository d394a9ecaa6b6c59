"""The sandbox ladder: four ways to run a program in an image's files, best first, each proved before it is used.

A probe does what a container does, down to a change of owner that the listener must have noted: a kernel that merely
says it can is not believed (in a container, in a sandbox of a sandbox, under AppArmor, it says so and then cannot).
"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from drydock.engine.errors import BadParameter
from drydock.engine.run import filters, proot
from drydock.engine.run.enter import REHEARSAL
from drydock.engine.run.listener import OWNER
from drydock.engine.run.lookup import PREFIX
from drydock.engine.run.spec import CannotStart, Mount, Process, Root, Spec

LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/nix")  # where a machine may keep what `chown` needs
PROBE_TIMEOUT = 10.0  # seconds, on a machine that is very busy; a probe takes some hundredths of one


@dataclass(frozen=True)
class Proof:
    """Whether a rung works on this machine, why not, and what might help."""

    works: bool
    why: str = ""
    advice: str = ""


Begin = Callable[[Spec, int, int, int], Any]


class Rung(Protocol):
    """One way to run a program."""

    letter: str
    title: str
    kind: str  # of the snapshots it needs: "overlay" or "tree"

    def probe(self, folder: Path, begin: Begin) -> Proof:
        """Try it, in a new folder below `folder`."""

    def fit(self, spec: Spec) -> Spec:
        """Return the spec with what this rung needs to know."""


class Namespaces:
    """Rungs A and B: a user name space, in which an ordinary user may mount."""

    def __init__(self, letter: str, title: str, kind: str) -> None:
        self.letter, self.title, self.kind = letter, title, kind
        self.fresh_proc = True  # False: only with the host's /proc, and its process numbers

    def probe(self, folder: Path, begin: Begin) -> Proof:
        """Start everything but the program, and look whether the change of owner was noted on the file."""
        if platform.machine() not in filters.AUDIT_ARCH:
            return Proof(False, f"there is no table of system calls for {platform.machine()}")
        why = ""
        for self.fresh_proc in (True, False):
            with tempfile.TemporaryDirectory(prefix="probe-", dir=folder) as place:
                why = self._try(Path(place), begin)
            if not why:
                return Proof(True)
        return Proof(False, why, _namespace_advice(why))

    def _try(self, place: Path, begin: Begin) -> str:
        lower, upper, work = (place / name for name in ("lower", "upper", "work"))
        for one in (lower, upper, work):
            one.mkdir()
        (lower / "probe").touch()
        root = Root((str(lower),), str(upper), str(work)) if self.kind == "overlay" else Root(tree=str(lower))
        spec = Spec("probe", root, REHEARSAL, network="none")
        return _run(begin, self.fit(spec), (upper if self.kind == "overlay" else lower) / "probe")

    def fit(self, spec: Spec) -> Spec:
        """Say which rung it is, and whether a new /proc can be had."""
        return replace(spec, rung=self.letter, fresh_proc=self.fresh_proc)


class Traced:
    """Rung C: PRoot."""

    letter, title, kind = "C", "PRoot (ptrace)", "tree"

    def probe(self, folder: Path, begin: Begin) -> Proof:
        """Have PRoot run this machine's own `chown`, and look whether the change of owner was noted on the file."""
        if platform.machine() not in filters.AUDIT_ARCH:
            return Proof(False, f"there is no table of system calls for {platform.machine()}")
        if not proot.installed():
            return Proof(
                False, "proot is not installed", "install it: `apt-get install proot`, or `conda install proot`"
            )
        program = shutil.which("chown") or "/bin/chown"
        with tempfile.TemporaryDirectory(prefix="probe-", dir=folder) as place:
            tree = Path(place, "tree")
            tree.mkdir()
            (tree / "probe").touch()
            shutil.copy(os.path.realpath(program), tree / "chown")
            binds = tuple(Mount(one, one) for one in LIBRARIES if Path(one).is_dir())
            process = Process(("/chown", "12:34", "/probe"))
            spec = Spec("probe", Root(tree=str(tree)), process, mounts=binds, private=place)
            why = _run(begin, self.fit(spec), tree / "probe")
        return Proof(not why, why, _proot_advice(why) if why else "")

    def fit(self, spec: Spec) -> Spec:
        """Say which rung it is, and where PRoot is."""
        return replace(spec, rung="C", proot=proot.installed())


class Refusing:
    """Rung D: nothing is executed; all that needs no execution works."""

    letter, title, kind = "D", "nothing is executed", "tree"

    def probe(self, folder: Path, begin: Begin) -> Proof:
        """It always works."""
        return Proof(True)

    def fit(self, spec: Spec) -> Spec:
        """Nothing will run."""
        return spec


REFUSING = Refusing()
LADDER: tuple[Rung, ...] = (
    Namespaces("A", "user namespace + overlay", "overlay"),
    Namespaces("B", "user namespace + bind mounts", "tree"),
    Traced(),
    REFUSING,
)


def wanted(force: str | None) -> tuple[Rung, ...]:
    """Return the rungs to try, in order.

    >>> [rung.letter for rung in wanted("c")]
    ['C']
    """
    if not force:
        return LADDER
    for rung in LADDER:
        if rung.letter == force.upper():
            return (rung,)
    raise BadParameter(f"there is no rung {force!r}: A, B, C and D are the four, `drydock doctor` says which work here")


def refusal(rung: Rung, proofs: Mapping[str, Proof]) -> str:
    """Return the one sentence that says why nothing can be executed, and what to do."""
    if rung.letter != "D":
        proof = proofs[rung.letter]
        return (
            f"Rung {rung.letter} ({rung.title}) was asked for and does not work here: {proof.why}. "
            "Start the engine without --rung, or see `drydock doctor`."
        )
    tried = "; ".join(f"{letter}: {one.why}" for letter, one in proofs.items() if not one.works)
    return (
        f"This machine lets no program run in an image ({tried or 'rung D was asked for'}), so only steps that are in "
        "the build cache can be used; `drydock doctor` says what would help."
    )


def _run(begin: Begin, spec: Spec, probe: Path) -> str:
    """Return what went wrong, or nothing."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    said, output = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        running = begin(spec, null, output, output)
        try:
            code = running.wait(PROBE_TIMEOUT)
        except TimeoutError:
            running.kill()
            running.wait()
            return "a trial container did not end"
        if code:
            return f"a trial container ended with exit code {code}{_first_line(said)}"
    except CannotStart as error:
        return str(error).removeprefix(PREFIX).removesuffix(": unknown")
    finally:
        for fd in (null, said, output):
            os.close(fd)
    try:
        noted = os.getxattr(probe, OWNER)
    except OSError as error:
        noted = (error.strerror or "").encode()
    return "" if noted == b"12:34" else f"a change of owner was not noted: {noted.decode()}"


def _first_line(said: int) -> str:
    try:
        lines = os.read(said, 4096).decode(errors="replace").split("\n")
    except BlockingIOError:
        return ""
    return next((f": {line.strip()}" for line in lines if line.strip()), "")


def _proot_advice(why: str) -> str:
    if "temporary" in why:
        return (
            "PRoot before 5.2 must be able to write and execute in /tmp: make /tmp writable, or install a newer PRoot"
        )
    return "PRoot needs ptrace: where it is refused (/proc/sys/kernel/yama/ptrace_scope), nothing can be executed"


def _namespace_advice(why: str) -> str:
    if why.startswith(("unshare", "/proc/self/uid_map", "/proc/self/setgroups")):
        return (
            "user namespaces are switched off here: an administrator can allow them with "
            "`sysctl kernel.unprivileged_userns_clone=1` or `kernel.apparmor_restrict_unprivileged_userns=0`"
        )
    return ""
