"""What a run tells: its state and series while it goes on, its metrics and claims when it completes."""

from __future__ import annotations

import os
import platform
import resource
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from forge.errors import ForgeError
from forge.files import atomic_write_json
from forge.host.sampling import SystemSampler
from forge.interface.paths import declared_stage_name
from forge.interface.phase import Stage
from forge.pipeline.layout.paths import layout_run_dir
from forge.pipeline.records.tracking import SERIES, Tracker


class Recording:
    """The records of one run. Nothing is kept of a stage that only gathers the records of others.

    Attributes:
        results: where its small results go.
    """

    def __init__(self, stage: Stage, branch: str | None) -> None:
        self._stage, self._branch = stage, branch
        self._name = declared_stage_name(stage.name, branch)
        self.results = Path(stage.results_dir(branch))
        self._summary: dict[str, Any] = {}
        self._headline: dict[str, Any] = {}
        self._claims: list[dict[str, Any]] = []
        self._tracker: Tracker | None = None
        self._sampler: SystemSampler | None = None

    def open(self, config: Mapping[str, Any], checkpoints: Path, *, resumed: bool) -> None:
        """Go on with the series that an interrupted run left beside its checkpoints, or begin new ones."""
        self._tracker = Tracker(
            self._name,
            layout_run_dir(self._name),
            config=config,
            resumed=resumed,
            prefix=recorded_name_prefix(self._stage, self._branch),
            kept=checkpoints / SERIES,
        )
        self._sampler = SystemSampler(layout_run_dir(self._name), resumed=resumed)
        self._sampler.start()

    @property
    def tracker(self) -> Tracker:
        """Raises ForgeError for a stage of which nothing is kept."""
        if self._tracker is None:
            raise ForgeError(f"{self._name} keeps no records")
        return self._tracker

    def add(
        self, metrics: Mapping[str, Any] | None, headline: Mapping[str, Any] | None, claims: Sequence[BaseModel]
    ) -> None:
        """See `forge.interface.run.PhaseRun.record`."""
        self._summary |= {**(metrics or {}), **(headline or {})}
        self._headline |= headline or {}
        self._claims += [claim.model_dump(mode="json") for claim in claims]

    def write(self, seconds: float, facts: Mapping[str, Any]) -> None:
        """All that DVC expects below results/; ``facts``: of the run, beside time, machine and memory."""
        if self._tracker is None:
            return
        duration = {"phase/duration_seconds": round(seconds, 3)}
        # A stage that closes a phase of several knows better how long the phase took.
        self._headline, self._summary = duration | self._headline, duration | self._summary
        system = self._sampler.stop() if self._sampler is not None else {}
        self._summary |= {f"system/{name}": value for name, value in system.items()}
        if f"{self.results.as_posix()}/claims.json" in self._stage.records(self._branch):
            atomic_write_json(self.results / "claims.json", self._claims)
        atomic_write_json(self.results / "run.json", {**_machine_facts(self._name, seconds), "system": system, **facts})
        self._tracker.finish(self._summary, self._headline, self.results, self._stage.curve)

    def done(self) -> None:
        """The last state that is told."""
        if self._tracker is not None:
            self._tracker.status("done")

    def abandon(self, state: str, step: int, total: int, note: str, *, wait: bool) -> OSError | None:
        """Close the records of a run that did not complete. What could not be written, if so."""
        try:
            if self._tracker is not None:
                self._tracker.abandon(state, step, total, note, wait=wait)
        except OSError as error:  # on a full disk the reason is still to be told
            return error
        return None

    def close(self) -> None:
        """Let go of the thread that samples."""
        if self._sampler is not None:
            self._sampler.stop()


def _machine_facts(name: str, seconds: float) -> dict[str, Any]:
    """What differs between two equal runs: time, machine, memory."""
    started = time.time() - seconds
    return {
        "stage": name,
        "created_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": round(seconds, 3),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": version("torch"),
    }


def recorded_name_prefix(stage: Stage, branch: str | None) -> str:
    """What the names of a stage's metrics begin with: its phase where it closes it, and `cognate/model_2` for the
    second branch."""
    if branch:
        return f"{stage.name}/model_{stage.branches.index(branch) + 1}"
    return stage.phase if stage.closes else stage.name
