"""What the kit's two servers, the engine and the registry, have in common: a request's body, a process in its home."""
