"""Runs snippets of Python in a sandbox process that is started once and forks one child per snippet.

This is the trusting side: it starts `zygote.py` in an isolated interpreter, checks by real attempts that files,
network and other processes are out of reach, and speaks a length-prefixed pipe protocol with it. Whenever any of this
does not work, nothing is run: the answer is `error: code execution is not available: <reason>`.
"""

from __future__ import annotations

import json
import os
import platform
import select
import subprocess
import sys
import time
from pathlib import Path

from forge.tools.scratch import ScratchFolder
from forge.tools.syscalls import seccomp_program

MAX_CODE_BYTES = 10_000
START_TIMEOUT_S = 10.0
_GRACE_S = 2.0  # the zygote's own clock stops a snippet; this is for a zygote that hangs
_MAX_STARTS = 2
_ZYGOTE = Path(__file__).with_name("zygote.py")
# Run inside a fresh sandbox with the path of a file that the caller can read. Prints what it could do.
_PROBE = """
import contextlib, fcntl, os, socket
done = []
with contextlib.suppress(OSError):
    open({canary!r}).read()
    done.append("read a file outside")
with contextlib.suppress(OSError):
    socket.create_connection(("127.0.0.1", {port}), 0.2)
    done.append("reached the network")
with contextlib.suppress(OSError):
    os.truncate({canary!r}, 1)
    done.append("changed a file outside")
with contextlib.suppress(OSError):
    os.setpriority(os.PRIO_PROCESS, os.getppid(), os.getpriority(os.PRIO_PROCESS, os.getppid()))
    done.append("set the priority of another process")
with contextlib.suppress(OSError):
    fcntl.fcntl(1, fcntl.F_SETOWN, os.getppid())
    done.append("prepared a signal")
print("; ".join(done) or "closed")
"""


class SandboxError(RuntimeError):
    """The sandbox cannot be started or died; the text is the reason."""


class CodeExecutor:
    """Lazy sandbox. `run` never raises; `close` ends the processes.

    `unsafe=True` accepts a sandbox whose isolation is missing or partial (limits and wall clock still hold).
    """

    def __init__(self, timeout_s: float = 2.0, *, unsafe: bool = False) -> None:
        self._timeout_s = timeout_s
        self._unsafe = unsafe
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: ScratchFolder | None = None
        self._starts = 0
        self._closed_reason = ""
        self.layers: dict[str, object] = {}  # what the running sandbox reports about itself

    def run(self, code: str) -> str:
        """Standard output of the snippet, stripped, or one line `error: ...`."""
        payload = code.encode("utf-8", "replace")
        if len(payload) > MAX_CODE_BYTES:
            return "error: the code is too long"
        while not self._closed_reason:
            try:
                self._ensure_started()
                return self._ask(payload)
            except (SandboxError, OSError) as error:  # OSError: no room for a folder, no process to be had
                self._stop()
                if self._starts >= _MAX_STARTS:
                    self._closed_reason = str(error)
        return f"error: code execution is not available: {self._closed_reason}"

    @property
    def pid(self) -> int | None:
        """Process id of the running sandbox."""
        return self._process.pid if self._process else None

    def close(self) -> None:
        """End the sandbox for good."""
        self._stop()
        self._closed_reason = self._closed_reason or "closed"

    def _ensure_started(self) -> None:
        if self._process is not None:
            return
        self._starts += 1
        if os.name != "posix":
            self._refuse("it needs a POSIX system")
        self._folder = ScratchFolder("sandbox")
        private = self._folder.path / "work"
        private.mkdir()
        # realpath: the interpreter behind a virtual environment's link, so that no site-packages are involved
        command = [os.path.realpath(sys.executable), "-s", "-S", "-P", "-B", str(_ZYGOTE), str(private)]
        filters = [seccomp_program(platform.machine(), writable).hex() for writable in (True, False)]
        self._process = subprocess.Popen(
            [*command, str(self._timeout_s), "unsafe" if self._unsafe else "safe", *filters],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PYTHONHASHSEED": "0"},  # sets print in the same order every time; the zygote empties it
            cwd=private,
            start_new_session=True,
            bufsize=0,
        )
        status, text = self._receive(time.monotonic() + START_TIMEOUT_S)
        if status != b"r":
            self._refuse(text)
        self.layers = json.loads(text)
        if not self._unsafe:
            self._probe(self._folder.path / "canary")

    def _refuse(self, reason: str) -> None:
        """The machine cannot isolate: trying again would not help."""
        self._starts = _MAX_STARTS
        raise SandboxError(reason)

    def _probe(self, canary: Path) -> None:
        """A file next to the private folder and a port open on this machine must both be out of reach."""
        import socket

        canary.write_text("outside", encoding="utf-8")
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            answer = self._ask(_PROBE.format(canary=str(canary), port=port).encode())
        if answer != "closed":
            self._refuse(f"the sandbox is not tight ({answer})")

    def _ask(self, payload: bytes) -> str:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(len(payload).to_bytes(4, "big") + payload)
        except OSError as error:
            raise SandboxError("the sandbox stopped") from error
        status, text = self._receive(time.monotonic() + self._timeout_s + _GRACE_S)
        if status == b"o":
            return text.strip() or "error: no output"
        if status == b"e":
            return f"error: {text}"
        raise SandboxError(text)

    def _receive(self, deadline: float) -> tuple[bytes, str]:
        """(status, text) of the next frame: one byte, four bytes of length, UTF-8."""
        head = self._read(5, deadline)
        return head[:1], self._read(int.from_bytes(head[1:], "big"), deadline).decode("utf-8", "replace")

    def _read(self, size: int, deadline: float) -> bytes:
        assert self._process is not None
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        data = b""
        while len(data) < size:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise SandboxError("the sandbox does not answer")
            chunk = os.read(descriptor, size - len(data))
            if not chunk:
                raise SandboxError("the sandbox stopped")
            data += chunk
        return data

    def _stop(self) -> None:
        """Kill the sandbox: its first process takes the namespace, or at least the session, with it."""
        if self._process is not None:
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._folder is not None:
            self._folder.close()
            self._folder = None
