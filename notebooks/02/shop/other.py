"""Recommendations, written anew on Python's own http.server: the front asks it just as before."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from urllib.parse import parse_qs, urlsplit


class Recommendations(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # a connection stays open for the next question

    def do_GET(self):
        asked = parse_qs(urlsplit(self.path).query)
        product = int(asked.get("product", ["1"])[0])
        said = json.dumps({"also bought": [product % 500 + 1, (product + 1) % 500 + 1]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True

    def server_bind(self):  # http.server's own asks a name server for this machine's name
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address


Server((os.environ.get("HOST", "0.0.0.0"), int(os.environ.get("PORT", "8295"))), Recommendations).serve_forever()
