"""Where things are.

Two roots. What a run reads and publishes lives in the *workspace*, the current directory: an experiment of
DVC runs in a temporary copy of the project. What outlives a run (checkpoints, logs, the registry) lives in
the *main repository*, which DVC names in `DVC_ROOT`, so that a killed experiment resumes from another
temporary copy.
"""

from __future__ import annotations

import os
from pathlib import Path

PREPARED = Path("data/prepared")
WORKSPACE = Path("data/workspace")
OWN = Path("data/own")
RESULTS = Path("results")
MODELS = Path("models")


def stage_name(phase: str, branch: str | None = None) -> str:
    """DVC's name of a stage: `evomerge`, `cognate@reasoning`."""
    return f"{phase}@{branch}" if branch else phase


def model_path(phase: str, branch: str | None = None) -> Path:
    """`models/<phase>[/<branch>]`, relative to the workspace."""
    return MODELS / phase / branch if branch else MODELS / phase


def results_path(phase: str, branch: str | None = None) -> Path:
    """`results/<phase>[/<branch>]`, relative to the workspace."""
    return RESULTS / phase / branch if branch else RESULTS / phase


def main_root() -> Path:
    """The main repository: DVC_ROOT inside a stage, else the current directory."""
    return Path(os.environ.get("DVC_ROOT") or Path.cwd())


def state_dir() -> Path:
    """`.forge` of the main repository: git-ignored, never an input or output of a stage."""
    return main_root() / ".forge"


def run_dir(stage: str) -> Path:
    """Logs and status of a stage's latest run; an experiment outside the main workspace has its own."""
    root = main_root()
    if Path.cwd().resolve() != root.resolve():
        return root / ".forge" / "experiments" / os.environ.get("DVC_EXP_NAME", "unnamed") / stage
    return root / ".forge" / "runs" / stage
