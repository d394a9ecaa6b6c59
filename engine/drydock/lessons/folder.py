"""The working copy of a lesson's folder: what you change is the copy; the course's files stay as they are."""

import re
import shutil
from pathlib import Path

import docker

from drydock.lessons import bases

WORK = "work"
STANDIN = ".standin"  # the end of a file's name: what takes the place of the file before it
SAYS = "{copy}: a fresh copy of {lesson}, yours to change."
KEPT = "Your earlier copy is kept as {kept}."
NO_LESSON = (
    "There is no lesson folder {path}.\n"
    "A notebook finds its files beside itself, so it was probably moved, or opened from another folder.\n"
    "Try: open it from the course's `notebooks` folder"
)


class NoLesson(FileNotFoundError):
    """The folder that a notebook's lesson needs is not beside it."""


def fresh(lesson: str, client: docker.DockerClient | None = None, here: str | Path = ".") -> Path:
    """Copy the lesson's folder to `work/`, choose the base its Dockerfiles build on, and return the copy.

    Where the base that a Dockerfile names cannot be had, `Dockerfile.standin` takes its place if there is
    one (and of `Dockerfile.variant`: `Dockerfile.variant.standin`), else only the FROM line changes; the course's own
    file is kept as `Dockerfile.lecture`. Prints which.
    """
    source, copy = Path(here) / lesson, Path(here) / WORK / lesson
    if not source.is_dir():
        raise NoLesson(NO_LESSON.format(path=source))
    says = [SAYS.format(copy=copy, lesson=lesson), *_put_aside(copy)]
    shutil.copytree(source, copy)
    _usual_modes(copy)
    if client is None:
        from drydock.client import connect

        client = connect()
    print("\n".join(says + sorted(_choose_bases(copy, client))))
    return copy


def _put_aside(copy: Path) -> list[str]:
    """Move an earlier copy out of the way, so that running a notebook again never loses a learner's work."""
    if not copy.exists():
        return []
    kept = copy.with_name(f"{copy.name}.before")
    shutil.rmtree(kept, ignore_errors=True)
    copy.rename(kept)
    return [KEPT.format(kept=kept)]


def _usual_modes(copy: Path) -> None:
    """Give every file the mode it has in the course: a COPY is recognised by modes too, and git goes by your umask.

    So a lesson built on another machine (umask 002, or a mount without modes) is the same build.
    """
    copy.chmod(0o755)
    for path in copy.rglob("*"):
        executable = path.is_dir() or path.read_bytes()[:2] == b"#!"
        path.chmod(0o755 if executable else 0o644)


def _choose_bases(copy: Path, client: docker.DockerClient) -> set[str]:
    """Make every Dockerfile of the copy buildable here, and return the lines that say how."""
    texts = {p: p.read_text(encoding="utf-8") for p in sorted(copy.glob("Dockerfile*")) if p.suffix != STANDIN}
    names = {name for text in texts.values() for name in outside(text)}
    # One that installs nothing takes the base of its neighbour that does: what stands side by side is to be compared.
    installs = {name: bases.manager("\n".join(t for t in texts.values() if name in outside(t))) for name in names}
    found = {name: bases.ensure(name, client, installs[name]) for name in sorted(names)}
    for path, text in texts.items():
        standins = [base for base in map(found.get, outside(text)) if base and base.standin]
        standin = path.with_name(path.name + STANDIN)
        if standins:
            shutil.copy(path, path.with_name(f"{path.name}.lecture"))
            for base in standins:
                text = rebase(text, base.wanted, base.name)
            path.write_text(standin.read_text(encoding="utf-8") if standin.exists() else text, encoding="utf-8")
        standin.unlink(missing_ok=True)
    return {base.note for base in found.values()}


def outside(dockerfile: str) -> list[str]:
    """Return the images that the Dockerfile builds on and does not make itself, in order.

    >>> outside("FROM alpine AS tools\\nFROM scratch\\nFROM tools\\nFROM alpine\\nCOPY --from=tools /a /a")
    ['alpine']
    """
    lines = re.findall(r"(?im)^\s*FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", dockerfile)
    made = {"scratch", *(stage.lower() for _, stage in lines if stage)}
    return list(dict.fromkeys(base for base, _ in lines if base.lower() not in made and "$" not in base))


def rebase(dockerfile: str, old: str, new: str) -> str:
    """Return the Dockerfile with every `FROM old` as `FROM new`, and nothing else changed.

    >>> rebase("FROM alpine AS a\\nRUN echo alpine", "alpine", "drydock/base")
    'FROM drydock/base AS a\\nRUN echo alpine'
    """
    return re.sub(rf"(?im)^(\s*FROM\s+(?:--\S+\s+)*){re.escape(old)}(?=\s|$)", rf"\g<1>{new}", dockerfile)
