"""Blobs: bytes kept under the name of their own hash, so that a name can never come to mean something else."""

from drydock.blobs.store import BadDigest, Blobs, NoSuchBlob, Writer

__all__ = ["BadDigest", "Blobs", "NoSuchBlob", "Writer"]
