"""Where the registry answers unless it is told otherwise."""

HOST = "127.0.0.1"
PORT = 5055  # 5000, which registries often have, is taken on macOS
# Tried in turn where nobody asks for one: on a machine that many share, each user's registry gets the next.
PORTS = range(PORT, PORT + 300)
