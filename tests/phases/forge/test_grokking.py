"""The grokking detector says yes to late, sudden generalization and no to everything else."""

from __future__ import annotations

from forge.phases.forge.grokking import GrokkingVerdict, Point, detect_grokking


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
