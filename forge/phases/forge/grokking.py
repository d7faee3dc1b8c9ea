"""Grokking detector: generalization that comes late and suddenly, after memorization (Power et al., arXiv
2201.02177).

Definition used: *memorized* at the first measurement with training accuracy of at least 0.95 while validation
accuracy lags by at least ``gap``; *grokked* at the first later measurement whose validation accuracy has
risen by ``jump`` within ``window`` measurements. A run that learns both together, or never memorizes, is not
grokking.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MEMORIZED = 0.95
WINDOW = 3  # measurements that count as recent
SETTLED = 0.02  # accuracy that moves less than this over the window has settled


@dataclass(frozen=True)
class Point:
    """One measurement: step, exact-match accuracy on a training sample and on validation."""

    step: int
    train_accuracy: float
    val_accuracy: float


@dataclass(frozen=True)
class GrokkingVerdict:
    """``memorized_step`` and ``grokking_step`` are -1 where it did not happen; ``max_val_jump`` is over one
    measurement."""

    detected: bool
    memorized_step: int
    grokking_step: int
    max_val_jump: float
    gap: float


def detect_grokking(
    points: Sequence[Point], gap: float = 0.2, jump: float = 0.2, window: int = WINDOW
) -> GrokkingVerdict:
    """Judge a series of measurements in order of steps."""
    train, val = _grokking_accuracies(points)
    rises = np.diff(val)
    memorized = np.flatnonzero((train >= MEMORIZED) & (train - val >= gap))[:1]
    later = np.arange(memorized[0] + 1, len(points)) if memorized.size else memorized
    grokked = later[val[later] - val[np.maximum(later - window, memorized)] >= jump][:1]
    return GrokkingVerdict(
        detected=grokked.size > 0,
        memorized_step=points[memorized[0]].step if memorized.size else -1,
        grokking_step=points[grokked[0]].step if grokked.size else -1,
        max_val_jump=float(rises.max()) if rises.size else 0.0,
        gap=float(train[-1] - val[-1]) if points else 0.0,
    )


def grokking_metrics(points: Sequence[Point], verdict: GrokkingVerdict) -> dict[str, float]:
    """The verdict, and how training and validation accuracy lie to each other over the last three measurements.

    ``accuracy_derivative``: validation accuracy gained per 100 steps between the first and the last of them;
    ``improvement``: between the first and the last of all. At least one point is needed.
    """
    train, val = _grokking_accuracies(points[-WINDOW:])
    steps = max(1, points[-1].step - points[-WINDOW:][0].step)
    return {
        "detected": verdict.detected,
        "step": verdict.grokking_step,
        "accuracy_derivative": float(100 * (val[-1] - val[0]) / steps),
        "improvement": points[-1].val_accuracy - points[0].val_accuracy,
        "memorized_step": verdict.memorized_step,
        "train_val_gap": verdict.gap,
        "gap_window_mean": float((train - val).mean()),
        "max_val_jump": verdict.max_val_jump,
        "converged": bool(np.ptp(val) < SETTLED),
    }


def _grokking_accuracies(points: Sequence[Point]) -> tuple[np.ndarray, np.ndarray]:
    """Training and validation accuracy, (n) each."""
    train, val = np.array([(point.train_accuracy, point.val_accuracy) for point in points]).reshape(-1, 2).T
    return train, val
