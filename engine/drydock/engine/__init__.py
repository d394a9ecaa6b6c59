"""The embedded engine: Docker's API, builds and containers, as an ordinary user, without a daemon of root's."""

VERSION = "0.1.0"  # the package's; a test holds them together: asking importlib.metadata would cost a start 20 ms
