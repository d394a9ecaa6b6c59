"""One process of the store. Whatever lies in parts/ is served by it: all six parts, or one."""

import asyncio
import importlib
import json
import os
import signal
import sqlite3
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ask

HERE = Path(__file__).parent
WORKERS = 2  # requests that this process serves at the same time; the others wait
GROWTH = 48 << 20  # bytes that it may grow before it is ended, as the kernel ends what has no memory left
PARTS = {path.stem: importlib.import_module(f"parts.{path.stem}") for path in sorted(HERE.glob("parts/*.py"))}

slow, leak, leaked = {}, {}, []  # part -> seconds, part -> bytes a request; what was never given back
at_start = [0]  # bytes
mine = threading.local()


def call(part, order):
    """Ask a part: a function of this process if it is here, else a process elsewhere."""
    if part not in PARTS:
        return ask.over_network(part, order)
    time.sleep(slow.get(part, 0))
    if leak.get(part):
        leaked.append(b"x" * leak[part])
        if memory() > at_start[0] + GROWTH:
            print(f"out of memory: {memory() >> 20} MB", flush=True)
            os._exit(137)
    return PARTS[part].answer(database(part), order)


def database(part):
    """Return this worker's own connection to a part's database: SQLite's are not to be shared by threads."""
    if part not in vars(mine):
        db = sqlite3.connect(HERE / f"{part}.db", isolation_level=None)
        db.execute("PRAGMA journal_mode = MEMORY")
        db.execute("PRAGMA synchronous = OFF")
        setattr(mine, part, db)
    return getattr(mine, part)


def with_fallback(part, order):
    try:
        return call(part, order)
    except ask.Silent:
        if ask.settings["fallback"] and part in PARTS["front"].FALLBACK:
            return PARTS["front"].FALLBACK[part]
        raise


def reply(path, order):
    if path in PARTS:
        return call(path, order)
    return PARTS["front"].page(path, order, with_fallback)


def memory():
    """Return this process's resident memory in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def application():
    import tornado.web

    workers = ThreadPoolExecutor(WORKERS)

    class Page(tornado.web.RequestHandler):
        async def get(self, path):
            order = {name: int(self.get_query_argument(name, "1")) for name in ("customer", "product")}
            try:
                said = await asyncio.get_running_loop().run_in_executor(workers, reply, path, order)
            except ask.Silent as error:
                self.set_status(502)
                said = {"error": str(error)}
            self.write(said)

    class Health(tornado.web.RequestHandler):
        def get(self):
            self.write({name: module.VERSION for name, module in PARTS.items()})

    class Settings(tornado.web.RequestHandler):
        def put(self):
            wanted = json.loads(self.request.body)
            for name, here in (("slow", slow), ("leak", leak)):
                if name in wanted:
                    here.clear()
                    here.update(wanted.pop(name))
            if not leak:
                leaked.clear()
            ask.settings.update(wanted)

    pages = "home|add|pay" if "front" in PARTS else "nothing"
    parts = "|".join(name for name in PARTS if name != "front") or "nothing"
    return tornado.web.Application(
        [("/-/health", Health), ("/-/settings", Settings), (f"/({pages}|{parts})", Page)], log_function=lambda _: None
    )


async def main():
    for module in PARTS.values():
        getattr(module, "ready", bool)()  # what a part has to do before its first customer, if anything
    application().listen(int(os.environ.get("PORT", "8295")), os.environ.get("HOST", "0.0.0.0"))
    at_start[0] = memory()
    done = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, done.set)
    await done.wait()
    os._exit(0)  # what still waits for a slow part is not waited for


def fill():
    """Make each part's database: a step of the build, so that the image brings it."""
    for name, module in PARTS.items():
        if hasattr(module, "fill"):
            with sqlite3.connect(HERE / f"{name}.db") as db:
                module.fill(db)


fill() if sys.argv[1:] == ["fill"] else asyncio.run(main())
