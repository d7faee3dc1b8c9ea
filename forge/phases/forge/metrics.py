"""What phase 5 measures beside its claims: the long run as a whole, and Grokfast on modular addition."""

from __future__ import annotations

import math
from collections.abc import Sequence

from forge.data.dataset import EncodedSet
from forge.evals.likelihood import Likelihood
from forge.phases.forge.grokking import GrokkingVerdict, Point, grokking_metrics
from forge.phases.forge.modular import ARMS, CONTROLS, GROKFAST, PUBLISHED, Comparison
from forge.train import TrainResult


def forge_metrics(
    result: TrainResult,
    points: Sequence[Point],
    verdict: GrokkingVerdict,
    final: Likelihood,
    data: EncodedSet,
) -> dict[str, float]:
    """What the long run came to: ``train/``, ``val/``, ``grokking/`` and ``phase/`` metrics that no series holds.

    ``final``: likelihood of the whole validation split after the run; ``data``: the training set.
    """
    best = max(points, key=lambda point: point.val_accuracy)  # of equals the first
    epochs = result.tokens * (1 - result.padding) / float(data.lengths.sum())
    return {
        "train/epoch": epochs,
        "train/clip_fraction": result.clip_fraction,
        "train/tokens_seen": result.tokens,
        "val/loss": math.log(final.perplexity),
        "val/perplexity": final.perplexity,
        "val/accuracy": final.accuracy,
        "val/best_accuracy": best.val_accuracy,
        "val/best_step": best.step,
        **{f"grokking/{name}": value for name, value in grokking_metrics(points, verdict).items()},
        "phase/total_epochs": epochs,
        "phase/total_steps": points[-1].step,
        "phase/grokking_detected": verdict.detected,
        "phase/grokking_step": verdict.grokking_step,
    }


def modular_grokfast_metrics(found: Comparison) -> dict[str, float]:
    """Grokfast's speedup and its steps on modular addition, medians over seeds, and how many runs were cut off; the
    speedup again as it is published, against a control without decay."""
    return {
        "phase/grokfast_speedup": found.speedup,
        "phase/baseline_steps_to_target": found.median(CONTROLS[0]),
        "phase/grokfast_steps_to_target": found.median(GROKFAST),
        "modular/published_speedup": found.published_speedup,
        "modular/published_baseline_steps_to_target": found.median(PUBLISHED),
        "modular/published_baseline_censored_runs": found.censored(PUBLISHED),
        "modular/censored_runs": sum(found.censored(arm) for arm in ARMS),
    }
