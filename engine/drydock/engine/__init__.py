"""The embedded engine: Docker's API, builds and containers, as an ordinary user, without a daemon of root's."""
