"""A process that has imported everything, and forks stages that may be killed: `python -m tests.faults.server`.

Importing torch and transformers takes seconds; a fork takes none, so a test can afford many kills. What is forked is
as it is in a run: a parent in a session of its own that waits as `dvc` does (it outlives SIGINT while its command
runs and dies of SIGTERM), and under it the stage, the module's own `main` from its first line on.

One request a line on stdin, one answer a line on stdout, both JSON. The server adopts whatever the dead leave behind,
so a process that survives its run is seen as a descendant of the server, in whatever session it hides.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import json
import os
import resource
import runpy
import signal
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from forge.host.signals import exit_on_parent_death_signal
from forge.pipeline.layout.phases import STAGES

NOT_ALLOWED = 77
_PR_SET_CHILD_SUBREAPER = 36
_CLONE_NEWNS, _MS_REC, _MS_PRIVATE = 0x20000, 0x4000, 1 << 18
_WRITING = os.O_WRONLY | os.O_RDWR
_FILE_EVENTS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree", "os.truncate")


class Life:
    """Counts what a stage does, and sends a signal at one of these moments.

    An event is: a file opened for writing, renamed, removed or truncated, a directory made or removed, a training
    step or an evaluated merge about to begin. Reading and computing in between have moments of their own, by time
    (see the client). Status files are left out: they are written by the clock.
    """

    def __init__(self, trace: str, trap: dict[str, Any] | None) -> None:
        self.count = 0
        self.trap = trap
        self.closed = False
        self.process = os.getpid()
        self.trace = os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(self, line: str) -> None:
        """Append a line to the trace, in one write, so that it is there whatever comes next."""
        os.write(self.trace, f"{line}\n".encode())

    def moment(self, what: str) -> None:
        """One more event; perhaps the last. What worker processes do is none of the stage's own."""
        if os.getpid() != self.process:
            return
        self.count += 1
        if self.trap is not None and self.count == self.trap["event"]:
            self.spring(what)

    def spring(self, what: str) -> None:
        """Send the signal; return when the target has got it."""
        assert self.trap is not None
        self.note(f"kill {self.count} {what}")
        target, number, parent = self.trap["target"], self.trap["signal"], os.getppid()
        # The parent is the leader of the group.
        os.kill({"stage": os.getpid(), "dvc": parent, "group": -parent}[target], number)
        deadline = time.monotonic() + 1.0
        while target != "stage" and number != signal.SIGINT and os.getppid() == parent and time.monotonic() < deadline:
            time.sleep(0.001)

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Audit hook (PEP 578): called before the operation."""
        if self.closed:
            return
        if event == "open":
            path, _, flags = arguments
            if not isinstance(flags, int) or not flags & _WRITING or str(path).endswith("status.json"):
                return
            self.moment(f"open {path}")
        elif event in _FILE_EVENTS and not str(arguments[0]).endswith("status.json"):
            self.moment(f"{event} {arguments[0]}")

    def watch(self, owner: Any, name: str, label: Callable[..., str]) -> None:
        """Let calls of a class's or module's function be events and lines of the trace."""
        original = getattr(owner, name)

        def watched(*arguments: Any, **named: Any) -> Any:
            line = label(*arguments)
            self.note(line)
            self.moment(line)
            return original(*arguments, **named)

        setattr(owner, name, watched)


def _watch_work(life: Life) -> None:
    """Training loops with the step they begin at, their steps, evaluations of merges, batches of trajectories."""
    from forge.phases.baking import trajectories
    from forge.phases.evomerge.checkpointing import Checkpointer
    from forge.phases.evomerge.evolve import Judge
    from forge.train.loop import Trainer
    from forge.train.progress import Progress

    life.watch(Progress, "__init__", lambda bar, name, total, begin=0: f"loop {name} {begin} {total}")
    life.watch(Trainer, "update", lambda trainer, step, batch: f"step {step}")
    life.watch(Judge, "__call__", lambda judge, genome: f"merge {genome.key()}")  # in a worker process: no event
    life.watch(Checkpointer, "after_evaluation", lambda keeper, record, state: f"evaluated {len(state.records)}")
    life.watch(trajectories, "generate", lambda model, prompts: f"sample {len(prompts)}")


def _stand_in(request: dict[str, Any]) -> None:
    """What a test cannot wait for: twenty seconds of grace; two more interpreters that import everything to measure
    their memory; hundreds of trajectories before the first batch is full.
    """
    from forge.host import signals
    from forge.phases.baking import trajectories
    from forge.phases.edge import metrics as metrics
    from forge.pipeline.lifecycle import stage

    if (grace := request["grace"]) is not None:
        stage.stop_on_signals = functools.partial(signals.stop_on_signals, grace=grace)
    metrics.edge_isolated_ram_mb = lambda directories: [1.0 for _ in directories]
    trajectories.ROWS_AT_ONCE = 3


def _make_tight(request: dict[str, Any]) -> None:
    """Little space to write on: no file larger than so many bytes, or a small file system over a directory.

    Leaves with NOT_ALLOWED where the host forbids mounting.
    """
    if (limit := request["file_limit"]) is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    if (small := request["small_disk"]) is not None:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mount.argtypes = [*[ctypes.c_char_p] * 3, ctypes.c_ulong, ctypes.c_char_p]
        os.makedirs(small["directory"], exist_ok=True)
        # A mount namespace of its own, private, that ends with the process.
        if (
            libc.unshare(_CLONE_NEWNS) != 0
            or libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None) != 0
            or libc.mount(b"tmpfs", small["directory"].encode(), b"tmpfs", 0, f"size={small['kib']}k".encode()) != 0
        ):
            raise SystemExit(NOT_ALLOWED)


def run_stage(request: dict[str, Any]) -> int:
    """The stage itself, in the process that was forked for it; its exit code."""
    os.chdir(request["directory"])
    life = Life(request["trace"], request["trap"])
    _watch_work(life)
    _stand_in(request)
    module = importlib.import_module(f"stages.{request['phase']}")
    arguments = ["--branch", request["branch"]] if request["branch"] else []
    sys.argv = [module.__file__ or "stage", *arguments]
    sys.addaudithook(life.hook)
    try:
        _make_tight(request)
        runpy.run_path(str(module.__file__), run_name="__main__")
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else 1
    except KeyboardInterrupt:
        return 130
    except BaseException:  # noqa: BLE001 - as the interpreter would
        traceback.print_exc()
        return 1
    finally:
        life.closed = True
        life.note(f"events {life.count}")
    return 0


def _redirect(log: str) -> None:
    nothing, out = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for descriptor, number in ((nothing, 0), (out, 1), (out, 2)):
        os.dup2(descriptor, number)


def _leave(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def be_dvc(request: dict[str, Any], answer: int) -> NoReturn:
    """Fork the stage, wait for it, leave with its exit code."""
    os.setsid()
    _redirect(request["log"])
    os.environ.update(request["environment"])
    stage = os.fork()
    if stage == 0:
        os.close(answer)
        exit_on_parent_death_signal()  # the package of the stages does that where it is imported
        _leave(run_stage(request))
    os.write(answer, str(stage).encode())
    os.close(answer)
    signal.signal(signal.SIGINT, lambda number, frame: None)
    while True:
        _, status = os.waitpid(stage, 0)
        code = os.waitstatus_to_exitcode(status)
        os._exit(code if code >= 0 else 128 - code)


def be_command(request: dict[str, Any], answer: int) -> NoReturn:
    """Become any other command, `dvc repro` for one."""
    os.setsid()
    _redirect(request["log"])
    os.close(answer)
    os.chdir(request["directory"])
    os.execvpe(request["command"][0], request["command"], {**os.environ, **request["environment"]})


def start(request: dict[str, Any]) -> dict[str, Any]:
    """Fork a run; process ids of its leader and, where it is forked and not executed, of its stage."""
    ours, theirs = os.pipe()
    leader = os.fork()
    if leader == 0:
        os.close(ours)
        be_command(request, theirs) if "command" in request else be_dvc(request, theirs)
    os.close(theirs)
    said = os.read(ours, 32)
    os.close(ours)
    return {"leader": leader, "stage": int(said) if said else None}


class Dead:
    """Exit codes of what has ended, and what has not."""

    def __init__(self) -> None:
        self.codes: dict[int, int] = {}

    def reap(self) -> None:
        """Collect every exit code that there is."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self.codes[pid] = os.waitstatus_to_exitcode(status)

    def wait(self, leader: int, seconds: float) -> dict[str, Any]:
        """Exit code of a run's leader; None if it lives on."""
        deadline = time.monotonic() + seconds
        while True:
            self.reap()
            if leader in self.codes or time.monotonic() > deadline:
                return {"code": self.codes.get(leader)}
            time.sleep(0.005)

    def living(self, seconds: float) -> dict[str, Any]:
        """Command lines of all descendants that are alive after so long at most."""
        import psutil

        deadline = time.monotonic() + seconds
        while True:
            self.reap()
            left = {}
            for process in psutil.Process().children(recursive=True):
                try:
                    if process.status() != psutil.STATUS_ZOMBIE:
                        left[process.pid] = " ".join(process.cmdline())
                except psutil.NoSuchProcess:
                    continue
            if not left or time.monotonic() > deadline:
                return {"living": left}
            time.sleep(0.005)


def _prepare() -> None:
    """Import what the stages import, use one thread, do without fsync (no kill of a process loses a write)."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    os.fsync = lambda descriptor: None
    for phase in STAGES:
        importlib.import_module(f"stages.{phase.name}")
    for name in ("forge.pipeline.records.recorder", "reasoning_gym", "sklearn.naive_bayes", "psutil"):
        importlib.import_module(name)
    import torch

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def main() -> None:
    """Serve until stdin ends."""
    _prepare()
    dead = Dead()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "start":
            answer = start(request)
        elif request["do"] == "wait":
            answer = dead.wait(request["leader"], request["seconds"])
        else:
            answer = dead.living(request["seconds"])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
