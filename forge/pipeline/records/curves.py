"""What a stage drew while it ran: its series and the samples of the system, from the run or from its results."""

from __future__ import annotations

import csv
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forge.errors import ForgeError
from forge.host.sampling import SYSTEM
from forge.interface.paths import declared_results_path
from forge.pipeline.layout.paths import layout_run_dir
from forge.pipeline.records.logs import parse_log_lines
from forge.pipeline.records.recorder import thin
from forge.pipeline.records.tracking import SERIES, read_series

MAX_POINTS = 400  # of a drawn curve


@dataclass(frozen=True)
class Curves:
    """Series by name, each as steps and values. source: the file or directory that they come from; None without any."""

    source: Path | None
    series: dict[str, tuple[list[int], list[float]]]


def read_recorded_curves(stage: str) -> Curves:
    """The series of a stage's latest run here, else those that its results keep; thinned to `MAX_POINTS`.

    Raises:
        ForgeError: a file is damaged.
    """
    live = layout_run_dir(stage) / SERIES
    if live.is_file() and live.stat().st_size:
        return _read_recorded_curves(live)
    phase, _, branch = stage.partition("@")
    kept = declared_results_path(phase, branch or None) / "plots" / "metrics"
    series = {}
    for path in sorted(kept.rglob("*.tsv")):
        with suppress(FileNotFoundError):  # a stage that starts has removed it since
            series[path.relative_to(kept).with_suffix("").as_posix()] = _read_kept_curve(path)
    return Curves(kept if series else None, series)


def _read_recorded_curves(path: Path) -> Curves:
    try:
        points = read_series(path)
    except (KeyError, ValueError) as error:
        raise ForgeError(f"{path}: its last line is not whole yet, or the run was killed while it wrote it") from error
    found: dict[str, tuple[list[int], list[float]]] = {}
    for name in sorted({name for point in points.values() for name in point}):
        steps = thin([step for step, point in points.items() if name in point], MAX_POINTS)
        found[name] = (steps, [points[step][name] for step in steps])
    return Curves(path, found)


def _read_kept_curve(path: Path) -> tuple[list[int], list[float]]:
    """A file of `results/<phase>/plots`: the column `step` and one of values."""
    with open(path, encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    try:
        return [int(row["step"]) for row in rows], [
            float(value) for row in rows for name, value in row.items() if name != "step"
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise ForgeError(f"{path}: expected a column of steps and one of numbers") from error


def read_recorded_samples(stage: str) -> list[dict[str, Any]]:
    """Processor, memory and GPU during a stage's latest run here, a row a sample, thinned to `MAX_POINTS`."""
    path = layout_run_dir(stage) / SYSTEM
    if not path.is_file():
        return []
    rows = parse_log_lines(path.read_text(encoding="utf-8", errors="replace"))
    return [rows[place] for place in thin(list(range(len(rows))), MAX_POINTS)] if rows else []
