"""The log of a run: one JSON object a line, and what a person must see on stderr as well.

Any room may write to it with the standard library's `logging`; `extra={"step": n}` names a step. While a stage
runs, lines of `forge` from INFO on, and of other libraries from WARNING on, go to
`.forge/logs/<time>-<stage>-<process>.jsonl`.
"""

from __future__ import annotations

import calendar
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from forge.errors import printable
from forge.pipeline.layout.paths import layout_state_dir

OURS = "forge"
POLL_SECONDS = 0.2


def recorded_run_logs_dir() -> Path:
    """Where the logs of all runs are."""
    return layout_state_dir() / "logs"


class JsonLinesHandler(logging.Handler):
    """Appends records as `{"time", "level", "stage", "message"[, "step"]}`; time is UTC, ISO 8601."""

    def __init__(self, path: Path, stage: str) -> None:
        super().__init__(logging.INFO)
        self.stage = stage
        self.warnings = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = open(path, "a", encoding="utf-8")  # noqa: SIM115
        except OSError as error:  # the disk is full: that is for the run to find and to say
            print(f"{stage}: no log is kept: {error}", file=sys.stderr)
            self._stream = open(os.devnull, "a", encoding="utf-8")  # noqa: SIM115

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; on a full disk it is lost, and the run goes on to say so itself."""
        if record.levelno < logging.WARNING and record.name.partition(".")[0] != OURS:
            return
        self.warnings += record.levelno == logging.WARNING
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "stage": getattr(record, "stage", self.stage),
            "message": " ".join(record.getMessage().split()),
        }
        if (step := getattr(record, "step", None)) is not None:
            line["step"] = step
        try:
            self._stream.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._stream.flush()
        except OSError as error:
            self.acquire()
            logging.getLogger().removeHandler(self)
            self.release()
            print(f"{self.stage}: the log ends here: {error}", file=sys.stderr)

    def close(self) -> None:
        """Close the file; what could not be written to a full disk was told before."""
        try:
            self._stream.close()
        except OSError as error:
            print(f"{self.stage}: the log is not whole: {error}", file=sys.stderr)
        super().close()


class _OneLine(logging.Formatter):
    def __init__(self, stage: str) -> None:
        super().__init__()
        self._stage = stage

    def format(self, record: logging.LogRecord) -> str:
        return printable(f"{self._stage}: {' '.join(record.getMessage().split())}")


@contextmanager
def logging_to(stage: str, *, directory: Path | None = None, stderr: bool = True) -> Iterator[JsonLinesHandler]:
    """Send the log of the block to a file of its own in ``directory`` (default: `recorded_run_logs_dir`) and, from
    WARNING on, to stderr as `<stage>: <message>`."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    handlers: list[logging.Handler] = []
    root, ours = logging.getLogger(), logging.getLogger(OURS)
    level = ours.level
    file = JsonLinesHandler((directory or recorded_run_logs_dir()) / f"{stamp}-{stage}-{os.getpid()}.jsonl", stage)
    handlers.append(file)
    if stderr:
        console = logging.StreamHandler(sys.stderr)
        console.setLevel(logging.WARNING)
        console.addFilter(lambda record: record.name.partition(".")[0] == OURS)
        console.setFormatter(_OneLine(stage))
        handlers.append(console)
    for handler in handlers:
        root.addHandler(handler)
    ours.setLevel(logging.INFO)
    try:
        yield file
    finally:
        ours.setLevel(level)
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()


# ---- reading -----------------------------------------------------------------------------------------------


def _log_line_belongs_to(line: dict[str, Any], phase: str | None) -> bool:
    stage = str(line.get("stage", ""))
    return phase is None or phase in (stage, stage.partition("@")[0])


def parse_log_lines(text: str) -> list[dict[str, Any]]:
    """The objects of JSON lines; the half line of a killed writer is left out."""
    found = []
    for line in text.splitlines():
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict):
            found.append(entry)
    return found


def latest_lines(directory: Path, count: int, phase: str | None = None) -> list[dict[str, Any]]:
    """The last ``count`` lines of all logs together, of one phase (or branch) where it is named, oldest first."""
    found: list[dict[str, Any]] = []
    for path in sorted(directory.glob("*.jsonl"), reverse=True):
        # Runs overlap, but a file that was last written before the oldest line that is wanted has none to add.
        if len(found) >= count and path.stat().st_mtime < _log_time_seconds(str(found[-count]["time"])):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        lines = [line for line in parse_log_lines(text) if _log_line_belongs_to(line, phase)]
        found = sorted([*found, *lines], key=lambda line: str(line["time"]))
    return found[-count:]


def _log_time_seconds(moment: str) -> float:
    return calendar.timegm(time.strptime(moment[:19], "%Y-%m-%dT%H:%M:%S"))


def follow_run_logs(
    directory: Path, phase: str | None = None, *, stop: Callable[[], bool] = lambda: False, poll: float = POLL_SECONDS
) -> Iterator[dict[str, Any]]:
    """New lines of all logs as they are written, from now until ``stop()``."""
    places = {path: path.stat().st_size for path in directory.glob("*.jsonl")}
    while True:
        ending = stop()
        for path in sorted(directory.glob("*.jsonl")):
            with open(path, "rb") as stream:
                stream.seek(places.get(path, 0))
                fresh = stream.read()
            whole = fresh[: fresh.rfind(b"\n") + 1]
            places[path] = places.get(path, 0) + len(whole)
            yield from (
                line for line in parse_log_lines(whole.decode(errors="replace")) if _log_line_belongs_to(line, phase)
            )
        if ending:
            return
        time.sleep(poll)
