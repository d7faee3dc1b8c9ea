"""What old runs leave under `.forge`, and killed agents in the temporary directory: `agent-forge clean` removes it."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from forge.config import Params
from forge.errors import ForgeError
from forge.pipeline.layout.paths import layout_state_dir
from forge.pipeline.lifecycle.checkpoints import CheckpointHome, unresumable_stage_checkpoints
from forge.pipeline.records.tracking import read_recorded_status

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def parse_retention_age(text: str) -> float:
    """Seconds of an age such as `7d`, `12h`, `30m`, `90s`, `2w`.

    Raises:
        ForgeError: it is something else.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text.strip())
    if match is None:
        raise ForgeError(f"{text!r} is no age; write a number and a unit, for example 7d, 12h, 30m or 2w")
    return float(match[1]) * _UNITS[match[2]]


@dataclass(frozen=True)
class Leftover:
    """Something that may go. kind: what it is; size in bytes; age in seconds since it was last written."""

    path: Path
    kind: str
    size: int
    age: float
    lock: CheckpointHome | None = None
    scratch: bool = False

    def remove(self) -> bool:
        """Remove it; False if a process is at work on it."""
        if self.scratch:
            from forge.tools.scratch import (
                remove_tool_scratch,
            )  # the doctor reads this module, and does without tools

            return remove_tool_scratch(self.path)
        if self.lock is None:
            if self.path.is_dir():
                shutil.rmtree(self.path)
            else:
                self.path.unlink(missing_ok=True)
            return True
        try:
            self.lock.open()
        except ForgeError:
            return False
        self.lock.discard()
        return True


def _measure_retention_leftover(path: Path, kind: str, lock: CheckpointHome | None = None) -> Leftover:
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    stats = [file.stat() for file in files] or [path.stat()]
    written = max(stat.st_mtime for stat in stats)
    return Leftover(path, kind, sum(stat.st_size for stat in stats if files), time.time() - written, lock)


def orphan_checkpoints(params: Params) -> list[Leftover]:
    """Checkpoints that nothing resumes from any more, whatever their age."""
    return [
        _measure_retention_leftover(home.path, "orphan checkpoint", home)
        for home in unresumable_stage_checkpoints(params)
    ]


def leftovers(params: Params, older_than: float) -> list[Leftover]:
    """Orphan checkpoints, records of runs and experiments, logs and W&B runs that were last written more than
    ``older_than`` seconds ago, in order of path.

    A stage's latest record stays while it says that the stage is running or paused; so does a checkpoint that the
    next run would resume from. Folders of killed agents are nobody's, at any age.
    """
    found = [*orphan_checkpoints(params), *_retention_record_leftovers()]
    old = [each for each in found if each.age >= older_than]
    return sorted([*old, *_killed_agents_leftovers()], key=lambda each: each.path)


def _killed_agents_leftovers() -> list[Leftover]:
    from forge.tools.scratch import abandoned_tool_scratch

    folders = [_measure_retention_leftover(path, "folder of a killed agent") for path in abandoned_tool_scratch()]
    return [replace(folder, scratch=True) for folder in folders]


def _retention_record_leftovers() -> Iterator[Leftover]:
    state = layout_state_dir()
    for folder in sorted((state / "runs").glob("*")):
        status = read_recorded_status(folder) if folder.is_dir() else None
        if status is None or status["state"] not in ("running", "paused"):
            yield _measure_retention_leftover(folder, "record of a run")
    kinds = {"experiments/*": "record of an experiment", "logs/*.jsonl": "log", "wandb/*run-*": "W&B run"}
    for pattern, kind in kinds.items():
        for path in sorted(state.glob(pattern)):
            if not path.is_symlink():
                yield _measure_retention_leftover(path, kind)
