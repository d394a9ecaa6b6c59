"""Registries: images fetched from any of them, and a small one of the kit's own."""
