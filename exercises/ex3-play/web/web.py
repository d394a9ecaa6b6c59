"""The shop's front: every visit asks db, by the address in $DB, what is there."""

import json
import os
import secrets
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import urlopen

VERSION = "v1"
START = secrets.token_hex(4)  # each start of this program has another
DB = os.environ.get("DB", "")


def page() -> tuple[int, str]:
    """Return the status and the text of the shop's page."""
    try:
        with urlopen(f"{DB}/stock?web={VERSION}/{START}", timeout=3) as answer:
            said = json.load(answer)
    except (OSError, ValueError) as error:
        return 503, f"web {VERSION}: I am here, but db at {DB or '(no address)'} is not: {error}\n"
    prices = json.loads(Path("catalogue.json").read_text())
    rows = [f"{count:4} {name}, {prices[name]} euros each" for name, count in said["stock"].items()]
    return 200, "\n".join([f"web {VERSION}: in stock", *rows, said["receipt"]]) + "\n"


class Shop(BaseHTTPRequestHandler):
    def do_GET(self):
        status, text = page()
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())


if __name__ == "__main__":
    ThreadingHTTPServer((os.environ.get("HOST", "0.0.0.0"), 7080), Shop).serve_forever()
