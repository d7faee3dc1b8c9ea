"""What phase 5 measures beside its claims: the long run as a whole, and Grokfast on modular addition."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from forge.data.dataset import EncodedSet
from forge.errors import Interrupted
from forge.evals.claims import Claim, compare
from forge.evals.likelihood import Likelihood
from forge.phases.forge.grokking import GrokkingVerdict, Point, grokking_metrics
from forge.phases.forge.modular import CONTROLS, GROKFAST, Comparison, compare_grokfast
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


def modular_comparison(run: Any) -> tuple[dict[str, float], list[Claim]]:
    """Grokfast and its controls on modular addition: the phase's metrics and a claim against each control.

    Raises:
        Interrupted: a signal came; training itself is done, so a resumed run only measures again.
    """
    p = run.params

    def stop() -> None:
        if run.stop_requested:
            raise Interrupted(p.steps, p.steps)

    found = compare_grokfast(
        cap=p.modular_steps, seeds=p.modular_seeds, seed=run.seed, alpha=p.grokfast_alpha, stop=stop
    )
    metrics = {
        "phase/grokfast_speedup": found.speedup,
        "phase/baseline_steps_to_target": found.median(CONTROLS[0]),
        "phase/grokfast_steps_to_target": found.median(GROKFAST),
        "modular/censored_runs": sum(found.censored(arm) for arm in (GROKFAST, *CONTROLS)),
    }
    return metrics, modular_claims(run, found)


def modular_claims(run: Any, found: Comparison) -> list[Claim]:
    """Grokfast needs fewer steps than each control; runs that were cut off are named in the note."""
    claims = []
    for control in CONTROLS:
        cut = [found.censored(arm) for arm in (GROKFAST, control)]
        claims.append(
            compare(
                f"Grokfast generalizes sooner on modular addition (control: {control.name})",
                "steps to 95 % validation accuracy",
                found.steps(GROKFAST),
                found.steps(control),
                control_name=control.name,
                higher_is_better=False,
                note=f"cut off at {found.cap} steps: {cut[0]} runs with Grokfast, {cut[1]} of the control",
                n_boot=run.evaluation.bootstrap,
                seed=run.seed,
            )
        )
    return claims
