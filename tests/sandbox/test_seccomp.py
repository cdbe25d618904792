"""The filter program, run by a small interpreter of its instructions over random system calls."""

from __future__ import annotations

import errno
import re
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.sandbox.seccomp import (
    AF_NETLINK,
    ALLOW,
    ERRNO,
    FAMILIES,
    KILL_PROCESS,
    LAST,
    MACHINES,
    NAMESPACES,
    NUMBERS,
    TERMINAL_INPUT,
    assemble,
    conditions,
)

WORD = st.integers(0, 2**64 - 1)
ARGUMENTS = st.lists(WORD, min_size=6, max_size=6)
NAMES = st.sampled_from(sorted(NUMBERS))
MACHINE = st.sampled_from(sorted(MACHINES))


def answer(machine: str, number: int, arguments: list[int], audit: int | None = None, *, peers: bool = False) -> int:
    """What the kernel would answer: `struct seccomp_data` through the program (bpf(4))."""
    assembled = assemble(machine, peers=peers)
    program = list(struct.iter_unpack("<HBBI", assembled))
    audit = MACHINES[machine].audit if audit is None else audit
    data = struct.pack("<IIQ6Q", number, audit, 0, *arguments)
    place, accumulator = 0, 0
    while True:
        code, yes, no, k = program[place]
        place += 1
        if code == 0x20:
            accumulator = struct.unpack_from("<I", data, k)[0]
        elif code == 0x54:
            accumulator &= k
        elif code == 0x06:
            return int(k)
        else:
            holds = {0x15: accumulator == k, 0x25: accumulator > k, 0x45: accumulator & k != 0}[code]
            place += yes if holds else no


def expected(name: str, arguments: list[int]) -> int:
    """What is to become of a system call in the list, said in another way."""
    first, second, _, fourth, *_ = (argument & 0xFFFFFFFF for argument in arguments)
    refused = {
        "clone3": errno.ENOSYS,
        "clone": errno.EPERM if first & NAMESPACES & ~0xFF else 0,
        "socket": 0 if first in FAMILIES else errno.EAFNOSUPPORT,
        "socketpair": 0 if first in FAMILIES else errno.EAFNOSUPPORT,
        "ioctl": errno.EPERM if second in TERMINAL_INPUT else 0,
        "mmap": errno.EPERM if fourth & 0x20 and fourth & 0x0F != 2 else 0,
        "prlimit64": errno.EPERM if first or second == 4 else 0,
        "setrlimit": errno.EPERM if first == 4 else 0,
    }.get(name, errno.EPERM)
    return ERRNO | refused if refused else ALLOW


@given(MACHINE, NAMES, ARGUMENTS)
def test_listed_calls_are_judged(machine: str, name: str, arguments: list[int]) -> None:
    number = NUMBERS[name][MACHINES[machine].column]
    if number is not None:
        assert answer(machine, number, arguments) == expected(name, arguments)


@given(MACHINE, NAMES, ARGUMENTS)
def test_with_peers_one_more_family_of_sockets_is_there_and_nothing_else(
    machine: str, name: str, arguments: list[int]
) -> None:
    number = NUMBERS[name][MACHINES[machine].column]
    if number is not None:
        asks = name in ("socket", "socketpair") and arguments[0] & 0xFFFFFFFF == AF_NETLINK
        wanted = ALLOW if asks else answer(machine, number, arguments)
        assert answer(machine, number, arguments, peers=True) == wanted
        netlink = [AF_NETLINK, *arguments[1:]]
        assert (answer(machine, number, netlink, peers=True) == ALLOW) or name not in ("socket", "socketpair")


@given(
    MACHINE,
    st.sampled_from(sorted(conditions())),
    st.lists(st.sampled_from([*range(64), *TERMINAL_INPUT, 1 << 17, 1 << 28, 1 << 30]), min_size=6, max_size=6),
    st.sampled_from([0, 1 << 32, 0xFFFFFFFF << 32]),
)
def test_the_high_half_of_an_argument_decides_nothing(machine: str, name: str, low: list[int], high: int) -> None:
    number = NUMBERS[name][MACHINES[machine].column]
    assert number is not None
    assert answer(machine, number, [argument | high for argument in low]) == expected(name, low)


@given(MACHINE, st.integers(0, LAST), ARGUMENTS)
def test_other_calls_pass(machine: str, number: int, arguments: list[int]) -> None:
    if number not in {numbers[MACHINES[machine].column] for numbers in NUMBERS.values()}:
        assert answer(machine, number, arguments) == ALLOW


@given(MACHINE, st.integers(LAST + 1, 2**32 - 1), ARGUMENTS)
def test_later_calls_and_those_of_x32_do_not_exist(machine: str, number: int, arguments: list[int]) -> None:
    assert answer(machine, number, arguments) == ERRNO | errno.ENOSYS


@given(MACHINE, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), ARGUMENTS)
def test_another_architecture_is_the_end(machine: str, audit: int, number: int, arguments: list[int]) -> None:
    if audit != MACHINES[machine].audit:
        assert answer(machine, number, arguments, audit) == KILL_PROCESS


@pytest.mark.parametrize("machine", MACHINES)
def test_every_jump_stays_inside_and_the_program_fits(machine: str) -> None:
    program = list(struct.iter_unpack("<HBBI", assemble(machine)))
    assert len(program) < 4096  # BPF_MAXINSNS
    for place, (_, yes, no, _) in enumerate(program):
        assert place + 1 + max(yes, no) < len(program) or (yes, no) == (0, 0)
    assert program[-1][0] == 0x06


@pytest.mark.parametrize("machine", MACHINES)
def test_no_number_is_listed_twice(machine: str) -> None:
    numbers = [numbers[MACHINES[machine].column] for numbers in NUMBERS.values()]
    listed = [number for number in numbers if number is not None]
    assert len(set(listed)) == len(listed)


@pytest.mark.parametrize(
    "machine, header",
    [("x86_64", "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), ("aarch64", "/usr/include/asm-generic/unistd.h")],
)
def test_the_numbers_are_those_of_the_kernels_headers(machine: str, header: str) -> None:
    if not Path(header).exists():
        pytest.skip(f"no {header} (apt-get install linux-libc-dev)")
    pattern = r"#define __NR(?:3264)?_(\w+) (\d+)"
    known = {name: int(number) for name, number in re.findall(pattern, Path(header).read_text())}
    listed = {name: numbers[MACHINES[machine].column] for name, numbers in NUMBERS.items()}
    for name, number in listed.items():
        # Old calls went from headers, and headers older than a call lack it.
        assert number is None or known.get(name, number) == number, name
    assert sum(name in known for name in listed) > 70
