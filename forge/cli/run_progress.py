"""How far a run is: what was skipped and why, which stage runs, how long it will take."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from forge.errors import printable
from forge.files import read_optional_json
from forge.host.units import human_seconds
from forge.pipeline.dvc.states import StageState
from forge.pipeline.layout.paths import layout_run_dir
from forge.pipeline.report.overview import overview_seconds_left

if TYPE_CHECKING:
    from rich.console import RenderableType

    from forge.pipeline.dvc.runner import RunEvent


# What DVC says to its own users and ours need not read.
_DVC_TALK = re.compile(
    r"^\s*$|^> |^(Updating|Generating) lock file|^To track the changes|^\s*git add|^To enable auto staging"
    r"|^\s*dvc config core|^Use `dvc push`|^Verifying data sources|^Data and pipelines are up to date"
    r"|^Running stage|^ERROR: "
)


class Watcher:
    """Follows a run: what is planned, what is done, what is left.

    states: the stages as they were before the run. expected: seconds of earlier runs, by stage.
    print_line: where a line for the user goes.
    """

    def __init__(self, states: list[StageState], expected: dict[str, float], print_line: Callable[[str], None]) -> None:
        self.why = {state.name: state.why for state in states}
        self.expected = expected
        self.names = [state.name for state in states]
        self.over: list[str] = []
        self.current: str | None = None
        self._since = 0.0
        self._print = print_line

    def on_event(self, event: RunEvent) -> None:
        """Take one event of the runner."""
        if event.kind == "output":
            if not _DVC_TALK.search(event.line):
                self._print(f"    {event.line}")
            return
        stage = event.stage or "pipeline"
        if event.kind == "start":
            self.current, self._since = stage, time.monotonic()
            reason = self.why.get(stage, "")
            self._print(f"{self.place(stage)} {stage}: running" + (f" ({reason})" if reason else ""))
            return
        self.over.append(stage)
        place = self.place(stage)
        self.current = None
        words = {
            "skip": "skipped, nothing that it reads has changed",
            "cached": "skipped, restored from an earlier run with the same inputs",
            "done": f"done in {human_seconds(event.seconds)}{self._outlook()}",
            "failed": f"stopped after {human_seconds(event.seconds)}",
        }
        self._print(f"{place} {stage}: {words[event.kind]}")

    def place(self, stage: str) -> str:
        """ "[3/13]" for the third of thirteen stages."""
        number = self.names.index(stage) + 1 if stage in self.names else len(self.over)
        return f"[{number}/{len(self.names)}]"

    def seconds_left(self) -> float | None:
        """Seconds until the end by earlier runs, or None when a stage that will run has never run at this
        scale.
        """
        spent = {
            name: time.monotonic() - self._since if name == self.current else 0.0
            for name in self.names
            if name not in self.over and (self.why[name] or name == self.current)
        }
        return overview_seconds_left(spent, self.expected)

    def _outlook(self) -> str:
        left = self.seconds_left()
        return f", about {human_seconds(left)} left" if left else ""


def terminal_progress_line(watcher: Watcher, scale: str) -> RenderableType:
    """The moving line at the foot of a terminal: the current stage, its steps, time left."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    left = watcher.seconds_left()
    outlook = "time left unknown on a first run" if left is None else f"about {human_seconds(left)} left"
    done = len(watcher.over)
    grid.add_row(f"pipeline ({scale})", ProgressBar(len(watcher.names), done, width=30), outlook)
    if watcher.current is not None:
        status = read_optional_json(layout_run_dir(watcher.current) / "status.json") or {}
        steps = status.get("total", 0) if status.get("state") == "running" else 0
        bar = ProgressBar(steps or None, status.get("step", 0), width=30, pulse=not steps)
        text = f"{status.get('step', 0)}/{steps} {status.get('note', '')}" if steps else ""
        grid.add_row(Text(printable(watcher.current)), bar, Text(printable(text)))
    return grid
