"""A progress bar with tokens per second and time left; plain lines where there is no terminal."""

from __future__ import annotations

import logging
import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

LOG = logging.getLogger(__name__)


class Progress:
    """Context manager around one training run of ``total`` steps, of which ``begin`` are done. Silent unless
    ``shown``."""

    def __init__(self, name: str, total: int, begin: int = 0, *, shown: bool = True) -> None:
        self.name, self.total, self.begin, self.shown = name, total, begin, shown
        console = Console(stderr=True)
        self.bar = None
        if shown and console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
            )
            self.bar = RichProgress(*columns, console=console, transient=True)
        self.started = time.perf_counter()

    def __enter__(self) -> Self:
        if self.bar is not None:
            self.bar.start()
            self.task = self.bar.add_task(self.name, total=self.total, completed=self.begin, note="")
        if self.begin:
            self._tell(f"{self.name}: resuming at step {self.begin} of {self.total}", self.begin)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

    def advance(self, done: int, tokens: int, loss: float) -> None:
        """Show that ``done`` steps are over, with ``tokens`` seen by this process."""
        elapsed = time.perf_counter() - self.started
        rate = tokens / max(1e-9, elapsed)
        if self.bar is not None:
            self.bar.update(self.task, completed=done, note=f"loss {loss:.3f}  {rate:,.0f} tokens/s")
        if done % max(1, self.total // 5) == 0 or done == self.total:
            left = elapsed / max(1, done - self.begin) * (self.total - done)
            line = f"{self.name}: step {done}/{self.total}  loss {loss:.3f}"
            self._tell(f"{line}  {rate:,.0f} tokens/s  {left:.0f} s left", done)

    def _tell(self, line: str, step: int) -> None:
        """Into the log, and to stderr where no bar shows it."""
        if not self.shown:
            return
        LOG.info("%s", line, extra={"step": step})
        if self.bar is None:
            print(line, file=sys.stderr, flush=True)
