"""Where a run keeps what outlives it.

Two roots. What a run reads and publishes lives in the *workspace*, the current directory: an experiment of
DVC runs in a temporary copy of the project. What outlives a run (checkpoints, logs, the registry) lives in
the *main repository*, which DVC names in `DVC_ROOT`, so that a killed experiment resumes from another
temporary copy.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

PROJECT_MARKS = ("dvc.yaml", "params.yaml")
_STAGE_COMMAND = b"python -m stages."  # of every phase in dvc.yaml


def layout_main_root() -> Path:
    """The main repository: DVC_ROOT inside a stage, else the current directory."""
    return Path(os.environ.get("DVC_ROOT") or Path.cwd())


def layout_state_dir() -> Path:
    """`.forge` of the main repository: git-ignored, never an input or output of a stage."""
    return layout_main_root() / ".forge"


def layout_run_dir(stage: str) -> Path:
    """Logs and status of a stage's latest run; an experiment outside the main workspace has its own."""
    root = layout_main_root()
    if Path.cwd().resolve() != root.resolve():
        return root / ".forge" / "experiments" / os.environ.get("DVC_EXP_NAME", "unnamed") / stage
    return root / ".forge" / "runs" / stage


def find_project(start: Path) -> Path | None:
    """The folder of the project that `start` is in; None outside of any.

    It is the nearest folder whose `dvc.yaml` has the eight phases: neither a stray file on the way nor a pipeline of
    another kind in the project (`ablations/`, `curve/`) is one. Where no folder has them, it is `start` itself if one
    of a project's files is there, else the nearest folder above with all of them.
    """
    here = start.absolute()
    complete = [place for place in (here, *here.parents) if all((place / mark).is_file() for mark in PROJECT_MARKS)]
    for place in complete:
        with suppress(OSError):
            if _STAGE_COMMAND in (place / "dvc.yaml").read_bytes():
                return place
    if any((here / mark).is_file() for mark in PROJECT_MARKS):
        return here
    return complete[0] if complete else None
