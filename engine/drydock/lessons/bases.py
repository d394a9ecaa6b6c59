"""The images that lessons build on: the lecture's own where they can be had, else one made on the spot."""

import io
import json
import platform
import re
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import docker
from docker.errors import APIError, ContainerError, ImageNotFound
from requests.exceptions import RequestException

LAB = "org.drydock.lab"
STANDIN = "drydock/base"
PROGRAMS = Path(__file__).parent / "base"
CREATED = "2024-01-01T00:00:00Z"  # fixed, so that the same programs always give the same image
MADE = 1704067200  # the same in seconds
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What the lessons' Dockerfiles call; where there is no busybox these are taken from the machine one by one.
COMMANDS = (
    *("sh", "awk", "cat", "chmod", "cp", "cut", "date", "dd", "du", "echo", "env", "find", "grep", "gzip"),
    *("head", "id", "ls", "mkdir", "mv", "nc", "rm", "sed", "seq", "sha256sum", "sleep", "sort", "stat"),
    *("tail", "tar", "touch", "tr", "true", "uname", "wc", "xargs"),
)
ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}

HERE = "{name} is here: the Dockerfile builds on it as it stands."
PULLED = "{name} was pulled from its registry: the Dockerfile builds on it as it stands."
NO_IMAGE = "{name} could not be pulled ({why})."
NO_PACKAGES = "{name} is here, but a container of it cannot reach its packages ({why})."
INSTEAD = "The lesson runs on {standin} instead: made here from {source}, with steps of the same shape."
CANNOT_MAKE = (
    "No base image for this lesson: {why}\n"
    "The kit makes one from a Linux machine's programs, and this one has none that fit the daemon.\n"
    "Try: connect to a network once and run `docker pull {name}`"
)


class NoBase(RuntimeError):
    """No image to build on could be found, pulled or made."""


@dataclass(frozen=True)
class Base:
    """The image a lesson builds on: the one the lecture names or the stand-in; a line says which."""

    wanted: str
    name: str
    note: str

    @property
    def standin(self) -> bool:
        """True where the lesson runs on the base that the kit made itself."""
        return self.name != self.wanted

    def picture(self) -> str:
        """Return the line that a lesson shows before it builds."""
        return self.note


def ensure(wanted: str, client: docker.DockerClient, packages: bool = False) -> Base:
    """Return an image to build on: `wanted` if the daemon has it or can pull it, else a stand-in made here.

    With `packages`, the lesson installs packages inside the image, so their servers must be within reach too.
    """
    found, why = _obtain(wanted, client)
    if found and packages:
        missing = _packages_missing(wanted, client)
        found, why = (None, NO_PACKAGES.format(name=wanted, why=missing)) if missing else (found, "")
    if found:
        return Base(wanted, wanted, found.format(name=wanted))
    source = make_standin(client, wanted)
    return Base(wanted, STANDIN, f"{why} {INSTEAD.format(standin=STANDIN, source=source)}")


def _obtain(wanted: str, client: docker.DockerClient) -> tuple[str | None, str]:
    """Return (how the daemon came by the image, why not): one of the two is empty."""
    try:
        client.images.get(wanted)
        return HERE, ""
    except ImageNotFound:
        pass
    try:
        client.images.pull(wanted if re.search(r"[:@][^/]*$", wanted) else f"{wanted}:latest")
        return PULLED, ""
    except (APIError, RequestException) as error:
        return None, NO_IMAGE.format(name=wanted, why=reason(error))


def reason(error: Exception) -> str:
    """Return in a few words why a registry did not give an image.

    >>> reason(RuntimeError("dial tcp: lookup registry-1.docker.io: no such host"))
    'no network'
    >>> reason(RuntimeError("toomanyrequests: You have reached your pull rate limit"))
    "the registry's allowance is spent"
    """
    text = str(error).lower()
    for words, meaning in (
        ("toomanyrequests|rate limit|429", "the registry's allowance is spent"),
        ("no such host|dial tcp|network|timed out|timeout|lookup", "no network"),
        ("not found|denied|unauthorized", "the registry does not give it"),
    ):
        if re.search(words, text):
            return meaning
    return "the registry did not answer"


def _packages_missing(name: str, client: docker.DockerClient) -> str:
    """Return why a container of `name` cannot fetch its package lists, or nothing where it can."""
    # Without Error-Mode=any, `apt-get update` ends well even when it reached no server at all.
    command = ["timeout", "60", "apt-get", "update", "-qq", "-o", "APT::Update::Error-Mode=any"]
    try:
        client.containers.run(name, command, entrypoint=[], remove=True, stderr=True, labels={LAB: "probe"})
    except ContainerError:
        return "no network inside containers"
    except APIError as error:
        return reason(error)
    return ""


def make_standin(client: docker.DockerClient, wanted: str = "alpine") -> str:
    """Make drydock/base on the daemon, where it is not there yet, and return what it was made from.

    Its image ID depends on the programs alone, so making it again changes nothing and keeps the build cache.
    """
    files, source = programs(client, wanted)
    archive, layer = standin_archive(files, ARCHITECTURES[platform.machine().lower()])
    if not any(image.attrs["RootFS"].get("Layers") == [layer] for image in client.images.list(STANDIN)):
        client.images.load(archive)
    return source


def programs(client: docker.DockerClient, wanted: str) -> tuple[dict[str, bytes | str], str]:
    """Return the stand-in's files (bytes, or a string for a symbolic link) and what they were taken from."""
    version = client.version()
    mine, theirs = platform.machine().lower(), version.get("Arch")
    if platform.system() != "Linux" or version.get("Os") != "linux" or ARCHITECTURES.get(mine) != theirs:
        why = f"this is {platform.system()} on {mine}, the daemon runs {version.get('Os')} on {theirs}."
        raise NoBase(CANNOT_MAKE.format(why=why, name=wanted))
    found = _from_busybox() or _from_machine()
    files: dict[str, bytes | str] = {
        "usr/bin/pkg": (PROGRAMS / "pkg").read_bytes(),
        "srv/packages/portscan": (PROGRAMS / "portscan").read_bytes(),
        "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\n",
        "etc/os-release": b'PRETTY_NAME="drydock/base, made on this machine"\n',
    }
    return files | found[0], found[1]


def _from_busybox() -> tuple[dict[str, bytes | str], str] | None:
    """Return busybox under all its names, where the machine has a busybox that needs no library."""
    path = shutil.which("busybox")
    if path is None or b"/ld-" in Path(path).read_bytes()[:4096]:  # a dynamic program first names its loader
        return None
    names = subprocess.run([path, "--list"], capture_output=True, text=True, check=True).stdout.split()
    said = subprocess.run([path], capture_output=True, text=True, check=False).stdout.split()
    files: dict[str, bytes | str] = {f"bin/{n}": "busybox" for n in names if re.fullmatch(r"[\w\[.-]+", n)}
    files["bin/busybox"] = Path(path).read_bytes()
    return files, f"this machine's busybox {said[1].lstrip('v')}"


def _from_machine() -> tuple[dict[str, bytes | str], str]:
    """Return the machine's own shell and commands with the libraries that `ldd` says they need."""
    files: dict[str, bytes | str] = {}
    for command in COMMANDS:
        path = shutil.which(command)
        if path is None:
            continue
        files[f"bin/{command}"] = Path(path).read_bytes()
        listed = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
        for library in re.findall(r"(?:=> )?(/\S+) \(0x", listed):
            files[library.lstrip("/")] = Path(library).read_bytes()
    return files, "this machine's own shell and commands"


def standin_archive(files: dict[str, bytes | str], architecture: str) -> tuple[bytes, str]:
    """Return the stand-in as `docker save` would write it, and the diff ID of its one layer."""
    layer = _tar({f"{d}/": None for d in _folders(files)} | files)
    digest = f"sha256:{sha256(layer).hexdigest()}"
    config = {
        "architecture": architecture,
        "os": "linux",
        "created": CREATED,
        "config": {"Env": [f"PATH={PATH}"], "Cmd": ["sh"], "Labels": {LAB: "base"}},
        "rootfs": {"type": "layers", "diff_ids": [digest]},
        "history": [
            {
                "created": CREATED,
                "created_by": "drydock: programs of this machine, packed in one layer",
            },
            {"created": CREATED, "created_by": 'CMD ["sh"]', "empty_layer": True},
        ],
    }
    written = json.dumps(config, sort_keys=True).encode()
    name = f"{sha256(written).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": [f"{STANDIN}:latest"], "Layers": ["layer.tar"]}]
    outer = {name: written, "layer.tar": layer, "manifest.json": json.dumps(manifest).encode()}
    return _tar(dict(outer)), digest


def _folders(files: dict[str, bytes | str]) -> list[str]:
    """Return every folder that the files need, and the empty ones a Linux system expects, parents first."""
    parents = {str(p) for f in files for p in Path(f).parents} - {"."}
    return sorted(parents | {"tmp", "root", "proc", "sys", "dev", "var", "usr", "usr/bin"})


def _tar(files: dict[str, bytes | str | None]) -> bytes:
    """Return a tar of files (bytes), symbolic links (a string) and folders (None), owners and times fixed."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name.rstrip("/"))
            entry.mtime, entry.mode = MADE, 0o755
            if content is None:
                entry.type = tarfile.DIRTYPE
                entry.mode = 0o1777 if name == "tmp/" else 0o755
            elif isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
            else:
                entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content) if isinstance(content, bytes) else None)
    return written.getvalue()
