"""Whoever knocks is told whose door it is."""

import os
import socketserver


class Door(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(f"Hello from container {os.uname().nodename}\n".encode())


socketserver.TCPServer.allow_reuse_address = True  # a door that was closed a moment ago may be opened again
# The course's own engine names the container's own address in HOST; with Docker every address is the container's own.
server = socketserver.TCPServer((os.environ.get("HOST", ""), 4004), Door)
print("The door is open.", flush=True)
server.serve_forever()
