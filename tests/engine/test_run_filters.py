"""The filters' tables, against the kernel's own headers, and the programs that are made of them."""

import re
import struct
from pathlib import Path

import pytest
from drydock.engine.run import filters

X86_64 = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
GENERIC = Path("/usr/include/asm-generic/unistd.h")  # what arm64 takes its numbers from

# Newer than Debian 12's headers (Linux 6.1); the number of a call since 5.1 is the same on every architecture.
NEWER = {"fchmodat2": 452, "setxattrat": 463, "getxattrat": 464, "listxattrat": 465, "removexattrat": 466}


def numbers(header):
    """Return the numbers that a header of the kernel gives."""
    text = header.read_text()
    return {name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)}


@pytest.mark.parametrize(("column", "header"), [(0, X86_64), (1, GENERIC)], ids=["x86-64", "arm64"])
def test_every_number_is_the_kernel_headers(column, header):
    known = NEWER | numbers(header)
    assert {name: row[column] for name, row in filters.NUMBERS.items()} == {
        name: known.get(name) for name in filters.NUMBERS
    }


def answer(rules, machine, call, args=(), arch=None):
    """Run a filter program as the kernel does."""
    number = filters.NUMBERS[call][list(filters.AUDIT_ARCH).index(machine)] if isinstance(call, str) else call
    data = struct.pack("=iIQ6Q", number, arch or filters.AUDIT_ARCH[machine], 0, *(*args, *[0] * 6)[:6])
    program, here, register = filters.assemble(rules, machine), 0, 0
    while True:
        code, yes, no, value = program[here]
        here += 1
        match code:
            case 0x20:
                register = struct.unpack_from("=I", data, value)[0]
            case 0x54:
                register &= value
            case 0x15:
                here += yes if register == value else no
            case 0x35:
                here += yes if register >= value else no
            case 0x06:
                return value


ALL = filters.HIDDEN + filters.DENIED + filters.UNTRANSLATED + filters.ONE_USER + filters.OWNERSHIP + filters.NO_NETWORK


@pytest.mark.parametrize("machine", list(filters.AUDIT_ARCH))
def test_calls_are_answered_as_the_table_says(machine):
    errno = filters.ERRNO
    assert answer(ALL, machine, "fchownat") == filters.NOTIFY
    assert answer(ALL, machine, "setgroups") == filters.FAKE
    assert answer(ALL, machine, "openat2") == errno | 38
    assert answer(ALL, machine, "unshare") == errno | 1
    assert answer(ALL, machine, 0) == filters.ALLOW  # read on one, io_setup on the other


@pytest.mark.parametrize("machine", list(filters.AUDIT_ARCH))
def test_only_devices_are_the_engines_business_when_a_node_is_made(machine):
    answers = [
        answer(ALL, machine, "mknodat", (0, 0, kind | 0o644)) for kind in (0o020000, 0o060000, 0o010000, 0o100000)
    ]
    assert answers == [filters.NOTIFY, filters.NOTIFY, filters.ALLOW, filters.ALLOW]


@pytest.mark.parametrize("machine", list(filters.AUDIT_ARCH))
def test_a_new_process_is_allowed_and_a_new_name_space_is_not(machine):
    assert answer(ALL, machine, "clone", (0x01200011,)) == filters.ALLOW
    assert answer(ALL, machine, "clone", (0x10000011,)) == filters.ERRNO | 1


@pytest.mark.parametrize("machine", list(filters.AUDIT_ARCH))
def test_without_a_network_local_sockets_still_work(machine):
    assert answer(ALL, machine, "socket", (1,)) == filters.ALLOW
    assert answer(ALL, machine, "socket", (2,)) == answer(ALL, machine, "socket", (10,)) == filters.ERRNO | 97


def test_numbers_of_another_architecture_do_not_go_round_the_filter():
    assert answer(ALL, "x86_64", 212, arch=0x40000003) == filters.ERRNO | 38  # i386's chown32
    assert answer(ALL, "x86_64", 0x40000000 + 92) == filters.ERRNO | 38  # x32's chown
