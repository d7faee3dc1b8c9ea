"""The grokking detector says yes to late, sudden generalization and no to everything else."""

from __future__ import annotations

import pytest

from forge.phases.forge.grokking import GrokkingVerdict, Point, detect_grokking, grokking_metrics
from tests.support.declared import declared


def _points(train: list[float], val: list[float]) -> list[Point]:
    return [Point(100 * (i + 1), t, v) for i, (t, v) in enumerate(zip(train, val, strict=True))]


def test_late_and_sudden_is_grokking() -> None:
    verdict = detect_grokking(_points([0.3, 0.97, 1.0, 1.0, 1.0, 1.0], [0.1, 0.1, 0.12, 0.15, 0.9, 0.95]))
    assert verdict == GrokkingVerdict(True, 200, 500, 0.75, verdict.gap)
    assert round(verdict.gap, 6) == 0.05


def test_learning_both_together_is_not() -> None:
    verdict = detect_grokking(_points([0.2, 0.6, 0.96, 1.0], [0.2, 0.55, 0.93, 0.99]))
    assert not verdict.detected
    assert (verdict.memorized_step, verdict.grokking_step) == (-1, -1)


def test_memorizing_for_ever_is_not() -> None:
    verdict = detect_grokking(_points([0.5, 1.0, 1.0, 1.0], [0.1, 0.1, 0.12, 0.1]))
    assert not verdict.detected
    assert (verdict.memorized_step, verdict.grokking_step) == (200, -1)


def test_a_slow_rise_is_not_and_an_early_jump_does_not_count() -> None:
    slow = detect_grokking(_points([1.0] * 10, [0.1 + 0.05 * i for i in range(10)]))
    assert slow.memorized_step == 100
    assert not slow.detected
    early = detect_grokking(_points([0.5, 0.99, 1.0, 1.0], [0.1, 0.6, 0.61, 0.62]))
    assert early.memorized_step == 200
    assert not early.detected


def test_nothing_measured_is_nothing_found() -> None:
    assert detect_grokking([]) == GrokkingVerdict(False, -1, -1, 0.0, 0.0)


def test_grokking_metrics_by_hand() -> None:
    points = [Point(0, 0.5, 0.1), Point(100, 1.0, 0.2), Point(200, 1.0, 0.25), Point(400, 1.0, 0.85)]
    found = grokking_metrics(points, detect_grokking(points))
    assert {f"grokking/{name}" for name in found} == declared("forge", "grokking")
    assert (found["detected"], found["step"], found["memorized_step"], found["converged"]) == (True, 400, 100, False)
    assert found["accuracy_derivative"] == pytest.approx(100 * 0.65 / 300)
    assert found["improvement"] == pytest.approx(0.75)
    assert found["train_val_gap"] == pytest.approx(0.15)
    assert found["gap_window_mean"] == pytest.approx((0.8 + 0.75 + 0.15) / 3)
    assert found["max_val_jump"] == pytest.approx(0.6)
    flat = [Point(step, 0.9, 0.9) for step in (10, 20, 30)]
    found = grokking_metrics(flat, detect_grokking(flat))
    assert (found["converged"], found["step"], found["accuracy_derivative"]) == (True, -1, 0.0)
    assert grokking_metrics(flat[:1], detect_grokking(flat[:1]))["improvement"] == 0.0
