"""A build as it happens: the builders' streams, read into the same steps."""
