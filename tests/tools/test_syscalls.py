"""The filter of system calls: what it answers to every number, and that the numbers are the kernel's."""

from __future__ import annotations

import fcntl
import os
import re
import struct
from pathlib import Path

import pytest

from forge.tools import syscalls
from forge.tools.syscalls import seccomp_program

MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
PASS, EPERM, ENOSYS, KILL = 0x7FFF0000, 0x50001, 0x50026, 0x80000000


def verdict(program: bytes, architecture: int, number: int, *arguments: int) -> int:
    """What a filter answers: the oracle is a machine for the instructions used."""
    steps = list(struct.iter_unpack("=HBBI", program))
    loaded = {0: number, 4: architecture} | {16 + 8 * index: value for index, value in enumerate(arguments)}
    at = value = 0
    while True:
        code, yes, no, k = steps[at]
        at += 1
        if code == 0x06:
            return k
        if code == 0x20:
            value = loaded.get(k, 0)
        else:
            holds = {0x15: value == k, 0x25: value > k, 0x35: value >= k, 0x45: bool(value & k)}[code]
            at += yes if holds else no


@pytest.mark.parametrize("writable", [True, False])
@pytest.mark.parametrize("machine", list(MACHINES))
def test_only_listed_calls_are_allowed(machine: str, writable: bool) -> None:
    program, architecture = seccomp_program(machine, writable), MACHINES[machine]
    allowed = syscalls.syscall_numbers(syscalls._ALLOWED, machine)
    allowed |= syscalls.syscall_numbers(syscalls._WRITING, machine) if writable else set()
    by_argument = {call.split()[0]: syscalls.syscall_numbers(call, machine) for call in syscalls.BY_ARGUMENT}
    for number in set(range(600)) - set().union(*by_argument.values()):
        found = verdict(program, architecture, number)
        assert found == PASS if number in allowed else found in (EPERM, ENOSYS), number
    assert verdict(program, architecture, 435) == EPERM  # clone3
    assert verdict(program, architecture, 437) == ENOSYS  # openat2, for which libraries know another way
    assert verdict(program, architecture, 0x40000000) == ENOSYS  # x32's
    assert verdict(program, architecture ^ 1, 0) == KILL
    assert seccomp_program("vax", writable) == b""


@pytest.mark.parametrize("machine", list(MACHINES))
def test_some_calls_are_allowed_with_some_arguments(machine: str) -> None:
    def answer(call: str, *arguments: int, writable: bool = True) -> int:
        (number,) = syscalls.syscall_numbers(call, machine)
        return verdict(seccomp_program(machine, writable), MACHINES[machine], number, *arguments)

    _, openat, ioctl, fcntl_ = syscalls.BY_ARGUMENT
    for command in (fcntl.F_GETFD, fcntl.F_SETFD, fcntl.F_DUPFD_CLOEXEC, fcntl.F_SETLK):
        assert answer(fcntl_, 1, command, 0) == PASS
    for command in (fcntl.F_SETOWN, fcntl.F_SETSIG, 15, fcntl.F_NOTIFY, fcntl.F_SETLEASE):  # 15 is F_SETOWN_EX
        assert answer(fcntl_, 1, command, 0) == EPERM
    assert answer(fcntl_, 1, fcntl.F_SETFL, os.O_NONBLOCK) == PASS
    assert answer(fcntl_, 1, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC) == EPERM
    assert answer(ioctl, 0, 0x5401) == PASS  # TCGETS: isatty
    for command in (0x5452, 0x8901, 0x8902, 0x5412, 0x40086602):  # FIOASYNC, FIOSETOWN, SIOCSPGRP, TIOCSTI, chattr
        assert answer(ioctl, 0, command) == EPERM
    assert answer(openat, 0, 0, os.O_RDONLY | os.O_CLOEXEC, writable=False) == PASS
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_TRUNC, os.O_TMPFILE, 3):
        assert answer(openat, 0, 0, flags, writable=False) == EPERM
        assert answer(openat, 0, 0, flags) == PASS


HEADERS = {
    "x86_64": ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", r"__NR_(\w+)\s+(\d+)"),
    "aarch64": ("/usr/include/asm-generic/unistd.h", r"__NR(?:3264)?_(\w+)\s+(\d+)"),
}


@pytest.mark.parametrize("machine", list(MACHINES))
def test_numbers_are_those_of_the_kernel_headers(machine: str) -> None:
    path, pattern = HEADERS[machine]
    if not Path(path).exists():
        pytest.skip("no kernel headers")
    known = {name: int(number) for name, number in re.findall(pattern, Path(path).read_text())}
    known |= {"newfstatat": known.get("fstatat", known.get("newfstatat", -1))}
    tables = (syscalls._ALLOWED, syscalls._WRITING, *syscalls.BY_ARGUMENT)
    for row in (row for table in tables for row in table.split(",")):
        found = syscalls.syscall_numbers(row, machine)
        assert found in (set(), {known.get(row.split()[0])}), row
