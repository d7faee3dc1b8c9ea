"""The system calls that a snippet may make, as a seccomp filter (classic BPF).

A list of what is allowed, not of what is refused: what a newer kernel brings is refused until somebody has looked at
it. Some calls are allowed with some arguments only. `zygote.py` is given the filter as bytes and installs it.

Sources: Linux kernel documentation, userspace-api/seccomp_filter.rst; asm/unistd_64.h and asm-generic/unistd.h for the
numbers; fcntl(2), ioctl_tty(2).
"""

from __future__ import annotations

import struct

# Name, number on x86_64, number on aarch64 ("-": it has none) of every call that a snippet may make. Left out are those
# that reach other processes (signals, priorities, affinities, tracing, limits), that outlast the snippet (System V and
# POSIX queues, semaphores, shared memory, keys), that watch (inotify, fanotify), that make processes or threads, and
# sockets, mounts, modes, owners, times, attributes.
_ALLOWED = """
read 0 63, write 1 64, close 3 57, fstat 5 80, stat 4 -, lstat 6 -, newfstatat 262 79, statx 332 291, poll 7 -,
lseek 8 62, mmap 9 222, mprotect 10 226, munmap 11 215, brk 12 214, mremap 25 216, msync 26 227, madvise 28 233,
rt_sigaction 13 134, rt_sigprocmask 14 135, rt_sigreturn 15 139, rt_sigpending 127 136, rt_sigtimedwait 128 137,
rt_sigsuspend 130 133, sigaltstack 131 132, pause 34 -, pread64 17 67, pwrite64 18 68, readv 19 65, writev 20 66,
preadv 295 69, pwritev 296 70, preadv2 327 286, pwritev2 328 287, sendfile 40 71, copy_file_range 326 285,
access 21 -, faccessat 269 48, faccessat2 439 439, readlink 89 -, readlinkat 267 78, statfs 137 43, fstatfs 138 44,
getdents 78 -, getdents64 217 61, getcwd 79 17, chdir 80 49, fchdir 81 50, umask 95 166, fsync 74 82, fdatasync 75 83,
fadvise64 221 223, sync_file_range 277 84, ftruncate 77 46, pipe 22 -, pipe2 293 59, dup 32 23, dup2 33 -, dup3 292 24,
close_range 436 436, select 23 -, pselect6 270 72, ppoll 271 73, epoll_create 213 -, epoll_create1 291 20,
epoll_ctl 233 21, epoll_wait 232 -, epoll_pwait 281 22, epoll_pwait2 441 441, eventfd 284 -, eventfd2 290 19,
signalfd 282 -, signalfd4 289 74, timerfd_create 283 85, timerfd_settime 286 86, timerfd_gettime 287 87,
nanosleep 35 101, clock_nanosleep 230 115, clock_gettime 228 113, clock_getres 229 114, gettimeofday 96 169, time 201 -,
times 100 153, getitimer 36 102, setitimer 38 103, alarm 37 -, timer_create 222 107, timer_settime 223 110,
timer_gettime 224 108, timer_getoverrun 225 109, timer_delete 226 111, getpid 39 172, getppid 110 173, gettid 186 178,
getpgrp 111 -, getpgid 121 155, getsid 124 156, getuid 102 174, geteuid 107 175, getgid 104 176, getegid 108 177,
getgroups 115 158, getresuid 118 148, getresgid 120 150, getrlimit 97 163, setrlimit 160 164, getrusage 98 165,
getpriority 140 141, sched_getparam 143 121, sched_getscheduler 145 120, sched_getaffinity 204 123,
sched_get_priority_max 146 125, sched_get_priority_min 147 126, sched_rr_get_interval 148 127, sched_yield 24 124,
getcpu 309 168, sysinfo 99 179, uname 63 160, getrandom 318 278, arch_prctl 158 -, futex 202 98, futex_waitv 449 449,
set_tid_address 218 96, set_robust_list 273 99, rseq 334 293, restart_syscall 219 128, wait4 61 260, waitid 247 95,
exit 60 93, exit_group 231 94
"""
# What only a snippet with a private folder may do. Landlock and the read-only tree say where.
_WRITING = """
open 2 -, openat 257 56, truncate 76 45, fallocate 285 47, mkdir 83 -, mkdirat 258 34, rmdir 84 -, unlink 87 -,
unlinkat 263 35, rename 82 -, renameat 264 38, renameat2 316 276, link 86 -, linkat 265 37, symlink 88 -,
symlinkat 266 36
"""
_OPEN, _OPENAT, _IOCTL, _FCNTL = BY_ARGUMENT = ("open 2 -", "openat 257 56", "ioctl 16 29", "fcntl 72 25")
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_OPEN_WRITES = 0x3 | 0x40 | 0x200 | 0x400000  # access mode other than reading, O_CREAT, O_TRUNC, O_TMPFILE
# F_DUPFD, F_GETFD, F_SETFD, F_GETFL, the locks of files, F_DUPFD_CLOEXEC. Not: owners and signals of a descriptor
# (F_SETOWN, F_SETSIG, F_SETOWN_EX), leases, F_NOTIFY.
_FCNTL_COMMANDS = (0, 1, 2, 3, 5, 6, 7, 36, 37, 38, 1030)
_F_SETFL, _O_ASYNC = 4, 0x2000
# TCGETS, TCGETS2, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX
_IOCTL_COMMANDS = (0x5401, 0x802C542A, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
_PASS, _EPERM, _ENOSYS, _KILL = 0x7FFF0000, 0x00050000 | 1, 0x00050000 | 38, 0x80000000
_NEWEST_OLD_CALL = 435  # clone3; above it libraries fall back on older calls if they hear ENOSYS
_LOAD, _EQUAL, _ABOVE, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x25, 0x35, 0x45, 0x06


def syscall_numbers(table: str, machine: str) -> set[int]:
    """Numbers of the calls in a table such as `read 0 63, write 1 64`."""
    place = 1 + list(_ARCHITECTURES).index(machine)
    return {int(row.split()[place]) for row in table.split(",") if row.split()[place] != "-"}


def _bpf_step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)


def _bpf_argument(index: int) -> bytes:
    """Load the lower half of an argument; flags and commands have no other (both machines are little-endian)."""
    return _bpf_step(_LOAD, 16 + 8 * index)


def _bpf_argument_rules(writable: bool) -> dict[str, bytes]:
    """For calls that are allowed with some arguments only: the steps that decide."""
    give, refuse = _bpf_step(_RETURN, _PASS), _bpf_step(_RETURN, _EPERM)

    def one_of(index: int, values: tuple[int, ...]) -> bytes:
        return _bpf_argument(index) + b"".join(_bpf_step(_EQUAL, v, 0, 1) + give for v in values) + refuse

    def without(index: int, bits: int) -> bytes:
        return _bpf_argument(index) + _bpf_step(_ANY_BIT, bits, 0, 1) + refuse + give

    set_flags = without(2, _O_ASYNC)
    rules = {
        _IOCTL: one_of(1, _IOCTL_COMMANDS),
        _FCNTL: _bpf_argument(1)
        + _bpf_step(_EQUAL, _F_SETFL, 0, len(set_flags) // 8)
        + set_flags
        + one_of(1, _FCNTL_COMMANDS),
    }
    return rules if writable else {**rules, _OPEN: without(1, _OPEN_WRITES), _OPENAT: without(2, _OPEN_WRITES)}


def seccomp_program(machine: str, writable: bool) -> bytes:
    """The filter: kill on another architecture's calls, EPERM or ENOSYS for all that is not allowed.

    Without `writable` no file can be opened for writing either. Empty for a machine whose numbers are not known here.
    """
    if machine not in _ARCHITECTURES:
        return b""
    program = [_bpf_step(_LOAD, 4), _bpf_step(_EQUAL, _ARCHITECTURES[machine], 1), _bpf_step(_RETURN, _KILL)]
    program.append(_bpf_step(_LOAD, 0))
    for call, steps in _bpf_argument_rules(writable).items():
        for number in syscall_numbers(call, machine):
            program += [_bpf_step(_EQUAL, number, 0, len(steps) // 8), steps]
    allowed = syscall_numbers(_ALLOWED, machine) | (syscall_numbers(_WRITING, machine) if writable else set())
    # in ascending order, so that what lies below a number and was not met before is refused on the spot
    for number in sorted(allowed):
        refusal = _EPERM if number <= _NEWEST_OLD_CALL + 1 else _ENOSYS
        program += [_bpf_step(_AT_LEAST, number, 1), _bpf_step(_RETURN, refusal)]
        program += [_bpf_step(_ABOVE, number, 1), _bpf_step(_RETURN, _PASS)]
    return b"".join([*program, _bpf_step(_RETURN, _ENOSYS)])  # x32's calls among them
