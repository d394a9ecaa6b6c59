#!/usr/bin/env python3
"""Set up, open, teach, test and measure Drydock: python3 run.py lab|release|grade|feedback|export|test|...

It needs Python and nothing else. The first run makes a virtual environment in .venv from requirements.lock and says
what it is doing; later runs find it as it is and start at once. It never calls sudo or a package manager.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / "drydock-stamp"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
SUPPORTED = ((3, 11), (3, 13))

NO_PYTHON = """\
Drydock needs Python {low} to {high}; this is Python {here}, and none of those is on the PATH.
It probably means that the system's Python is older (or newer) than the course's packages.
Try: install Python 3.12 (Debian, Ubuntu: apt install python3.12 python3.12-venv; macOS: brew install python@3.12),
then: python3.12 run.py {command}"""

NO_VENV = """\
This Python cannot make a virtual environment: its `venv` module is missing or has no pip.
Debian and Ubuntu pack it separately.
Try: apt install python{version}-venv"""

FAILED = """\
Setting up failed at: {step}
What it printed is above. The network, a proxy or a full disk is the usual cause; nothing outside .venv was changed.
Try: python3 run.py {command}   (it begins where it can; without a network set UV_FIND_LINKS to a folder of wheels)"""


def fingerprint():
    """Return a hash of what the environment is made from: when it changes, the environment is made again."""
    made_from = [
        ROOT / "requirements.lock",
        ROOT / "pyproject.toml",
        ROOT / "engine" / "jupyter_server_config.json",
        *sorted(ROOT.glob("widgets/labextension/**/*.js*")),
    ]
    return hashlib.sha256(b"".join(p.read_bytes() for p in made_from) + str(ROOT).encode()).hexdigest()


def supported_python():
    """Return a Python that the course's packages support: this one, else the newest such on the PATH."""
    if SUPPORTED[0] <= sys.version_info[:2] <= SUPPORTED[1]:
        return sys.executable
    for minor in range(SUPPORTED[1][1], SUPPORTED[0][1] - 1, -1):
        found = shutil.which("python3.%d" % minor)
        if found and subprocess.call([found, "-c", "import venv"], stderr=subprocess.DEVNULL) == 0:
            return found
    return None


def step(number, what, command, name):
    """Run one step of the set-up and say which it is; stop with a way out where it fails."""
    print("[%d/4] %s" % (number, what), flush=True)
    environment = dict(os.environ)
    environment.setdefault("UV_SYSTEM_CERTS", "1")  # class rooms and companies often sit behind a TLS proxy
    environment.setdefault("UV_LINK_MODE", "copy")
    environment.pop("VIRTUAL_ENV", None)
    if subprocess.call([str(part) for part in command], cwd=str(ROOT), env=environment):
        sys.exit(FAILED.format(step=what, command=name))


def set_up(name):
    """Make .venv what requirements.lock and pyproject.toml say; do nothing where it is so already."""
    wanted = fingerprint()
    if STAMP.exists() and STAMP.read_text() == wanted and PYTHON.exists():
        return
    python = supported_python()
    if python is None:
        low, high = (".".join(map(str, v)) for v in SUPPORTED)
        here = ".".join(map(str, sys.version_info[:3]))
        sys.exit(NO_PYTHON.format(low=low, high=high, here=here, command=name))
    print("Setting up Drydock in .venv: once, about a minute, 700 MB.", flush=True)
    uv = shutil.which("uv")
    if not PYTHON.exists():
        print("[1/4] a virtual environment", flush=True)
        if subprocess.call([python, "-m", "venv", str(VENV)] + (["--without-pip"] if uv else [])):
            shutil.rmtree(str(VENV), ignore_errors=True)
            sys.exit(NO_VENV.format(version="%d.%d" % sys.version_info[:2]))
    if uv is None:
        step(2, "uv, which installs the rest", [PYTHON, "-m", "pip", "install", "-q", "uv"], name)
        uv = BIN / "uv"
    install = [uv, "pip", "install", "--python", PYTHON]
    step(
        3,
        "JupyterLab, nbgrader and what they need, as requirements.lock says",
        [*install, "--require-hashes", "-r", "requirements.lock"],
        name,
    )
    step(4, "Drydock itself", [*install, "-q", "--no-deps", "-e", "."], name)
    STAMP.write_text(wanted)


def venv_call(*command, **environment):
    """Run a command inside the virtual environment and return its exit code."""
    path = str(BIN) + os.pathsep + os.environ.get("PATH", "")
    configured = [str(ROOT / "grading"), os.environ.get("JUPYTER_CONFIG_PATH", "")]  # nbgrader_config.py
    environment.setdefault("JUPYTER_CONFIG_PATH", os.pathsep.join(filter(None, configured)))
    return subprocess.call(
        [str(part) for part in command],
        cwd=str(ROOT),
        env=dict(os.environ, PATH=path, VIRTUAL_ENV=str(VENV), **environment),
    )


def lab(arguments):
    """Open JupyterLab on the course's first notebook."""
    command = [PYTHON, "-m", "jupyter", "lab", "--LabApp.default_url=/lab/tree/notebooks/00-start.ipynb"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    return venv_call(*command, *arguments)


def release(arguments):
    """Make the exercises to hand out, in grading/release and in the exchange; all, or those that are named."""
    return venv_call(PYTHON, "-m", "drydock_grading.course", "release", *arguments)


def exercises(arguments):
    """Make the folder exercises anew from grading/source, after an edit there: what students get."""
    return venv_call(PYTHON, "-m", "drydock_grading.course", "exercises", *arguments)


def grade(arguments):
    """Autograde what was submitted and is new; --again grades all of it."""
    return venv_call(PYTHON, "-m", "drydock_grading.course", "grade", *arguments)


def feedback(arguments):
    """Write the feedback of everybody who was graded."""
    return venv_call(PYTHON, "-m", "drydock_grading.course", "feedback", *arguments)


def export(arguments):
    """Write the marks as CSV."""
    return venv_call(PYTHON, "-m", "drydock_grading.course", "export", *arguments)


def nbgrader(arguments):
    """Run nbgrader itself on this course: nbgrader collect ex2-build-push, ..."""
    return venv_call(PYTHON, "-m", "nbgrader", *arguments)


def lint(arguments):
    """Check style, types, floors and notebooks."""
    commands = [
        [PYTHON, "-m", "ruff", "check", "."],
        [PYTHON, "-m", "ruff", "format", "--check", "."],
        [PYTHON, "-m", "mypy"],
        [BIN / "lint-imports", "--no-cache"],
    ]
    failed = [c for c in commands if venv_call(*c)]
    broken = [line for path in every_notebook() for line in notebook_faults(path)]
    for line in broken:
        print(line)
    print("lint: %d of %d commands failed, %d faults in notebooks" % (len(failed), len(commands), len(broken)))
    return 1 if failed or broken else 0


def every_notebook():
    """Return the course's notebooks and exercises, and the sources from which the exercises are made."""
    places = ("notebooks/*.ipynb", "exercises/*/*.ipynb", "grading/source/*/*.ipynb")
    return [path for place in places for path in sorted(ROOT.glob(place))]


def notebook_faults(path):
    """Yield what a committed notebook must not hold: outputs, counts, widget state, cells without a stable id."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    if "widgets" in notebook["metadata"]:
        yield "%s: metadata.widgets holds saved widget state" % path.name
    for number, cell in enumerate(notebook["cells"]):
        if cell.get("outputs") or cell.get("execution_count"):
            yield "%s: cell %d has outputs: clear them before committing" % (path.name, number)
        if not cell.get("id"):
            yield "%s: cell %d has no id" % (path.name, number)


def check(arguments):
    """Run what needs neither engine nor browser and is quick: under a minute."""
    wanted = "not docker and not slow and not browser and not deep"
    return venv_call(PYTHON, "-m", "pytest", "-q", "-m", wanted, *arguments)


def test(arguments):
    """Run the linters, then every test but the deep ones."""
    linted = lint([])
    return venv_call(PYTHON, "-m", "pytest", "-q", "-m", "not deep", "--durations=10", *arguments) or linted


def deep(arguments):
    """Run the long soak, kill and matrix tests."""
    return venv_call(PYTHON, "-m", "pytest", "-q", "-m", "deep", "--durations=10", *arguments)


def bench(arguments):
    """Measure what the README quotes; each benchmark compares side by side in one run."""
    return max(venv_call(PYTHON, path, *arguments) for path in sorted((ROOT / "benchmarks").glob("*.py")))


def images(arguments):
    """Make the lessons' images and their build cache in the folder images, to load here or on another machine."""
    return venv_call(PYTHON, "-m", "drydock.cli", "images", "make", *arguments)


def clean(arguments):
    """Remove what the kit made in the engine, then the folders that tools left here."""
    code = venv_call(PYTHON, "-m", "drydock.cli", "clean", *arguments)
    for name in (".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", "build", "dist"):
        shutil.rmtree(str(ROOT / name), ignore_errors=True)
    return code


def lock(arguments):
    """Write requirements.lock anew from pyproject.toml: names, versions and hashes, no addresses."""
    return venv_call(
        "uv",
        "pip",
        "compile",
        "-q",
        "--universal",
        "--generate-hashes",
        "--no-header",
        "--no-annotate",
        "--no-emit-index-url",
        "--no-emit-find-links",
        "--python-version",
        "3.11",
        "pyproject.toml",
        "--group",
        "dev",
        "-o",
        "requirements.lock",
        *arguments,
        UV_SYSTEM_CERTS="1",
    )


TEACHING = (release, grade, feedback, export, nbgrader, exercises)
COMMANDS = {f.__name__: f for f in (lab, *TEACHING, test, check, deep, lint, bench, images, clean, lock)}


def main():
    """Set up where needed, then do what was asked."""
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        print(__doc__)
        for name, command in COMMANDS.items():
            print("  run.py %-9s %s" % (name, command.__doc__))
        return 2
    name = sys.argv[1]
    set_up(name)
    return COMMANDS[name](sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
