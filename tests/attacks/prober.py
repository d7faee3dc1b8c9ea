"""What becomes of a file in a process of its own: an answer, one line, or something that must not be.

The process is forked, so that everything is imported. Its memory is that of the one file: Linux forgets the peak when
it is told to. Its seconds are those of the processor, so that they do not depend on what else the machine does.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType

SECONDS = 5.0
PATIENCE = 60.0  # seconds on the clock after which a child is killed
GIB = 1 << 30
# Beyond what is there at the start: a file that wants more meets MemoryError, the machine does not.
_ADDRESSES = 4 * GIB


@dataclass(frozen=True)
class Outcome:
    """``kind``: answer, refused, error, crash or hang. ``text``: the answer, the line, or what is wrong. ``mib``: the
    peak of the resident set, and ``grown`` how much of that the file added."""

    kind: str
    text: str
    seconds: float = 0.0
    mib: float = 0.0
    grown: float = 0.0

    @property
    def held(self) -> bool:
        """Whether it ended as it must."""
        return self.kind in ("answer", "refused")


def load_and_answer(path: Path, tokens: int = 16) -> str:
    """The answer of an agent to one question, of so many tokens at most, tools included."""
    from forge.runtime.load import load_agent

    with load_agent(path) as agent:
        return agent.reply([{"role": "user", "content": "What is 12 + 30?"}], max_new_tokens=tokens).text


def _resident(line: str) -> float:
    """`VmRSS` or `VmHWM` of this process, in MiB."""
    for row in Path("/proc/self/status").read_text().splitlines():
        if row.startswith(line):
            return int(row.split()[1]) / 1024
    raise LookupError(line)


def _outcome(path: Path, use: Callable[[Path], str]) -> Outcome:
    from forge.errors import ForgeError

    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, started = _resident("VmRSS"), time.process_time()
    try:
        kind, text = "answer", use(path)
    except ForgeError as error:
        kind, text = "refused", str(error)
    except BaseException as error:  # noqa: BLE001 - a panic of Rust is no Exception; whatever it is, it is told
        kind, text = "error", f"{type(error).__name__}: {str(error)[:200]}"
    seconds, peak = time.process_time() - started, _resident("VmHWM")
    if kind == "refused" and (str(path) not in text or "\n" in text or len(text) > 600):
        kind = "error"
    return Outcome(kind, text, seconds, peak, peak - before)


def _serve(pipe: Connection, theirs: Connection, use: Callable[[Path], str]) -> None:
    theirs.close()  # so that the pipe ends with the parent, and this process with the pipe
    gc.freeze()  # what the parent has left is not collected meanwhile, which would count against what a file adds
    size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (size + _ADDRESSES, size + _ADDRESSES))
    with contextlib.suppress(EOFError):
        while True:
            pipe.send(_outcome(pipe.recv(), use))


class Prober:
    """Tries files one after another in a child process, which is replaced when it dies or has to be killed."""

    def __init__(self, use: Callable[[Path], str] = load_and_answer) -> None:
        self.use = use
        self._start()

    def _start(self) -> None:
        fork = multiprocessing.get_context("fork")
        self._pipe, theirs = fork.Pipe()
        self._child = fork.Process(target=_serve, args=(theirs, self._pipe, self.use), daemon=True)
        self._child.start()
        theirs.close()

    def __call__(self, path: Path) -> Outcome:
        """What becomes of the file at ``path``."""
        self._pipe.send(path)
        try:
            if self._pipe.poll(PATIENCE):
                found: Outcome = self._pipe.recv()
                return found if found.seconds <= SECONDS else replace(found, kind="hang")
            outcome = Outcome("hang", f"no end after {PATIENCE:g} s", PATIENCE)
        except EOFError:
            self._child.join()
            code = self._child.exitcode or 0
            outcome = Outcome("crash", signal.Signals(-code).name if code < 0 else f"exit code {code}")
        self.close()
        self._start()
        return outcome

    def close(self) -> None:
        """End the child."""
        self._child.kill()
        self._child.join()
        self._pipe.close()

    def __enter__(self) -> Prober:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
