"""What all tests share: no network, one thread, and a project directory to run stages in."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest

from forge.pipeline.records.tracking import keep_tracking_offline

keep_tracking_offline()

pytest_plugins = ("tests.support.smoke_runs",)
LONGEST = "tests/whole/test_experiments.py"  # as long as half of all others: it starts first
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests need no protection from power loss, and fsync is most of what small writes cost."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project at scale smoke, as the current directory; W&B is switched off."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    assert "\nscale: tiny\n" in text
    (tmp_path / "params.yaml").write_text(text.replace("\nscale: tiny\n", "\nscale: smoke\n"), encoding="utf-8")
    (tmp_path / "data" / "own").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    return tmp_path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: where two processes share the files, the other one does the rest meanwhile."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (not item.nodeid.startswith(LONGEST), item.path not in slow))
