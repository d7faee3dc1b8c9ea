"""Projects that the dashboard is opened on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def empty(project: Path) -> Path:
    """The real parameters, at scale smoke, and stages; nothing has run."""
    shutil.copy(ROOT / "dvc.yaml", project)
    return project


@pytest.fixture
def finished(empty: Path) -> Path:
    """The results of the committed run."""
    shutil.copytree(ROOT / "results", empty / "results")
    return empty
