"""What phase 7 claims, paired over the same held-out problems."""

from __future__ import annotations

from forge.evals.claims import Claim
from forge.evals.measure import Measurement
from forge.interface.run import PhaseRun
from forge.phases.edge.params import Params

MAX_LOSS = 0.1  # share of the accuracy that pruning may cost


def pruning_claims(run: PhaseRun[Params], whole: Measurement, broken: Measurement, after: Measurement) -> list[Claim]:
    """Pruned and recovered against the whole model (not worse by more than a tenth) and against no recovery."""
    metric, kept = "suite exact match with tools, no tool text", after.tools.correct
    return [
        run.compare(
            "the pruned model keeps at least 90 % of the accuracy",
            metric,
            kept,
            whole.tools.correct,
            control_name="the unpruned model",
            margin=-MAX_LOSS * whole.tools.mean_accuracy,
        ),
        run.compare(
            "distillation recovers what pruning broke",
            metric,
            kept,
            broken.tools.correct,
            control_name="pruned, not recovered",
        ),
    ]
