"""The conformance suite's own machinery: a scenario, its transcript on one engine, and what of it may differ."""
