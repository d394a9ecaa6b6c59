"""What JupyterLab's server does for the kit: `docker` and `drydock` work in its terminals, kernels and `!` cells.

All of these inherit the server's variables. So the server looks, when it starts, which engine is at work, and sets
DOCKER_HOST where that is the kit's own, as `drydock.connect()` does in a kernel. The package enables this by the file
that it installs into etc/jupyter; `jupyter server extension disable drydock.server_extension` turns it off.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from drydock import docker_host

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

NOT_STARTED = "drydock: `docker` in a terminal will not answer. %s"
# A login shell reads /etc/profile, which sets PATH anew on Debian. Where `drydock` is lost by that, an ordinary shell
# takes its place, with what the login files set, and the kit's folder.
SHELL = 'command -v drydock >/dev/null 2>&1 && exec {shell} -l; exec env PATH={folder}:"$PATH" {shell}'


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "drydock.server_extension"}]


def _link_jupyter_server_extension(server: ServerApp) -> None:
    """Prepare what terminals and kernels inherit: before the extension that opens terminals reads its settings."""
    where = docker_host.address()
    docker_host.pass_on(where)
    folder = scripts()
    if folder is not None:
        if shutil.which("drydock") is None:
            os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        shell = terminal(folder)
        if shell and "shell_command" not in server.terminado_settings:
            server.terminado_settings = {**server.terminado_settings, "shell_command": shell}


def _load_jupyter_server_extension(server: ServerApp) -> None:
    """Start the kit's own engine where it is at work: whoever opens a terminal on the first page finds it (0.3 s)."""
    if docker_host.address() != docker_host.own():
        return
    from drydock.engine import process

    try:
        process.start(process.home())
    except (process.NotStarted, OSError) as error:
        server.log.warning(NOT_STARTED, error)


def scripts() -> Path | None:
    """Return the folder with this installation's `drydock`; None where it was installed without one."""
    schemes = (sysconfig.get_default_scheme(), sysconfig.get_preferred_scheme("user"))
    folders = [Path(sysconfig.get_path("scripts", scheme)) for scheme in schemes]
    return next((folder for folder in folders if shutil.which("drydock", path=str(folder))), None)


def terminal(folder: Path) -> list[str] | None:
    """Return the command of a terminal that finds `drydock`; None where Jupyter's own choice does.

    Jupyter opens a login shell where the server has no terminal itself: on a hub, on Binder, in the background.
    """
    shell = os.environ.get("SHELL") or shutil.which("sh")
    if os.name == "nt" or not shell or Path(shell).name.endswith("csh") or sys.stdout.isatty():
        return None  # csh takes -l alone only
    words = {"shell": shlex.quote(shell), "folder": shlex.quote(str(folder))}
    return [shell, "-l", "-c", SHELL.format(**words)]
