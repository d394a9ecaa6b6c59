"""A compression bomb: few bytes that become very many. It is noticed on the way, long before a disk is full."""

from __future__ import annotations

from collections.abc import Callable

from drydock.read.layer import Limits, opened
from drydock.read.tarstream import BadArchive


def guarded(read: Callable[[int], bytes], where: str, limits: Limits) -> Callable[[int], bytes]:
    """Return a reader of the unpacked bytes, which stops at a compression bomb."""
    packed = [0]

    def counted(count: int) -> bytes:
        chunk = read(count)
        packed[0] += len(chunk)
        return chunk

    plain, _ = opened(counted, where)
    unpacked = [0]

    def checked(count: int) -> bytes:
        chunk = plain(count)
        unpacked[0] += len(chunk)
        if unpacked[0] > min(limits.total, max(limits.free, limits.ratio * packed[0])):
            raise BadArchive(
                f"{where} grows from {packed[0]} to more than {limits.free} bytes: a compression bomb. "
                "Do not load this archive."
            )
        return chunk

    return checked
