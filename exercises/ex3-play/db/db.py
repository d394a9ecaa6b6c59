"""The shop's stock, over HTTP: GET /stock?web=WHO. Each answer ends with a receipt, sealed with the course code."""

import hmac
import json
import os
import secrets
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

CODE = os.environ.get("COURSE_CODE", "")
START = secrets.token_hex(4)  # each start of this program has another
ANSWERS = count(1)


def receipt(who: str) -> str:
    """Return one line that only a db with this code writes: which start, its how manieth answer, and for whom."""
    line = f"db={START} answer={next(ANSWERS)} web={who}"
    return f"{line} seal={hmac.new(CODE.encode(), line.encode(), sha256).hexdigest()[:16]}"


class Stock(BaseHTTPRequestHandler):
    def do_GET(self):
        who = parse_qs(urlsplit(self.path).query).get("web", ["nobody"])[0]
        answer = {"stock": json.loads(Path("stock.json").read_text()), "receipt": receipt(who)}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())


if __name__ == "__main__":
    ThreadingHTTPServer((os.environ.get("HOST", "0.0.0.0"), 7433), Stock).serve_forever()
