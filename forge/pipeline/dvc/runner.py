"""Running the pipeline: `dvc repro` in a session of its own, watched line by line."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from forge.config import load_params, set_param
from forge.errors import ForgeError
from forge.files import verify_manifest
from forge.host.disk import check_host_disk_room, disk_full_note, says_disk_full
from forge.host.signals import die_with_parent
from forge.pipeline.dvc.code import write_code_hashes
from forge.pipeline.dvc.git import lies_in_repository
from forge.pipeline.dvc.lockfile import require_sound_lock
from forge.pipeline.dvc.locks import clear_dead_locks
from forge.pipeline.layout.disk import run_bytes_in_layout
from forge.pipeline.layout.phases import find_stage_in_layout
from forge.pipeline.records.logs import logging_to
from forge.pipeline.records.tracking import STATUS, keep_tracking_offline, read_recorded_status

LOG = logging.getLogger(__name__)
Kind = Literal["start", "skip", "cached", "output", "done", "failed"]

_STARTED = re.compile(r"Running stage '(?:[^']*:)?([^':]+)':")
_SKIPPED = re.compile(r"Stage '(?:[^']*:)?([^':]+)' didn't change, skipping")
_CACHED = re.compile(r"Stage '(?:[^']*:)?([^':]+)' is cached - skipping run")
_BLOCKER = re.compile(r"^\s*\(PID (\d+)\): ")
_FAILED = re.compile(r"ERROR: failed to reproduce '(?:[^']*:)?([^':]+)'")
_WORDS = {
    "start": "started by the run",
    "skip": "skipped: nothing that it reads has changed",
    "cached": "skipped: restored from an earlier run with the same inputs",
    "done": "ended after {:.1f} s",
    "failed": "failed or stopped after {:.1f} s",
}
_KILLED = re.compile(r"failed to run: .*exited with (-9|137)\b")


@dataclass(frozen=True)
class RunEvent:
    """Something happened to a stage.

    kind: `start`, then `output` for each of its lines, then `done` or `failed`; or `skip` (up to date) or
    `cached` (restored from an earlier run) alone. seconds: since the stage's start, or the pipeline's where
    stage is None.
    """

    kind: Kind
    stage: str | None
    line: str = ""
    seconds: float = 0.0


@dataclass
class RunResult:
    """How a run ended. exit_code: 0 done, 1 failed, 130 stopped on request. message: one line for the user,
    if any.
    """

    exit_code: int = 0
    ran: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    cached: list[str] = field(default_factory=list)
    failed: str | None = None
    message: str = ""
    seconds: float = 0.0


class _Parser:
    """Turns DVC's lines into events and keeps the tally."""

    def __init__(self, emit: Callable[[RunEvent], None]) -> None:
        self.result = RunResult()
        self._emit = emit
        self._current: str | None = None
        self._since = time.monotonic()
        self.errors: list[str] = []
        self.tail: list[str] = []
        self.blocker: str | None = None

    def feed(self, line: str) -> None:
        """Take one line of output, without its line break."""
        if line.startswith("ERROR: "):
            self.errors.append(line.removeprefix("ERROR: "))
        for pattern, handle in (
            (_STARTED, self._on_start),
            (_SKIPPED, self._on_skip),
            (_CACHED, self._on_cached),
            (_FAILED, self._on_failed),
        ):
            if match := pattern.search(line):
                handle(match.group(1))
                return
        if match := _BLOCKER.search(line):
            self.blocker = match.group(1)
        if line.strip():
            self.tail = [*self.tail[-19:], line]
        self._emit(RunEvent("output", self._current, line, time.monotonic() - self._since))

    def close(self) -> None:
        """The current stage, if any, has ended well."""
        if self._current is not None:
            self._emit(RunEvent("done", self._current, seconds=time.monotonic() - self._since))
            self._current = None

    def _on_start(self, stage: str) -> None:
        self.close()
        self._current, self._since = stage, time.monotonic()
        self.result.ran.append(stage)
        self.tail = []
        self._emit(RunEvent("start", stage))

    def _on_skip(self, stage: str) -> None:
        self.close()
        self.result.skipped.append(stage)
        self._emit(RunEvent("skip", stage))

    def _on_cached(self, stage: str) -> None:
        self.close()
        self.result.cached.append(stage)
        self._emit(RunEvent("cached", stage))

    def fail(self) -> None:
        """The current stage, if any, has failed."""
        if self._current is not None:
            self._on_failed(self._current)

    def _on_failed(self, stage: str) -> None:
        self.result.failed = stage
        self._emit(RunEvent("failed", stage, seconds=time.monotonic() - self._since))
        self._current = None


def dvc_process_environment() -> dict[str, str]:
    """The environment of `dvc`: this interpreter first on the path (stages run `python -m`), no network."""
    keep_tracking_offline()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1"}


def _prepare_dvc_run(root: Path, target: str | None, scale: str | None) -> None:
    """Everything that can be refused before work starts."""
    if not (root / "dvc.yaml").is_file():
        raise ForgeError(f"{root}: not a project directory, dvc.yaml is missing")
    if target is not None:
        name, _, branch = target.partition("@")
        if branch not in ("", *find_stage_in_layout(name).branches):
            raise ForgeError(f"no stage named {target!r}")
    stated = load_params(root / "params.yaml")
    params = stated if scale is None else stated.at(scale)
    _refuse_unsound_tools(params.file.data.tools, root)
    check_host_disk_room(run_bytes_in_layout(params), f"scale {params.scale}", root)
    require_sound_lock(root)
    clear_dead_locks(root)
    write_code_hashes(root)
    if not lies_in_repository(root):
        # Unpacked from an archive: DVC works without Git if told so, in the file that is not versioned.
        local = root / ".dvc" / "config.local"
        if not local.is_file():
            local.write_text("[core]\n    no_scm = true\n", encoding="utf-8")
    if params.scale != stated.scale:  # last: a run that was refused leaves the file as it was
        set_param(root / "params.yaml", "scale", params.scale)


def _refuse_unsound_tools(path: str, root: Path) -> None:
    """Own tools have a stage, but DVC may come to it after hours."""
    from forge.tools.declared.checking import read_sound_tools

    read_sound_tools(path, root)


def _interrupt_dvc(process: subprocess.Popen[str]) -> None:
    """SIGINT to DVC and its stage, if they are still there."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)


@contextmanager
def _forwarding_signals_to_dvc(process: subprocess.Popen[str], stopped: list[int]) -> Iterator[None]:
    """Pass SIGINT and SIGTERM on to DVC's process group as SIGINT, which DVC survives to wait for its stage.

    SIGTERM would kill DVC at once and leave the stage saving with nobody to wait for it.
    """

    def forward(number: int, frame: object) -> None:
        stopped.append(number)
        _interrupt_dvc(process)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def run_pipeline(
    target: str | None = None,
    scale: str | None = None,
    on_event: Callable[[RunEvent], None] = lambda event: None,
    *,
    root: Path | str = ".",
    force: bool = False,
) -> RunResult:
    """Bring the pipeline, or what leads to one stage, up to date.

    Args:
        target: a stage (`edge`), one branch (`cognate@reasoning`), or None for all.
        scale: written into `params.yaml` first (comments stay), because DVC depends on what stands there.
        on_event: called for every stage that starts, ends or is skipped and every line that it prints.
        root: the project directory.
        force: run stages even if nothing changed.

    Returns:
        What ran and how it ended; failures of a stage are in there, not raised.

    Raises:
        ForgeError: parameters, scale, target or disk space refused before any work.
    """
    root = Path(root).resolve()
    _prepare_dvc_run(root, target, scale)
    command = [
        sys.executable,
        "-m",
        "dvc",
        "repro",
        *(["--force"] if force else []),
        *([target] if target else []),
    ]
    with logging_to("run", directory=root / ".forge" / "logs", stderr=False):
        return _run_dvc_repro(command, root, on_event)


def _run_dvc_repro(command: list[str], root: Path, on_event: Callable[[RunEvent], None]) -> RunResult:
    """Start DVC, follow it to its end, and log what happens to the stages."""

    def emit(event: RunEvent) -> None:
        if event.kind != "output":
            LOG.info("%s", _WORDS[event.kind].format(event.seconds), extra={"stage": event.stage or "run"})
        on_event(event)

    parser, began, before = _Parser(emit), time.monotonic(), _recorded_run_statuses(root)
    stopped: list[int] = []
    process = subprocess.Popen(
        command,
        cwd=root,
        env=dvc_process_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
        preexec_fn=die_with_parent,
    )
    with _forwarding_signals_to_dvc(process, stopped):
        for line in process.stdout or ():
            ran = len(parser.result.ran)
            parser.feed(line.rstrip("\n"))
            if stopped and len(parser.result.ran) > ran:
                # The signal came when a stage was so near its end that it ended well, and DVC begins the next one.
                _interrupt_dvc(process)
        code = process.wait()
    _conclude_dvc_run(parser, code, bool(stopped), root, before)
    parser.result.seconds = time.monotonic() - began
    LOG.info("%s", parser.result.message or f"all done in {parser.result.seconds:.1f} s")
    return parser.result


def _check_dvc_restored_outputs(result: RunResult, root: Path) -> None:
    """Fail the run if what DVC took from its cache is damaged: DVC does not look, and no handoff followed."""
    for stage in result.cached:
        name, _, branch = stage.partition("@")
        outputs = () if name == "code" else find_stage_in_layout(name).outputs(branch or None)
        for path in (path for path in outputs if (root / path).is_dir()):
            try:
                verify_manifest(root / path)
            except ForgeError as error:
                result.exit_code, result.failed = 1, stage
                damaged = str(error).replace(f"{root}{os.sep}", "")
                result.message = f"{damaged}; DVC's cache, which it was restored from, is damaged (agent-forge doctor)"
                return


def _recorded_run_statuses(root: Path) -> dict[str, bytes]:
    """What the latest run of each stage said last, by stage, as it stands in the file."""
    files = (root / ".forge" / "runs").glob(f"*/{STATUS}")
    return {file.parent.name: file.read_bytes() for file in files}


def _conclude_dvc_run(parser: _Parser, code: int, stopped: bool, root: Path, before: Mapping[str, bytes]) -> None:
    """Fill in how the run ended; `before` is what the stages had said before it.

    What is as it was then tells of an earlier run. Times would not do: the clock may have been set back since.
    """
    result = parser.result
    if code == 0:
        parser.close()
        _check_dvc_restored_outputs(result, root)
        return
    parser.fail()  # a killed dvc names no stage
    failed = result.failed or ""
    told = _recorded_run_statuses(root).get(failed)
    status = None if told == before.get(failed) else read_recorded_status(root / ".forge" / "runs" / failed)
    if stopped or (status is not None and status["state"] == "paused"):
        result.exit_code = 130
        note = status["note"] if status is not None and status["note"] else "stopped"
        result.message = f"{result.failed or 'pipeline'}: {note}"
        return
    result.exit_code = 1
    if parser.blocker is not None:
        result.message = f"another run is at work here (process {parser.blocker}); wait for it or stop it"
    elif status is not None and status["state"] == "failed":
        result.message = f"{result.failed}: {status['note']}"
    elif any(says_disk_full(line) for line in (*parser.tail, *parser.errors)):
        result.message = f"{result.failed or 'pipeline'}: {disk_full_note()}"
    elif any(_KILLED.search(line) for line in parser.errors):
        where = f" at step {status['step']} of {status['total']}" if status is not None and status["total"] else ""
        result.message = (
            f"{result.failed}: killed{where}, by hand or by the system for want of memory (then set a smaller"
            " batch_tokens); go on with: agent-forge run"
        )
    else:
        said = [*parser.tail[-1:], *parser.errors[-1:]]
        result.message = said[-1] if said else f"dvc repro failed with exit code {code}"
