"""The sandbox process: isolates itself once, then forks one child per snippet.

Run as a bare script with an empty environment (`code_executor.py` starts it); standard library only, one
file, so that everything that is trusted can be read from top to bottom. Layers, outermost first:

1. namespaces (user, mount, network, pid, ipc): no network device, no foreign process to signal, a read-only
   file tree, and one small file system in memory to write in. This process becomes pid 1, so its death ends
   everything inside. Hosts may forbid namespaces (containers usually do); then snippets can write no file.
2. Landlock (required): reading only Python's library and the system's shared libraries, writing only in the
   private folder, no executing, no TCP.
3. no capabilities, no_new_privs, no access to each other's memory and descriptors.
4. seccomp (required), in every child: only the system calls that computing takes (`syscalls.py`).
5. resource limits, in every child: CPU, address space, file size, open files, processes. Wall clock and
   amount of output are watched from outside.

The process that forks never sees a request or a reply: each request is read, run and answered by a process of its
own, so nothing of one snippet is in the memory of the next.

Metadata (does a file exist, how large is it) stays visible; contents and folder listings do not.

Frames on the pipes: request = 4 bytes length + code; reply = status byte + 4 bytes length + UTF-8 text,
with status r (ready), u (unavailable), o (output), e (error).

Sources: Linux kernel documentation, userspace-api/landlock.rst and seccomp_filter.rst; capabilities(7), fcntl(2).
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import struct
import sys
import sysconfig
import time
import traceback
from pathlib import Path
from typing import NoReturn

MAX_OUTPUT = 4096
MAX_FILE_BYTES = 1_000_000
MAX_ADDRESS_SPACE = 512 * 2**20
# what snippets commonly import; loaded once here instead of in every child
PRELOADED = (
    "bisect collections datetime decimal fractions functools heapq itertools json math random re statistics string"
)

_CLONE_NEWNS, _CLONE_NEWUSER, _CLONE_NEWPID = 0x20000, 0x10000000, 0x20000000
_CLONE_NEWNET, _CLONE_NEWIPC = 0x40000000, 0x08000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REC, _MS_PRIVATE = 2, 4, 8, 0x4000, 0x40000
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP = 1, 4, 22
_PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 36, 38
# the same numbers on every architecture
_MOUNT_SETATTR, _CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 442, 444, 445, 446
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3

Filters = tuple[bytes, bytes]  # seccomp programs for snippets with and without a private folder to write in

_libc = ctypes.CDLL(None, use_errno=True)
if sys.platform == "linux":
    _libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    _libc.syscall.restype = ctypes.c_long


class Unavailable(OSError):
    """A layer cannot be put in place on this machine."""


def _check_sandbox_syscall(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise Unavailable(code, f"{what}: {os.strerror(code)}")
    return result


def die_with_parent_of_sandbox(parent: int) -> None:
    """End this process, just forked, with the one that forked it; no process stays behind a killed sandbox."""
    if sys.platform != "linux":
        return
    _check_sandbox_syscall(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
    if os.getppid() != parent:  # it died before the kernel knew
        os._exit(1)


# --- 1. namespaces --------------------------------------------------------------------------------


def enter_namespaces(private: str) -> None:
    """Move into fresh namespaces, where all is read-only but a small file system in memory over `private`.

    The next child is pid 1 of the new pid namespace. Raises `OSError` where the host forbids namespaces or grants
    them half.
    """
    user, group = os.getuid(), os.getgid()
    flags = _CLONE_NEWUSER | _CLONE_NEWNS | _CLONE_NEWPID | _CLONE_NEWNET | _CLONE_NEWIPC
    _check_sandbox_syscall(_libc.unshare(flags), "unshare")
    maps = {"setgroups": "deny", "uid_map": f"{user} {user} 1", "gid_map": f"{group} {group} 1"}
    for name, text in maps.items():
        Path("/proc/self", name).write_text(text, encoding="ascii")
    _check_sandbox_syscall(_libc.mount(None, b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None), "mount")
    read_only = struct.pack("QQQQ", 1, 0, 0, 0)
    recursive, here = 0x8000, -100
    size = ctypes.c_size_t(len(read_only))
    # Landlock does not cover chmod, chown and utime: a read-only tree does
    _check_sandbox_syscall(_libc.syscall(_MOUNT_SETATTR, here, b"/", recursive, read_only, size), "mount_setattr")
    options = ctypes.c_ulong(_MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    limits = b"size=4m,nr_inodes=256,mode=700"
    _check_sandbox_syscall(_libc.mount(b"tmpfs", private.encode(), b"tmpfs", options, limits), "mount")


def namespaces_are_granted(private: str) -> bool:
    """Whether `enter_namespaces` works here, tried in a child: half of it could not be undone."""
    trial = os.fork()
    if trial == 0:
        status = 1
        try:
            enter_namespaces(private)
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(trial, 0)[1] == 0


def become_sandbox_init() -> None:
    """Fork; the parent only waits and passes the exit on, the child (pid 1 inside) returns and serves."""
    first = os.fork()
    if first == 0:
        _check_sandbox_syscall(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
        return
    for descriptor in (0, 1):  # the caller must see the end of file when the child dies
        os.close(descriptor)
    _, status = os.waitpid(first, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


# --- 2. Landlock ----------------------------------------------------------------------------------


def landlock_abi() -> int:
    """Landlock version of the kernel; raises `Unavailable` if it is missing or switched off."""
    if sys.platform != "linux":
        raise Unavailable(0, "it needs Linux with Landlock")
    version = _libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    return _check_sandbox_syscall(version, "Landlock is missing in this kernel")


def sandbox_library_folders() -> list[str]:
    """What a snippet may read: Python's standard library and the system's shared libraries."""
    python = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")]
    candidates = [*python, f"{sys.base_prefix}/lib", "/lib", "/lib64", "/usr/lib", "/usr/lib64"]
    return sorted({os.path.realpath(path) for path in candidates if os.path.isdir(path)})


def apply_landlock(abi: int, readable: list[str], writable: str | None) -> None:
    """Restrict the calling thread for good. Executing is allowed nowhere, TCP nowhere (ABI 4 on)."""
    # file rights known to the kernel: 13 in ABI 1, then REFER (2), TRUNCATE (3), IOCTL_DEV (5)
    rights = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(abi, 16)) - 1
    network = 3 if abi >= 4 else 0  # bind and connect
    scoped = 3 if abi >= 6 else 0  # abstract sockets and signals
    attributes = struct.pack("QQQ", rights, network, scoped)
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    ruleset = _check_sandbox_syscall(
        _libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(size), 0), "landlock ruleset"
    )
    allowed = [(path, _READ_FILE | _READ_DIR) for path in readable]
    if writable:
        allowed.append((writable, rights & ~1))  # bit 0 is execute
    for path, access in allowed:
        folder = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = struct.pack("=Qi", access, folder)
        _check_sandbox_syscall(_libc.syscall(_ADD_RULE, ruleset, 1, rule, 0), "landlock_add_rule")
        os.close(folder)
    _check_sandbox_syscall(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")
    _check_sandbox_syscall(_libc.syscall(_RESTRICT_SELF, ruleset, 0), "landlock_restrict_self")
    os.close(ruleset)


# --- 3. capabilities ------------------------------------------------------------------------------


def drop_sandbox_capabilities() -> None:
    """Empty the effective, permitted and inheritable sets of the calling thread (capset, version 3)."""
    header = struct.pack("=Ii", 0x20080522, 0)
    _check_sandbox_syscall(_libc.capset(header, bytes(24)), "capset")


# --- 4. seccomp -----------------------------------------------------------------------------------


def apply_seccomp(program: bytes) -> None:
    """Install a filter on the calling thread; needs no_new_privs."""
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    pointer = ctypes.create_string_buffer(header, len(header))
    _check_sandbox_syscall(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")
    _check_sandbox_syscall(_libc.prctl(_PR_SET_SECCOMP, 2, ctypes.addressof(pointer), 0, 0), "seccomp")


# --- 5. one snippet -------------------------------------------------------------------------------


def limit_resources(timeout_s: float) -> None:
    """Hard limits of a child, none above what it inherited."""
    wanted = {
        resource.RLIMIT_CPU: int(timeout_s) + 1,
        resource.RLIMIT_AS: MAX_ADDRESS_SPACE,
        resource.RLIMIT_FSIZE: MAX_FILE_BYTES,
        resource.RLIMIT_NOFILE: 32,
        resource.RLIMIT_NPROC: 64,
        resource.RLIMIT_CORE: 0,
    }
    for kind, value in wanted.items():
        ceiling = resource.getrlimit(kind)[1]
        value = value if ceiling == resource.RLIM_INFINITY else min(value, ceiling)
        resource.setrlimit(kind, (value, value))


def describe_snippet_error(error: BaseException) -> str:
    """`ZeroDivisionError: division by zero`, on one line."""
    return " ".join(traceback.format_exception_only(error)[-1].split())[:160]


def run_sandbox_child(code: bytes, pipes: tuple[int, int, int], timeout_s: float, program: bytes | None) -> NoReturn:
    """Body of a child: last layers, then the snippet. `pipes` = null device, output, error."""
    status = 1
    null, out, err = pipes
    try:
        os.setsid()
        os.dup2(out, 1)
        os.dup2(err, 3)
        os.dup2(null, 0)
        os.dup2(null, 2)
        os.closerange(4, 256)
        limit_resources(timeout_s)
        if program:
            apply_seccomp(program)
        sys.modules["random"].seed(0)  # the same snippet prints the same
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
        program_text = compile(code.decode("utf-8"), "<snippet>", "exec")
        exec(program_text, {"__name__": "__main__"})  # noqa: S102 the sandbox's purpose
        status = 0
    except SystemExit as stop:
        status = 0 if stop.code in (None, 0) else 1
        os.write(3, f"SystemExit: {str(stop.code)[:100]}".encode("utf-8", "replace"))
    except BaseException as error:  # noqa: BLE001 whatever the snippet raises is its result
        os.write(3, describe_snippet_error(error).encode("utf-8", "replace"))
    try:
        sys.stdout.flush()
    finally:
        os._exit(status)


def run_snippet(
    code: bytes, null: int, timeout_s: float, program: bytes | None, alone: bool = False
) -> tuple[bytes, bytes]:
    """(status byte, text) of one snippet in a fresh child, which is gone with all it started on return.

    `alone`: no process but the sandbox's own can be seen from here.
    """
    out_read, out_write = os.pipe()
    err_read, err_write = os.pipe()
    for number in (null, out_write, err_write):
        if number <= 3:  # the child puts its own descriptors at 0..3
            raise Unavailable(0, "standard descriptors are closed")
    deadline, here = time.monotonic() + timeout_s, os.getpid()
    pid = os.fork()
    if pid == 0:
        die_with_parent_of_sandbox(here)
        run_sandbox_child(code, (null, out_write, err_write), timeout_s, program)
    os.close(out_write)
    os.close(err_write)
    texts = {out_read: b"", err_read: b""}
    trouble = drain_sandbox_pipes(texts, deadline)
    status = None if trouble else wait_for_sandbox_child(pid, deadline)
    kill_sandbox_processes(pid, status is None, alone)
    os.close(out_read)
    os.close(err_read)
    if status is None:
        return b"e", trouble or b"the code took too long"
    if os.WIFSIGNALED(status):
        return b"e", f"the code was stopped by signal {os.WTERMSIG(status)}".encode()
    if os.WEXITSTATUS(status):
        return b"e", texts[err_read] or b"the code failed"
    return b"o", texts[out_read]


def drain_sandbox_pipes(texts: dict[int, bytes], deadline: float) -> bytes:
    """Read the descriptors in `texts` to their ends; what went wrong if the clock or the cap struck."""
    open_ends = list(texts)
    while open_ends:
        ready = select.select(open_ends, [], [], max(0.0, deadline - time.monotonic()))[0]
        if not ready:
            return b"the code took too long"
        for descriptor in ready:
            data = os.read(descriptor, 65536)
            texts[descriptor] += data
            if not data:
                open_ends.remove(descriptor)
            elif len(texts[descriptor]) > MAX_OUTPUT:
                return b"the code printed too much"
    return b""


def wait_for_sandbox_child(pid: int, deadline: float) -> int | None:
    """Wait status of a child that has closed its pipes, or None at the deadline."""
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return status
        if time.monotonic() > deadline:
            return None
        time.sleep(0.0002)


def kill_sandbox_processes(pid: int, reap: bool, alone: bool) -> None:
    """Kill a child and its descendants: `alone`, all of the namespace but its first process, else the child's group."""
    with contextlib.suppress(ProcessLookupError):  # nothing may be left
        if alone:
            os.kill(-1, signal.SIGKILL)
        else:
            os.killpg(pid, signal.SIGKILL)
    if reap and not alone:
        os.kill(pid, signal.SIGKILL)  # it may have died before it had a group of its own
        os.waitpid(pid, 0)
    while alone:  # orphans come to this process, which asked for them
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def clear_sandbox_folder(folder: int) -> None:
    """Empty an open directory, whatever modes and depth a snippet gave to what it left; never follows a link.

    It goes down to a folder and up again by `..`, so depth costs neither stack nor descriptors.
    """
    here = os.dup(folder)
    way: list[str] = []
    while True:
        os.fchmod(here, 0o700)
        inner = next((name for name in os.listdir(here) if not _removed_from_sandbox_folder(name, here)), None)
        if inner is None and not way:
            os.close(here)
            return
        if inner is not None:
            os.chmod(inner, 0o700, dir_fd=here)
        there = os.open(inner or "..", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
        os.close(here)
        here = there
        if inner is not None:
            way.append(inner)
        else:
            os.rmdir(way.pop(), dir_fd=here)


def _removed_from_sandbox_folder(name: str, folder: int) -> bool:
    """Whether an entry went; a folder that holds something does not."""
    try:
        os.unlink(name, dir_fd=folder)
    except (IsADirectoryError, PermissionError):  # POSIX and Linux name what is a folder differently
        try:
            os.rmdir(name, dir_fd=folder)
        except OSError:
            return False
    return True


# --- the server -----------------------------------------------------------------------------------


def read_sandbox_bytes(size: int) -> bytes:
    """`size` bytes of a request, or fewer at the end of file."""
    data = b""
    while len(data) < size:
        chunk = os.read(0, size - len(data))
        if not chunk:
            break
        data += chunk
    return data


def send_sandbox_reply(status: bytes, text: bytes) -> None:
    """Send one frame."""
    data = status + len(text).to_bytes(4, "big") + text
    while data:
        data = data[os.write(1, data) :]


def isolate(private: str, unsafe: bool, filters: Filters) -> tuple[dict[str, object], bytes | None]:
    """Put layers 1 to 3 in place: (what is in place, the filter for layer 4). `OSError` if that is too little."""
    if unsafe:
        os.chdir(private)
        return {"landlock": 0, "namespaces": False, "seccomp": False}, None
    abi = landlock_abi()
    if not all(filters):
        raise Unavailable(0, "the system calls of this machine are not known")
    namespaces = namespaces_are_granted(private)
    if namespaces:
        enter_namespaces(private)
        become_sandbox_init()
    os.chdir(private)
    if namespaces:
        apply_landlock(abi, sandbox_library_folders(), private)
    else:  # nothing bounds what files would take, so there are none
        apply_landlock(abi, [*sandbox_library_folders(), private], None)
    drop_sandbox_capabilities()
    # Landlock does not cover pipes: a snippet could open those of the processes above it through /proc/PID/fd
    _check_sandbox_syscall(_libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0), "prctl")
    return {"landlock": abi, "namespaces": namespaces, "seccomp": True}, filters[0 if namespaces else 1]


def answer_sandbox_request(folder: int, null: int, timeout_s: float, program: bytes | None, alone: bool) -> bool:
    """Read one request, run it, empty the private folder, reply. False at the end of file."""
    head = read_sandbox_bytes(4)
    if len(head) < 4:
        return False
    status, text = run_snippet(read_sandbox_bytes(int.from_bytes(head, "big")), null, timeout_s, program, alone)
    clear_sandbox_folder(folder)
    send_sandbox_reply(status, text)
    return True


def serve_sandbox_requests(folder: int, null: int, timeout_s: float, program: bytes | None, alone: bool) -> None:
    """Have each request answered by a process of its own, until the end of file."""
    here = os.getpid()
    while True:
        select.select([0], [], [])  # a request is waiting, or the end of file
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                die_with_parent_of_sandbox(here)
                if alone:
                    _check_sandbox_syscall(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")
                status = 0 if answer_sandbox_request(folder, null, timeout_s, program, alone) else 1
            finally:
                os._exit(status)
        if os.waitpid(pid, 0)[1]:
            return


def main(private: str, timeout_s: float, unsafe: bool, filters: Filters) -> None:
    """Isolate, report, and answer requests until the end of file."""
    os.environ.clear()
    sys.path[:] = [path for path in sys.path if os.path.isdir(path)]
    for name in PRELOADED.split():
        __import__(name)
    null = os.open(os.devnull, os.O_RDWR)
    while null <= 3:
        null = os.dup(null)
    try:
        layers, program = isolate(private, unsafe, filters)
    except OSError as error:
        send_sandbox_reply(b"u", (error.strerror or str(error)).encode("utf-8", "replace"))
        return
    folder = os.open(private, os.O_RDONLY | os.O_DIRECTORY)
    send_sandbox_reply(b"r", json.dumps(layers).encode())
    serve_sandbox_requests(folder, null, timeout_s, program, alone=bool(layers["namespaces"]))


if __name__ == "__main__":
    folder_given, limit_given, safety_given, *filters_given = sys.argv[1:]
    del sys.argv[1:]  # nothing that a snippet needs
    main(
        folder_given,
        float(limit_given),
        safety_given == "unsafe",
        (bytes.fromhex(filters_given[0]), bytes.fromhex(filters_given[1])),
    )
