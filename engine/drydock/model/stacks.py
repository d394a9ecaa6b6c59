"""Two ways to put many programs on one machine, a virtual machine for each or a container for each, with their figures.

No figure goes without how it is known: measured here, computed from what was measured, or cited from somebody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from drydock.model.layer import human, shown

GLYPHS = {"measured": "=", "computed": "~", "cited": '"'}
LAPTOP = 16_000_000_000  # bytes of memory
NAMES = {"vm": "virtual machines", "container": "containers"}


@dataclass(frozen=True)
class Figure:
    """A number that says how it is known: nobody should have to believe it."""

    value: float
    unit: str  # s or B
    known: str  # measured (here), computed (from what was measured), cited
    source: str  # when and how often it was measured; from what it was computed; who says so, and when

    @property
    def text(self) -> str:
        """Return the number as people write it.

        >>> Figure(0.24, "s", "measured", "").text, Figure(1500, "B", "cited", "").text
        ('0.24 s', '1.5kB')
        """
        return human(int(self.value)) if self.unit == "B" else f"{self.value:.3g} s"

    def picture(self) -> str:
        """Return the number with how it is known.

        >>> print(Figure(0.125, "s", "cited", "Firecracker's specification").picture())
        0.125 s  " cited: Firecracker's specification
        """
        return f"{self.text}  {GLYPHS[self.known]} {self.known}: {shown(self.source)}"


@dataclass(frozen=True)
class Stratum:
    """One of the things that a program stands on: its libraries, a kernel, the hardware."""

    name: str
    what: str  # which one it is here: `Linux 6.1`, `busybox`
    times: str  # how many there are of it: one for each "app", for each "image", or for the whole "machine"
    size: int | None = None  # bytes on disk, where it was asked
    passed: bool = True  # whether a program's write to a file goes through it


@dataclass(frozen=True)
class Stack:
    """What one program stands on, from the top down, and what one more of the kind costs."""

    kind: str  # vm or container
    strata: tuple[Stratum, ...]  # the program first, the hardware last
    start: Figure | None = None  # s from the order until the program's first word
    memory: Figure | None = None  # bytes of memory of one more
    image: Figure | None = None  # bytes on disk that all of one image can share
    own: Figure | None = None  # bytes on disk that each has for itself

    @property
    def kernels(self) -> int:
        """Return how many kernels a system call meets on its way down.

        >>> below = Stratum("host kernel", "Linux", "machine"), Stratum("hardware", "", "machine")
        >>> Stack("vm", (Stratum("app", "", "app"), Stratum("guest kernel", "Linux", "app"), *below)).kernels
        2
        """
        return sum(one.passed and one.name.endswith("kernel") for one in self.strata)

    @property
    def path(self) -> str:
        """Return the way of a write to a file, from the program to the hardware.

        >>> print(Stack("container", (Stratum("app", "", "app"), Stratum("host kernel", "", "machine"))).path)
        app → host kernel
        """
        return " → ".join(one.name for one in self.strata if one.passed)

    @property
    def known(self) -> str:
        """Return how the figures of one more are known, in words; "" where there are none.

        >>> Stack("vm", (), start=Figure(3.9, "s", "cited", "")).known
        'cited'
        """
        found = {one.known for one in (self.start, self.memory) if one}
        return "cited" if "cited" in found else "measured here" if found else ""

    def figures(self) -> Mapping[str, Figure | None]:
        """Return the figures by what they are called."""
        return {"start": self.start, "memory": self.memory, "image": self.image, "own": self.own}

    def fits(self, memory: int = LAPTOP) -> int | None:
        """Return how many there is memory for, if nothing else needs any; None where it was not measured.

        >>> Stack("vm", (), memory=Figure(200e6, "B", "measured", "")).fits(16_000_000_000)
        80
        """
        return int(memory // self.memory.value) if self.memory and self.memory.value else None

    def memory_of(self, count: int) -> int | None:
        """Return the bytes of memory of so many."""
        return int(count * self.memory.value) if self.memory else None

    def disk_of(self, count: int, same_image: bool = True) -> int | None:
        """Return the bytes on disk of so many, whose image is the same one or another for each.

        >>> box = Stack("container", (), image=Figure(100, "B", "", ""), own=Figure(1, "B", "", ""))
        >>> box.disk_of(50), box.disk_of(50, same_image=False)
        (150, 5050)
        """
        if self.image is None:
            return None
        return int((1 if same_image else count) * self.image.value + count * (self.own.value if self.own else 0))

    def sentence(self, count: int = 1, memory: int = LAPTOP, same_image: bool = True) -> str:
        """Return in one sentence what so many of them cost.

        >>> box = Stack("container", (), Figure(0.2, "s", "measured", ""), Figure(1e6, "B", "measured", ""))
        >>> print(box.sentence(50))
        50 containers (measured here): 50MB of memory, each ready in 0.2 s; 16GB hold 16,000.
        """
        name = NAMES[self.kind] if count != 1 else NAMES[self.kind].removesuffix("s")
        said = []
        if (needed := self.memory_of(count)) is not None:
            said.append(f"{human(needed)} of memory")
        if (disk := self.disk_of(count, same_image)) is not None:
            said.append(f"{human(disk)} of disk")
        if self.start:
            said.append(f"{'each ' if count != 1 else ''}ready in {self.start.text}")
        known = f" ({self.known})" if self.known else ""
        told = f"{count} {name}{known}: {', '.join(said) or 'nothing was measured'}"
        room = self.fits(memory)
        return f"{told}; {human(memory)} hold {room:,}." if room is not None else f"{told}."

    def picture(self) -> str:
        """Draw the stack with its figures, the program on top.

        >>> stack = Stack("container", (Stratum("app", "sleep", "app"), Stratum("host kernel", "Linux 6.1", "machine")),
        ...               Figure(0.2, "s", "measured", "median of 5"))
        >>> print(stack.picture())
        container
          app          sleep      one for each app
          host kernel  Linux 6.1  one for the whole machine
          start    0.2 s  = measured: median of 5
        """
        wide = max((len(one.name) for one in self.strata), default=0)
        what = max((len(shown(one.what)) for one in self.strata), default=0)
        rows = [NAMES[self.kind].removesuffix("s")]
        for one in self.strata:
            size = f"  {human(one.size)}" if one.size is not None else ""
            for_whom = f"one for {'the whole' if one.times == 'machine' else 'each'} {one.times}"
            rows.append(f"  {one.name:{wide}}  {shown(one.what):{what}}  {for_whom}{size}")
        return "\n".join([*rows, *(f"  {name:7}  {one.picture()}" for name, one in self.figures().items() if one)])


@dataclass(frozen=True)
class Need:
    """Something one may want from a stack: which of the two gives it, and why."""

    ask: str
    vm: bool | None
    container: bool | None
    why: str
    rule: str = ""  # "second" or "fit": the answer follows from the figures


NEEDS = (
    Need("run a program for Windows on Linux", True, False, "It calls Windows' kernel. Only a VM brings its own."),
    Need("another kernel version than the machine's", True, False, "All containers of a machine use its one kernel."),
    Need("Ubuntu's files on a Debian machine", True, True, "A distribution is files; both kernels are Linux."),
    Need("survive a crash of the program's kernel", True, False, "A guest's kernel takes only its own VM with it."),
    Need("keep a stranger's program away from my kernel", True, False,
         "A container's program calls your kernel itself; a VM's calls its own, and reaches yours only through the "
         "hypervisor, which is smaller. Clouds put strangers into VMs, and containers into those."),
    Need("see its processes with the machine's own tools", False, True, "A container's processes are the machine's."),
    Need("the same files on the laptop and on the server", True, True, "Both have images. A container's is smaller."),
    Need("be ready within a second", None, None, "A container starts a process. A VM boots a kernel first.", "second"),
    Need("as many as the slider says on this laptop", None, None, "Each VM has a kernel and its memory.", "fit"),
)  # fmt: skip


def alike(one: Stack, other: Stack) -> bool:
    """Return whether the figures of two stacks may be set beside each other: what is cited is another machine's.

    >>> measured = Stack("container", (), start=Figure(0.4, "s", "measured", ""))
    >>> alike(measured, measured), alike(Stack("vm", (), start=Figure(3.9, "s", "cited", "")), measured)
    (True, False)
    """
    return len({one.known, other.known} - {""}) < 2


def answer(need: Need, stack: Stack, count: int = 50, memory: int = LAPTOP) -> bool | None:
    """Return whether a stack gives what is needed; None where that depends on a figure nobody measured.

    >>> answer(NEEDS[-2], Stack("container", (), Figure(0.2, "s", "measured", "")))
    True
    >>> answer(NEEDS[-1], Stack("vm", (), memory=Figure(1e9, "B", "measured", "")))
    False
    """
    if need.rule == "second":
        return stack.start.value <= 1 if stack.start else None
    if need.rule == "fit":
        room = stack.fits(memory)
        return room >= count if room is not None else None
    return need.vm if stack.kind == "vm" else need.container
