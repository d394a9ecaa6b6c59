"""Runs inside the pod: waits for JupyterLab, then runs the notebooks on one rung, and prints what was found as JSON."""

import json
import os
import re
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import websocket
from nbclient import NotebookClient

PATIENCE = 300  # seconds for JupyterLab on one slow CPU


def lab(port):
    """Return what JupyterLab says of itself, once it answers."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=5) as answer:
                return json.load(answer)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def typed(port, line):
    """Open a terminal of JupyterLab, type a line, and return what is printed until the line's end is."""
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/api/terminals?token=x", method="POST")
    with urllib.request.urlopen(asked, timeout=60) as answer:
        name = json.load(answer)["name"]
    link = websocket.create_connection(f"ws://127.0.0.1:{port}/terminals/websocket/{name}?token=x", timeout=PATIENCE)
    link.send(json.dumps(["stdin", f"{line}; echo ended with $?\r"]))
    printed = ""
    while not re.search(r"^ended with \d", printed, re.M):
        kind, *text = json.loads(link.recv())
        printed += text[0] if kind == "stdout" else ""
    link.close()
    return printed


def run(path):
    """Execute a notebook where it lies, and return its seconds and what each cell said."""
    began = time.monotonic()
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=300, coalesce_streams=True, resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    said = {
        cell.id: "\n".join(o.get("text") or o.get("data", {}).get("text/plain", "") for o in cell.outputs)
        for cell in notebook.cells
        if cell.cell_type == "code"
    }
    return {"seconds": round(time.monotonic() - began, 1), "said": said}


def main():
    if sys.argv[1] == "lab":
        found = lab(sys.argv[2])
        found["terminal"] = typed(sys.argv[2], "docker version && drydock doctor")
    else:
        found = {name: run(Path("notebooks") / f"{name}.ipynb") for name in sys.argv[1:]}
    print(json.dumps(found | {"memory": peak()}))


def peak():
    """Return the most memory that the pod used, in bytes; None where its kernel does not say."""
    for name in ("memory.peak", "memory/memory.max_usage_in_bytes"):
        path = Path("/sys/fs/cgroup", name)
        if path.exists():
            return int(path.read_text())
    return None


if __name__ == "__main__":
    os.environ.setdefault("JUPYTER_PLATFORM_DIRS", "1")
    main()
