"""benchmarks/commands.py: real timings, a shape to rely on, and no training by accident."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]


def benchmark(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "benchmarks/commands.py"), *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_commands_are_timed() -> None:
    done = benchmark("--repeats", "2", "phases", "config show --phase edge")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["repeats"] == 2
    assert list(told["commands"]) == ["phases", "config show --phase edge"]
    for metrics in told["commands"].values():
        assert 0 < metrics["min_s"] <= metrics["median_s"] <= metrics["max_s"]


def test_a_failing_command_is_not_timed() -> None:
    assert benchmark("--repeats", "1", "config show --phase nope").returncode != 0


def test_a_stale_project_is_not_run(tmp_path: Path) -> None:
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    done = benchmark("--noop", "--repeats", "1", "phases", cwd=tmp_path)
    assert done.returncode == 1
    assert "stale here" in done.stderr
    assert not (tmp_path / ".dvc").exists()
