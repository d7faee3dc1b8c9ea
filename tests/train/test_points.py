"""Measurements in the middle of training: they survive, and a resumed run replaces what it repeats."""

from __future__ import annotations

from pathlib import Path

from forge.train.points import PointFile


def test_points_survive_and_repeated_steps_replace_them(tmp_path: Path) -> None:
    file = PointFile(tmp_path / "p.json")
    for step in (2, 4, 6):
        file.add(step, x=step / 2)
    again = PointFile(tmp_path / "p.json")
    assert again.points == file.points == [{"step": s, "x": s / 2} for s in (2, 4, 6)]
    again.add(4, x=9.0)
    assert PointFile(tmp_path / "p.json").points == [{"step": 2, "x": 1.0}, {"step": 4, "x": 9.0}]
