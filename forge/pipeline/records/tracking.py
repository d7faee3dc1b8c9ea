"""Recording a run: everything to JSONL, to W&B offline and to `results/.../all_metrics.json`, the headline to DVCLive.

The stage itself only appends lines to `.forge/runs/<stage>/metrics.jsonl`. A companion process
(`forge.pipeline.records.recorder`) gets the same lines through a pipe and feeds W&B and DVCLive: importing and
starting those takes two seconds, which this way pass beside the stage's own imports instead of before them.
The companion ends when the pipe does, so a stage that is killed leaves a readable W&B run and no process
behind.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forge.errors import ForgeError
from forge.files import atomic_write_json, canonical_json, read_optional_json
from forge.host.machine import process_started

ALL_METRICS = "all_metrics.json"
SERIES = "metrics.jsonl"
SUMMARY = "summary.json"
STATUS = "status.json"
_STATUS_KINDS = {
    **dict.fromkeys(("stage", "state", "note"), str),
    **dict.fromkeys(("step", "total", "pid"), int),
    **dict.fromkeys(("started", "updated"), int | float),
    **dict.fromkeys(("process_started", "seconds_left"), int | float | None),
    "scale": str | None,
}
_STATUS_DEFAULTS = {
    **dict.fromkeys(("step", "total", "pid", "started", "updated"), 0),
    **dict.fromkeys(("process_started", "seconds_left", "scale")),
    "note": "",
}
_STATUS_SECONDS = 0.5
_OFFLINE = {
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "DVC_STUDIO_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_OFFLINE": "1",
    "WANDB_MODE": "offline",
    "WANDB_SILENT": "true",
}


def keep_tracking_offline() -> None:
    """Set the variables that keep every library off the network, unless the user has set them."""
    for name, value in _OFFLINE.items():
        os.environ.setdefault(name, value)


def finite_recorded_numbers(metrics: Mapping[str, Any]) -> dict[str, float | int]:
    """Metrics as plain numbers.

    Raises:
        ForgeError: a value is not a number or not finite; NaN in a loss curve is a failed run, not a data
            point.
    """
    plain: dict[str, float | int] = {}
    for name, value in metrics.items():
        number = value.item() if hasattr(value, "item") else value
        if isinstance(number, bool):
            number = int(number)
        if not isinstance(number, int | float) or not math.isfinite(number):
            raise ForgeError(f"metric {name!r} is not a finite number: {value!r}")
        plain[name] = number
    return plain


def nest_recorded_values(flat: Mapping[str, Any]) -> dict[str, Any]:
    """`{"a/b": 1}` to `{"a": {"b": 1}}`, the form that DVC's metrics are addressed in.

    Raises:
        ForgeError: a name is both a value and a group.
    """
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *groups, last = name.split("/")
        node = tree
        for group in groups:
            node = node.setdefault(group, {})
            if not isinstance(node, dict):
                raise ForgeError(f"metric {name!r} cannot be nested under the value {group!r}")
        if isinstance(node.get(last), dict):
            raise ForgeError(f"metric {name!r} is already a group of metrics")
        node[last] = value
    return tree


def read_series(path: Path) -> dict[int, dict[str, float]]:
    """All points of a JSONL file by step; of a step logged twice (after a resume) the last counts."""
    points: dict[int, dict[str, float]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        row.pop("time")
        points.setdefault(row.pop("step"), {}).update(row)
    return dict(sorted(points.items()))


def record_all_metrics(path: Path, prefix: str, values: Mapping[str, Any]) -> None:
    """Write every number and text of ``values`` as ``{"<prefix>/<name>": value}``, a line each.

    An object of plain values, because `dvc plots` draws whatever list it meets.

    Raises:
        ForgeError: a number is not finite.
    """
    texts = {name: value for name, value in values.items() if isinstance(value, str)}
    numbers = {name: value for name, value in values.items() if not isinstance(value, str | list | tuple | dict)}
    plain: dict[str, Any] = {**texts, **finite_recorded_numbers(numbers)}
    atomic_write_json(path, {f"{prefix}/{name}": value for name, value in plain.items()})


def flatten_recorded_values(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The inverse of `nest_recorded_values`: `{"a": {"b": 1}}` to `{"a/b": 1}`. Lists are series, and are left out."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found.update(flatten_recorded_values(value, f"{prefix}{name}/"))
        elif isinstance(value, bool | int | float | str):
            found[f"{prefix}{name}"] = value
    return found


def drop_partial_line(path: Path) -> None:
    """Cut a file back to its last line break: a killed writer may have left half a line."""
    if path.is_file():
        with open(path, "r+b") as stream:
            stream.truncate(stream.read().rfind(b"\n") + 1)


class Tracker:
    """The records of one stage run.

    Args:
        stage: DVC's name of the stage.
        directory: where JSONL, summary and status go.
        config: parameters, shown in W&B.
        resumed: continue the series of an interrupted run instead of starting anew.
        prefix: what the names of its metrics begin with in W&B and `all_metrics.json`; the stage's name if not given.
        kept: a second copy of the series, among the checkpoints: a resumed run goes on with that one, whatever ran
            in between with other parameters.
    """

    def __init__(
        self,
        stage: str,
        directory: Path,
        *,
        config: Mapping[str, Any],
        resumed: bool,
        prefix: str = "",
        kept: Path | None = None,
    ) -> None:
        self.stage = stage
        self.prefix = prefix or stage
        self.directory = directory
        self._scale = config.get("scale")
        self._last_status = -_STATUS_SECONDS
        self._started = time.time()
        self._pace: tuple[float, int] | None = None  # clock and step of the first progress of this loop
        self._total = 0  # its steps
        directory.mkdir(parents=True, exist_ok=True)
        shown = directory / SERIES
        if resumed:
            drop_partial_line(kept or shown)
            if kept is not None:
                shown.write_bytes(kept.read_bytes() if kept.is_file() else b"")
        files = [shown] if kept is None else [kept, shown]
        self._series = [open(path, "a" if resumed else "w", encoding="utf-8") for path in files]  # noqa: SIM115
        self._recorder: subprocess.Popen[str] | None = self._start_recorder(config)
        self.status("running")

    def _start_recorder(self, config: Mapping[str, Any]) -> subprocess.Popen[str]:
        # The same code as the stage's own, wherever the stage was started.
        package_root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, (package_root, os.environ.get("PYTHONPATH"))))
        recorder = subprocess.Popen(
            [sys.executable, "-m", "forge.pipeline.records.recorder"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
            # A signal to the stage's process group would kill it while it starts, before it can ignore any.
            start_new_session=True,
        )
        self._recorder = recorder
        self._send(
            {
                "event": "start",
                "stage": self.stage,
                "prefix": self.prefix,
                "directory": str(self.directory.absolute()),
                "config": config,
            }
        )
        return recorder

    def _send(self, message: Mapping[str, Any]) -> None:
        """Pass a line to the recorder; if that has died, say so once and go on: the JSONL has everything."""
        if self._recorder is None or self._recorder.stdin is None:
            return
        try:
            self._recorder.stdin.write(json.dumps(message, allow_nan=False, default=str) + "\n")
            self._recorder.stdin.flush()
        except BrokenPipeError:
            print(f"{self.stage}: the metrics recorder has died; series go to JSONL only", file=sys.stderr)
            self._recorder.wait()
            self._recorder = None

    def log(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Append one point of each series."""
        numbers = finite_recorded_numbers(metrics)
        for file in self._series:
            file.write(json.dumps({"step": step, "time": round(time.time(), 3), **numbers}) + "\n")
            file.flush()
        self._send({"event": "log", "step": step, "metrics": numbers})

    def _close_series(self) -> None:
        for file in self._series:
            file.close()

    def status(self, state: str, step: int = 0, total: int = 0, note: str = "", *, throttle: bool = False) -> None:
        """Write `status.json` for whoever watches: state, step of total, seconds left; twice a second at
        most.
        """
        now = time.monotonic()  # unlike the time of day it is never set back
        if throttle and now - self._last_status < _STATUS_SECONDS:
            return
        self._last_status = now
        if self._pace is None or step < self._pace[1] or total != self._total:  # a stage may have several loops
            self._pace, self._total = (now, step) if total else None, total
        since, first = self._pace or (now, step)
        left = (now - since) / (step - first) * (total - step) if step > first else None
        fields = {
            "stage": self.stage,
            "scale": self._scale,
            "state": state,
            "step": step,
            "total": total,
            "note": note,
            "pid": os.getpid(),
            "process_started": process_started(os.getpid()),
            "started": self._started,
            "updated": time.time(),
            "seconds_left": left,
        }
        # Renamed so that nobody reads half of it, but not fsynced: that can take longer than a training step.
        draft = self.directory / f".{STATUS}"
        draft.write_text(canonical_json(fields), encoding="utf-8")
        draft.replace(self.directory / STATUS)

    def finish(
        self,
        summary: Mapping[str, Any],
        headline: Mapping[str, Any],
        results: Path,
        curve: str | None,
    ) -> None:
        """Write the summary and `all_metrics.json`, have the recorder write `results/.../metrics.json` and the plots,
        and wait for it.

        Raises:
            ForgeError: a value is not finite, the recorder failed, or the stage never logged the series that its
                plot shows.
        """
        atomic_write_json(self.directory / SUMMARY, dict(summary))
        self._close_series()
        last: dict[str, Any] = {}
        for point in read_series(self.directory / SERIES).values():
            last.update(point)
        record_all_metrics(results / ALL_METRICS, self.prefix, last | dict(summary))
        message = {
            "event": "finish",
            "summary": dict(summary),
            "headline": nest_recorded_values(headline),
            "results": str(results.absolute()),
            "curve": curve,
        }
        self._send(message)
        if self._recorder is None:
            raise ForgeError(f"{self.stage}: the metrics recorder died before it could write {results}/metrics.json")
        answer, _ = self._recorder.communicate()
        code = self._recorder.wait()
        self._recorder = None
        if code != 0:
            reason = answer.strip().splitlines()[-1] if answer.strip() else f"exit code {code}"
            raise ForgeError(f"{self.stage}: metrics were not recorded: {reason}")

    def abandon(self, state: str, step: int = 0, total: int = 0, note: str = "", *, wait: bool = True) -> None:
        """Close the series of a run that did not finish; the recorder closes its W&B run on its own, and is waited for
        unless there is no time.
        """
        try:
            self._close_series()
        finally:
            if self._recorder is not None and self._recorder.stdin is not None:
                if wait:
                    self._recorder.communicate()
                else:
                    self._recorder.stdin.close()
                self._recorder = None
        self.status(state, step, total, note)


def read_recorded_status(directory: Path) -> dict[str, Any] | None:
    """The latest status in a run directory, None if the stage never ran; what an older program left out is added.

    Raises:
        ForgeError: the file is damaged.
    """
    path = directory / STATUS
    found = read_optional_json(path)
    if found is None:
        return None
    if not isinstance(found, dict) or "state" not in found:
        raise ForgeError(f"{path}: not a status as a stage writes it")
    status = {"stage": directory.name, **_STATUS_DEFAULTS, **found}
    for name, kind in _STATUS_KINDS.items():
        if not isinstance(status[name], kind):
            raise ForgeError(f"{path}: not a status as a stage writes it ({name})")
    return status
