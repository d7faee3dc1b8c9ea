"""The sandbox: one attack per property, with all layers and on systems that lack some. More attacks: tests/attacks."""

from __future__ import annotations

import contextlib
import os
import platform
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from forge.tools import code_executor, zygote
from forge.tools.code_executor import CodeExecutor
from forge.tools.syscalls import seccomp_program
from tests.support.sandboxes import SYSTEMS, start_sandbox

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Landlock is a Linux feature")

_CHANGES = {name: SYSTEMS[name] for name in ("all layers", "no namespaces", "no namespaces, old Landlock")}


@pytest.fixture(scope="module", params=list(_CHANGES))
def sandbox(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CodeExecutor]:
    with pytest.MonkeyPatch.context() as patch:
        executor = start_sandbox(tmp_path_factory.mktemp("launch"), patch, _CHANGES[request.param])
        first = executor.run("print(3**4)")
        if first != "81":
            executor.close()
            pytest.skip(f"no sandbox of this kind here: {first}")
        yield executor
        executor.close()


def test_output_and_errors(sandbox: CodeExecutor) -> None:
    assert sandbox.run("print('lamp'[::-1])") == "pmal"
    assert sandbox.run("for i in range(3):\n    print(i)") == "0\n1\n2"
    assert sandbox.run("1/0") == "error: ZeroDivisionError: division by zero"
    assert sandbox.run("print((").startswith("error: SyntaxError")
    assert sandbox.run("x = 1") == "error: no output"
    assert sandbox.run("import sys; sys.exit(3)") == "error: SystemExit: 3"
    assert sandbox.run("import sys; print(7); sys.exit()") == "7"
    assert sandbox.run("def f(): return f()\nf()").startswith("error: RecursionError")
    assert sandbox.run("import ctypes; ctypes.string_at(0)") == "error: the code was stopped by signal 11"
    assert sandbox.run("print(input())").startswith("error: EOFError")
    assert sandbox.run("print('\ud800')").startswith("?") or sandbox.run("print('\ud800')").startswith("error")
    assert sandbox.run("#" * 20_000) == "error: the code is too long"
    assert sandbox.run("print('a' * 100000)") == "error: the code printed too much"
    assert sandbox.run("import statistics, sqlite3, hashlib; print(statistics.mean([1, 3]))") == "2"


def test_snippets_are_fast(sandbox: CodeExecutor) -> None:
    begun = time.perf_counter()
    results = [sandbox.run(f"print({i} * 2)") for i in range(50)]
    assert results == [str(2 * i) for i in range(50)]
    assert (time.perf_counter() - begun) / 50 < 0.05  # 0.006 on an idle machine


def test_same_snippet_same_output_and_no_memory_of_the_last(sandbox: CodeExecutor) -> None:
    code = "import random; print({'a','b','c','d'}, random.random(), 'leak' in globals())"
    first = sandbox.run(code)
    assert sandbox.run("leak = 1; import builtins, random; builtins.leak = 1; random.seed(5)") == "error: no output"
    assert sandbox.run(code) == first
    assert first.endswith("False")


def test_no_network(sandbox: CodeExecutor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        socket.create_connection(("127.0.0.1", port), 1).close()  # it is reachable from here
        result = sandbox.run(f"import socket; socket.create_connection(('127.0.0.1', {port}), 0.5); print('in')")
    assert result.startswith(("error: PermissionError", "error: OSError", "error: ConnectionRefusedError"))
    udp = "from socket import *\nsocket(AF_INET, SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 9)); print(1)"
    assert sandbox.run(udp).startswith("error: ")


def test_files_outside_cannot_be_read(sandbox: CodeExecutor, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    for attack in (
        f"print(open({str(secret)!r}).read())",
        f"import os; print(os.listdir({str(tmp_path)!r}))",
        f"import os; os.symlink({str(secret)!r}, 'link'); print(open('link').read())",
        f"import os; os.link({str(secret)!r}, 'hard'); print(open('hard').read())",
        "print(open('/etc/passwd').read())",
        "print(open('/proc/self/environ').read())",
        "import os; print(os.listdir('..'))",
    ):
        assert sandbox.run(attack).startswith(("error: PermissionError", "error: OSError")), attack


def test_files_outside_cannot_be_changed(sandbox: CodeExecutor, tmp_path: Path) -> None:
    victim = tmp_path / "victim.txt"
    victim.write_text("whole")
    victim.chmod(0o640)
    before = victim.stat()
    for attack in (
        f"open({str(victim)!r}, 'w')",
        f"open({str(tmp_path / 'new')!r}, 'w')",
        f"import os; os.remove({str(victim)!r})",
        f"import os; os.truncate({str(victim)!r}, 0)",
        f"import os; os.rename({str(victim)!r}, 'mine')",
        f"import os; os.chmod({str(victim)!r}, 0o777)",
        f"import os; os.utime({str(victim)!r}, (1, 1))",
        f"import os; os.setxattr({str(victim)!r}, 'user.x', b'1')",
    ):
        assert sandbox.run(attack).startswith(("error: PermissionError", "error: OSError")), attack
    after = victim.stat()
    assert victim.read_text() == "whole"
    assert (after.st_mode, after.st_mtime_ns, after.st_ctime_ns) == (
        before.st_mode,
        before.st_mtime_ns,
        before.st_ctime_ns,
    )
    assert list(tmp_path.iterdir()) == [victim]


def test_private_folder_is_writable_and_emptied(sandbox: CodeExecutor) -> None:
    if not sandbox.layers["namespaces"]:  # nothing would bound what the files take together
        for attempt in ("open('x', 'w')", "import os; os.mkdir('a')", "import os; os.open('x', os.O_CREAT)"):
            assert sandbox.run(attempt).startswith("error: PermissionError"), attempt
        return
    assert sandbox.run("open('x', 'w').write('hi'); print(open('x').read())") == "hi"
    assert sandbox.run("import os; os.makedirs('a/b'); os.mkdir('a/q', 0); open('a/b/c', 'w'); print(1)") == "1"
    assert sandbox.run("import os; print(os.listdir('.'))") == "[]"
    assert sandbox.run("open('big', 'wb').write(bytes(3_000_000)); print(1)").startswith("error: ")


def test_endless_loops_are_stopped(sandbox: CodeExecutor) -> None:
    begun = time.monotonic()
    assert sandbox.run("while True: pass") == "error: the code took too long"
    assert time.monotonic() - begun < 2.5
    assert sandbox.run("print(1)") == "1"


def test_memory_is_limited(sandbox: CodeExecutor) -> None:
    assert sandbox.run("x = bytearray(4 * 2**30); print(len(x))") == "error: MemoryError"
    assert sandbox.run("import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1)); print(1)").startswith(
        "error: "
    )


def test_processes_do_not_outlive_the_snippet(sandbox: CodeExecutor) -> None:
    """With seccomp no process can be made; without it they are killed with the namespace's help."""
    leave = "os.setsid() if os.getpid() != os.getsid(0) else 0"  # out of the group that is killed
    bomb = f"import os\nfor _ in range(5): os.fork()\n{leave}\nwhile True: pass"
    assert sandbox.run(bomb).startswith(("error: PermissionError", "error: the code took too long"))
    assert sandbox.run("import subprocess; print(subprocess.run(['/bin/true']))").startswith("error: ")
    assert sandbox.run("print(2)") == "2"
    assert sandbox.pid is not None
    first = 1 if sandbox.layers["namespaces"] else 0  # pid 1 of the namespace
    assert soon(lambda: len(living_children(sandbox.pid)) == first)


def test_the_zygote_cannot_be_killed_from_inside(sandbox: CodeExecutor) -> None:
    before = sandbox.pid
    result = sandbox.run("import os\ntry: os.kill(os.getppid(), 9)\nexcept OSError: pass\nprint('alive')")
    assert result == "alive"
    outside = os.getpid()
    assert sandbox.run(f"import os; os.kill({outside}, 0); print('seen')").startswith("error: ")
    assert sandbox.run("print(1)") == "1"
    assert sandbox.pid == before


def test_nothing_of_the_last_snippet_is_left(sandbox: CodeExecutor) -> None:
    assert sandbox.run("print('kiwi' * 2)  # plum") == "kiwikiwi"
    search = """
import gc, sys
def left(text):
    return any("".join(reversed(word)) in text for word in ("iwik", "mulp"))
seen, frame = [repr(each)[:100_000] for each in gc.get_objects()[:5000]], sys._getframe()
while frame is not None:
    seen.append(repr([value for value in frame.f_locals.values() if value is not seen]))
    frame = frame.f_back
print(len(seen) > 100, any(map(left, seen)))
"""
    assert sandbox.run(search) == "True False"


def test_environment_is_empty(sandbox: CodeExecutor) -> None:
    assert sandbox.run("import os; print(dict(os.environ), os.getcwd().endswith('work'))") == "{} True"
    assert sandbox.run("import ctypes; print(ctypes.CDLL(None).getenv(b'PYTHONHASHSEED'))") == "0"
    inherited = "import os\nfor n in range(4, 30):\n    try: print(os.fstat(n))\n    except OSError: continue"
    assert sandbox.run(inherited) == "error: no output"


def test_nothing_can_be_mounted_and_no_user_become(sandbox: CodeExecutor) -> None:
    mount = "import ctypes; print(ctypes.CDLL(None).mount(b'none', b'.', b'tmpfs', 0, None))"
    assert sandbox.run(mount) == "-1"
    assert sandbox.run("import os; os.setuid(12345); print(os.getuid())").startswith("error: ")


# --- failing closed, dying, restarting ---


def test_no_landlock_means_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change = "def gone(): raise zygote.Unavailable(38, 'Landlock is missing')\nzygote.landlock_abi = gone"
    executor = start_sandbox(tmp_path, monkeypatch, change)
    expected = "error: code execution is not available: Landlock is missing"
    assert executor.run("print(1)") == expected
    assert executor.run("print(1)") == expected
    assert executor.pid is None


def test_no_seccomp_means_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_executor, "seccomp_program", lambda machine, writable: b"")
    executor = start_sandbox(tmp_path, monkeypatch, "")
    assert executor.run("print(1)").endswith("the system calls of this machine are not known")


def test_a_filter_that_does_not_hold_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = start_sandbox(tmp_path, monkeypatch, "zygote.apply_seccomp = lambda program: None")
    assert "set the priority of another process; prepared a signal" in executor.run("print(1)")


def test_half_of_the_namespaces_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system may grant a user namespace and then no mounts in it: that shows before anything depends on it."""
    change = "def half(private): raise OSError(13, 'mount')\nzygote.enter_namespaces = half"
    executor = start_sandbox(tmp_path, monkeypatch, change)
    assert executor.run("print(3**4)") == "81"
    assert executor.layers["namespaces"] is False
    executor.close()


def test_what_an_executor_cannot_have_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(kind: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(code_executor, "ScratchFolder", full)
    assert CodeExecutor().run("print(1)").endswith("No space left on device")


def test_a_leaking_sandbox_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = start_sandbox(tmp_path, monkeypatch, "zygote.apply_landlock = lambda *args: None")
    assert "not tight (read a file outside)" in executor.run("print(1)")


def test_unsafe_is_an_explicit_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change = "def gone(): raise zygote.Unavailable(38, 'no Landlock')\nzygote.landlock_abi = gone"
    executor = start_sandbox(tmp_path, monkeypatch, change, unsafe=True)
    assert executor.run("print(3**4)") == "81"
    assert executor.run("while True: pass") == "error: the code took too long"
    assert executor.layers == {"landlock": 0, "namespaces": False, "seccomp": False}
    executor.close()


def soon(holds: Callable[[], bool]) -> bool:
    """Whether it holds within ten seconds."""
    for _ in range(1000):
        if holds():
            return True
        time.sleep(0.01)
    return False


def gone(process: psutil.Process) -> bool:
    """Dead soon (a zombie is dead: only its new parent has not looked yet)."""
    return soon(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)


def living_children(pid: int) -> list[psutil.Process]:
    found = psutil.Process(pid).children(recursive=True)
    return [process for process in found if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def test_restarted_once_then_closed() -> None:
    executor = CodeExecutor(2.0)
    assert executor.run("print(1)") == "1"
    for expected in ("2", "error: code execution is not available: the sandbox stopped"):
        assert executor.pid is not None
        inside = psutil.Process(executor.pid).children(recursive=True)
        os.kill(executor.pid, signal.SIGKILL)
        assert executor.run("print(2)") == expected
        assert all(gone(process) for process in inside)
    executor.close()


def test_a_hanging_sandbox_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_executor, "_GRACE_S", 0.0)
    monkeypatch.setattr(code_executor, "START_TIMEOUT_S", 0.3)
    executor = start_sandbox(tmp_path, monkeypatch, "import time; time.sleep(60)")
    assert executor.run("print(1)") == "error: code execution is not available: the sandbox does not answer"


def test_close_is_final() -> None:
    executor = CodeExecutor()
    executor.run("print(1)")
    pid = executor.pid
    assert pid is not None
    executor.close()
    assert executor.run("print(1)") == "error: code execution is not available: closed"
    assert not psutil.pid_exists(pid)


def test_only_posix(monkeypatch: pytest.MonkeyPatch) -> None:
    executor = CodeExecutor()
    monkeypatch.setattr(code_executor.os, "name", "nt")
    assert executor.run("print(1)").endswith("it needs a POSIX system")


# --- the layers by themselves, in a thread (restrictions bind only the thread that asks for them) ---


def in_thread(action: Callable[[], object]) -> object:
    box: list[object] = []

    def body() -> None:
        try:
            box.append(action())
        except OSError as error:
            box.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    return box[0]


def test_landlock_layer(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out.txt").write_text("x")
    abi = zygote.landlock_abi()

    def action() -> str:
        zygote.apply_landlock(abi, zygote.sandbox_library_folders(), str(tmp_path / "in"))
        (tmp_path / "in" / "new.txt").write_text("y")
        return (tmp_path / "out.txt").read_text()

    assert isinstance(in_thread(action), PermissionError)
    assert (tmp_path / "in" / "new.txt").read_text() == "y"
    assert (tmp_path / "out.txt").read_text() == "x"  # this thread is free


def test_seccomp_layer() -> None:
    program = seccomp_program(platform.machine(), writable=True)
    if not program:
        pytest.skip("no filter for this machine")

    def action() -> object:
        zygote.apply_seccomp(program)
        os.getpid()
        return socket.socket()

    assert isinstance(in_thread(action), PermissionError)
    socket.socket().close()


def test_children_are_cleared_up_in_process(tmp_path: Path) -> None:
    """`run_snippet` without the process around it: forked from here, no layers but the limits."""
    null = os.open(os.devnull, os.O_RDWR)
    try:
        assert zygote.run_snippet(b"print(6 * 7)", null, 5.0, None) == (b"o", b"42\n")
        assert zygote.run_snippet(b"1/0", null, 5.0, None) == (b"e", b"ZeroDivisionError: division by zero")
        assert zygote.run_snippet(b"import os; os.kill(os.getpid(), 9)", null, 5.0, None)[1].endswith(b"signal 9")
        assert zygote.run_snippet(b"import time; time.sleep(30)", null, 0.2, None)[1] == b"the code took too long"
        silent = b"import os; os.close(1); os.close(3)\nwhile True: pass"
        assert zygote.run_snippet(silent, null, 0.3, None)[1] == b"the code took too long"
        flood = b"while True: print('x' * 1000)"
        assert zygote.run_snippet(flood, null, 5.0, None)[1] == b"the code printed too much"
    finally:
        os.close(null)
    with pytest.raises(zygote.Unavailable):
        zygote.run_snippet(b"", 0, 1.0, None)


def test_capabilities_layer() -> None:
    def action() -> list[int]:
        zygote.drop_sandbox_capabilities()
        status = Path(f"/proc/self/task/{threading.get_native_id()}/status").read_text()
        return [int(line.split()[1], 16) for line in status.splitlines() if line.startswith(("CapE", "CapP", "CapI"))]

    assert in_thread(action) == [0, 0, 0]


def test_the_server_answers_frames_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without isolation, fed with two requests and an end of file; `main` has each answered by a process of its own."""
    requests = [b"\0\0\0\x08", b"print(1)", b"\0\0\0\x03", b"1/0", b""]
    replies: list[tuple[bytes, bytes]] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(os, "environ", {})
    monkeypatch.setattr(zygote, "read_sandbox_bytes", lambda size: requests.pop(0))
    monkeypatch.setattr(zygote, "send_sandbox_reply", lambda status, text: replies.append((status, text)))
    null, folder = os.open(os.devnull, os.O_RDWR), os.open(tmp_path, os.O_RDONLY)
    with contextlib.ExitStack() as stack:
        for descriptor in (null, folder):
            stack.callback(os.close, descriptor)
        while zygote.answer_sandbox_request(folder, null, 10.0, None, False):
            pass
    assert replies == [(b"o", b"1\n"), (b"e", b"ZeroDivisionError: division by zero")]
    requests.append(b"")  # for the process that main forks: it ends, and main with it
    zygote.main(str(tmp_path), 10.0, True, (b"", b""))
    assert replies[-1][0] == b"r"
    assert b'"landlock": 0' in replies[-1][1]


def test_the_server_says_why_it_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replies: list[tuple[bytes, bytes]] = []
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(os, "environ", {})
    monkeypatch.setattr(zygote, "send_sandbox_reply", lambda status, text: replies.append((status, text)))
    zygote.main(str(tmp_path), 1.0, False, (b"", b""))
    assert replies == [(b"u", b"it needs Linux with Landlock")]


def test_frames_on_the_pipes(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = bytearray()
    incoming = bytearray(b"abcdef")
    monkeypatch.setattr(zygote.os, "write", lambda _, data: sent.extend(data[:3]) or len(data[:3]))
    zygote.send_sandbox_reply(b"o", b"hello")
    monkeypatch.setattr(
        zygote.os, "read", lambda _, size: bytes(incoming.pop(0) for _ in range(min(size, 2, len(incoming))))
    )
    head = zygote.read_sandbox_bytes(5), zygote.read_sandbox_bytes(5)
    monkeypatch.undo()
    assert bytes(sent) == b"o\0\0\0\x05hello"
    assert head == (b"abcde", b"f")


def test_clear_never_follows_links(tmp_path: Path) -> None:
    (tmp_path / "keep").mkdir()
    (tmp_path / "keep" / "a.txt").write_text("a")
    box = tmp_path / "box"
    (box / "deep" / "er").mkdir(parents=True)
    (box / "deep" / "er" / "f").write_text("f")
    (box / "link").symlink_to(tmp_path / "keep")
    (box / "deep").chmod(0)
    folder = os.open(box, os.O_RDONLY)
    zygote.clear_sandbox_folder(folder)
    os.close(folder)
    assert list(box.iterdir()) == []
    assert (tmp_path / "keep" / "a.txt").read_text() == "a"


@pytest.fixture
def shallow_stack() -> Iterator[int]:
    """A stack that 300 folders inside each other are too deep for; with Python's own it takes 1,000 slow ones."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(250)
    yield 300
    sys.setrecursionlimit(before)


def test_clear_goes_to_any_depth(tmp_path: Path, shallow_stack: int) -> None:
    folder = here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(shallow_stack):
        os.mkdir("d", dir_fd=here)
        there = os.open("d", os.O_RDONLY, dir_fd=here)
        if here != folder:
            os.close(here)
        here = there
    os.close(here)
    zygote.clear_sandbox_folder(folder)
    os.close(folder)
    assert list(tmp_path.iterdir()) == []


def test_an_executor_that_isolates_nothing_outlives_any_depth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shallow_stack: int
) -> None:
    executor = start_sandbox(tmp_path, monkeypatch, "sys.setrecursionlimit(100)", timeout_s=5.0, unsafe=True)
    deep = f"import os\nfor _ in range({shallow_stack}): os.mkdir('d'); os.chdir('d')\nprint(1)"
    assert executor.run(deep) == "1"
    assert executor.run("import os; print(os.listdir('.'))") == "[]"
    executor.close()


def test_frames_survive_short_writes() -> None:
    """A reply longer than the pipe's buffer arrives whole."""
    executor = CodeExecutor(2.0)
    long = executor.run("print('é' * 1500)")
    assert long == "é" * 1500
    assert select.select([], [], [], 0) == ([], [], [])
    executor.close()
