"""A container in the shape of a Binder pod: uid 1000, no privileges to gain, 2 GB, one CPU, no network, no Docker.

Its root file system is a few folders and links; /usr, Python and the virtual environment are this machine's own,
read-only. The repository lies in the container's own layer, as it does in an image that repo2docker made.
"""

import io
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOME = "/home/jovyan"
UID = 1000
NAME = "drydock-test/binder-pod"
MEMORY = 2 << 30
FOLDERS = ("dev", "etc", "home", "proc", "run", "srv", "sys", "usr", "var", "var/tmp")
LINKS = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")  # of a system whose programs are all below /usr
FILES = {
    "etc/passwd": f"root:x:0:0:root:/root:/bin/sh\njovyan:x:{UID}:{UID}:jovyan:{HOME}:/bin/bash\n",
    "etc/group": f"root:x:0:\njovyan:x:{UID}:\n",
}


def root() -> bytes:
    """Return the pod's root file system, without what is mounted into it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name in FOLDERS:
            _add(tar, name, kind=tarfile.DIRTYPE, mode=0o755)
        _add(tar, "root", kind=tarfile.DIRTYPE, mode=0o755)  # a Python may live below it
        _add(tar, "tmp", kind=tarfile.DIRTYPE, mode=0o1777)
        for name in LINKS:
            if Path("/", name).is_symlink():
                _add(tar, name, kind=tarfile.SYMTYPE, link=f"usr/{name}")
        for name, text in FILES.items():
            _add(tar, name, content=text.encode(), mode=0o644)
        _add(tar, HOME.lstrip("/"), kind=tarfile.DIRTYPE, mode=0o755, owner=UID)
    return packed.getvalue()


def repository() -> bytes:
    """Return what `git clone` would bring, and what is not committed yet, as jovyan's."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        made = set()
        for name in sorted(filter(None, names)):
            if not (ROOT / name).is_file():
                continue
            for parent in reversed(Path(name).parents[:-1]):
                if parent not in made:
                    made.add(parent)
                    _add(tar, str(parent), kind=tarfile.DIRTYPE, mode=0o755, owner=UID)
            mode = 0o755 if (ROOT / name).stat().st_mode & 0o100 else 0o644
            _add(tar, name, content=(ROOT / name).read_bytes(), mode=mode, owner=UID)
    return packed.getvalue()


def _add(tar, name, content=b"", kind=tarfile.REGTYPE, mode=0o777, link="", owner=0):
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.linkname, entry.size = kind, mode, link, len(content)
    entry.uid = entry.gid = owner
    tar.addfile(entry, io.BytesIO(content))


class Pod:
    """A pod that runs; `do` runs a command in it as a learner would."""

    def __init__(self, client):
        self.client = client
        client.api.import_image_from_data(root(), repository=NAME, tag="latest")
        python = {sys.base_prefix, sys.prefix} - {"/usr"}
        shared = ["/usr", "/etc/alternatives", *python]
        path = f"{sys.prefix}/bin:/usr/local/bin:/usr/bin:/bin"
        self.container = client.containers.create(
            NAME,
            ["sleep", "infinity"],
            user=f"{UID}:{UID}",
            working_dir=HOME,
            environment={"HOME": HOME, "PATH": path, "PYTHONPATH": f"{HOME}/engine:{HOME}/widgets", "LANG": "C.UTF-8"},
            volumes={place: {"bind": place, "mode": "ro"} for place in shared if Path(place).exists()},
            security_opt=["no-new-privileges"],
            mem_limit=MEMORY,
            memswap_limit=MEMORY,
            nano_cpus=10**9,
            network_mode="none",
            labels={"org.drydock.test": "binder"},
        )
        self.container.put_archive(HOME, repository())
        self.container.start()

    def do(self, *command, **environment):
        """Run a command and return (exit code, what it printed)."""
        code, said = self.container.exec_run(list(command), user=f"{UID}:{UID}", environment=environment)
        return code, said.decode(errors="replace")

    def put(self, path):
        """Put a file of this machine into the learner's home."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            _add(tar, path.name, content=path.read_bytes(), mode=0o644, owner=UID)
        self.container.put_archive(HOME, packed.getvalue())

    def begin(self, *command, **environment):
        """Run a command and do not wait for it."""
        self.container.exec_run(list(command), user=f"{UID}:{UID}", environment=environment, detach=True)

    def remove(self):
        self.container.remove(force=True, v=True)
        self.client.images.remove(NAME, force=True)
