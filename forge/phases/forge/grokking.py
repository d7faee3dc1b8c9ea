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
from itertools import pairwise

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
    jumps = [b.val_accuracy - a.val_accuracy for a, b in pairwise(points)]
    last_gap = points[-1].train_accuracy - points[-1].val_accuracy if points else 0.0
    memorized = next(
        (i for i, p in enumerate(points) if p.train_accuracy >= MEMORIZED and p.train_accuracy - p.val_accuracy >= gap),
        None,
    )
    grokked = None
    if memorized is not None:
        for i in range(memorized + 1, len(points)):
            earlier = points[max(memorized, i - window)]
            if points[i].val_accuracy - earlier.val_accuracy >= jump:
                grokked = i
                break
    return GrokkingVerdict(
        detected=grokked is not None,
        memorized_step=-1 if memorized is None else points[memorized].step,
        grokking_step=-1 if grokked is None else points[grokked].step,
        max_val_jump=max(jumps, default=0.0),
        gap=last_gap,
    )


def grokking_metrics(points: Sequence[Point], verdict: GrokkingVerdict) -> dict[str, float]:
    """The verdict, and how training and validation accuracy lie to each other over the last three measurements.

    ``accuracy_derivative``: validation accuracy gained per 100 steps between the first and the last of them;
    ``improvement``: between the first and the last of all. At least one point is needed.
    """
    recent = points[-WINDOW:]
    accuracies = [point.val_accuracy for point in recent]
    steps = max(1, recent[-1].step - recent[0].step)
    return {
        "detected": verdict.detected,
        "step": verdict.grokking_step,
        "accuracy_derivative": 100 * (accuracies[-1] - accuracies[0]) / steps,
        "improvement": points[-1].val_accuracy - points[0].val_accuracy,
        "memorized_step": verdict.memorized_step,
        "train_val_gap": verdict.gap,
        "gap_window_mean": sum(point.train_accuracy - point.val_accuracy for point in recent) / len(recent),
        "max_val_jump": verdict.max_val_jump,
        "converged": max(accuracies) - min(accuracies) < SETTLED,
    }
