"""The companion process of a stage: JSON lines on stdin, W&B offline and DVCLive out.

Started by `forge.pipeline.records.tracking`. It ignores the signals that a terminal sends to the whole process group
and lives until its stdin ends. Without a `finish` line the run was interrupted: W&B is closed as failed,
DVCLive is not touched. W&B is a convenience, so its failure is reported on stderr and does not fail the
stage; the files that DVC expects are a duty, so failing to write them exits 1 with the reason as the last
line of stdout.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from forge.errors import ForgeError
from forge.pipeline.records.tracking import SERIES, keep_tracking_offline, read_series

MAX_POINTS = 200  # of a plotted curve: DVCLive opens its file once a point
CURVES = (
    "train/loss",
    "train/loss_avg_100",
    "val/loss",
    "val/accuracy",
    "train/reward",
    "fitness/best",
    "fitness/mean",
)
SMOOTHED = {"train/loss": "train/loss_avg_100"}  # curves of single batches, and the means that are drawn in their stead


class WandbRun:
    """One offline W&B run that never raises: after the first failure it is silent.

    Names carry the phase (``forge/train/loss``), and each phase has an axis of its own, ``<prefix>/global_step``:
    runs of several phases then share a dashboard.
    """

    def __init__(self, start: Mapping[str, Any]) -> None:
        self._run: Any = None
        self._prefix = start["prefix"]
        self._axis = f"{self._prefix}/global_step"
        if os.environ["WANDB_MODE"] == "disabled":
            return
        state = Path(start["directory"]).parent.parent
        for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
            os.environ.setdefault(name, str(state / "wandb"))
        try:
            import wandb

            settings = wandb.Settings(
                console="off",
                silent=True,
                disable_git=True,
                x_disable_stats=True,
                x_disable_machine_info=True,
            )
            self._run = wandb.init(
                project="agent-forge",
                name=start["stage"],
                dir=str(state),
                mode="offline",
                config=dict(start["config"]),
                settings=settings,
            )
            self._run.define_metric(self._axis)
            self._run.define_metric(f"{self._prefix}/*", step_metric=self._axis)
        except Exception as error:  # noqa: BLE001 - whatever W&B raises
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._run = None
        print(f"W&B is off for this stage: {error}", file=sys.stderr)

    def log(self, metrics: Mapping[str, Any], step: int) -> None:
        """One point of each series."""
        if self._run is None:
            return
        try:
            self._run.log({**{f"{self._prefix}/{name}": value for name, value in metrics.items()}, self._axis: step})
        except Exception as error:  # noqa: BLE001 - whatever W&B raises
            self._fail(error)

    def finish(self, summary: Mapping[str, Any] | None) -> None:
        """Close the run; None marks it as failed."""
        if self._run is None:
            return
        try:
            self._run.summary.update({f"{self._prefix}/{name}": value for name, value in (summary or {}).items()})
            self._run.finish(exit_code=0 if summary is not None else 1)
        except Exception as error:  # noqa: BLE001 - whatever W&B raises
            self._fail(error)


def thin(steps: list[int], limit: int = MAX_POINTS) -> list[int]:
    """At most `limit` of the steps, evenly spread, the first and the last among them."""
    if len(steps) <= limit:
        return steps
    return [steps[round(i * (len(steps) - 1) / (limit - 1))] for i in range(limit)]


def record_dvclive_headline(finish: Mapping[str, Any], series: Mapping[int, Mapping[str, float]]) -> None:
    """`metrics.json` and, for a stage that has a curve, `plots/metrics/**.tsv`, through DVCLive.

    Raises:
        ForgeError: the stage's curve was never logged.
    """
    from dvclive import Live

    curve = finish["curve"]
    if curve is not None and not any(curve in point for point in series.values()):
        raise ForgeError(f"the series {curve!r} was never logged, and the stage's plot shows it")
    # dvcyaml=None: by default DVCLive would rewrite the project's dvc.yaml from within a stage.
    live = Live(finish["results"], dvcyaml=None, save_dvc_exp=False, report=None)
    logged = {name for point in series.values() for name in point}
    shown = {
        name: set(thin([step for step, point in series.items() if name in point]))
        for name in (CURVES if curve is not None else ())
        if SMOOTHED.get(name) not in logged
    }
    for step, point in series.items():
        live.step = step
        for name, steps in shown.items():
            if step in steps:
                live.log_metric(name, point[name])
    live.summary = dict(finish["headline"])
    live.make_summary()
    live.end()


def consume_recorder_lines(lines: Iterable[str]) -> None:
    """Consume a run's lines to their end."""
    messages = (json.loads(line) for line in lines)
    start = next(messages, None)
    if start is None:
        return
    run = WandbRun(start)
    import dvclive  # noqa: F401 - while the stage works: at its end, it would wait for this

    finish: Mapping[str, Any] | None = None
    for message in messages:
        if message["event"] == "log":
            run.log(message["metrics"], message["step"])
        else:
            finish = message
    if finish is not None:
        record_dvclive_headline(finish, read_series(Path(start["directory"]) / SERIES))
    run.finish(finish["summary"] if finish is not None else None)


def main() -> int:
    """Entry point of the process; 0 if all that DVC expects was written."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    keep_tracking_offline()
    # DVCLive looks for a DVC repository around the current directory, takes time to open it, and fails if its
    # Git has no commit yet. All paths that come in are absolute, so a place without one serves it best.
    os.chdir(os.sep)
    try:
        consume_recorder_lines(sys.stdin)
    except (ForgeError, OSError) as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
